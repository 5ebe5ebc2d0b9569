"""Real plates go the whole way: NF1 cells and sites, by two geometries in one pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.deploy.fakes import fake_model

from normgate.contract import Channel, Rescale, Spec
from normgate.deploy import DeploySettings, deploy
from normgate.plates.gather import read_predictions
from normgate.plates.geometry import Geometry
from normgate.plates.index import IndexSettings, index
from normgate.plates.load import sites
from normgate.plates.schema import read_plate_csv

if TYPE_CHECKING:
    from pathlib import Path

SPEC = Spec(
    channels=tuple(
        Channel(name=name, input="uint16", steps=(Rescale(low=0, high=4000),))
        for name in ("DAPI", "GFP", "RFP")
    )
)
CELLS = Geometry(kind="cell", window=64, size=32, border="reflect")


def test_cells_and_sites_of_real_plates_are_predicted(
    real_data: Path, tmp_path: Path
) -> None:
    csv = tmp_path / "plates.csv"
    images = real_data / "plates" / "nf1_plate2_cytodataframe"
    index(IndexSettings(images=images, out=csv))
    places = sites(read_plate_csv(csv), csv)
    models = [
        fake_model("cells", SPEC, 0, CELLS),
        fake_model("whole", SPEC, 0, Geometry(kind="site", size=64)),
    ]
    settings = DeploySettings(data=csv, out=tmp_path / "out")
    report = deploy(models, places, settings)
    assert (report.sites, report.images, report.quarantined) == (5, 15, 0)
    cells, whole = read_predictions(tmp_path / "out")
    assert len(whole.frame) == 5 * 2
    assert len(cells.frame) == 132 * 2
