"""The card of a bundle: what a trained model is, apart from weights and spec.

A card is written by the engine and read strictly; what a field means to one family
alone stands in `settings` and is left to that family.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from normgate.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Mapping

FORMAT = "normgate.card/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberCard:
    """One replicate of the ensemble."""

    replicate: int
    seed: int
    train_groups: tuple[str, ...]
    """Split groups (wells, patients) whose units it was fitted on."""
    validation_groups: tuple[str, ...]
    """Split groups that chose its temperature, and its epoch where that is asked."""
    test_groups: tuple[str, ...]
    """Split groups that it never saw."""
    temperature: float
    """Divides its logits before softmax; 1 where nothing is calibrated."""
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One bundle."""

    family: str
    preset: str
    settings: Mapping[str, Any]
    """The family's and the loop's settings, plain JSON values."""
    classes: tuple[str, ...]
    """In the order of the logits; empty where the family predicts none."""
    positive: str
    """The class that probabilities and AUROC are of; empty where there is none."""
    geometry: Mapping[str, Any]
    """How sites become units, as the family's geometry writes itself."""
    timepoint_ms: int | None
    """The timepoint of channels whose names tell none; None where all tell it."""
    spec_digest: str
    applied_fingerprint: str
    members: tuple[MemberCard, ...]
    metrics: Mapping[str, float]
    """Headline figures, as `test_auroc`: means over the members."""
    vitals: tuple[Mapping[str, Any], ...]
    """Records of `normgate.gate.vitals`, the worst over the members first."""
    code_version: str
    created: str
    """UTC, ISO 8601."""

    def to_json(self) -> bytes:
        """The card as indented JSON; NaN and infinities become strings."""
        document = _finite({"format": FORMAT, **asdict(self)})
        text = json.dumps(document, indent=2, sort_keys=True, allow_nan=False)
        return (text + "\n").encode()


def parse_card(data: bytes, source: str = "card.json") -> Card:
    """Read what `Card.to_json` wrote.

    Raises:
        BundleError: A field is missing, unknown or of another format.
    """
    try:
        document = json.loads(data)
        if document.pop("format") != FORMAT:
            raise ValueError(f"its format is not {FORMAT}")
        _check_fields(document, Card)
        document["members"] = tuple(map(parse_member, document["members"]))
        document["metrics"] = _with_nan(document["metrics"])
        for name in ("classes", "vitals"):
            document[name] = tuple(document[name])
        return Card(**document)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BundleError(
            f"{source} is no card of a bundle ({error}); write the bundle again"
        ) from error


def parse_member(record: dict[str, Any]) -> MemberCard:
    """Read one member of a card's JSON.

    Raises:
        ValueError: A field is missing or unknown.
    """
    _check_fields(record, MemberCard)
    values = {**record, "metrics": _with_nan(record["metrics"])}
    for name in ("train_groups", "validation_groups", "test_groups"):
        values[name] = tuple(values[name])
    return MemberCard(**values)


def _check_fields(record: Mapping[str, Any], kind: type[Card | MemberCard]) -> None:
    names = {field.name for field in fields(kind)}
    if set(record) != names:
        odd = ", ".join(sorted(set(record) ^ names))
        raise ValueError(f"missing or unknown fields: {odd}")


def _with_nan(metrics: Mapping[str, float | str]) -> dict[str, float]:
    return {key: float(value) for key, value in metrics.items()}


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
