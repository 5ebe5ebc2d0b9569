from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from mlflow import MlflowClient
from playwright.sync_api import expect
from tests.browser.pages import picture
from tests.tracking.bundle_files import RIGHT, WRONG

from mlflow_normgate.runs import Place, parent_run
from normgate.contract import spec_digest
from normgate.engine.record import spec_params, spec_table

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Page
    from tests.tracking.conftest import Server

    from normgate.contract import Spec

pytestmark = pytest.mark.slow


@pytest.fixture
def place(server: Server, tmp_path: Path) -> Place:
    """An experiment that the tests share."""
    client = MlflowClient(server.uri)
    found = client.get_experiment_by_name("rescue")
    return Place(
        tracking_uri=server.uri,
        experiment_id=found.experiment_id
        if found
        else client.create_experiment("rescue"),
        spool_root=tmp_path / "spool",
    )


def train(place: Place, name: str, spec: Spec, auroc: float) -> str:
    """A run that says of itself what a training says of its normalization."""
    with parent_run(place, name, spec_digest(spec)) as run:
        run.tracker.params({**spec_params(spec), "fit.epochs": 40})
        for epoch in range(3):
            run.tracker.metrics({"test_auroc": auroc - 0.1 / (epoch + 1)}, epoch)
        run.tracker.note(f"**{name}**, training.\n\n{spec_table(spec)}")
        assert run.tracker.flush()
        run_id = run.tracker.run_id
    assert run_id is not None
    return run_id


def test_a_runs_page_shows_what_its_spec_computes(
    page: Page, place: Place, figures: Path | None
) -> None:
    run_id = train(place, "rescue-0ms", RIGHT, 0.93)
    page.goto(f"/#/experiments/{place.experiment_id}/runs/{run_id}")
    row = page.get_by_role("row", name="HALO_MASKED uint16")
    expect(row).to_contain_text("uint16: clip 0..238, rescale 0..238 to 0..1")
    expect(page.get_by_role("row", name="norm.RFP1.high")).to_contain_text("9016")
    picture(page, figures, "run-page")


def test_two_runs_that_were_normalized_otherwise_differ_line_by_line(
    page: Page, place: Place, figures: Path | None
) -> None:
    runs = [
        train(place, "rescue-0ms, contract's constants", RIGHT, 0.93),
        train(place, "rescue-0ms, fluorescence constants", WRONG, 0.91),
    ]
    asked = quote(json.dumps(runs)), quote(json.dumps([place.experiment_id]))
    page.goto(f"/#/compare-runs?runs={asked[0]}&experiments={asked[1]}")
    row = page.get_by_role("row", name="norm.RFP1.mean")
    expect(row).to_contain_text("0.485")
    expect(row).to_contain_text("0.2233")
    expect(page.get_by_role("row", name="norm.RFP1.digest")).to_contain_text("1f60779")
    same = page.get_by_role("row", name="fit.epochs")
    expect(same).to_be_visible()
    page.get_by_role("switch").first.click()
    expect(same).to_be_hidden()
    expect(row).to_be_visible()
    page.get_by_text("Visualizations").click()
    picture(page, figures, "compare-page", height=1000)
