"""The design: labels by plate, groups, and where statistics came from."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from normgate.check.design import confounded, cramers_v, few_groups, fitted_on
from normgate.check.facts import PlateFacts
from normgate.contract import Provenance

CROSSED = [("WT", "P1"), ("APP", "P1"), ("WT", "P2"), ("APP", "P2")]
PAIRS = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from("xyz")), min_size=2, max_size=40
)


@pytest.mark.parametrize(
    ("wells", "level"),
    [
        pytest.param(CROSSED * 8, "green", id="crossed"),
        pytest.param([("WT", "P1"), ("APP", "P2")] * 16, "red", id="label-is-plate"),
        pytest.param([("WT", "P1"), ("APP", "P2")] * 2, "red", id="four-wells"),
        pytest.param(
            [("WT", "P1"), ("APP", "P2")] * 12 + CROSSED * 3, "yellow", id="mostly"
        ),
        pytest.param([("WT", "P1"), ("APP", "P1")] * 5, "green", id="one-plate"),
        pytest.param([], "green", id="no-labels"),
    ],
)
def test_labels_that_go_with_plates_are_confounded(
    wells: list[tuple[str, str]], level: str
) -> None:
    assert confounded(wells).level == level


@given(pairs=PAIRS)
def test_cramers_v_is_symmetric_and_within_0_and_1(
    pairs: list[tuple[str, str]],
) -> None:
    v, turned = cramers_v(pairs), cramers_v([(b, a) for a, b in pairs])
    assert math.isnan(v) == math.isnan(turned)
    if not math.isnan(v):
        assert v == pytest.approx(turned, abs=1e-6)
        assert 0 <= v <= 1


@given(times=st.integers(2, 20), kinds=st.integers(2, 6))
def test_what_is_told_without_error_has_v_1_however_few(times: int, kinds: int) -> None:
    pairs = [(str(kind), f"P{kind}") for kind in range(kinds)] * times
    assert cramers_v(pairs) == pytest.approx(1)


def test_chance_alone_gives_few_samples_no_v() -> None:
    # phi^2 = 1/9 and n = 12: (1/9 - 1/11) / (1 - 1/11) = 1/45; uncorrected V is 0.33.
    pairs = [("a", "x")] * 4 + [("a", "y")] * 2 + [("b", "x")] * 2 + [("b", "y")] * 4
    assert cramers_v(pairs) == pytest.approx(math.sqrt(1 / 45))


@pytest.mark.parametrize(
    ("groups", "level"),
    [pytest.param(2, "red", id="two"), pytest.param(3, "green", id="three")],
)
def test_each_label_needs_a_group_in_each_part(groups: int, level: str) -> None:
    wells = [("WT", f"w{n}") for n in range(groups)]
    wells += [("APP", f"a{n}") for n in range(9)]
    found = few_groups(wells)
    assert (found.level, found.culprit, found.value) == (level, "WT", groups)


OTHER = "2 split groups 0123456789ab"
MINE = "3 split groups ba9876543210"


@pytest.mark.parametrize(
    ("origin", "digest", "training", "level"),
    [
        pytest.param(None, "d", "", None, id="unknown"),
        pytest.param("", "d", "", "yellow", id="all-rows-of-this-table"),
        pytest.param("", "other", "", "green", id="another-table"),
        pytest.param(MINE, "d", MINE, "green", id="the-training-groups"),
        pytest.param(f"pixels above 0; {MINE}", "d", MINE, "green", id="and-a-mask"),
        pytest.param(OTHER, "d", MINE, "red", id="other-groups"),
        pytest.param("", "d", MINE, "red", id="all-rows-though-groups-are-known"),
        pytest.param("", "other", MINE, "yellow", id="another-table-groups-known"),
    ],
)
def test_statistics_of_what_is_held_out_leak(
    origin: str | None, digest: str, training: str, level: str | None
) -> None:
    provenance = None
    if origin is not None:
        provenance = Provenance(
            source="plates.csv",
            source_digest="d",
            estimator="exact histogram",
            restriction=origin,
        )
    facts = PlateFacts(
        channels=(),
        pictures=(),
        alike={},
        places=(),
        files={},
        provenance=provenance,
        table_digest=digest,
        training=frozenset({"g"} if training else ()),
        training_statement=training,
    )
    levels = [one.level for one in fitted_on(facts)]
    assert levels == ([] if level is None else [level])
