"""Settings refuse what can't be meant; the replay's arms differ as they say."""

from __future__ import annotations

import math
from dataclasses import asdict

import pytest

from normgate.errors import SettingsError
from normgate.families.imc.arms import ARMS
from normgate.families.imc.settings import ImcSettings, LossSettings, ModelSettings


@pytest.mark.parametrize(
    ("kind", "changed", "said"),
    [
        pytest.param(ModelSettings, {"arch": "mlp"}, "arch is 'mlp'", id="arch"),
        pytest.param(ModelSettings, {"permuter": "d4"}, "can have none", id="permuter"),
        pytest.param(ModelSettings, {"latent": 0}, "latent is 0", id="latent"),
        pytest.param(ModelSettings, {"logvar": "silu"}, "silu_legacy", id="logvar"),
        pytest.param(
            ModelSettings, {"arch": "cell_graph", "revin": True}, "revin", id="revin"
        ),
        pytest.param(LossSettings, {"kld_scale": -1.0}, "kld_scale is -1", id="kld"),
        pytest.param(LossSettings, {"cosine": math.nan}, "cosine is nan", id="nan"),
        pytest.param(LossSettings, {"warmup": 2.0}, "warmup is 2", id="warmup"),
        pytest.param(
            LossSettings, {"kl_reduction": "mean"}, "mean_legacy", id="reduction"
        ),
        pytest.param(
            LossSettings, {"free_bits_mode": "elementwise"}, "kingma", id="free-bits"
        ),
    ],
)
def test_what_can_not_be_meant_is_refused(kind: type, changed: dict, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        kind(**changed)


@pytest.mark.parametrize(
    ("model", "loss", "said"),
    [
        pytest.param({}, {"perm": 1.2}, "perm is 1.2, but permuter none", id="perm"),
        pytest.param(
            {"arch": "cell_graph"}, {"gradient": 1.0}, "no grid", id="gradient"
        ),
    ],
)
def test_a_weight_without_anything_to_weigh_is_refused(
    model: dict, loss: dict, said: str
) -> None:
    with pytest.raises(SettingsError, match=said):
        ImcSettings(model=ModelSettings(**model), loss=LossSettings(**loss))


def test_defaults_have_nothing_legacy() -> None:
    for settings in (ModelSettings(), LossSettings()):
        assert not [v for v in asdict(settings).values() if "legacy" in str(v)]


@pytest.mark.parametrize(
    ("name", "base", "differs"),
    [
        ("kl_only", "before", {"loss.kld_scale", "loss.free_bits"}),
        ("losses_only", "before", {"loss.cosine", "loss.gradient"}),
        ("image_z_only", "before", {"normalization"}),
        (
            "after",
            "before",
            {
                "normalization",
                "loss.kld_scale",
                "loss.free_bits",
                "loss.cosine",
                "loss.gradient",
            },
        ),
        ("dataset_z", "after", {"normalization"}),
        ("global_z", "after", {"normalization"}),
        ("after_silu", "after", {"model.logvar"}),
        ("kld_0.01", "kld_0.001", {"loss.kld_scale"}),
        ("kld_0.05_free_2", "kld_0.05", {"loss.free_bits"}),
        ("d4_expectation", "d4_none", {"model.permuter"}),
        ("d4_mixture", "d4_expectation", {"model.permuter"}),
        ("d4_perm_weight", "d4_expectation", {"loss.perm"}),
        ("plain_turned", "d4_none", {"model.arch"}),
        ("set_encoder", "d4_none", {"model.arch"}),
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
    changed = {key for key in one if one[key] != two[key]}
    assert changed == differs | {"name", "about"}


def test_every_arm_is_a_training_that_can_be_meant() -> None:
    for name, arm in ARMS.items():
        assert arm.name == name
        assert arm.settings.model == arm.model
