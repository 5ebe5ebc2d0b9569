"""Parameters of entry points as values: what MLproject passes is always text."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from normgate.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path


def words(text: str) -> tuple[str, ...]:
    """Names separated by commas; empty for none."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def whole_numbers(name: str, text: str) -> tuple[int, ...]:
    """Whole numbers separated by commas, each once and rising; empty for none.

    Raises:
        SettingsError: One is no whole number of 0 or more, or they don't rise.
    """
    parts = words(text)
    if not all(part.isdigit() and part.isascii() for part in parts):
        raise SettingsError(
            f"{name} is {text!r}; expected whole numbers such as 0,10000"
        )
    numbers = tuple(int(part) for part in parts)
    if list(numbers) != sorted(set(numbers)):
        raise SettingsError(f"{name} is {text!r}; expected each once, and rising")
    return numbers


def percentile_pair(text: str) -> tuple[Decimal, Decimal]:
    """Two percentiles, such as `1,99`.

    Raises:
        SettingsError: There are not two numbers.
    """
    try:
        low, high = (Decimal(part) for part in words(text))
    except (ValueError, InvalidOperation) as error:
        msg = f"percentiles is {text!r}; expected two numbers such as 1,99"
        raise SettingsError(msg) from error
    if not (low.is_finite() and high.is_finite()):
        raise SettingsError(f"percentiles is {text!r}; expected finite numbers")
    return low, high


def mask_option(text: str) -> tuple[int | None, bool]:
    """What counts: `none` (all pixels), `nonzero`, `above:100`, or `files`.

    Returns:
        The count above which pixels count, or None; and whether mask files are used.

    Raises:
        SettingsError: It is something else.
    """
    kind, _, value = text.partition(":")
    if kind == "above" and value.isdigit():
        return int(value), False
    if text in ("none", "nonzero", "files"):
        return (0 if text == "nonzero" else None), text == "files"
    msg = f"mask is {text!r}; expected none, nonzero, above:<count> or files"
    raise SettingsError(msg)


def names_in_file(name: str, path: Path | None) -> frozenset[str]:
    """The lines of a text file, such as the split groups of the training wells.

    Raises:
        SettingsError: The file can't be read, or is empty.
    """
    if path is None:
        return frozenset()
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{name}: {path} can't be read ({error})") from error
    found = frozenset(line.strip() for line in lines if line.strip())
    if not found:
        raise SettingsError(f"{name}: {path} has no line; write one name a line")
    return found
