"""From a plate table to a spec: exact percentiles, mean and standard deviation.

Every pixel of every picture counts once, in constant memory. Integer images take one
pass; float32 images take a second for their percentiles. What a spec's constants were
measured on goes into its provenance.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np

from normgate.contract import (
    Channel,
    ChannelProvenance,
    Clip,
    Provenance,
    Spec,
    Standardize,
)
from normgate.contract.recipes import percentile_spec, read_percentiles
from normgate.contract.steps import exact
from normgate.errors import CorruptImage, DataError, SettingsError
from normgate.plates.measure_settings import MeasureSettings, Then
from normgate.plates.read import read_header
from normgate.plates.schema import PATH_PREFIX, markers
from normgate.plates.survey import Survey
from normgate.plates.tally import Source

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from decimal import Decimal
    from pathlib import Path

    import pandas as pd

    from normgate.contract import InputType
    from normgate.plates.survey import Figures, Histogram
    from normgate.plates.tally import Progress, Tally
    from normgate.transform.threads import Spread

__all__ = [
    "MeasureSettings",
    "Measured",
    "Then",
    "imported",
    "input_types",
    "measure",
    "select",
]

STATE_NAME = ".measure-state.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What came of measuring."""

    spec: Spec
    provenance: Provenance
    histograms: Mapping[str, Histogram]
    """By marker: the counts that the constants were taken from."""
    quarantined: tuple[str, ...]
    """Why each unreadable picture did not count."""


def measure(
    frame: pd.DataFrame,
    csv_path: Path,
    out: Path,
    settings: MeasureSettings,
    progress: Progress | None = None,
    spread: Spread | None = None,
) -> Measured:
    """Measure a plate table and make a spec of it.

    Args:
        frame: A checked plate table.
        csv_path: Its file; paths in the table are relative to its folder.
        out: The folder for the state of an interrupted measurement.
        settings: What to measure.
        progress: Told of the pictures counted and of their total, for each pass.
        spread: What counts instead of this process's threads.

    Returns:
        The spec, its provenance, and the histograms.

    Raises:
        DataError: Nothing is left to measure, most pictures can't be read, a channel
            has no range, or its pictures differ in type.
        SettingsError: The table lacks a marker, timepoint, label or mask asked for.
    """
    sources = select(frame, csv_path, settings)
    types = input_types(sources)
    digest = hashlib.sha256(csv_path.read_bytes()).hexdigest()
    survey = Survey(
        sources=sources,
        types=types,
        settings=settings,
        state=out / STATE_NAME,
        stamp=f"{digest} {settings.restriction} {sorted(types.items())}",
        progress=progress,
        spread=spread,
    )
    tally = survey.counted()
    figures = survey.figures(tally)
    for state in out.glob(f"{STATE_NAME}.*"):
        state.unlink(missing_ok=True)
    return Measured(
        spec=_spec(figures, types, settings),
        provenance=Provenance(
            source=csv_path.name,
            source_digest=digest,
            estimator="exact histogram",
            restriction=settings.restriction,
            quarantined=tuple(str(sources[at].path) for at in sorted(tally.corrupt)),
            channels=_channels(figures, sources, tally, settings),
        ),
        histograms={marker: figure.counts for marker, figure in figures.items()},
        quarantined=tuple(tally.corrupt[at] for at in sorted(tally.corrupt)),
    )


def imported(
    percentiles: Path, frame: pd.DataFrame, csv_path: Path, settings: MeasureSettings
) -> tuple[Spec, Provenance]:
    """A spec from an existing `intensity_percentiles.json`; nothing is measured.

    Raises:
        DataError: The table's pictures differ in type.
        SettingsError: The file lacks a marker, or mean and std would be needed.
        SpecError: The file is malformed.
    """
    if settings.then == "zscore":
        raise SettingsError(
            "then=zscore needs mean and std; measure, or choose another"
        )
    try:
        data = percentiles.read_bytes()
    except OSError as error:
        msg = f"{percentiles} can't be read ({error.strerror}); name an existing file"
        raise SettingsError(msg) from error
    ranges, provenance = read_percentiles(data, str(percentiles))
    wanted = settings.markers or markers(frame)
    _require(f"marker in {percentiles}", wanted, ranges)
    types = input_types(select(frame, csv_path, settings))
    own = {marker: ranges[marker] for marker in wanted}
    return _ranged_spec(own, types, settings), provenance


