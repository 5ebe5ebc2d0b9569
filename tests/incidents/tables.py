"""Small tables of outcomes, written by hand."""

from __future__ import annotations

from normgate.incidents.outcome import Outcome
from normgate.incidents.table import Table


def table(**arms: tuple[float, ...]) -> Table:
    """A table of one metric, `score`: arm to its value under seeds 0, 1, ..."""
    return Table(
        tuple(
            Outcome(arm=arm, seed=seed, metrics={"score": value})
            for arm, values in arms.items()
            for seed, value in enumerate(values)
        )
    )
