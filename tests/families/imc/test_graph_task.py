"""Cell graphs as a task: the suite of every family, and what is theirs alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from tests.families.conformance import TaskConformance
from tests.families.imc.graphs import GEOMETRY, Study, spec, study

from normgate.acquisitions.applied import verify
from normgate.acquisitions.load import Loader
from normgate.acquisitions.neighbourhoods import parts_of
from normgate.engine.assemble import assemble
from normgate.engine.bundle import load
from normgate.engine.card import MemberCard
from normgate.engine.member import Member
from normgate.engine.settings import FitSettings
from normgate.errors import BundleError, DataError, FingerprintMismatch
from normgate.families.imc.assemble import golden_acquisitions, origin_of
from normgate.families.imc.bundled import ImcBundles
from normgate.families.imc.packed import packed, unpacked
from normgate.families.imc.settings import LossSettings

if TYPE_CHECKING:
    from pathlib import Path

    from normgate.families.imc.task import ImcTask

FIT = FitSettings(epochs=1, seed=1, device="cpu", batch_size=8)


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return study(tmp_path_factory.mktemp("cells"))


class TestGraphTask(TaskConformance):
    @pytest.fixture(autouse=True)
    def _study(self, cells: Study) -> None:
        self.cells = cells

    def task(self, **changed: Any) -> ImcTask:
        overfit = "dropout" in changed
        loss = LossSettings(kld_scale=0.0 if overfit else 1e-2, perm=0.01)
        return self.cells.plan(loss).task(0, FIT)


def test_units_hold_every_cell_once_and_no_more_than_they_may(cells: Study) -> None:
    units = cells.units
    graphs = [cells.loader.load(row) for row in cells.rows]
    total = sum(len(np.unique(one.labels_yx)) - 1 for one in graphs)
    assert units.joined is not None
    assert int(units.real().sum()) == total
    assert units.images.shape[1:] == (6, GEOMETRY.cells, 1)
    assert np.array_equal(units.joined, units.joined.transpose(0, 2, 1))
    assert len(units.values(units.raw)) == total


def test_latent_and_scores_know_no_order_of_the_cells(cells: Study) -> None:
    task, units = cells.plan().task(0, FIT), cells.units
    assert units.joined is not None
    order = np.random.default_rng(0).permutation(GEOMETRY.cells)
    moved = packed(units.images[:, :, order], units.joined[:, order][:, :, order])
    with torch.inference_mode():
        task.model.eval()
        one, _ = task.model(packed(units.images, units.joined))
        two, _ = task.model(moved)
    assert torch.allclose(one, two, atol=1e-5)
    assert task.evaluate("test")["invariance_error"] < 1e-5


def test_packing_keeps_cells_masks_and_edges(cells: Study) -> None:
    units = cells.units
    assert units.joined is not None
    found = unpacked(packed(units.images[:3], units.joined[:3]))
    assert torch.equal(found["mask"], torch.from_numpy(units.real(slice(3)).copy()))
    for b, edges in enumerate(found["edges"].numpy()):
        kept = edges[:, edges[0] >= 0]
        assert kept.shape[1] == units.joined[b].sum() - units.real(slice(3))[b].sum()
        assert units.joined[b][kept[0], kept[1]].all()


def test_metrics_that_need_a_grid_are_absent_and_so_are_their_vitals(
    cells: Study,
) -> None:
    task = cells.plan().task(0, FIT)
    scores = task.conclude().metrics
    assert not {"test_spatial_r2", "test_sharpness"} & set(scores)
    assert {"test_r2_median", "test_r2_low_scale", "test_abundance_r2"} <= set(scores)
    assert {"test_class_probe", "test_perm_accuracy"} <= set(scores)
    names = {vital.name for vital in task.vitals()}
    assert "imc.images.spatial_r2" not in names
    assert "imc.permuter.accuracy" not in names
    assert "imc.images.abundance_r2" in names


@pytest.mark.parametrize("more", [-1, 1])
def test_a_loader_that_cuts_units_otherwise_is_found_out(more: int) -> None:
    class Other(Loader):
        """Lets a unit have another number of cells."""

        def parts(self, positions_n2: Any) -> Any:
            return parts_of(positions_n2, GEOMETRY.cells + more)

    with pytest.raises(FingerprintMismatch, match="number of cells of a unit"):
        verify(Other(spec(), GEOMETRY), "hdf5")


def test_a_bundle_gives_latents_of_acquisitions_with_their_masks(
    cells: Study, tmp_path: Path
) -> None:
    plan = cells.plan()
    task = plan.task(0, FIT)
    origin = origin_of(
        plan,
        preset="imc",
        applied_fingerprint=verify(cells.loader, "hdf5"),
        provenance=None,
        data_digest="0" * 64,
    )
    golden = golden_acquisitions(plan)
    metrics = {"test_r2_median": 0.5}
    folder = tmp_path / "imc"
    assemble(folder, ImcBundles(), origin, [_member(task)], FIT, metrics, golden)
    bundle = load(folder, ImcBundles())
    assert bundle.card.geometry["cells"] == GEOMETRY.cells
    row = cells.rows[0]
    loaded = cells.loader.load(row)
    raw = np.stack([*loaded.planes, loaded.labels_yx]).astype(np.float32)
    found = bundle.predict(raw[None])
    own = np.flatnonzero(cells.units.names == row.acquisition)
    assert found["latent"] == pytest.approx(task.look(own).mu, abs=1e-5)
    assert found["reconstruction"].shape == (len(own), GEOMETRY.cells, 6)
    with pytest.raises(DataError, match="label image"):
        bundle.predict(raw[None, :-1])
    with pytest.raises(DataError, match="no label image of cells"):
        bundle.predict(np.zeros_like(raw)[None])


def test_a_network_of_grids_is_no_network_of_cells(cells: Study) -> None:
    plan = cells.plan()

    class Card:
        settings = {"model": {"arch": "node_mlp"}}  # noqa: RUF012
        geometry = plan.geometry.to_json()
        code_version = "0"

    with pytest.raises(BundleError, match="units are cells"):
        ImcBundles().network(spec(), Card())  # type: ignore[arg-type]


def _member(task: ImcTask) -> Member:
    return Member(
        card=MemberCard(
            replicate=0,
            seed=1,
            train_groups=task.train_groups,
            validation_groups=task.groups_of(task.parts.validation),
            test_groups=task.groups_of(task.parts.test),
            temperature=1.0,
            metrics={"test_r2_median": 0.5},
        ),
        state=task.model.state_dict(),
        vitals=(),
        history=(),
        kept={},
    )
