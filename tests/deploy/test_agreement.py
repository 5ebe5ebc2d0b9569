"""Models of one pass must read shared pictures alike."""

from __future__ import annotations

import pytest
from tests.deploy.fakes import fake_model, plate_spec

from normgate.deploy.agreement import check_agreement, check_names
from normgate.errors import DigestMismatch, SettingsError

SIX = ("RFP1:0ms", "HALO:0ms", "RFP1:10000ms", "HALO:10000ms")


def test_three_and_six_channels_of_one_contract_agree() -> None:
    check_agreement(
        [
            fake_model("early", plate_spec(("RFP1", "HALO")), 0),
            fake_model("late", plate_spec(("RFP1", "HALO")), 10000),
            fake_model("both", plate_spec(SIX), None),
        ]
    )


@pytest.mark.parametrize(
    ("names", "timepoint_ms"),
    [(("RFP1", "HALO"), 10000), (SIX, None)],
    ids=["same-name-other-time", "same-picture-other-name"],
)
def test_a_shared_channel_that_differs_is_named(
    names: tuple[str, ...], timepoint_ms: int | None
) -> None:
    right = fake_model("right", plate_spec(("RFP1", "HALO")), 0)
    wrong = fake_model("wrong", plate_spec(names, HALO=(0, 238)), timepoint_ms)
    with pytest.raises(DigestMismatch) as refusal:
        check_agreement([right, wrong])
    words = str(refusal.value)
    assert "HALO of right is uint16: rescale 1783..11525" in words
    assert "of wrong is uint16: rescale 0..238" in words
    assert "RFP1" not in words


def test_one_picture_of_its_own_timepoint_may_have_its_own_constants() -> None:
    early = fake_model("early", plate_spec(("RFP1:0ms",)), None)
    late = fake_model("late", plate_spec(("RFP1:10000ms",), RFP1=(5, 99)), None)
    check_agreement([early, late])


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "a;b"])
def test_a_name_that_is_no_folder_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="can't name a folder"):
        check_names(["rescue-0ms", name])


def test_a_model_given_twice_is_refused() -> None:
    with pytest.raises(SettingsError, match="more than once"):
        check_names(["a", "b", "a"])
