"""The demonstration acquisitions: simulated stacks as real files, with their table.

One file of stacks (HDF5, zarr) or one folder of images (TIFF, OME-TIFF, .txt) for each
slide, two slides a patient, channels in another order on every slide, and the truth
beside: `truth.csv` with class and density, `truth.h5` with signals without noise. A
file is whole when it has its name, so a broken-off demo goes on where it was. What
acquisitions are is `simulate`'s; faults of real studies can be asked for.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, get_args

import h5py
import numpy as np
import pandas as pd

from normgate import tables
from normgate.acquisitions import write
from normgate.acquisitions.panel import Marker, marker_of
from normgate.acquisitions.simulate import Mode, World, WorldSettings
from normgate.acquisitions.table import write_acquisition_csv
from normgate.contract.files import write_atomic
from normgate.errors import DataError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from normgate.acquisitions.simulate import Simulated

FileFormat = Literal["hdf5", "zarr", "tiff", "ome-tiff", "txt"]
CSV_NAME = "acquisitions.csv"
TRUTH_NAME = "truth.csv"
CLEAN_NAME = "truth.h5"
SETTINGS_NAME = "demo.json"
SLIDES_A_PATIENT = 2
MOST = 100_000
_FORMAT = 1
_SPARSE = 0.0005


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoSettings:
    """How much to simulate, in which files, and with which faults."""

    seed: int = 0
    """Every acquisition follows from it."""
    world: int = 0
    """What channels and classes are; constants hold for one world."""
    mode: Mode = "values"
    """Values such as embeddings have, or counts of 16 markers or fewer."""
    format: FileFormat = "hdf5"
    """Of the images; .txt is for counts."""
    patients: int = 6
    """Two slides each; a patient is never split."""
    per_slide: int = 80
    """Acquisitions of each slide."""
    channels: int = 128
    """As in `WorldSettings`."""
    classes: int = 4
    """Classes of acquisitions."""
    patterns: int = 3
    """Spatial patterns that channels share."""
    rows: int = 6
    """Rows of an acquisition."""
    columns: int = 6
    """Columns of an acquisition."""
    permute: bool = True
    """Whether the order of channels differs from slide to slide."""
    dead_channel: bool = False
    """A fault: the first channel is 0 everywhere."""
    sparse_channel: bool = False
    """A fault: of the second channel 1 value in 2000 is left, the others are 0."""
    exchanged_markers: bool = False
    """A fault: the last slide's names of the first and third channel are exchanged."""
    prenormalized: bool = False
    """A fault: the last slide's images were written with mean 0 and sd 1."""

    def __post_init__(self) -> None:
        """Refuse what can't be simulated.

        Raises:
            SettingsError: With the parameter, its value and what is expected.
        """
        if self.format not in get_args(FileFormat):
            known = ", ".join(get_args(FileFormat))
            raise SettingsError(f"format is {self.format!r}; expected {known}")
        if self.format == "txt" and self.mode != "counts":
            raise SettingsError("format txt names metals; use mode counts with it")
        for name in ("patients", "per_slide"):
            value = getattr(self, name)
            if not 1 <= value <= MOST:
                raise SettingsError(f"{name} is {value}, expected 1 to {MOST}")
        if self.channels < 3 and (self.exchanged_markers or self.sparse_channel):
            raise SettingsError(f"channels is {self.channels}; faults need 3 or more")
        _ = self.shared

    @property
    def shared(self) -> WorldSettings:
        """What the acquisitions have in common."""
        names = {field.name for field in fields(WorldSettings)}
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return WorldSettings(
            **{name: value for name, value in values.items() if name in names}
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What is true of one acquisition."""

    label: int
    density: float
    clean_cyx: NDArray[np.float32]
    """Without noise, its channels in the order of `channels`."""
    channels: tuple[str, ...]
    """The names of the channels in an image."""


def write_demo(
    folder: Path,
    settings: DemoSettings | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write the demonstration acquisitions, or what is missing of them.

    Args:
        folder: An empty folder, or one that holds a demo.
        settings: What to simulate; those of the demo that is there, or the default.
        progress: Told of the slides done and of their total.

    Returns:
        The path of the acquisition CSV, which is written last.

    Raises:
        DataError: The folder holds something else.
    """
    settings = settings or _settings_of(folder) or DemoSettings()
    stamp = json.dumps({"format": _FORMAT, **asdict(settings)}, indent=1).encode()
    if _present(folder, stamp):
        return folder / CSV_NAME
    write_atomic(folder / SETTINGS_NAME, stamp)
    world, slides = World(settings.shared), SLIDES_A_PATIENT * settings.patients
    rows, truth = [], []
    clean: dict[str, tuple[NDArray[Any], list[str]]] = {}
    for number in range(slides):
        slide = _Slide(settings, world, number, folder)
        rows += slide.write()
        for name, one in slide.drawn.items():
            truth.append(
                {"acquisition": name, "class": one.label, "density": one.density}
            )
            clean[name] = (one.clean_cyx, [tag for tag, _ in world.markers])
        if progress is not None:
            progress(number + 1, slides)
    write.write_hdf5(folder / CLEAN_NAME, clean)
    tables.write_text(pd.DataFrame(truth), folder / TRUTH_NAME)
    write_acquisition_csv(pd.DataFrame(rows), folder / CSV_NAME)
    return folder / CSV_NAME


def read_truth(folder: Path) -> dict[str, Truth]:
    """What is true of each acquisition of a demo, by its name.

    Raises:
        DataError: The folder holds no demo.
    """
    remedy = "name the folder of a demo"
    frame = tables.read_text(folder / TRUTH_NAME, "truth", remedy)
    with h5py.File(folder / CLEAN_NAME, "r") as file:
        return {
            row["acquisition"]: Truth(
                label=int(row["class"]),
                density=float(row["density"]),
                clean_cyx=file[row["acquisition"]][()],
                channels=tuple(file[row["acquisition"]].attrs["channels"]),
            )
            for row in frame.to_dict("records")
        }


class _Slide:
    """One slide: its acquisitions, in the order of channels that its file has."""

    def __init__(
        self, settings: DemoSettings, world: World, number: int, folder: Path
    ) -> None:
        self.settings, self.folder = settings, folder
        self.name = f"slide-{number + 1:02d}"
        self.patient = f"patient-{number // SLIDES_A_PATIENT + 1:02d}"
        self.last = number + 1 == SLIDES_A_PATIENT * settings.patients
        first = number * settings.per_slide
        self.drawn: dict[str, Simulated] = {
            f"{self.name}-{n + 1:04d}": world.acquisition(first + n)
            for n in range(settings.per_slide)
        }
        order = np.arange(settings.channels)
        if settings.permute:
            order = np.random.default_rng((settings.seed, 2, number)).permutation(order)
        self.order = order
        self.markers = self._markers(world)

    def write(self) -> list[dict[str, Any]]:
        """Write what is missing of the slide, and give its rows of the table."""
        match self.settings.format:
            case "hdf5" | "zarr":
                images = self._write_stacks()
            case "tiff" | "ome-tiff" | "txt":
                images = {name: self._write_image(name) for name in self.drawn}
        panel = f"{self.name}/panel.csv" if self.settings.format == "tiff" else ""
        if panel:
            write.write_panel(self.folder / panel, self.markers)
        return [
            {
                "slide": self.name,
                "patient": self.patient,
                "acquisition": name,
                "split_group": self.patient,
                "image": images[name],
                "panel": panel,
                "mask": self._write_mask(name),
                "label": f"class-{one.label}",
            }
            for name, one in self.drawn.items()
        ]

    def _markers(self, world: World) -> list[Marker]:
        """What each plane of the file is said to be."""
        named = [Marker(tag, target) for tag, target in world.markers]
        if self.settings.exchanged_markers and self.last:
            named[0], named[2] = named[2], named[0]
        return [named[c] for c in self.order]

    def _array(self, name: str) -> NDArray[Any]:
        """The planes of an acquisition as its file has them, faults included."""
        array = self.drawn[name].array_cyx.copy()
        if self.settings.dead_channel:
            array[0] = 0
        if self.settings.sparse_channel:
            key = (self.settings.seed, 3, *name.encode())
            kept = np.random.default_rng(key).random(array.shape[1:]) < _SPARSE
            array[1] = np.where(kept, array[1], 0)
        if self.settings.prenormalized and self.last:
            spread = np.maximum(array.std(axis=(1, 2), keepdims=True), 1e-6)
            array = (array - array.mean(axis=(1, 2), keepdims=True)) / spread
        return array[self.order]

    def _write_stacks(self) -> dict[str, str]:
        suffix = {"hdf5": "h5", "zarr": "zarr"}[self.settings.format]
        path = self.folder / f"{self.name}.{suffix}"
        names = [_label(marker) for marker in self.markers]
        if not path.exists():
            stacks = {name: (self._array(name), names) for name in self.drawn}
            kind = write.write_hdf5 if suffix == "h5" else write.write_zarr
            kind(path, stacks)
        return {name: f"{path.name}#dataset={name}" for name in self.drawn}

    def _write_image(self, name: str) -> str:
        form = self.settings.format
        suffix = {"tiff": "tiff", "ome-tiff": "ome.tiff", "txt": "txt"}[form]
        path = self.folder / self.name / f"{name}.{suffix}"
        if not path.is_file():
            array = self._array(name)
            if form == "txt":
                write.write_txt(path, array, self.markers)
            else:
                labels = [_label(marker) for marker in self.markers]
                write.write_tiff(path, array, labels if form == "ome-tiff" else None)
        return f"{self.name}/{path.name}"

    def _write_mask(self, name: str) -> str:
        """Cells, where the acquisition is large enough to have some."""
        cells_yx = self.drawn[name].cells_yx
        if self.settings.mode == "values" or not cells_yx.any():
            return ""
        path = self.folder / self.name / f"{name}.cells.tiff"
        if not path.is_file():
            write.write_mask(path, cells_yx)
        return f"{self.name}/{path.name}"


def _label(marker: Marker) -> str:
    """A marker as one text that `marker_of` tells apart again."""
    text = f"{marker.tag}_{marker.target}" if marker.target else marker.tag
    assert marker_of(text, marker.tag) == marker
    return text


def _settings_of(folder: Path) -> DemoSettings | None:
    """The settings of the demo in a folder; None where there is none."""
    try:
        values = json.loads((folder / SETTINGS_NAME).read_bytes())
        del values["format"]
        return DemoSettings(**values)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _present(folder: Path, stamp: bytes) -> bool:
    """Whether this very demo is complete here; anything foreign is refused."""
    settings, table = folder / SETTINGS_NAME, folder / CSV_NAME
    if not settings.is_file():
        if folder.is_dir() and any(folder.iterdir()):
            raise DataError(
                f"{folder} is not empty and holds no demo; name an empty folder"
            )
        return False
    if settings.read_bytes() != stamp:
        raise DataError(f"{folder} holds a demo of other settings; name another folder")
    return table.is_file()
