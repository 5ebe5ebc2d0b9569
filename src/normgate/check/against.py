"""A configuration against a spec: does the tool compute what the spec computes?"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from normgate.check.configuration_finding import config_finding
from normgate.contract import channel_digest, short_digest
from normgate.contract.spec import Channel
from normgate.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from normgate.contract import Spec
    from normgate.gate import Finding
    from normgate.interop import Configuration, Pipeline
    from normgate.interop.declared import Steps


def against(one: Configuration, spec: Spec) -> Iterator[Finding]:
    """Hold every pipeline that feeds a trained network against a spec."""
    for line in one.pipelines:
        if line.stage not in ("training", "validation"):
            yield _against(one, line, spec)


def _against(one: Configuration, line: Pipeline, spec: Spec) -> Finding:
    where = f"{one.name} ({line.stage}, {line.input})"
    what = f"{line.stage}.spec"
    steps = line.steps
    if steps is None:
        return config_finding(
            one, what, math.nan, 0, "theorem", "yellow",
            f"{where} can't be said as steps, so it can't be held against the spec.",
            "Put what it makes of an image beside what the spec makes of it.",
        )  # fmt: skip
    told = len(line.channels) or (len(steps) if len(steps) > 1 else len(spec.channels))
    names = tuple(name for name in line.channels if not name.isdigit())
    strange = told > 1 and names and set(names) != set(spec.names)
    if told != len(spec.channels) or strange:
        return config_finding(
            one, what, told, len(spec.channels), "theorem", "red",
            f"{where} has {_listed(told, names)}, and the spec "
            f"{_listed(len(spec.channels), spec.names)}.",
            "Name the spec of this model, with its names of channels.",
        )  # fmt: skip
    rows = steps * told if len(steps) == 1 else steps
    if set(names) == set(spec.names):
        named = dict(zip(line.channels, rows, strict=True))
        rows = tuple(named[name] for name in spec.names)
    pairs = list(zip(spec.channels, rows, strict=True))
    others = [channel for channel, own in pairs if not _same(channel, own)]
    if not others:
        sentence = f"{where} computes what the spec computes, in every channel."
        return config_finding(one, what, 0, 0, "theorem", "green", sentence)
    first = others[0]
    return config_finding(
        one, what, len(others), 0, "theorem", "red",
        f"{where} computes other than the spec in {len(others)} of {len(pairs)} "
        f"channels, first {first.name} (digest {short_digest(channel_digest(first))}): "
        f"{line}.",
        "Train with the spec's constants, or name the spec that this model had.",
    )  # fmt: skip


def _listed(count: int, names: tuple[str, ...]) -> str:
    listed = f" ({', '.join(names)})" if names else ""
    return f"{count} channel{'' if count == 1 else 's'}{listed}"


def _same(channel: Channel, steps: Steps) -> bool:
    try:
        other = Channel(name=channel.name, input=channel.input, steps=steps)
        return channel_digest(other) == channel_digest(channel)
    except (SpecError, ValueError):
        return False
