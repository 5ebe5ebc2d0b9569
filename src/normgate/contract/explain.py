"""A failed validation in one sentence that names the channel and the step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import ValidationError

_SILENT = ("channels", "steps")


def explain(problem: ValidationError, document: Any) -> str:
    """Say the first problem with its place, and how many more there are.

    Args:
        problem: What a strict model said of the document.
        document: The document, as it was given to the model.
    """
    errors = problem.errors(include_url=False)
    # An invalid item also makes its tuple look too short: that is no second problem.
    first, *more = [e for e in errors if e["type"] != "too_short"] or errors
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        message = "unknown key"
    where = _place(first["loc"], document)
    rest = f" ({len(more)} more like this)" if more else ""
    return f"{where}: {message}{rest}" if where else f"{message}{rest}"


def _place(location: tuple[int | str, ...], document: Any) -> str:
    """Turn a path of keys and indices into names of channels and steps."""
    words: list[str] = []
    here, parent = document, ""
    for key in location:
        if isinstance(key, int):
            here = here[key] if isinstance(here, tuple) else None
            words.append(_item(parent, key, here))
        elif isinstance(here, dict) and key in here:
            here = here[key]
            words += [key] if key not in _SILENT else []
        elif not (isinstance(here, dict) and key == here.get("kind")):
            words.append(key)
        parent = str(key)
    return ", ".join(words)


def _item(parent: str, index: int, item: Any) -> str:
    fields = item if isinstance(item, dict) else {}
    if parent == "channels" and "name" in fields:
        return f"channel {fields['name']!r}"
    if parent == "steps" and "kind" in fields:
        return f"step {index + 1} ({fields['kind']})"
    return f"{parent} {index + 1}"
