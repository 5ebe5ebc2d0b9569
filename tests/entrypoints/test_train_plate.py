"""The parameters of the four plate trainings: what they become, and every refusal."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from normgate.contract import read_spec, short_digest, spec_digest
from normgate.errors import NormgateError, SettingsError

if TYPE_CHECKING:
    from types import ModuleType

FOLDER = Path(__file__).resolve().parents[2] / "entrypoints"
PRESETS = ("rescue", "binary", "app", "wt")


@pytest.fixture
def options(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module that the four entries share."""
    monkeypatch.syspath_prepend(str(FOLDER))
    spec = importlib.util.spec_from_file_location(
        "plate_options", FOLDER / "_plate_options.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "plate_options", module)
    spec.loader.exec_module(module)
    return module


def defaults(options: ModuleType, preset: str, **changed: Any) -> dict[str, Any]:
    import click

    command = click.command()(options.plate_options(preset)(lambda **_: None))
    known = {option.name: option.default for option in command.params}
    assert changed.keys() <= known.keys()
    return known | changed


@pytest.mark.parametrize("preset", PRESETS)
def test_the_defaults_are_a_demonstration(options: ModuleType, preset: str) -> None:
    request = options.parse(preset, defaults(options, preset))
    assert request.data is None
    assert request.finish
    assert request.replicates == 3
    channels = 3 if preset == "rescue" else 6
    assert len(request.spec.channels) == channels
    assert request.timepoints == ((0, 10000) if preset == "rescue" else (None,))


def test_own_data_is_only_trained_unless_asked(options: ModuleType) -> None:
    own = defaults(options, "rescue", data="plates.csv")
    assert not options.parse("rescue", own).finish
    assert options.parse("rescue", own | {"finish": "all"}).finish
    demo = defaults(options, "rescue", finish="train")
    assert not options.parse("rescue", demo).finish


def test_classes_can_be_named_otherwise(options: ModuleType) -> None:
    named = defaults(options, "rescue", classes="WT,Null")
    preset = options.parse("rescue", named).preset
    assert preset.classes == ("WT", "Null")
    assert preset.positive == "Null"
    assert preset.model_name(0) == "rescue-0ms"


def test_a_site_has_no_window(options: ModuleType) -> None:
    request = options.parse("rescue", defaults(options, "rescue", geometry="site"))
    assert (request.geometry.window, request.geometry.size) == (None, 32)


def test_the_default_specs_are_the_contracts_own(options: ModuleType) -> None:
    request = options.parse("app", defaults(options, "app"))
    known = read_spec(FOLDER.parent / "contracts" / "specs" / "plate_6ch.json")
    assert short_digest(spec_digest(request.spec)) == short_digest(spec_digest(known))


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"finish": "later"}, "finish is 'later', expected auto, train or all"),
        ({"replicates": 0}, "replicates is 0, expected 1 to 1000"),
        ({"folds": 2}, "folds is 2, expected 3 to 100"),
        ({"timepoints": ""}, "timepoints is empty"),
        ({"timepoints": "0,x"}, "timepoints is '0,x'"),
        ({"classes": "WT"}, "classes is 'WT', expected two names"),
        ({"classes": "WT,WT"}, "negative before positive"),
        ({"geometry": "circle"}, "geometry kind is 'circle'"),
        ({"window": 0}, "geometry window is 0"),
        ({"backbone": "vgg"}, "backbone is 'vgg'"),
        ({"dropout": 1.5}, r"dropout is 1\.5"),
        ({"aggregation": "max"}, "aggregation is 'max', expected one of mean, median"),
        ({"epochs": 0}, "epochs is 0"),
        ({"lr": -1.0}, r"lr is -1\.0"),
        ({"batch_size": 1}, "batch_size is 1"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_a_parameter_that_can_not_be_is_named(
    options: ModuleType, changed: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(SettingsError, match=sentence):
        options.parse("rescue", defaults(options, "rescue", **changed))


def test_a_spec_that_is_absent_is_named(options: ModuleType) -> None:
    wrong = defaults(options, "rescue", spec="no/such.json")
    with pytest.raises(NormgateError, match=r"no/such\.json"):
        options.parse("rescue", wrong)


def test_the_provenance_beside_a_measured_spec_goes_along(
    options: ModuleType, tmp_path: Path
) -> None:
    from normgate.contract import Provenance, write

    source = FOLDER.parent / "contracts" / "specs" / "plate_3ch.json"
    (tmp_path / "spec.json").write_bytes(source.read_bytes())
    made = Provenance(source="plates.csv", source_digest="0" * 64, estimator="exact")
    write(tmp_path / "provenance.json", made)
    measured = defaults(options, "rescue", spec=str(tmp_path / "spec.json"))
    assert options.parse("rescue", measured).provenance == made
