"""A finding is a vital with a culprit and a mending."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from normgate.gate import Finding, Vital
from normgate.gate.finding import finding, ranked
from normgate.gate.vitals import LEVELS, dead_channel, worst

LEVEL = st.sampled_from(LEVELS)


def test_a_vital_keeps_its_number_threshold_and_level() -> None:
    vital = dead_channel("A", 0.0)
    found = finding(vital, culprit="A", mend="Measure.")
    assert isinstance(found, Vital)
    assert vital.record().items() <= found.record().items()
    assert (found.culprit, found.mend) == ("A", "Measure.")


@given(levels=st.lists(LEVEL, max_size=9))
def test_the_worst_come_first_and_the_rest_keep_their_order(
    levels: list[str],
) -> None:
    found = [
        Finding(
            name=str(number),
            value=0.0,
            threshold=0.0,
            basis="theorem",
            level=level,
            sentence="",
            culprit="",
            mend="",
        )
        for number, level in enumerate(levels)
    ]
    sorted_ = ranked(found)
    assert {one.name for one in sorted_} == {one.name for one in found}
    assert worst(found) == (sorted_[0].level if sorted_ else "green")
    keys = [(-LEVELS.index(one.level), int(one.name)) for one in sorted_]
    assert keys == sorted(keys)
