"""Units of cells from a small demonstration of counts, and a task of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from normgate.acquisitions.demo import DemoSettings, write_demo
from normgate.acquisitions.geometry import CellGeometry
from normgate.acquisitions.load import Loader
from normgate.acquisitions.table import acquisitions, read_acquisition_csv
from normgate.contract import Arcsinh, Channel, Spec, Standardize
from normgate.contract.steps import exact
from normgate.engine.split import group_folds
from normgate.families.imc.data import prepare
from normgate.families.imc.plan import Plan
from normgate.families.imc.settings import ImcSettings, LossSettings, ModelSettings

if TYPE_CHECKING:
    from pathlib import Path

    from normgate.acquisitions.table import Acquisition
    from normgate.families.imc.units import ImcUnits

GEOMETRY = CellGeometry(neighbours=3, cells=10)
NAMES = ("Histone_H3", "CD45", "alpha-SMA", "Vimentin", "CD14", "CD163")
DEMO = DemoSettings(
    mode="counts", channels=6, rows=24, columns=24, patients=3, per_slide=6
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """Acquisitions with masks."""

    rows: tuple[Acquisition, ...]
    loader: Loader
    units: ImcUnits

    def plan(self, loss: LossSettings | None = None, **model: Any) -> Plan:
        settings = {"arch": "cell_graph", "permuter": "softsort", "latent": 6}
        return Plan(
            name="imc",
            units=self.units,
            geometry=GEOMETRY,
            fold=group_folds(self.units.groups, folds=3, seed=0, what="patients"),
            folds=3,
            settings=ImcSettings(
                model=ModelSettings(**{**settings, **model}),
                loss=loss or LossSettings(),
            ),
            cofactor=1.0,
            augment=False,
        )


def study(folder: Path) -> Study:
    csv = write_demo(folder / "demo", DEMO)
    rows = acquisitions(read_acquisition_csv(csv), csv)
    loader = Loader(spec(), GEOMETRY)
    return Study(
        rows=rows, loader=loader, units=prepare(loader, rows, folder / "cache")
    )


def spec() -> Spec:
    steps = (Arcsinh(cofactor=exact(1)), Standardize(mean=exact(1), std=exact(1)))
    return Spec(
        channels=tuple(
            Channel(name=name, input="float32", steps=steps) for name in NAMES
        )
    )
