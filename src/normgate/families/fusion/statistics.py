"""CT constants of a training: measured where no replicate validates or tests.

Constants that held-out patients had a part in make held-out figures too good. So what
is measured here is measured on the folds that no replicate holds out, and constants
that come along with their provenance are refused where they saw too much.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from normgate.contract import Spec
from normgate.contract.ct import CT, modality
from normgate.engine.split import split_of
from normgate.errors import DataError, SettingsError
from normgate.volumes.statistics import leaked, measure

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from normgate.contract import Channel, Provenance
    from normgate.volumes.cases import Case


@dataclass(frozen=True, slots=True, kw_only=True)
class Constants:
    """What a training normalizes by."""

    spec: Spec
    provenance: Provenance | None
    """Where its constants came from, if that is known."""


def constants_of(
    given: Constants,
    data: Path,
    cases: Sequence[Case],
    fold: NDArray[np.int64],
    *,
    folds: int,
    replicates: int,
    progress: Callable[[int, int], None] | None = None,
) -> Constants:
    """Measure the CT over the cases that every replicate trains on.

    Args:
        given: Its one CT channel gets the measured constants.
        data: The case CSV, for the provenance.
        cases: All cases.
        fold: The fold of each case.
        folds: How many there are.
        replicates: How many replicates there are to be.
        progress: Told of the cases read and of their total.

    Raises:
        SettingsError: Every fold is held out by a replicate, or the spec has not one
            CT channel.
        DataError: The cases can't be measured.
    """
    channels = [c for c in given.spec.channels if modality(c.name) == CT]
    if len(channels) != 1:
        raise SettingsError(
            f"statistics is measure, which is for one CT channel, but the spec has "
            f"{len(channels)}; give a spec with one, or statistics=contract"
        )
    always = [
        case
        for case, number in zip(cases, fold, strict=True)
        if number not in _held_out(folds, replicates)
    ]
    if not always:
        raise SettingsError(
            f"{replicates} replicates hold out every one of {folds} folds, so no case "
            "is left to measure; expected folds of at least replicates + 2"
        )
    found = measure(
        always,
        modality="CT",
        input_type="float32" if channels[0].input == "float32" else "int16",
        progress=progress,
    )
    made = found.ct_channel(channels[0].name)
    return Constants(
        spec=_with_channel(given.spec, made),
        provenance=found.provenance(data, channels[0].name),
    )


def refuse_leaks(
    given: Constants,
    cases: Sequence[Case],
    fold: NDArray[np.int64],
    *,
    folds: int,
    replicates: int,
) -> None:
    """Refuse constants that cases which are held out had a part in.

    Raises:
        DataError: With a replicate and the cases.
    """
    if given.provenance is None:
        return
    names = np.array([case.case for case in cases])
    for replicate in range(replicates):
        training = names[split_of(fold, folds, replicate).train]
        seen = sorted(set(leaked(given.provenance, training)) & set(names.tolist()))
        if seen:
            raise DataError(
                f"the spec's constants were measured on {len(seen)} cases that "
                f"replicate {replicate + 1} holds out, the first {seen[0]}; measure on "
                "training cases alone, as statistics=measure does"
            )


def _held_out(folds: int, replicates: int) -> set[int]:
    """The folds that a replicate validates on or tests."""
    first = {replicate % folds for replicate in range(replicates)}
    return first | {(number + 1) % folds for number in first}


def _with_channel(spec: Spec, made: Channel) -> Spec:
    channels = tuple(made if c.name == made.name else c for c in spec.channels)
    return Spec(channels=channels, output=spec.output)
