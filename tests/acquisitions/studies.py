"""Small studies for tests: simulated ones, and the real one where it is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from normgate.acquisitions.demo import DemoSettings, write_demo
from normgate.acquisitions.place import place_of
from normgate.acquisitions.table import (
    Acquisition,
    acquisitions,
    read_acquisition_csv,
)

if TYPE_CHECKING:
    from pathlib import Path

REAL = "imc/bodenmiller_testdata"
REAL_MARKERS = ("Ag107", "Cytokeratin_5", "Laminin", "YBX1", "H3K27Ac")


def simulated(folder: Path, **settings: object) -> tuple[Acquisition, ...]:
    """A demo of two patients, four slides, and few small acquisitions."""
    given = {"patients": 2, "per_slide": 3, "channels": 6, "rows": 9, "columns": 8}
    chosen = DemoSettings(**{**given, **settings})  # type: ignore[arg-type]
    path = write_demo(folder, chosen)
    return acquisitions(read_acquisition_csv(path), path)


def one(image: str, folder: Path, **values: object) -> Acquisition:
    """An acquisition of one image in a folder."""
    given: dict[str, object] = {
        "slide": "s",
        "patient": "p",
        "acquisition": "a",
        "split_group": "p",
        "image": place_of(image, folder),
        "panel": None,
    }
    return Acquisition(**{**given, **values})  # type: ignore[arg-type]


def real(
    data: Path, form: str, slide: int, number: int, panel: str = "steinbock/panel.csv"
) -> Acquisition:
    """A real acquisition, by slide and number.

    Args:
        data: The folder of real images.
        form: mcd, txt or tiff.
        slide: 1 to 5.
        number: 1 to 3.
        panel: Below the study's folder.
    """
    study, name = data / REAL, f"20210305_NE_mockData{slide}"
    images = {
        "mcd": f"raw/{name}/{name}.mcd#acquisition={number}",
        "txt": f"raw/{name}/{name}_ROI_00{number}_{number}.txt",
        "tiff": f"steinbock/img/{name}_00{number}.tiff",
    }
    return one(
        images[form],
        study,
        acquisition=f"{name}-{number}",
        slide=name,
        patient=name,
        split_group=name,
        panel=study / panel,
        mask=study / f"steinbock/masks_deepcell/{name}_00{number}.tiff",
    )
