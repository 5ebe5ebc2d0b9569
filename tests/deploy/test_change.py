"""What predictions change when the same images are normalized otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.deploy.fakes import fake_model, plate_spec, write_plates

from normgate.deploy.change import Units, change, spread_sites
from normgate.errors import DataError, SpecError
from normgate.plates.load import PlaneKey, Site, sites
from normgate.plates.schema import read_plate_csv

if TYPE_CHECKING:
    from pathlib import Path

TWO = ("RFP1", "HALO")
OWN = plate_spec(TWO)
OTHER = plate_spec(TWO, RFP1=(0, 65535))
P = st.lists(st.floats(0, 1), min_size=1, max_size=20)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> list[Site]:
    table = write_plates(tmp_path_factory.mktemp("plates"), wells=6)
    return sites(read_plate_csv(table), table)


def test_under_its_own_spec_twice_nothing_changes(places: list[Site]) -> None:
    found = change(fake_model("m", OWN, 0), OWN, OWN, places)
    assert found.own == "first"
    assert found.all.flipped == found.all.moved == 0
    assert found.sites == len(places)
    assert sum(len(one.first) for one in found.by_label.values()) == 4 * len(places)


def test_other_constants_move_predictions_by_label(places: list[Site]) -> None:
    model = fake_model("m", OWN, 0)
    found, back = (
        change(model, one, two, places) for one, two in ((OWN, OTHER), (OTHER, OWN))
    )
    assert found.all.moved > 0.03
    assert (found.own, back.own) == ("first", "second")
    np.testing.assert_array_equal(found.all.first, back.all.second)
    assert found.all.moved == back.all.moved
    head, *rest = found.sentences()
    assert head.startswith("m version 1, trained under the first spec: ")
    assert [line.split(":")[0].strip() for line in rest] == list(found.by_label)
    record = found.record()
    assert record["all"]["units"] == 4 * len(places)
    assert record["all"]["mean_abs_dp"] == found.all.moved


def test_a_spec_of_other_channels_is_refused(places: list[Site]) -> None:
    with pytest.raises(SpecError, match="takes RFP1, HALO in this order"):
        change(fake_model("m", OWN, 0), OWN, plate_spec(("HALO", "RFP1")), places)


def test_an_unreadable_site_is_quarantined_and_the_rest_counts(tmp_path: Path) -> None:
    table = write_plates(tmp_path, wells=3)
    places = sites(read_plate_csv(table), table)
    places[0].planes[PlaneKey("RFP1", 0)].unlink()
    model = fake_model("m", OWN, 0)
    found = change(model, OWN, OTHER, places)
    assert found.sites == len(places) - 1
    assert len(found.quarantined) == 1
    with pytest.raises(DataError, match="none of 1 sites gives a unit; the first"):
        change(model, OWN, OTHER, places[:1])


@given(first=P, data=st.data())
def test_shares_are_shares_and_no_change_is_none(
    first: list[float], data: st.DataObject
) -> None:
    second = data.draw(st.lists(st.floats(0, 1), min_size=len(first),
                                max_size=len(first)))  # fmt: skip
    units = Units(first=np.array(first), second=np.array(second))
    assert 0 <= units.flipped <= 1
    assert 0 <= units.moved <= 1
    same = Units(first=np.array(first), second=np.array(first))
    assert same.flipped == same.moved == 0


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        pytest.param(None, 6, id="all"),
        pytest.param(4, 4, id="some"),
        pytest.param(99, 6, id="more-than-there-are"),
    ],
)
def test_sites_are_taken_evenly_and_in_order(
    places: list[Site], number: int | None, expected: int
) -> None:
    some = places[:6]
    chosen = spread_sites(some, number)
    assert len(chosen) == expected
    assert chosen == [site for site in some if site in chosen]
