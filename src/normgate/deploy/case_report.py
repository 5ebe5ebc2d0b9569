"""What a deployment over cases did, and what it could not use."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from normgate.contract.files import write_atomic
from normgate.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from normgate.deploy.settings import DeploySettings


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseReport:
    """The end of a deployment, in which every case was seen to."""

    cases: int
    """Cases of the CSV."""
    resumed: int
    """Volumes that an earlier run had finished."""
    fused: int
    """Volumes that this run made."""
    quarantined: int
    seconds: float

    def metrics(self) -> dict[str, float]:
        """The numbers as a tracker takes them."""
        return {
            "cases": self.cases,
            "resumed_volumes": self.resumed,
            "fused_volumes": self.fused,
            "quarantined": self.quarantined,
            "seconds": self.seconds,
        }

    def sentence(self) -> str:
        """The whole in words."""
        before = f" ({self.resumed} were finished before)" if self.resumed else ""
        bad = (
            f"; {self.quarantined} quarantined, see quarantine.csv"
            if self.quarantined
            else ""
        )
        return (
            f"{self.cases} cases{before}, {self.fused} volumes fused in "
            f"{self.seconds:.1f} s{bad}"
        )


def write_quarantined(out: Path, row: str, bad: dict[str, str]) -> None:
    """Write what could not be used: a row and its sentence each, whole or not.

    Args:
        out: The folder of the deployment.
        row: What a row is, as `case`; the first column's name.
        bad: By row: why it can't be used.
    """
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow((row, "reason"))
    table.writerows(bad.items())
    write_atomic(out / "quarantine.csv", text.getvalue().encode())


def refuse_ruin(
    bad: dict[str, str], total: int, rows: str, settings: DeploySettings
) -> None:
    """Stop where too many rows can't be used.

    Args:
        bad: By row: why it can't be used.
        total: Rows of the table.
        rows: What they are, as `cases`.
        settings: With the allowed share.

    Raises:
        DataError: With the first reason.
    """
    if len(bad) > settings.failed_share * total:
        first = next(iter(bad.values()))
        raise DataError(
            f"{len(bad)} of {total} {rows} can't be used, more than the allowed share "
            f"of {settings.failed_share:g}; the first: {first}; see "
            f"{settings.out}/quarantine.csv"
        )
