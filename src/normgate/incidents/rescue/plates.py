"""The plates of the replay, as real files: simulated, and exported to 8 bits.

An export is what was done to the originals before a network saw them: a stretch to 8
bits between percentiles, or Pillow's greyscale mode `L`, which saturates 16-bit counts.
Folders are written once for each seed and found again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import PIL.Image
import tifffile

from normgate.contract import write_atomic
from normgate.incidents.rescue.specs import clip_range
from normgate.plates.demo import CSV_NAME, DemoSettings, write_demo
from normgate.plates.faults import with_fault
from normgate.plates.load import sites
from normgate.plates.read import read_image
from normgate.plates.schema import PATH_PREFIX, markers, read_plate_csv

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from normgate.contract import Spec
    from normgate.families.plate.arms import Pictures, Recipe
    from normgate.plates.faults import Fault
    from normgate.plates.load import Site

Export = Literal["counts", "u8", "l8"]
_EXPORT_OF: Mapping[str, Export] = {"u8_imagenet": "u8", "l8_fluorescence": "l8"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlateSettings:
    """How much is simulated."""

    plates: int = 2
    """Plates."""
    rows: int = 8
    """Rows of each."""
    sites: int = 1
    """Sites of nine neurons in each well."""

    def demo(self, pictures: Pictures, seed: int) -> DemoSettings:
        """What the generator is asked for."""
        return DemoSettings(
            seed=seed,
            plates=self.plates,
            rows=self.rows,
            sites=self.sites,
            timepoints_ms=(0,),
            masked="halo" if pictures == "masked_in_halo_counts" else "byte",
            fault="label_is_plate" if pictures == "no_biology" else "none",
        )


@dataclass(frozen=True, slots=True)
class Plates:
    """The folder of one seed's plates, in every form that an arm asks for."""

    folder: Path
    settings: PlateSettings
    seed: int
    stretch: Spec
    """Where the 8-bit stretch takes its percentiles from."""

    def places(
        self, pictures: Pictures, recipe: Recipe, fault: Fault = "none"
    ) -> list[Site]:
        """The sites of a plate table, with a fault if one is asked for."""
        csv = self.table(pictures, recipe)
        return sites(with_fault(read_plate_csv(csv), fault, self.seed), csv)

    def table(self, pictures: Pictures, recipe: Recipe) -> Path:
        """The plate CSV of the files that a recipe reads, written if need be."""
        counts = self.folder / pictures / "counts"
        csv = write_demo(counts, self.settings.demo(pictures, self.seed))
        export = _EXPORT_OF.get(recipe, "counts")
        if export == "counts":
            return csv
        return _exported(csv, counts.with_name(export), export, self.stretch)


def _exported(csv: Path, to: Path, export: Export, stretch: Spec) -> Path:
    """The same plates with 8-bit files; the table, written last, says all are there."""
    if (to / CSV_NAME).exists():
        return to / CSV_NAME
    frame = read_plate_csv(csv)
    ranges = {channel.name: clip_range(channel) for channel in stretch.channels}
    for marker in markers(frame):
        for name in frame[PATH_PREFIX + marker]:
            counts_yx = read_image(csv.parent / name)
            bytes_yx = (
                greyscale(counts_yx)
                if export == "l8"
                else stretched(counts_yx, *ranges[marker])
            )
            path = to / name
            path.parent.mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(path, bytes_yx, photometric="minisblack", metadata=None)
    write_atomic(to / CSV_NAME, csv.read_bytes())
    return to / CSV_NAME


def stretched(counts_yx: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    """Clip counts to a range and spread it over 0..255, as between two stages once."""
    share = (np.clip(counts_yx.astype(np.float64), low, high) - low) / (high - low)
    return np.rint(255 * share).astype(np.uint8)


def greyscale(counts_yx: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """What `Image.open(path).convert("L")` makes of 16-bit counts: 255 of most."""
    return np.asarray(PIL.Image.fromarray(counts_yx).convert("L"), dtype=np.uint8)
