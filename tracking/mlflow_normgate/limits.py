"""What MLflow takes as keys and values. Everything here is pure.

MLflow cuts parameters over 6,000 and tags over 8,000 characters without a word, and
some stores refuse names that are not ASCII: both are dealt with before sending.
"""

from __future__ import annotations

import math
import posixpath
import re
from typing import TYPE_CHECKING

from normgate.errors import TrackingError

if TYPE_CHECKING:
    from normgate.tracker import Scalar

MAX_KEY = 250
MAX_PARAM = 6000
MAX_TAG = 8000
NOTE_TAG = "mlflow.note.content"
_KEY = re.compile(r"[A-Za-z0-9_\-. :/]+")
_IMAGE_KEY = re.compile(r"[A-Za-z0-9_\-. /]+")


def checked_key(key: str, kind: str) -> str:
    """The key itself, if every MLflow store takes it.

    Raises:
        TrackingError: With the characters that are allowed.
    """
    pattern = _IMAGE_KEY if kind == "image" else _KEY
    if not pattern.fullmatch(key):
        colon = "" if kind == "image" else " :"
        raise TrackingError(
            f"{kind} key {key!r} has a character that MLflow refuses; use ASCII "
            f"letters, digits, space and _ - . /{colon}"
        )
    if len(key) > MAX_KEY or posixpath.normpath(key) != key or key[0] in "./":
        raise TrackingError(
            f"{kind} key {key[:80]!r} must be a plain relative name of at most "
            f"{MAX_KEY} characters, without '..', '//' or a slash at either end"
        )
    return key


def shortened(value: str, limit: int, stored_as: str) -> str:
    """The beginning of a long value, which says where the whole of it is."""
    where = f" ... [{len(value)} characters; the whole is artifact {stored_as}]"
    return value[: min(limit - len(where), 500)] + where


def shortened_note(markdown: str, stored_as: str) -> str:
    """The beginning of a long note, cut between lines, with a pointer to the rest."""
    end = f"\n\nThe whole text ({len(markdown)} characters) is artifact `{stored_as}`."
    head = markdown[: MAX_TAG - len(end)]
    return head[: head.rfind("\n") if "\n" in head else len(head)] + end


def as_text(value: Scalar) -> str:
    """A parameter as it is shown: numbers in their shortest exact form."""
    return value if isinstance(value, str) else str(value)


def same_value(logged: str, value: str) -> bool:
    """Whether a parameter already holds this, quoted by a shell or spelled otherwise.

    `mlflow run` logs an entry's parameters as it quotes them for the shell.
    """
    bare = logged[1:-1].replace("'\"'\"'", "'") if _quoted(logged) else logged
    if bare == value:
        return True
    try:
        return float(bare) == float(value)
    except ValueError:
        return bare.lower() == value.lower() and bare.lower() in {"true", "false"}


def to_json_number(value: float) -> float | str:
    """A metric for strict JSON: NaN and the infinities become words."""
    number = float(value)
    return number if math.isfinite(number) else str(number)


def artifact_name(key: str) -> str:
    """A file name made of a key."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", key) + ".txt"


def _quoted(text: str) -> bool:
    return len(text) >= 2 and text[0] == text[-1] == "'"