def select(
    frame: pd.DataFrame, csv_path: Path, settings: MeasureSettings
) -> list[Source]:
    """The pictures that count, in a fixed order.

    Raises:
        DataError: None is left.
        SettingsError: The table lacks a marker, timepoint, label or mask asked for.
    """
    have = markers(frame)
    wanted = settings.markers or have
    _require("marker", wanted, have)
    _require("timepoint", settings.timepoints_ms, set(frame["timepoint_ms"]))
    _require("label", settings.labels, set(frame["label"]) - {""})
    if settings.mask_files and "mask_path" not in frame:
        raise SettingsError(
            f"{csv_path} has no mask_path column; measure without masks"
        )
    keep = np.ones(len(frame), dtype=np.bool_)
    if settings.timepoints_ms:
        keep &= frame["timepoint_ms"].isin(settings.timepoints_ms).to_numpy()
    if settings.labels:
        keep &= frame["label"].isin(settings.labels).to_numpy()
    if settings.split_groups:
        keep &= frame["split_group"].isin(settings.split_groups).to_numpy()
    rows = frame[keep].to_dict("records")
    if not rows:
        msg = f"no row of {csv_path} is left ({settings.restriction}); ask for less"
        raise DataError(msg)
    folder = csv_path.parent
    return [
        Source(
            marker=marker,
            path=folder / row[PATH_PREFIX + marker],
            mask=folder / row["mask_path"] if settings.mask_files else None,
        )
        for marker in wanted
        for row in rows
    ]


def input_types(sources: Sequence[Source]) -> dict[str, InputType]:
    """Each marker's type of pixel, by the first of its files that can be read.

    Raises:
        DataError: None of a marker's files can be read.
    """
    types: dict[str, InputType] = {}
    unreadable: dict[str, str] = {}
    for source in sources:
        if source.marker in types:
            continue
        try:
            dtype = read_header(source.path).dtype
        except CorruptImage as error:
            unreadable.setdefault(source.marker, str(error))
            continue
        types[source.marker] = cast("InputType", dtype)
    for marker, why in unreadable.items():
        if marker not in types:
            raise DataError(f"no picture of {marker} can be read; the first: {why}")
    return {source.marker: types[source.marker] for source in sources}


def _spec(
    figures: Mapping[str, Figures],
    types: Mapping[str, InputType],
    settings: MeasureSettings,
) -> Spec:
    ranges = {m: (exact(f.low), exact(f.high)) for m, f in figures.items()}
    if settings.then != "zscore":
        return _ranged_spec(ranges, types, settings)
    steps = {
        marker: (
            Clip(low=ranges[marker][0], high=ranges[marker][1]),
            Standardize(mean=exact(mean), std=exact(std)),
        )
        for marker, figure in figures.items()
        for mean, std in [figure.clipped]
    }
    return Spec(
        channels=tuple(
            Channel(name=marker + suffix, input=types[marker], steps=steps[marker])
            for suffix in _suffixes(settings)
            for marker in figures
        )
    )


def _ranged_spec(
    ranges: Mapping[str, tuple[Decimal, Decimal]],
    types: Mapping[str, InputType],
    settings: MeasureSettings,
) -> Spec:
    """Clip and rescale, then ImageNet where asked; each marker of its own type."""
    bound = settings.timepoints_ms if len(settings.timepoints_ms) > 1 else ()
    spec = percentile_spec(
        ranges,
        input_type="uint16",
        imagenet=tuple(ranges) if settings.then == "imagenet" else (),
        timepoints_ms=bound,
    )
    return Spec(
        channels=tuple(
            Channel(name=c.name, input=types[c.marker], steps=c.steps)
            for c in spec.channels
        )
    )


def _suffixes(settings: MeasureSettings) -> list[str]:
    """A channel each for two or more timepoints, else names that are not bound."""
    times = settings.timepoints_ms
    return [f":{time}ms" for time in times] if len(times) > 1 else [""]


def _channels(
    figures: Mapping[str, Figures],
    sources: Sequence[Source],
    tally: Tally,
    settings: MeasureSettings,
) -> tuple[ChannelProvenance, ...]:
    low, high = settings.percentiles
    read = Counter(
        source.marker for at, source in enumerate(sources) if at not in tally.corrupt
    )
    return tuple(
        ChannelProvenance(
            name=marker,
            images=read[marker],
            pixels=figure.counts.total,
            percentiles=((low, exact(figure.low)), (high, exact(figure.high))),
            mean=exact(figure.mean),
            std=exact(figure.std),
        )
        for marker, figure in figures.items()
    )


def _require(what: str, wanted: Iterable[object], have: Iterable[object]) -> None:
    known = list(have)
    for name in wanted:
        if name not in known:
            found = ", ".join(map(str, sorted(known, key=str))) or "none"
            raise SettingsError(f"there is no {what} {name}; there is {found}")
