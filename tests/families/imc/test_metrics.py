"""Metrics are what their names say, whatever made the images."""

from __future__ import annotations

import numpy as np
import pytest
from tests.families.imc.simulated import drawn

from normgate.contract import Arcsinh, Channel, Clip, Spec, Standardize
from normgate.contract.imc import image_z, revin
from normgate.contract.steps import RescaleSample, exact
from normgate.errors import SpecError
from normgate.families.imc.metrics import (
    channel_r2,
    image_scores,
    latent_scores,
    legacy_scores,
    probes,
)
from normgate.families.imc.space import (
    Inverse,
    loses_abundance,
    measured_space,
    sample_statistics,
)
from normgate.transform.apply import Normalizer

RNG = np.random.default_rng(0)
TRUTH = RNG.normal(size=(40, 20, 4, 4)) + RNG.normal(size=(40, 20, 1, 1))
SCALE = np.ones(20)


def of_mean() -> np.ndarray:
    return np.broadcast_to(TRUTH.mean(axis=(0, 2, 3), keepdims=True), TRUTH.shape)


def test_a_perfect_reconstruction_has_every_score() -> None:
    found = image_scores(TRUTH, TRUTH, SCALE)
    assert found == dict.fromkeys(found, pytest.approx(1.0))


def test_the_mean_of_all_units_scores_nothing() -> None:
    found = image_scores(of_mean(), TRUTH, SCALE)
    assert found == dict.fromkeys(found, pytest.approx(0.0, abs=1e-9))


def test_abundance_and_layout_are_told_apart() -> None:
    means = np.broadcast_to(TRUTH.mean(axis=(2, 3), keepdims=True), TRUTH.shape)
    flat = image_scores(means, TRUTH, SCALE)
    assert flat["abundance_r2"] == pytest.approx(1)
    assert flat["spatial_r2"] == pytest.approx(0)
    assert flat["sharpness"] == 0
    layout = image_scores(TRUTH - means, TRUTH, SCALE)
    assert layout["spatial_r2"] == pytest.approx(1)
    assert layout["abundance_r2"] < 0.05


def test_the_lowest_tenth_of_the_channels_is_looked_at_by_itself() -> None:
    found, scale = TRUTH.copy(), SCALE.copy()
    found[:, 3:5] = 5.0
    scale[3:5] = 1e-3
    scores = image_scores(found, TRUTH, scale)
    assert scores["r2_median"] == pytest.approx(1)
    assert scores["r2_low_scale"] < 0


def test_a_constant_channel_scores_nothing_instead_of_infinity() -> None:
    truth = TRUTH.copy()
    truth[:, 0] = 2.0
    assert channel_r2(TRUTH, truth)[0] == 0


def test_a_latent_that_stays_the_same_has_no_active_dimension() -> None:
    mu = np.zeros((30, 4))
    mu[:, 0] = RNG.normal(size=30)
    found = latent_scores(mu, np.zeros((30, 4)))
    assert found["active_units"] == 1
    assert found["active_share"] == 0.25
    assert found["kl_true"] == pytest.approx(0.5 * np.square(mu).sum() / 30)


def test_probes_read_what_is_there_and_nothing_else() -> None:
    latent = RNG.normal(size=(200, 6))
    number, word = 2 * latent[:, 1], np.where(latent[:, 2] > 0, "a", "b")
    noise = RNG.normal(size=200)
    labels = {
        name: (values[:150], values[150:])
        for name, values in {"n": number, "w": word, "noise": noise}.items()
    }
    found = probes(latent[:150], latent[150:], labels)
    assert found["n_probe"] > 0.99
    assert found["w_probe"] > 0.9
    assert found["noise_probe"] < 0.2


def test_legacy_scores_change_with_the_scale_and_r2_does_not() -> None:
    found = TRUTH + 0.1
    one, two = legacy_scores(found, TRUTH), legacy_scores(9 * found, 9 * TRUTH)
    assert two["legacy_mse"] == pytest.approx(81 * one["legacy_mse"])
    assert channel_r2(9 * found, 9 * TRUTH) == pytest.approx(channel_r2(found, TRUTH))


def counts(channels: int = 3) -> np.ndarray:
    lam = 20 * np.random.default_rng(1).gamma(2.0, size=(6, channels, 5, 5))
    return np.random.default_rng(2).poisson(lam).astype(np.float32)


def dataset(high: float = 1e6) -> Spec:
    steps = (
        Clip(low=exact(0), high=exact(high)),
        Arcsinh(cofactor=exact(2)),
        Standardize(mean=exact(3.1), std=exact(0.7)),
    )
    names = ("A", "B", "C")
    channels = (Channel(name=n, input="float32", steps=steps) for n in names)
    return Spec(channels=tuple(channels))


def undone(spec: Spec, raw: np.ndarray, own: bool) -> np.ndarray:
    normalized = np.stack([Normalizer(spec)(unit) for unit in raw])
    measured = np.stack([sample_statistics(spec, list(unit)) for unit in raw])
    inverse = Inverse(spec, measured)
    return inverse.own(normalized, measured) if own else inverse(normalized)


@pytest.mark.parametrize(
    ("spec", "own"),
    [
        pytest.param(dataset(), False, id="arcsinh-and-z"),
        pytest.param(
            Spec(channels=tuple(image_z(name=n) for n in "ABC")), True, id="image-z"
        ),
        pytest.param(
            Spec(channels=tuple(revin(name=n) for n in "ABC")), True, id="revin"
        ),
        pytest.param(
            Spec(
                channels=tuple(
                    Channel(name=n, input="float32", steps=()) for n in "ABC"
                )
            ),
            False,
            id="none",
        ),
    ],
)
def test_normalization_is_undone(spec: Spec, own: bool) -> None:
    raw = counts()
    assert undone(spec, raw, own) == pytest.approx(raw, rel=1e-4, abs=1e-3)


def test_what_was_clipped_comes_back_as_the_bound() -> None:
    raw = counts()
    assert undone(dataset(high=30), raw, False).max() == pytest.approx(30, rel=1e-4)


def test_a_latent_is_not_given_what_each_image_measured() -> None:
    """By the training's mean statistics all images come back with one mean."""
    spec = Spec(channels=tuple(image_z(name=n) for n in "ABC"))
    means = undone(spec, counts(), False).mean(axis=(2, 3))
    assert means.std(axis=0).max() < 1e-3
    assert loses_abundance(spec) == ("A", "B", "C")
    assert loses_abundance(dataset()) == ()


def test_a_step_that_can_not_be_undone_is_refused_by_name() -> None:
    step = image_z(name="A").steps[0].model_dump() | {
        "kind": "rescale_sample",
        "low_percentile": exact(1),
        "high_percentile": exact(99),
        "method": "linear",
        "clip": True,
    }
    del step["ddof"]
    spec = Spec(
        channels=(Channel(name="A", input="float32", steps=(RescaleSample(**step),)),)
    )
    with pytest.raises(SpecError, match="channel 'A' can't be undone"):
        Inverse(spec, np.zeros((1, 1, 2)))


def test_the_space_standardizes_its_training_split() -> None:
    raw = drawn().raw
    for cofactor in (None, 2.0):
        found = measured_space(raw, cofactor).of_raw(raw)
        assert found.mean(axis=(0, 2, 3)) == pytest.approx(np.zeros(12), abs=1e-6)
        assert found.std(axis=(0, 2, 3)) == pytest.approx(np.ones(12), rel=1e-6)
