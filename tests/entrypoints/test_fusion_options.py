"""The parameters of the fusion training: what they become, and every refusal."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from normgate.errors import SettingsError

if TYPE_CHECKING:
    from types import ModuleType

FOLDER = Path(__file__).resolve().parents[2] / "entrypoints"


@pytest.fixture
def options(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The entry's own module of options."""
    monkeypatch.syspath_prepend(str(FOLDER))
    spec = importlib.util.spec_from_file_location(
        "fusion_options", FOLDER / "_fusion_options.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "fusion_options", module)
    spec.loader.exec_module(module)
    return module


def defaults(options: ModuleType, **changed: Any) -> dict[str, Any]:
    import click

    command = click.command()(options.fusion_options(lambda **_: None))
    known = {option.name: option.default for option in command.params}
    assert changed.keys() <= known.keys()
    return known | changed


def test_the_defaults_are_a_demonstration_of_the_contract(options: ModuleType) -> None:
    request = options.parse(defaults(options))
    assert request.data is None
    assert request.finish
    assert request.spec.names == ("MRI", "CT")
    assert request.preset.model_name == "fusion-stroke"
    assert (request.geometry.dims, request.geometry.patch) == (2, (32, 32))
    assert request.fit.stop_on_red is None
    assert (request.statistics, request.audit) == ("contract", "refuse")


def test_the_losses_weights_are_the_users(options: ModuleType) -> None:
    chosen = {"alpha": 0.5, "beta": 2.0, "gamma": 0.0, "lambda_roi": 0.1}
    loss = options.parse(defaults(options, **chosen)).preset.loss
    assert {name: getattr(loss, name) for name in chosen} == chosen


def test_three_numbers_are_a_patch_of_a_volume(options: ModuleType) -> None:
    request = options.parse(defaults(options, patch="24,96,96", size="full"))
    assert request.geometry.patch == (24, 96, 96)
    assert (request.model.dims, request.model.size) == (3, "full")


def test_own_data_is_only_trained_unless_asked(options: ModuleType) -> None:
    own = defaults(options, data="cases.csv")
    assert not options.parse(own).finish
    assert options.parse(own | {"finish": "all"}).finish


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"preset": "tumor"}, "preset is 'tumor', expected stroke"),
        ({"statistics": "guess"}, "statistics is 'guess', expected contract or mea"),
        ({"audit": "ignore"}, "audit is 'ignore', expected refuse or record"),
        ({"patch": "32"}, "patch is '32', expected rows,columns"),
        ({"patch": "32,x"}, "patch is '32,x'"),
        ({"patch": "0,32"}, "geometry patch is"),
        ({"mode": "gan"}, "mode is 'gan'"),
        ({"prediction": "noise"}, "prediction is 'noise'"),
        ({"bound": "soft"}, "bound is 'soft'"),
        ({"steps": 0}, "steps is 0"),
        ({"passes": 0}, "passes is 0"),
        ({"size": "huge"}, "size is 'huge'"),
        ({"alpha": -1.0}, r"alpha is -1\.0"),
        ({"gamma": float("nan")}, "gamma is nan"),
        ({"folds": 2}, "folds is 2, expected 3 to 100"),
        ({"finish": "later"}, "finish is 'later', expected auto, train or all"),
        ({"stop_on_red": -1}, "stop_on_red is -1"),
    ],
)
def test_a_parameter_that_can_not_be_is_named(
    options: ModuleType, changed: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(SettingsError, match=sentence):
        options.parse(defaults(options, **changed))
