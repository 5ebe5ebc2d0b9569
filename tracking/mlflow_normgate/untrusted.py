"""Reading what a client wrote: JSON, numbers, and text that a person will be shown.

Everything here is pure and bounded by the size of what it is given. What the JSON
means, and how large it may be, is its reader's matter.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_TEXT = 600
"""Characters of one name or sentence."""
MAX_SENTENCES = 100
NOT_FINITE = frozenset({"nan", "inf", "-inf"})
"""How a card writes what JSON has no number for."""


def json_object(data: bytes) -> dict[str, Any]:
    """Read one JSON object in UTF-8 in which every key stands once.

    Readers differ in which of two equal keys they take, so such a file says one thing
    to the gate and may say another to whoever reads it next.

    Raises:
        ValueError: If it is anything else.
        RecursionError: If it is nested too deeply.
    """
    document = json.loads(data.decode("utf-8"), object_pairs_hook=_once)
    if not isinstance(document, dict):
        raise ValueError("it is no JSON object")
    return document


def number(value: object) -> float:
    """Read a number; truth values and numbers in quotes are none.

    Raises:
        ValueError: If it is none.
        OverflowError: If it is too large for a float.
    """
    if isinstance(value, str) and value in NOT_FINITE:
        return float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"expected a number, found {shown(repr(value), 40)}")
    return float(value)


def shown(text: str, most: int = MAX_TEXT) -> str:
    """Text on one line that can't pretend: what is not printable is written out.

    That is line breaks, zero bytes, lone surrogates, and characters without width or
    that turn the direction of what follows.
    """
    cut = text if len(text) <= most else f"{text[:most]} ..."
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode() for c in cut
    )


def some(sentences: Sequence[str]) -> tuple[str, ...]:
    """As many sentences as a person reads, and how many more there are."""
    told = [shown(sentence) for sentence in sentences[:MAX_SENTENCES]]
    rest = len(sentences) - len(told)
    return (*told, f"And {rest} more of this kind.") if rest else tuple(told)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for key, value in pairs:
        if key in document:
            raise ValueError(f"key {shown(key, 80)!r} stands more than once")
        document[key] = value
    return document
