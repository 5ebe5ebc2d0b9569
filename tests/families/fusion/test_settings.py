"""Settings refuse what can't be meant; the replay's arms differ as they say."""

from __future__ import annotations

import math
from dataclasses import asdict

import pytest

from normgate.errors import SettingsError
from normgate.families.fusion.arms import ARMS
from normgate.families.fusion.settings import (
    PRESETS,
    DiffusionSettings,
    LossSettings,
    ModelSettings,
)


@pytest.mark.parametrize(
    ("kind", "changed", "said"),
    [
        pytest.param(ModelSettings, {"size": "huge"}, "size is 'huge'", id="size"),
        pytest.param(ModelSettings, {"dims": 4}, "dims is 4", id="dims"),
        pytest.param(
            ModelSettings,
            {"size": "small", "conditioning": "pooled_legacy"},
            "use concat",
            id="pooled-needs-demo",
        ),
        pytest.param(DiffusionSettings, {"prediction": "eps"}, "eps_legacy", id="eps"),
        pytest.param(DiffusionSettings, {"steps": 0}, "steps is 0", id="no-steps"),
        pytest.param(
            DiffusionSettings, {"steps": 2000}, "1 to 1000", id="more-steps-than-levels"
        ),
        pytest.param(DiffusionSettings, {"train_steps": 1}, "train_steps", id="levels"),
        pytest.param(
            DiffusionSettings, {"bound_low": 6.0}, "the lower first", id="bounds"
        ),
        pytest.param(
            DiffusionSettings, {"bound_scale": 0.0}, "bound_scale is 0", id="scale"
        ),
        pytest.param(
            DiffusionSettings, {"bound_quantile": math.nan}, "is nan", id="quantile"
        ),
        pytest.param(LossSettings, {"gamma": -1.0}, "gamma is -1", id="gamma"),
        pytest.param(LossSettings, {"beta": math.nan}, "beta is nan", id="nan"),
        pytest.param(LossSettings, {"target": "mean"}, "roi_composite", id="target"),
    ],
)
def test_what_can_not_be_meant_is_refused(kind: type, changed: dict, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        kind(**changed)


def test_defaults_have_nothing_legacy() -> None:
    for settings in (ModelSettings(), DiffusionSettings(), LossSettings()):
        assert not [v for v in asdict(settings).values() if "legacy" in str(v)]


def test_the_stroke_preset_has_the_weights_of_the_post_mortem() -> None:
    loss = PRESETS["stroke"].loss
    assert (loss.alpha, loss.beta, loss.gamma) == (1.0, 1.2, 3.0)
    assert PRESETS["stroke"].model_name == "fusion-stroke"


@pytest.mark.parametrize(
    ("name", "base", "differs"),
    [
        ("normalization_only", "before", {"ct"}),
        ("clamp_only", "before", {"diffusion.bound"}),
        ("weights_only", "before", {"loss.beta", "loss.gamma"}),
        (
            "after",
            "before",
            {"ct", "diffusion.bound", "loss.beta", "loss.gamma"},
        ),
        ("after_no_clamp", "after", {"diffusion.bound"}),
        ("after_window", "after", {"ct"}),
        ("best_minmax_ct", "best", {"ct"}),
        ("best_masked_z_ct", "best", {"ct"}),
        ("best_window_ct", "best", {"ct"}),
        ("best_pooled", "best", {"model.conditioning"}),
        ("after_pooled", "after", {"model.conditioning"}),
        ("before_legacy_sampler", "before", {"diffusion.sampler", "trained_as"}),
        ("best_legacy_sampler", "best", {"diffusion.sampler", "trained_as"}),
    ],
)
def test_an_arm_changes_what_its_name_says(
    name: str, base: str, differs: set[str]
) -> None:
    def flat(arm: str) -> dict[str, object]:
        found: dict[str, object] = {}
        for key, value in asdict(ARMS[arm]).items():
            inner = value if isinstance(value, dict) else {"": value}
            found |= {f"{key}.{k}".rstrip("."): v for k, v in inner.items()}
        return found

    one, two = flat(name), flat(base)
    assert {key for key in one if one[key] != two[key]} == differs | {"name", "about"}
