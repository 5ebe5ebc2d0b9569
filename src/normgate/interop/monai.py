"""MONAI bundles: what transforms do to the image, and what the metadata promise.

References (`@id`, `%id`, sums of them) are followed, expressions (`$...`) are not run:
an argument or a list that needs one is unknown.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from normgate.interop.arguments import Arguments, reason
from normgate.interop.declared import ANY, Operation, Pipeline, Promise
from normgate.interop.monai_steps import SAID, UNSAID

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from normgate.interop.declared import Text

_SUM = re.compile(r"\$\s*@[\w#:]+(\s*\+\s*@[\w#:]+)*\s*")
_PLACES = {
    "training": ("train#preprocessing", "preprocessing"),
    "validation": ("validate#preprocessing",),
    "inference": ("preprocessing",),
}
_DEEPEST = 32
_LONGEST = 1000
"""Transforms of one composition; a real one has some tens."""
_OWN = "a transform of the bundle's own code"
_ENTRIES = {"uint8": (0.0, 255.0), "uint16": (0.0, 65535.0)}


@dataclass(slots=True)
class Reading:
    """One configuration file while it is read."""

    file: str
    document: Mapping[str, Any]
    texts: list[Text] = field(default_factory=list)
    _followed: dict[str, Any] = field(default_factory=dict)
    """References that were followed, so that each is followed once."""

    def pipelines(self, *, trains: bool) -> Iterator[Pipeline]:
        """Every stage that the file has.

        Args:
            trains: Whether it is the file of a training.
        """
        stages = ("training", "validation") if trains else ("inference",)
        for stage in stages:
            for place in _PLACES[stage]:
                found = self._resolved(self._at(place))
                if found is not None:
                    yield self._pipeline(stage, self._transforms(found))
                    break

    def _at(self, place: str) -> Any:
        value: Any = self.document
        for part in re.split(r"#|::", place):
            if isinstance(value, list) and part.isdigit() and int(part) < len(value):
                value = value[int(part)]
            elif isinstance(value, dict) and part in value:
                value = value[part]
            else:
                return None
        return value

    def _resolved(self, value: Any, depth: int = _DEEPEST) -> Any:
        """Follow references; an expression stays what it is."""
        if not isinstance(value, str) or depth == 0:
            return value
        if value not in self._followed:
            self._followed[value] = self._follow(value, depth)
        return self._followed[value]

    def _follow(self, value: str, depth: int) -> Any:
        text = value.strip()
        if text[:1] in ("@", "%") and "+" not in text:
            return self._resolved(self._at(text[1:]), depth - 1)
        if _SUM.fullmatch(text):
            names = (part.strip().removeprefix("@") for part in text[1:].split("+"))
            parts = [self._resolved(self._at(name), depth - 1) for name in names]
            if all(isinstance(part, list) for part in parts):
                return [one for part in parts for one in part][:_LONGEST]
            return parts[0] if len(parts) == 1 else value
        return value

    def _transforms(self, found: Any, depth: int = _DEEPEST) -> list[Any]:
        """A composition as a flat list; what is unknown in it stays as text."""
        found = self._resolved(found)
        if depth == 0 or found is None:
            return []
        if isinstance(found, list):
            parts = (one for part in found for one in self._transforms(part, depth - 1))
            return list(islice(parts, _LONGEST))
        if isinstance(found, dict) and _name(found) == "Compose":
            return self._transforms(found.get("transforms"), depth - 1)
        return [found]

    def _pipeline(self, stage: str, transforms: Sequence[Any]) -> Pipeline:
        image = self._image(transforms)
        operations: list[Operation] = []
        entry, crop, cropped, output = ANY, "", "", ""
        for number, one in enumerate(transforms):
            if not isinstance(one, dict):
                operations.append(Operation(name=str(one), steps=None))
                continue
            keys = self._keys(one)
            off = self._resolved(one.get("_disabled_")) is True
            if off or (keys and image not in keys):
                continue
            name = _name(one)
            if name == "LoadImage":
                entry = _ENTRIES.get(_dtype(one.get("dtype"), keys, image), ANY)
            elif name.startswith("Rand"):
                crop = crop or (name if "Crop" in name else "")
            elif name in ("CastToType", "EnsureType"):
                default = "float32" if name == "CastToType" else ""
                cast = _dtype(one.get("dtype"), keys, image) or default
                output = cast or output
                if cast not in ("", "float32"):
                    operations.append(Operation(name=name, steps=None, cast=cast))
            elif _own(one):
                operations.append(Operation(name=name, steps=None, remark=_OWN))
            elif name in SAID or name in UNSAID:
                operation = self._operation(name, one, f"{self.file}: {stage} {number}")
                cropped = cropped or (crop if operation.measures else "")
                operations.append(operation)
                output = "float32"
        return Pipeline(
            stage=stage,
            input=image,
            operations=tuple(operations),
            entry=entry,
            output=output,
            cropped=cropped,
        )

    def _operation(self, name: str, given: Mapping[str, Any], where: str) -> Operation:
        resolved = {key: self._resolved(value) for key, value in given.items()}
        arguments = Arguments(resolved, f"{where} {name}", python=True)
        try:
            say = SAID.get(name)
            steps = None if say is None else (say(arguments),)
            remark = "" if say else "its arithmetic is not known here"
        except ValueError as error:
            steps, remark = None, reason(error)
        self.texts += arguments.texts
        if any(one.taken == "as an error" for one in arguments.texts):
            steps, remark = None, "it can't reckon with text"
        return Operation(name=name, steps=steps, remark=remark)

    def _keys(self, one: Mapping[str, Any]) -> tuple[str, ...]:
        keys = self._resolved(one.get("keys"))
        listed = keys if isinstance(keys, list) else [keys]
        return tuple(str(self._resolved(key)) for key in listed if key is not None)

    def _image(self, transforms: Sequence[Any]) -> str:
        """The key of the image: the first that is loaded, or else changed."""
        known = [one for one in transforms if isinstance(one, dict)]
        known.sort(key=lambda one: _name(one) != "LoadImage")
        keys = (self._keys(one) for one in known)
        return next((some[0] for some in keys if some), "image")


def promise_of(document: Mapping[str, Any], file: str) -> Promise | None:
    """What metadata say of the first image that the network gets; None for nothing."""
    format_of = document.get("network_data_format")
    inputs = format_of.get("inputs") if isinstance(format_of, dict) else None
    if not isinstance(inputs, dict):
        return None
    for name, one in inputs.items():
        if isinstance(one, dict) and one.get("type") in ("image", "magnitude"):
            span = one.get("value_range")
            ends = span if isinstance(span, list) and len(span) == 2 else (None, None)
            low, high = (x if isinstance(x, int | float) else None for x in ends)
            named = one.get("channel_def")
            names = named.values() if isinstance(named, dict) else ()
            count = one.get("num_channels")
            return Promise(
                where=f"{file}: network_data_format.inputs.{name}",
                low=low,
                high=high,
                dtype=str(one.get("dtype") or ""),
                channels=count if isinstance(count, int) else None,
                names=tuple(map(str, names)),
                units=str(one.get("format") or "").lower(),
                modality=str(one.get("modality") or ""),
            )
    return None


def _name(one: Mapping[str, Any]) -> str:
    """The transform's name without its module and the mark of a dictionary's."""
    name = str(one.get("_target_", "")).rpartition(".")[2]
    return re.sub(r"(Dict|[dD])$", "", name) if name[:1].isupper() else name


def _own(one: Mapping[str, Any]) -> bool:
    """Whether it is of a module, and not of MONAI's."""
    module = str(one.get("_target_", "")).rpartition(".")[0]
    return module != "" and module.partition(".")[0] != "monai"


def _dtype(given: Any, keys: Sequence[str], image: str) -> str:
    """The type for the image, as `float16`; empty where none is told."""
    if isinstance(given, list):
        place = keys.index(image) if image in keys else 0
        given = given[place] if place < len(given) else None
    return str(given).rpartition(".")[2].strip("$ ") if given else ""
