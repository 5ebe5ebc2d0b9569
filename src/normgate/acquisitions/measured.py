"""From an acquisition table to a spec: which rows count, and which recipe.

Recipes by the acquisition's own statistics have no constants; what was measured stands
in the provenance all the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from normgate.acquisitions.statistics import (
    StatisticsSettings,
    common_markers,
    measure,
)
from normgate.acquisitions.table import acquisitions
from normgate.contract.imc import image_z, imc_spec, legacy_none, revin
from normgate.errors import DataError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pandas as pd

    from normgate.contract import Channel, Provenance, Spec

Then = Literal["none", "zscore", "image", "revin"]
_RECIPES: dict[str, Callable[..., Channel]] = {
    "none": legacy_none,
    "image": image_z,
    "revin": revin,
}
STATE_NAME = ".measure-state.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class AcquisitionMeasureSettings:
    """What to measure of an acquisition table, and what spec to make of it."""

    then: Then = "zscore"
    """By the data set (`zscore`), by each acquisition (`image`, `revin`), or `none`."""
    statistics: StatisticsSettings = field(default_factory=StatisticsSettings)
    """Percentiles, cofactor and type."""
    markers: tuple[str, ...] = ()
    """Which, in the order of the spec; empty for all, by name."""
    labels: tuple[str, ...] = ()
    """Only rows of these labels count; empty for all."""
    split_groups: frozenset[str] = frozenset()
    """Only rows of these groups count, such as the training ones; empty for all."""

    def __post_init__(self) -> None:
        """Refuse what is no recipe.

        Raises:
            SettingsError: With what it is and what is expected.
        """
        known = ("zscore", *_RECIPES)
        if self.then not in known:
            raise SettingsError(
                f"then is {self.then!r}; expected {', '.join(known)} for acquisitions"
            )


def measure_table(
    frame: pd.DataFrame,
    csv_path: Path,
    settings: AcquisitionMeasureSettings,
    progress: Callable[[int, int], None] | None = None,
    out: Path | None = None,
) -> tuple[Spec, Provenance, tuple[str, ...]]:
    """Measure an acquisition table and make a spec of it.

    Args:
        frame: A checked acquisition table.
        csv_path: Its file.
        settings: What to measure.
        progress: As in `measure`.
        out: The folder for the state of an interrupted measurement; None for no state.

    Returns:
        The spec, its provenance, and a sentence for each acquisition in quarantine.

    Raises:
        DataError: No row is left, or as `measure`.
        SettingsError: The table lacks a group or label asked for.
    """
    for column, wanted in (
        ("split_group", sorted(settings.split_groups)),
        ("label", settings.labels),
    ):
        strangers = sorted(set(wanted) - set(frame[column]))
        if strangers:
            raise SettingsError(
                f"{csv_path} has no {column} {strangers[0]}; there is "
                + ", ".join(sorted(set(frame[column])))
            )
        if wanted:
            frame = frame[frame[column].isin(list(wanted))]
    rows = acquisitions(frame, csv_path)
    if not rows:
        raise DataError(f"no row of {csv_path} is left to measure; ask for less")
    markers = settings.markers or common_markers(rows)
    state = None if out is None else out / STATE_NAME
    found = measure(rows, markers, settings.statistics, progress, state)
    spec = found.spec()
    if settings.then != "zscore":
        recipe = _RECIPES[settings.then]
        spec = imc_spec(markers, recipe, settings.statistics.input_type)
    return spec, found.provenance(csv_path), found.quarantined
