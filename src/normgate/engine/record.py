"""What a training says of itself to a tracker: flat settings, and words.

Every constant of every channel is a param of its own (`norm.RFP1.low`), so that two
runs can be compared line by line.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from normgate.contract import (
    Mask,
    channel_digest,
    describe_channel,
    short_digest,
    spec_digest,
)
from normgate.contract.describe import number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from normgate.contract import Channel, Spec, Step
    from normgate.gate import Vital
    from normgate.tracker import Scalar


def spec_params(spec: Spec) -> dict[str, Scalar]:
    """Every constant of a spec under `norm.<channel>.<constant>`.

    A name that two steps of a channel share is kept once where the values agree, and
    goes with the step's kind (`norm.RFP1.rescale.low`) where they don't.
    """
    found: dict[str, Scalar] = {"spec_digest": spec_digest(spec)}
    for channel in spec.channels:
        prefix = f"norm.{channel.name}"
        found[f"{prefix}.input"] = channel.input
        found[f"{prefix}.steps"] = ", ".join(step.kind for step in channel.steps)
        found[f"{prefix}.digest"] = short_digest(channel_digest(channel))
        for kind, name, value in _constants(channel):
            key = f"{prefix}.{name}"
            if found.setdefault(key, value) != value:
                found[f"{prefix}.{kind}.{name}"] = value
    return found


def flat_params(prefix: str, values: Mapping[str, Any]) -> dict[str, Scalar]:
    """Settings, as `asdict` gives them, under `<prefix>.<name>`."""
    return {
        f"{prefix}.{key}": "none" if value is None else value
        for key, value in values.items()
    }


def spec_table(spec: Spec) -> str:
    """A spec as a Markdown table."""
    lines = ["| channel | computes | digest |", "|---|---|---|"]
    for channel in spec.channels:
        digest = short_digest(channel_digest(channel))
        lines.append(f"| {channel.name} | {describe_channel(channel)} | `{digest}` |")
    return "\n".join(lines)


def metric_table(metrics: Mapping[str, Mapping[str, float]]) -> str:
    """Rows of metrics as a Markdown table: row name to metric name to value."""
    names = list(dict.fromkeys(name for row in metrics.values() for name in row))
    lines = [f"| | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for title, row in metrics.items():
        cells = [f"{row[name]:.3f}" if name in row else "" for name in names]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines)


def vital_lines(vitals: tuple[Vital, ...]) -> str:
    """Vitals that are not green, as a Markdown list."""
    bad = [vital for vital in vitals if vital.level != "green"]
    if not bad:
        return f"All {len(vitals)} vitals are green."
    return "\n".join(f"- **{vital.level}** {vital.sentence}" for vital in bad)


def _constants(channel: Channel) -> Iterator[tuple[str, str, Scalar]]:
    for step in channel.steps:
        for name in type(step).model_fields:
            if name != "kind":
                yield step.kind, name, _plain(step, name)


def _plain(step: Step, name: str) -> Scalar:
    value = getattr(step, name)
    if isinstance(value, Decimal):
        return number(value)
    if isinstance(value, Mask):
        return value.kind if value.value is None else f"{value.kind}:{value.value}"
    if isinstance(value, bool | int | str):
        return value
    return str(value)
