"""The IMC training: what its parameters become, every refusal, and a small run."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from tests.conftest import ROOT

from normgate.acquisitions.demo import DemoSettings, write_demo
from normgate.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

FOLDER = ROOT / "entrypoints"
SPECS = ROOT / "contracts" / "specs"
CELLS = {"arch": "cell_graph", "data": "a.csv"}
LOST = str(SPECS / "imc_legacy_image_z.json")


@pytest.fixture
def options(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module of the entry's parameters."""
    monkeypatch.syspath_prepend(str(FOLDER))
    spec = importlib.util.spec_from_file_location(
        "imc_options", FOLDER / "_imc_options.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "imc_options", module)
    spec.loader.exec_module(module)
    return module


def parsed(options: ModuleType, **changed: Any) -> Any:
    import click

    command = click.command()(options.imc_options(lambda **_: None))
    known = {option.name: option.default for option in command.params}
    assert changed.keys() <= known.keys()
    return options.parse(known | changed)


def test_the_defaults_are_a_demonstration_by_the_contracts_constants(
    options: ModuleType,
) -> None:
    request = parsed(options)
    assert request.data is None
    assert request.finish
    assert request.measured is None
    assert len(request.spec.channels) == 128
    assert request.settings.model.arch == "node_mlp"
    assert request.cofactor is None


def test_own_counts_are_measured_and_only_trained(options: ModuleType) -> None:
    request = parsed(options, data="a.csv", statistics="measure", cofactor=1.0)
    assert not request.finish
    assert float(request.measured.cofactor) == 1.0
    assert request.cofactor == 1.0


def test_an_encoder_has_its_usual_permuter(options: ModuleType) -> None:
    assert parsed(options, arch="d4").settings.model.permuter == "d4"
    assert parsed(options, arch="d4", permuter="none").settings.model.permuter == "none"


def test_abundances_can_be_given_up_in_words_alone(options: ModuleType) -> None:
    with pytest.raises(SettingsError, match=r"128 of 128 channels.*abundance_lost=1"):
        parsed(options, spec=LOST)
    assert parsed(options, spec=LOST, abundance_lost=1).spec.channels


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        pytest.param({"perm": 1.2}, "permuter none has no permutation", id="perm"),
        pytest.param({"arch": "cell_graph"}, "without masks", id="cells-of-nothing"),
        pytest.param(
            {**CELLS, "augment": 1}, "however it is turned", id="cells-turned"
        ),
        pytest.param({**CELLS, "gradient": 0.1}, "has no grid", id="cells-gradient"),
        pytest.param({**CELLS, "cells": 1}, "geometry cells is 1", id="one-cell"),
        pytest.param({"arch": "mlp"}, "arch is 'mlp'", id="arch"),
        pytest.param({"statistics": "some"}, "statistics is 'some'", id="statistics"),
        pytest.param(
            {"statistics": "measure", "percentiles": "99"}, "expected two", id="percent"
        ),
        pytest.param({"folds": 2}, "folds is 2", id="folds"),
    ],
)
def test_what_can_not_be_meant_is_refused(
    options: ModuleType, changed: dict[str, Any], said: str
) -> None:
    with pytest.raises(SettingsError, match=said):
        parsed(options, **changed)


def test_cell_graphs_are_of_counts_and_deployed_if_asked(
    options: ModuleType,
) -> None:
    request = parsed(options, **CELLS, cells=20, edges="delaunay")
    assert (request.geometry.cells, request.geometry.edges) == (20, "delaunay")
    assert request.settings.model.permuter == "softsort"
    assert len(request.spec.channels) == 16
    assert not request.finish
    asked = parsed(options, **CELLS, finish="all")
    assert asked.finish
    assert asked.contract == ROOT / "contracts" / "imc_counts.json"


@pytest.mark.slow
def test_a_training_on_cell_graphs_is_promoted_and_deployed(tmp_path: Path) -> None:
    demo = DemoSettings(
        mode="counts", channels=16, rows=32, columns=32, patients=6, per_slide=12
    )
    csv = write_demo(tmp_path / "demo", demo)
    command = [
        sys.executable,
        str(FOLDER / "train_imc.py"),
        *("--data", str(csv), "--arch", "cell_graph", "--cells", "16"),
        *("--cofactor", "1", "--kld-scale", "0.0001", "--latent", "16"),
        *("--replicates", "1", "--epochs", "100", "--finish", "all", "--out", "work"),
    ]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert "imc version 1: promoted to champion" in done.stderr
    assert "144 acquisitions, 144 encoded" in done.stderr
    (table,) = (tmp_path / "work" / "latents").glob("*/imc/latents.csv")
    assert table.read_text().startswith(
        "acquisition,slide,patient,unit,y,x,cells,z0000"
    )


@pytest.mark.slow
def test_a_small_training_is_registered_and_resumed(tmp_path: Path) -> None:
    demo = DemoSettings(patients=4, per_slide=8, channels=6)
    csv = write_demo(tmp_path / "demo", demo)
    command = [
        sys.executable,
        str(FOLDER / "train_imc.py"),
        *("--data", str(csv), "--statistics", "measure", "--folds", "4"),
        *("--replicates", "1", "--epochs", "2", "--latent", "4", "--out", "work"),
    ]
    for finished in (False, True):
        done = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-4000:]
        assert "slides or patients held out" in done.stderr
        assert ("finished before" in done.stderr) == finished
        assert "imc version 1" in done.stderr
    bundle = tmp_path / "work" / "bundles" / "imc"
    assert (bundle / "manifest.json").exists()
