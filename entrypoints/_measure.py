"""Measuring each kind of table with the options of the `measure` entry."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, cast

from normgate.acquisitions.measured import AcquisitionMeasureSettings, measure_table
from normgate.acquisitions.statistics import StatisticsSettings
from normgate.acquisitions.table import is_acquisition_csv, read_acquisition_csv
from normgate.cluster.engine import checked, opened
from normgate.errors import SettingsError
from normgate.plates.measure import MeasureSettings, imported, measure
from normgate.plates.measured import write_measured, write_spec
from normgate.plates.parameters import (
    mask_option,
    names_in_file,
    percentile_pair,
    whole_numbers,
    words,
)
from normgate.plates.progress import LoggedProgress
from normgate.plates.schema import read_plate_csv

if TYPE_CHECKING:
    from normgate.acquisitions.measured import Then as AcquisitionThen
    from normgate.plates.measure import Then
    from normgate.plates.measured import Report


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The entry's parameters, as they were given."""

    data: Path
    out: Path
    percentiles: str
    then: str
    cofactor: str
    mask: str
    timepoint: str
    markers: str
    labels: str
    groups: str
    workers: int
    from_percentiles: str
    engine: str
    ray_address: str

    def __post_init__(self) -> None:
        """Refuse, before any work, an engine that can't be meant."""
        checked(self.engine, self.ray_address)

    @property
    def split_groups(self) -> frozenset[str]:
        """The groups that count."""
        return names_in_file("groups", Path(self.groups) if self.groups else None)


def measured(options: Options) -> Report:
    """Measure a table of either kind and write the spec.

    Raises:
        SettingsError: An option is malformed, or is not one of this kind of table.
    """
    if is_acquisition_csv(options.data):
        return _acquisitions(options)
    return _plates(options)


def _plates(options: Options) -> Report:
    above, mask_files = mask_option(options.mask)
    settings = MeasureSettings(
        percentiles=percentile_pair(options.percentiles or "1,99"),
        then=cast("Then", options.then or "imagenet"),
        above=above,
        mask_files=mask_files,
        timepoints_ms=whole_numbers("timepoint", options.timepoint),
        markers=words(options.markers),
        labels=words(options.labels),
        split_groups=options.split_groups,
        workers=options.workers,
    )
    frame = read_plate_csv(options.data)
    if options.from_percentiles:
        percentiles = Path(options.from_percentiles)
        found = imported(percentiles, frame, options.data, settings)
        return write_spec(*found, options.out)
    progress = LoggedProgress("measured", "pictures")
    with opened(options.engine, options.ray_address) as spread:
        result = measure(frame, options.data, options.out, settings, progress, spread)
    return write_measured(result, options.out)


def _acquisitions(options: Options) -> Report:
    foreign = {
        "mask": options.mask != "none",
        "timepoint": bool(options.timepoint),
        "from_percentiles": bool(options.from_percentiles),
        "engine": options.engine != "local",
    }
    for name, given in foreign.items():
        if given:
            raise SettingsError(f"{name} is for plates; leave it out for acquisitions")
    settings = AcquisitionMeasureSettings(
        then=cast("AcquisitionThen", options.then or "zscore"),
        statistics=StatisticsSettings(
            percentiles=percentile_pair(options.percentiles or "0,99.9"),
            cofactor=_cofactor(options.cofactor),
        ),
        markers=words(options.markers),
        labels=words(options.labels),
        split_groups=options.split_groups,
    )
    frame = read_acquisition_csv(options.data)
    progress = LoggedProgress("measured", "acquisitions")
    spec, provenance, quarantined = measure_table(
        frame, options.data, settings, progress, options.out
    )
    return replace(write_spec(spec, provenance, options.out), warnings=quarantined)


def _cofactor(text: str) -> Decimal | None:
    if text == "none":
        return None
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise SettingsError(
            f"cofactor is {text!r}; expected a number such as 1, or none"
        ) from error
