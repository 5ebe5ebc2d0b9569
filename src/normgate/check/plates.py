"""A plate table against a spec: choosing the sample, and putting facts together."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from normgate.check import container, design, normalized, raw, shifts, twins
from normgate.check.checked import Checked
from normgate.check.facts import ChannelFacts, Place, PlateFacts
from normgate.check.pictures import Row, joined, read_sample
from normgate.contract import normal_form, spec_digest
from normgate.errors import DataError
from normgate.gate.finding import ranked
from normgate.plates.measure_settings import MeasureSettings
from normgate.plates.schema import PATH_PREFIX, markers, read_plate_csv
from normgate.transform.distribution import Distribution
from normgate.transform.view import ChannelView

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from normgate.check.pictures import Sampled
    from normgate.check.settings import CheckSettings
    from normgate.contract import Channel, Provenance, Spec
    from normgate.gate import Finding

RULES = (
    container.findings,
    raw.findings,
    normalized.findings,
    twins.findings,
    shifts.findings,
    design.findings,
)


def check_plates(
    data: Path,
    spec: Spec | None,
    settings: CheckSettings,
    provenance: Provenance | None,
    progress: Callable[[int, int], None] | None,
) -> Checked:
    """Collect the facts of a plate table and decide on them.

    Raises:
        DataError: The table is not valid, or none of the sample can be read.
    """
    rows, some, sampled = collected(data, spec, settings, progress)
    facts = replace(
        assembled(rows, sampled, spec),
        provenance=provenance,
        table_digest=hashlib.sha256(data.read_bytes()).hexdigest(),
        training=settings.training,
        training_statement=MeasureSettings(split_groups=settings.training).restriction,
    )
    tried = len(sampled.pictures) + len(sampled.quarantined)
    return Checked(
        kind="plates",
        source=str(data),
        source_digest=facts.table_digest,
        spec_digest="" if spec is None else spec_digest(spec),
        looked_at=f"{len(sampled.pictures):,} of {tried:,} pictures read, "
        f"{len(some):,} of {len(rows):,} rows",
        findings=decide(facts),
        channels=_views(facts),
        quarantined=tuple(sampled.quarantined),
    )


def collected(
    data: Path,
    spec: Spec | None,
    settings: CheckSettings,
    progress: Callable[[int, int], None] | None,
) -> tuple[list[Row], list[Row], Sampled]:
    """Read a sample of a plate table.

    Returns:
        All rows of the table, those of the sample, and what was read of them.

    Raises:
        DataError: The table is not valid, or none of the sample can be read.
    """
    rows = table_rows(data, settings.classes)
    some = rows if settings.sample is None else spread(rows, settings.sample)
    sampled = read_sample(some, spec, settings.workers, progress)
    if not sampled.pictures:
        raise DataError(
            f"none of {len(some)} rows of {data} can be read; the first: "
            f"{sampled.quarantined[0]}"
        )
    return rows, some, sampled


def decide(facts: PlateFacts) -> tuple[Finding, ...]:
    """Ask every rule; the worst findings come first."""
    return ranked(finding for rule in RULES for finding in rule(facts))


def table_rows(
    data: Path, classes: Mapping[tuple[str, str], str] | None = None
) -> list[Row]:
    """The rows of a plate CSV, with each marker's file.

    Args:
        data: The plate CSV.
        classes: Stand for the labels, by plate and well; None keeps the table's.

    Raises:
        DataError: The table is not valid.
    """
    frame = read_plate_csv(data)
    names, folder = markers(frame), data.parent
    return [
        Row(
            place=Place(
                plate=row["plate"],
                well=row["well"],
                site=row["site"],
                timepoint_ms=int(row["timepoint_ms"]),
                label=row["label"]
                if classes is None
                else classes.get((row["plate"], row["well"]), ""),
                group=row["split_group"],
            ),
            files={name: folder / row[PATH_PREFIX + name] for name in names},
        )
        for row in frame.to_dict("records")
    ]


def spread(rows: Sequence[Row], number: int) -> list[Row]:
    """So many rows, spread evenly over wells: each well's first row before a second.

    Returns:
        The rows chosen, in the order given; all of them where there are not more.
    """
    if len(rows) <= number:
        return list(rows)
    seen: Counter[tuple[str, str, int]] = Counter()
    rounds: dict[int, list[int]] = {}
    for at, row in enumerate(rows):
        own = row.place.plate, row.place.well, row.place.timepoint_ms
        rounds.setdefault(seen[own], []).append(at)
        seen[own] += 1
    chosen: list[int] = []
    for _, places in sorted(rounds.items()):
        left = min(number - len(chosen), len(places))
        chosen += [places[i * len(places) // left] for i in range(left)]
    return [rows[at] for at in sorted(chosen)]


def assembled(rows: Sequence[Row], sampled: Sampled, spec: Spec | None) -> PlateFacts:
    """The facts of a table and of the sample that was read of it."""
    found = dict.fromkeys(marker for row in rows for marker in row.files)
    times = {row.place.timepoint_ms for row in rows}
    channels = [] if spec is None else list(spec.channels)
    absent = [c.name for c in channels if not _present(c, found, times)]
    files: dict[str, list[tuple[Place, str]]] = {}
    for row in rows:
        for marker, path in row.files.items():
            files.setdefault(str(path), []).append((row.place, marker))
    return PlateFacts(
        channels=tuple(_channels(sampled, channels, list(found))),
        pictures=tuple(sampled.pictures),
        alike={pair: tuple(values) for pair, values in sampled.alike.items()},
        places=tuple(row.place for row in rows),
        files={path: tuple(who) for path, who in files.items() if len(who) > 1},
        missing=tuple(absent),
    )


def _present(channel: Channel, names: dict[str, None], times: set[int]) -> bool:
    timely = channel.timepoint_ms is None or channel.timepoint_ms in times
    return timely and channel.marker in names


def _channels(
    sampled: Sampled, channels: Sequence[Channel], names: Sequence[str]
) -> Iterator[ChannelFacts]:
    """The spec's channels; or, without a spec, the table's markers."""
    for channel in channels:
        yield _channel(sampled, channel)
    for name in names if not channels else ():
        counts = [own for key, own in sampled.before.items() if key.marker == name]
        yield ChannelFacts(
            name=name, marker=name, channel=None, before=joined(counts), after=None
        )


def _channel(sampled: Sampled, channel: Channel) -> ChannelFacts:
    own = {
        key: counts
        for key, counts in sampled.before.items()
        if key.marker == channel.marker
        and channel.timepoint_ms in (None, key.timepoint_ms)
    }
    fitting = [counts for key, counts in own.items() if key.dtype == channel.input]
    before = joined(fitting or own.values())
    after: Distribution | None = None
    if channel.name in sampled.after:
        after = Distribution.of(sampled.after[channel.name])
    elif fitting and before is not None and normal_form(channel).fixed:
        after = before.through(channel)
    return ChannelFacts(
        name=channel.name,
        marker=channel.marker,
        channel=channel,
        before=before,
        after=after,
    )


def _views(facts: PlateFacts) -> tuple[ChannelView, ...]:
    return tuple(
        ChannelView(
            name=one.name, channel=one.channel, before=one.before, after=one.after
        )
        for one in facts.channels
        if one.before is not None
    )
