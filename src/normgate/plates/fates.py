"""What is true of the wells of a demonstration plate, by column.

Columns 1-2 are healthy (WT) with vehicle, 3-4 diseased (APP) with vehicle, 5-20 APP
with one drug a column, 21-24 WT with the drugs of columns 5-8.
"""

from __future__ import annotations

from dataclasses import dataclass

COLUMNS = 24
VEHICLE = "vehicle"
# Rescue (0 none, 1 full) and toxicity (0 none, 1 strong) of each drug.
DRUGS: dict[str, tuple[float, float]] = {
    "drug-01": (1.00, 0.00),
    "drug-02": (0.85, 0.10),
    "drug-03": (0.00, 0.80),
    "drug-04": (0.10, 0.50),
    "drug-05": (0.60, 0.00),
    "drug-06": (0.50, 0.00),
    "drug-07": (0.40, 0.00),
    "drug-08": (0.15, 0.00),
    "drug-09": (0.10, 0.00),
    "drug-10": (0.05, 0.00),
    "drug-11": (0.05, 0.00),
    "drug-12": (0.00, 0.00),
    "drug-13": (0.00, 0.00),
    "drug-14": (0.00, 0.00),
    "drug-15": (0.00, 0.20),
    "drug-16": (0.90, 0.00),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What is true of one well."""

    genotype: str
    treatment: str
    severity: float
    rescue: float
    """1 - severity for APP wells; 0 for WT wells, which have nothing to rescue."""
    toxicity: float

    @property
    def label(self) -> str:
        """The class of a control well; empty for a well with a drug."""
        return self.genotype if self.treatment == VEHICLE else ""


HEALTHY = Fate(genotype="WT", treatment=VEHICLE, severity=0.0, rescue=0.0, toxicity=0.0)
"""A well in which nothing is to be seen."""


def fate_of(column: int) -> Fate:
    """What a column of every demonstration plate holds (1 to 24)."""
    names = list(DRUGS)
    genotype = "WT" if column <= 2 or column > 20 else "APP"
    if column <= 4:
        treatment, rescue, toxicity = VEHICLE, 0.0, 0.0
    else:
        treatment = names[(column - 5) % len(names)]
        rescue, toxicity = DRUGS[treatment]
    diseased = genotype == "APP"
    return Fate(
        genotype=genotype,
        treatment=treatment,
        severity=round(1 - rescue, 6) if diseased else 0.0,
        rescue=rescue if diseased else 0.0,
        toxicity=toxicity,
    )
