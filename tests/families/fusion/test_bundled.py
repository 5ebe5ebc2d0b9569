"""Fusion bundles: whole volumes in, fused ones out, and nothing that is not raw."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tests.families.fusion import bundles
from tests.families.fusion.simulated import QUICK, loader, rows

from normgate.errors import BundleError, DataError
from normgate.families import open_bundle
from normgate.families.fusion.diffusion import Diffusion
from normgate.families.fusion.evaluation import fused_units, unit_keys
from normgate.volumes.geometry import stitch

if TYPE_CHECKING:
    from pathlib import Path

    from normgate.engine.bundle import Bundle


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundles.write(tmp_path_factory.mktemp("fusion") / "bundle").bundle


@pytest.fixture(scope="module")
def bundle(folder: Path) -> Bundle:
    return open_bundle(folder)


@pytest.fixture
def raw(heads: Path) -> np.ndarray:
    """One head as raw volumes (1, 2, z, y, x)."""
    own = loader()
    planes = own.planes(own.read(rows(heads)[0]))
    return np.stack([plane.astype(np.float32) for plane in planes])[None]


def test_golden_volumes_hold_every_output_of_every_member(folder: Path) -> None:
    golden = load_file(folder / "golden.safetensors")
    assert set(golden) == {"raw", "output.fused", "output.lesion"}
    assert golden["raw"].shape == (1, 2, 3, 20, 20)
    assert golden["output.fused"].shape == (2, 1, 3, 20, 20)


def test_a_bundle_fuses_what_training_would(
    bundle: Bundle, raw: np.ndarray, heads: Path
) -> None:
    found = bundle.predict(raw)
    assert found["fused"].shape == found["lesion_probability"].shape == (1, 2, 20, 20)
    own = loader()
    first = own.load(rows(heads)[0])
    patches = own.patches(first)
    each = []
    for member in bundle.ensemble.members:
        fused = fused_units(
            member,  # type: ignore[arg-type]
            Diffusion(QUICK),
            patches.images,
            unit_keys(patches.images),
        )
        each.append(stitch(fused.image, patches.boxes, own.geometry, (2, 20, 20)))
    assert np.allclose(found["fused"][0], np.mean(each, axis=0), atol=1e-5)


def test_equal_volumes_are_fused_alike_whatever_comes_along(
    bundle: Bundle, raw: np.ndarray
) -> None:
    alone = bundle.predict(raw)["fused"][0]
    other = raw + np.array([5.0, 0.0], dtype=np.float32).reshape(1, 2, 1, 1, 1)
    together = bundle.predict(np.concatenate([other, raw]))["fused"][1]
    assert np.array_equal(alone, together)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda x: x[:, :1], r"expected raw volumes \(N, 2, Z, Y, X\)"),
        (lambda x: x[0], "of shape"),
        (lambda x: x.astype(complex), "found complex"),
        (lambda x: (x - x.min()) / (x.max() - x.min()), "not in HU: its values run"),
        (lambda x: x / 434 - 0.7, "is not in HU"),
        (lambda x: x + np.float32(0.5), "which int16 can't hold exactly"),
        (lambda x: np.where(x > 500, np.nan, x), "holds NaN or infinity"),
    ],
    ids=["one-channel", "no-cases", "complex", "zero-to-one", "z", "halves", "nan"],
)
def test_what_is_not_raw_is_refused(
    bundle: Bundle, raw: np.ndarray, change: object, sentence: str
) -> None:
    with pytest.raises(DataError, match=sentence):
        bundle.predict(change(raw))  # type: ignore[operator]


@pytest.mark.parametrize(
    ("part", "sentence"),
    [("model", "model settings are not understood"), ("diffusion", "diffusion")],
)
def test_a_card_without_settings_is_refused(part: str, sentence: str) -> None:
    from dataclasses import replace

    from tests.families.fusion.simulated import spec

    from normgate.families.fusion.bundled import FusionBundles

    whole = bundles.card()
    rest = {key: value for key, value in whole.settings.items() if key != part}
    broken = replace(whole, settings=rest)
    family = FusionBundles()
    network = family.network(spec(), whole)
    calls = {
        "model": lambda: family.network(spec(), broken),
        "diffusion": lambda: family.outputs(
            broken, network, torch.zeros(1, 2, 2, 20, 20)
        ),
    }
    with pytest.raises(BundleError, match=sentence):
        calls[part]()
