"""What a configuration of another tool declares, against itself: pure findings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from normgate.check.configuration_finding import LOOK, config_finding
from normgate.check.promises import promised

if TYPE_CHECKING:
    from collections.abc import Iterator

    from normgate.gate import Finding, Level
    from normgate.interop import Configuration, Pipeline

TISSUE = (-1100.0, 1900.0)
"""Hounsfield units between which the median of any tissue lies, air to dense bone."""
_TAKEN = {
    "as meant": "The tool turns it into what is meant; another reader may not.",
    "as true": "The tool takes any text for true, the opposite of what is meant.",
    "as an error": "The tool can't reckon with text and stops.",
}
_UNQUOTE = (
    "Write true, false or a number without quotes, and 1.0e-6 instead of 1e-6 in YAML."
)


def judged(one: Configuration) -> Iterator[Finding]:
    """Every finding of one configuration by itself."""
    yield _texts(one)
    yield from _stages(one)
    for line in one.pipelines:
        yield from _line(one, line)
    yield from _twice(one)
    if one.promise is not None:
        yield from promised(one, one.promise)
    yield from _overruled(one)
    yield from _elsewhere(one)
    yield from _constants(one)
    for sentence in one.defects:
        yield config_finding(one, "channels", 1, 0, "theorem", "red", sentence, LOOK)


def _texts(one: Configuration) -> Finding:
    """Numbers and booleans that stand there as text."""
    wrong = [text for text in one.texts if text.taken != "as meant"]
    level: Level = "red" if wrong else "yellow" if one.texts else "green"
    sentence = f"{one.name}: every number and boolean is one."
    if one.texts:
        worst = (wrong or list(one.texts))[0]
        more = f" (and {len(one.texts) - 1} more)" if len(one.texts) > 1 else ""
        sentence = f"{worst.where} is the text {worst.text!r}{more}. "
        sentence += _TAKEN[worst.taken]
    return config_finding(
        one, "text", len(one.texts), 0, "theorem", level, sentence, _UNQUOTE
    )


def _stages(one: Configuration) -> Iterator[Finding]:
    """Training against what is done afterwards."""
    lines = {line.stage: line for line in one.pipelines}
    training = lines.get("training")
    for stage in ("validation", "inference"):
        line = lines.get(stage)
        if training is None or line is None:
            continue
        ours, theirs = _without_casts(training), _without_casts(line)
        crop = training.cropped if training.cropped != line.cropped else ""
        level: Level = "green"
        told = f"does in training what it does in {stage}: {training}."
        if ours != theirs:
            level = "red"
            told = f"does in training: {training}; and in {stage}: {line}."
        elif crop:
            level = "red"
            told = (
                f"normalizes in training each crop by its own statistics ({crop} comes "
                f"before), and in {stage} each whole image by its own."
            )
        elif str(training) != str(line):
            level = "yellow"
            told = f"does in training: {training}; and in {stage}: {line}."
        yield config_finding(
            one,
            f"train_{stage}",
            float(level != "green"),
            0,
            "theorem",
            level,
            f"{one.name} {told}",
            "Do the same in both, before anything is cut.",
        )


def _without_casts(line: Pipeline) -> tuple[str, ...]:
    return tuple(str(one) for one in line.operations if not one.cast)


def _line(one: Configuration, line: Pipeline) -> Iterator[Finding]:
    """What one pipeline says by itself."""
    casts = [op.cast for op in line.operations if "int" in op.cast]
    if casts:
        yield config_finding(
            one, f"{line.stage}.dtype", 1, 0, "theorem", "red",
            f"{one.name} ({line.stage}) gives {line.input} as {casts[-1]}: {line}. "
            "Fractions are lost.",
            "Cast to float32, or say so in the type of the data.",
        )  # fmt: skip
    unknown = [op for op in line.operations if op.steps is None and not op.cast]
    if unknown:
        yield config_finding(
            one, f"{line.stage}.unknown", len(unknown), 0, "judgement", "yellow",
            f"{one.name} ({line.stage}) does what normgate can't say as steps: "
            f"{unknown[0]}.",
            "Put what it makes of an image beside what the spec makes of it.",
        )  # fmt: skip
    trains = line.stage in ("training", "validation")
    if not line.operations and not one.elsewhere and not trains:
        yield config_finding(
            one, f"{line.stage}.none", 0, 1, "judgement", "yellow",
            f"{one.name} declares no normalization of {line.input}: who feeds the "
            "network must know it from elsewhere.",
            "Write down what the training did.",
        )  # fmt: skip


def _twice(one: Configuration) -> Iterator[Finding]:
    """A picture that is normalized by its own statistics more than once."""
    for line in one.pipelines:
        measured = [op.name for op in line.operations if op.measures]
        if len(measured) > 1:
            yield config_finding(
                one, "twice", len(measured), 1, "theorem", "yellow",
                f"{one.name} measures each picture {len(measured)} times "
                f"({line.stage}: {', then '.join(measured)}). A standardization by its "
                "own statistics undoes every affine change before it.",
                f"Leave out {measured[0]}.",
            )  # fmt: skip
            return


def _overruled(one: Configuration) -> Iterator[Finding]:
    if one.overruled:
        place = one.overruled[0]
        yield config_finding(
            one, "overruled", len(one.overruled), 0, "measured", "red",
            f"{place.where} declares {place.declared}, and {place.by} executes "
            f"{place.executed}.",
            "Declare what is executed, or normalize before this tool does.",
        )  # fmt: skip


def _elsewhere(one: Configuration) -> Iterator[Finding]:
    if one.elsewhere:
        yield config_finding(
            one, "elsewhere", len(one.elsewhere), 0, "judgement", "yellow",
            f"{one.name} has {', '.join(one.elsewhere)} run before the network in "
            "deepImageJ, and no declared operation stands for it: two programs feed "
            "the network differently.",
            "Declare what the macro does.",
        )  # fmt: skip


def _constants(one: Configuration) -> Iterator[Finding]:
    for found in one.constants:
        if found.twin:
            yield config_finding(
                one, f"{found.channel}.constants", 1, 0, "theorem", "red",
                f"{found.where} and {found.twin} have other statistics of channel "
                f"{found.channel}.", "Plan again from this fingerprint.",
            )  # fmt: skip
        low, high = TISSUE
        if found.fixed:
            level: Level = "green" if low <= found.median <= high else "red"
            yield config_finding(
                one, f"{found.channel}.hu", found.median,
                high if found.median > high else low, "judgement", level,
                f"{found.where} normalizes channel {found.channel} as a CT, and the "
                f"median of its foreground is {found.median:g} ({found.low:g} to "
                f"{found.high:g}); in Hounsfield units tissue lies within {low:g} to "
                f"{high:g}.",
                "Bring the images to Hounsfield units, and take the fingerprint again.",
            )  # fmt: skip
