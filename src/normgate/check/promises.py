"""What a configuration's metadata promise against what its transforms do."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from normgate.check.configuration_finding import LOOK, config_finding
from normgate.check.spans import Span, span_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from normgate.gate import Finding, Level
    from normgate.interop import Configuration, Pipeline
    from normgate.interop.declared import Promise

SLACK = 1e-3
"""Share of a promised range that an end may be off."""


def promised(one: Configuration, promise: Promise) -> Iterator[Finding]:
    """What metadata say against what the shipped transforms do."""
    lines = [line for line in one.pipelines if line.stage == "inference"]
    for line in lines:
        if promise.low is not None and promise.high is not None:
            yield _range(one, promise, line)
        if promise.dtype and line.output and promise.dtype != line.output:
            yield config_finding(
                one, "promised_dtype", 1, 0, "theorem", "yellow",
                f"{promise.where} promises {promise.dtype}, and the transforms of "
                f"inference give {line.output}.", LOOK,
            )  # fmt: skip
    count, names = promise.channels, promise.names
    if count is not None and names and len(names) != count:
        yield config_finding(
            one, "promised_channels", len(names), count, "theorem", "yellow",
            f"{promise.where} has {count} channels and names {len(names)} "
            f"({', '.join(names)}).", LOOK,
        )  # fmt: skip
    if promise.units == "hounsfield" and promise.modality.upper() not in ("CT", ""):
        yield config_finding(
            one, "promised_units", 1, 0, "theorem", "yellow",
            f"{promise.where} promises Hounsfield units of {promise.modality}, which "
            "has none.", LOOK,
        )  # fmt: skip


def _range(one: Configuration, promise: Promise, line: Pipeline) -> Finding:
    low, high = promise.low or 0.0, promise.high or 0.0
    rows = line.steps
    told = (
        f"{promise.where} promises {low:g} to {high:g}, and the transforms of inference"
    )
    if rows is None:
        return config_finding(
            one, "promised_range", math.nan, high, "theorem", "yellow",
            f"{told} can't be said as steps: {line}.", LOOK,
        )  # fmt: skip
    spans = [span_of(steps, line.entry) for steps in rows]
    span = Span(min(s.low for s in spans), max(s.high for s in spans), spans[0].centred)
    slack = SLACK * (high - low)
    level: Level = "green"
    if span.centred and low >= 0:
        level, says = (
            "red",
            f"centre each picture at 0, so that a part of it lies below 0: {line}.",
        )
    elif not math.isfinite(span.low) or not math.isfinite(span.high):
        level, says = "yellow", f"bound nothing: {line}."
    else:
        says = f"give {span.low:g} to {span.high:g}: {line}."
        if span.low < low - slack or span.high > high + slack:
            level = "red"
        elif span.low > low + slack or span.high < high - slack:
            level = "yellow"
    return config_finding(
        one, "promised_range", span.low, low, "theorem", level, f"{told} {says}", LOOK
    )
