"""Normalization inside a model gives what training saw, bit for bit."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
import torch

from normgate.contract import (
    Arcsinh,
    Channel,
    Clip,
    Rescale,
    Spec,
    Standardize,
    StandardizeSample,
)
from normgate.engine.normalize import RawInput, TableNormalize
from normgate.errors import DataError, SpecError
from normgate.plates.geometry import Geometry
from normgate.plates.load import Loader
from normgate.transform.table import every_value, table

FIRST = {"uint8": 0, "uint16": 0, "int16": -32768}


def channel(name: str, input_type: str, *, arcsinh: bool = False) -> Channel:
    low, high = (3, 238) if input_type == "uint8" else (963, 9016)
    steps = (
        Clip(low=Decimal(low), high=Decimal(high)),
        Rescale(low=Decimal(low), high=Decimal(high)),
        Standardize(mean=Decimal("0.485"), std=Decimal("0.229")),
    )
    extra = (Arcsinh(cofactor=Decimal("0.3")),) if arcsinh else ()
    return Channel(name=name, input=input_type, steps=(*steps, *extra))  # type: ignore[arg-type]


def bits(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array).view(np.uint32)


@pytest.mark.parametrize("arcsinh", [False, True], ids=["affine", "arcsinh"])
@pytest.mark.parametrize("input_type", ["uint8", "uint16", "int16"])
def test_every_value_becomes_the_tables_float(input_type: str, arcsinh: bool) -> None:
    one = channel("A", input_type, arcsinh=arcsinh)
    values = every_value(one.input).astype(input_type).reshape(1, 1, 16, -1)

    found = TableNormalize(Spec(channels=(one,)))(torch.from_numpy(values)).numpy()

    assert np.array_equal(bits(found).ravel(), bits(table(one)))


def test_channels_of_different_types_share_one_wider_container() -> None:
    spec = Spec(channels=(channel("A", "uint16"), channel("B", "uint8")))
    rng = np.random.default_rng(0)
    raw = rng.integers(0, 256, (2, 2, 5, 7)).astype(np.uint16)
    found = TableNormalize(spec)(torch.from_numpy(raw)).numpy()
    for index, one in enumerate(spec.channels):
        assert np.array_equal(bits(found[:, index]), bits(table(one)[raw[:, index]]))


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (torch.zeros(1, 2, 4, 4), "give raw counts as integers"),
        (torch.zeros(1, 3, 4, 4, dtype=torch.uint16), r"expected \(n, 2, h, w\)"),
        (torch.zeros(2, 4, 4, dtype=torch.uint16), "raw counts of shape"),
        (torch.full((1, 2, 4, 4), 256).to(torch.uint16), "channel B holds 256 to 256"),
        (torch.full((1, 2, 4, 4), -1), "channel A holds -1"),
    ],
)
def test_what_is_not_raw_counts_is_refused(raw: torch.Tensor, sentence: str) -> None:
    spec = Spec(channels=(channel("A", "uint16"), channel("B", "uint8")))
    with pytest.raises(DataError, match=sentence):
        TableNormalize(spec)(raw)


def test_a_measured_step_has_no_table() -> None:
    with pytest.raises(SpecError, match="has no table"):
        TableNormalize(Spec(channels=(measured("A"),)))


def measured(name: str) -> Channel:
    step = StandardizeSample(
        scope="channel",
        fit_mask={"kind": "all"},  # type: ignore[arg-type]
        apply_mask={"kind": "all"},  # type: ignore[arg-type]
        ddof=0,
        eps=Decimal("1e-6"),
        eps_placement="add",
        degenerate="zeros",
        outside="keep",
    )
    return Channel(name=name, input="uint16", steps=(step,))


@pytest.mark.parametrize(
    "spec",
    [
        Spec(channels=(channel("A", "uint16"), channel("B", "uint8"))),
        Spec(channels=(measured("A"), channel("B", "uint8"))),
    ],
    ids=["tables", "measured"],
)
@pytest.mark.parametrize("window", [24, 40], ids=["resized", "own-size"])
def test_raw_input_is_the_loaders_own_way(spec: Spec, window: int) -> None:
    geometry = Geometry(kind="tile", window=window, size=40)
    loader = Loader(spec, geometry, timepoint_ms=0)
    rng = np.random.default_rng(1)
    raw = rng.integers(0, 256, (3, 2, window, window)).astype(np.uint16)

    found = RawInput(spec, geometry.size)(torch.from_numpy(raw)).numpy()

    assert np.array_equal(bits(found), bits(loader.from_raw(raw)))
