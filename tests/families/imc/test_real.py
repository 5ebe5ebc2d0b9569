"""Real acquisitions of three formats, from their constants to a model that serves."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
from tests.acquisitions.studies import REAL_MARKERS, one, real
from tests.families.imc.bundles import FIT, GEOMETRY, bundled

from normgate.acquisitions.load import Loader
from normgate.acquisitions.statistics import measure
from normgate.engine.bundle import load
from normgate.engine.member import train_member
from normgate.engine.split import group_folds, split_of
from normgate.families.imc.bundled import ImcBundles
from normgate.families.imc.data import prepare
from normgate.families.imc.plan import Plan
from normgate.families.imc.settings import ImcSettings, LossSettings, ModelSettings
from normgate.tracker import NullTracker

if TYPE_CHECKING:
    from pathlib import Path

    from normgate.acquisitions.table import Acquisition

FORMS = ("mcd", "txt", "tiff")
FOLDS = 3


def other_order(data: Path, row: Acquisition, form: str, folder: Path) -> Acquisition:
    """The same acquisition by a panel that lists its channels otherwise."""
    if form != "tiff":
        return replace(row, panel=data / "imc/bodenmiller_testdata/panel.csv")
    assert row.panel is not None
    head, *lines = row.panel.read_text().splitlines()
    (folder / "panel.csv").write_text("\n".join([head, *reversed(lines), ""]))
    planes_cyx = tifffile.imread(row.image.path)[::-1]
    tifffile.imwrite(folder / "other.tiff", np.ascontiguousarray(planes_cyx))
    turned = one("other.tiff", folder, panel=folder / "panel.csv")
    return replace(turned, acquisition=row.acquisition, slide=row.slide)


@pytest.mark.slow
def test_a_model_of_real_acquisitions_is_the_same_for_any_panel(
    tmp_path: Path, real_data: Path
) -> None:
    rows = [real(real_data, form, n, 1) for n, form in enumerate(FORMS, start=1)]
    slides = np.array([row.split_group for row in rows])
    fold = group_folds(slides, folds=FOLDS, seed=0, what="slides")
    train = [rows[at] for at in split_of(fold, FOLDS, 0).train]
    spec = measure(train, REAL_MARKERS).spec()
    loader = Loader(spec, GEOMETRY)
    units = prepare(loader, rows, tmp_path / "cache")
    assert set(units.names) == {row.acquisition for row in rows}
    plan = Plan(
        name="imc",
        units=units,
        geometry=GEOMETRY,
        fold=group_folds(units.groups, folds=FOLDS, seed=0, what="slides"),
        folds=FOLDS,
        settings=ImcSettings(model=ModelSettings(latent=4), loss=LossSettings()),
        cofactor=1.0,
        augment=False,
    )
    fit = replace(FIT, epochs=2, batch_size=16)
    member = train_member(plan.task(0, fit), 0, fit, NullTracker(), tmp_path / "fit")
    (held,) = member.card.test_groups
    assert held not in {row.split_group for row in train}
    promoted = bundled(plan, [member], tmp_path, "txt")
    ensemble = load(promoted.bundle, ImcBundles()).ensemble
    for row, form in zip(rows, FORMS, strict=True):
        found = [
            ensemble.predict(np.stack(loader.load(each).planes)[None])
            for each in (row, other_order(real_data, row, form, tmp_path))
        ]
        for name in ("latent", "reconstruction"):
            first, second = (one_found[name] for one_found in found)
            assert np.isfinite(first).all()
            assert first.std() > 0
            np.testing.assert_array_equal(first, second, err_msg=f"{form} {name}")
