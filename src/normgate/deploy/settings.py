"""What a user chooses about a deployment; anything out of range is refused here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from normgate.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploySettings:
    """One deployment over one plate CSV."""

    data: Path
    """The plate CSV; image paths in it are relative to its folder."""
    out: Path
    """The folder of predictions; one folder per model is made in it."""
    batch_size: int = 32
    """Units in one forward pass. Part of the job: it can move last bits."""
    workers: int = 4
    """Threads that read and normalize ahead of the model."""
    shard_sites: int = 64
    """Sites in one Parquet file: the piece of work that a resume skips or redoes."""
    device: str = "auto"
    """`auto`, `cpu` or `cuda`."""
    failed_share: float = 0.5
    """Share of sites, 0 to 1, beyond which quarantine becomes a refusal."""

    def __post_init__(self) -> None:
        """Refuse what can't be meant.

        Raises:
            SettingsError: With the setting, what it is, and its range.
        """
        for name, high in (("batch_size", 65536), ("workers", 256)):
            _between(name, getattr(self, name), 1, high)
        _between("shard_sites", self.shard_sites, 1, 100_000)
        if not 0 <= self.failed_share <= 1:
            raise SettingsError(
                f"failed_share is {self.failed_share}, expected a share from 0 to 1"
            )


def _between(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise SettingsError(f"{name} is {value}, expected {low} to {high}")
