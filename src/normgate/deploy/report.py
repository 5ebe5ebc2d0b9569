"""What a deployment did, in numbers and in a sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The end of a deployment, in which every site was seen to."""

    sites: int
    """Sites of the plate CSV."""
    resumed_sites: int
    """Sites that an earlier run had finished."""
    images: int
    """Image files that this run read."""
    rows: Mapping[str, int]
    """Rows by model, of all runs of the job."""
    quarantined: int
    """Images and sites in quarantine, of all runs of the job."""
    failed_sites: Mapping[str, int]
    """By model: sites that gave no rows."""
    seconds: float
    """From the first read to the last shard of this run."""

    @property
    def images_per_second(self) -> float:
        """Image files read per second of this run; 0 where it had nothing to do."""
        return self.images / self.seconds if self.seconds and self.images else 0.0

    def metrics(self) -> dict[str, float]:
        """The numbers as a tracker takes them."""
        return {
            "sites": self.sites,
            "resumed_sites": self.resumed_sites,
            "images": self.images,
            "images_per_second": self.images_per_second,
            "quarantined": self.quarantined,
            "seconds": self.seconds,
            **{f"rows.{name}": count for name, count in self.rows.items()},
            **{
                f"failed_sites.{name}": self.failed_sites.get(name, 0)
                for name in self.rows
            },
        }

    def sentence(self) -> str:
        """The whole in words."""
        made = ", ".join(f"{name} {count} rows" for name, count in self.rows.items())
        resumed = (
            f" ({self.resumed_sites} were finished before)"
            if self.resumed_sites
            else ""
        )
        bad = (
            f"; {self.quarantined} quarantined, see quarantine.csv"
            if self.quarantined
            else ""
        )
        return (
            f"{self.sites} sites{resumed}, {self.images} images in "
            f"{self.seconds:.1f} s ({self.images_per_second:.1f} images/s): {made}{bad}"
        )
