"""Comparing specs: same or not, where, by how much, in words and as a picture."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from tests.transform import specs

from normgate.contract import Channel, Clip, Rescale, Scale, Spec, read_spec
from normgate.transform.compare import compare, explain, plot
from normgate.transform.table import table

SPECS = Path(__file__).resolve().parents[2] / "contracts" / "specs"


def named(name: str) -> Spec:
    return read_spec(SPECS / f"{name}.json")


def test_a_spec_is_the_same_as_itself_respelled() -> None:
    scaled = Scale(gain=Decimal("0.5"), offset=0)
    first = Channel(name="A", input="uint8", steps=(Rescale(low=0, high=2),))
    second = Channel(name="A", input="uint8", steps=(scaled,))
    comparison = compare(specs.spec(first), specs.spec(second))
    assert comparison.same
    assert not comparison.differing
    assert "the same" in explain(comparison)


def test_the_wrong_normalization_is_described_with_figures() -> None:
    right, wrong = named("plate_3ch"), named("plate_3ch_fluorescence")
    comparison = compare(right, wrong)
    assert [pair.name for pair in comparison.differing] == list(right.names)
    found = comparison.channels[0].difference
    assert found is not None
    apart = np.abs(table(right.channels[0]) - table(wrong.channels[0]))
    assert found.largest == pytest.approx(apart.max(), rel=1e-6)
    assert found.where == apart.argmax()
    assert found.count == np.count_nonzero(apart)
    lines = explain(comparison).splitlines()
    assert lines[0] == "The two specs are not the same: 3 of 3 channels differ."
    assert "clip 963..9016" in lines[1]
    assert "by up to 2.77035 (at 9016: 2.24891 against -0.52144)" in lines[1]


def test_channels_of_both_timepoints_are_paired_by_marker() -> None:
    comparison = compare(named("plate_3ch"), named("plate_6ch"))
    assert not comparison.same
    assert not comparison.differing
    assert len(comparison.channels) == 6
    assert "Every channel computes the same" in explain(comparison)


def test_a_channel_of_one_spec_only_is_told() -> None:
    comparison = compare(specs.spec(specs.RFP1, specs.CT), specs.spec(specs.RFP1))
    assert "Channel CT stands in the first spec only." in explain(comparison)
    comparison = compare(specs.spec(specs.RFP1), specs.spec(specs.RFP1, specs.CT))
    assert "Channel CT stands in the second spec only." in explain(comparison)


def test_other_constants_with_equal_floats_are_told() -> None:
    small = Decimal("1e-30")
    one = Channel(name="A", input="uint8", steps=(Scale(gain=1, offset=0),))
    two = Channel(name="A", input="uint8", steps=(Scale(gain=1, offset=small),))
    zero = Channel(name="A", input="uint8", steps=(Clip(low=1, high=9),))
    comparison = compare(specs.spec(one), specs.spec(two))
    assert not comparison.same
    assert "They differ at 1 of 256 intensities, 0 to 0" in explain(comparison)
    last = compare(
        specs.spec(zero),
        specs.spec(zero.model_copy(update={"steps": (*zero.steps, *two.steps)})),
    )
    assert "Yet all 256 intensities compared give the same." in explain(last)


def test_integer_dtypes_are_compared_where_they_overlap() -> None:
    narrow = Channel(name="A", input="uint8", steps=())
    wide = Channel(name="A", input="int16", steps=())
    found = compare(specs.spec(narrow), specs.spec(wide)).channels[0].difference
    assert found is not None
    assert (found.compared, found.count) == (256, 0)


def test_float_channels_are_compared_on_a_grid() -> None:
    wide = Channel(name="X", input="float32", steps=(Clip(low=0, high=10000),))
    found = compare(specs.spec(specs.FLOAT), specs.spec(wide)).channels[0].difference
    assert found is not None
    assert found.largest == pytest.approx(10000 - 2.2489, abs=1)


def test_what_can_not_be_compared_by_intensity_is_told() -> None:
    one = specs.sampled(specs.standardize_sample())
    two = specs.sampled(specs.standardize_sample(ddof=1))
    floats = Channel(name="A", input="float32", steps=())
    for other in (two, floats):
        comparison = compare(specs.spec(one), specs.spec(other))
        assert "can't be compared intensity by intensity" in explain(comparison)


@pytest.mark.parametrize("other", ["plate_3ch_fluorescence", "plate_3ch"])
def test_a_picture_is_drawn(other: str, tmp_path: Path) -> None:
    path = tmp_path / "new" / "difference.png"
    plot(compare(named("plate_3ch"), named(other)), path, ("trained", "deployed"))
    assert path.read_bytes().startswith(b"\x89PNG")


def test_a_picture_of_nothing_comparable_is_drawn_too(tmp_path: Path) -> None:
    plot(compare(specs.spec(specs.RFP1), specs.spec(specs.CT)), tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 1000
