"""Constants of a training: measured where no replicate validates or tests.

Constants that held-out slides or patients had a part in make held-out figures too good.
A spec that measures each acquisition by itself takes the abundances away, so it must be
asked for in so many words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from normgate.acquisitions.statistics import common_markers, measure
from normgate.errors import SettingsError
from normgate.families.imc.space import loses_abundance

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from normgate.acquisitions.statistics import StatisticsSettings
    from normgate.acquisitions.table import Acquisition
    from normgate.contract import Provenance, Spec


@dataclass(frozen=True, slots=True, kw_only=True)
class Constants:
    """What a training normalizes by."""

    spec: Spec
    provenance: Provenance | None
    """Where its constants came from, if that is known."""


def constants_of(
    data: Path,
    rows: Sequence[Acquisition],
    fold: NDArray[np.int64],
    settings: StatisticsSettings,
    *,
    folds: int,
    replicates: int,
    markers: Sequence[str] = (),
    progress: Callable[[int, int], None] | None = None,
    state: Path | None = None,
) -> Constants:
    """Measure markers over the acquisitions that every replicate trains on.

    Args:
        data: The acquisition CSV, for the provenance.
        rows: All acquisitions.
        fold: The fold of each.
        settings: Percentiles and cofactor.
        folds: How many folds there are.
        replicates: How many replicates there are to be.
        markers: Which; those of the first acquisition that can be read for none.
        progress: Told of the acquisitions read and of their total.
        state: As in `acquisitions.statistics.measure`.

    Raises:
        SettingsError: Every fold is held out by a replicate.
        DataError: The acquisitions can't be measured.
    """
    first = {replicate % folds for replicate in range(replicates)}
    held_out = first | {(number + 1) % folds for number in first}
    always = [
        row for row, number in zip(rows, fold, strict=True) if number not in held_out
    ]
    if not always:
        raise SettingsError(
            f"{replicates} replicates hold out every one of {folds} folds, so no "
            "acquisition is left to measure; expected folds of at least replicates + 2"
        )
    chosen = markers or common_markers(always)
    found = measure(always, chosen, settings, progress, state)
    return Constants(spec=found.spec(), provenance=found.provenance(data))


def refuse_lost_abundance(spec: Spec, asked: bool) -> None:
    """Stop a training whose spec deletes abundances, unless that was asked for.

    Raises:
        SettingsError: With the channels.
    """
    lost = loses_abundance(spec)
    if lost and not asked:
        raise SettingsError(
            f"the spec measures {len(lost)} of {len(spec.channels)} channels on each "
            f"acquisition, the first {lost[0]}, so how much there is of a marker is "
            "lost before the model sees it; use constants of the data set, or say "
            "abundance_lost=1"
        )
