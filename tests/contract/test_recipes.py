"""Percentile files become specs; ImageNet is bound by marker."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from normgate.contract import read_spec, spec_digest
from normgate.contract.recipes import percentile_spec, read_percentiles
from normgate.errors import SpecError

SPECS = Path(__file__).resolve().parents[2] / "contracts" / "specs"
INCIDENT = {
    "RFP1": {"p1": 963, "p99": 9016},
    "HALO": {"p1": 1783, "p99": 11525},
    "HALO_MASKED": {"p99": 238.0, "p1": 0},
}


def test_the_incidents_percentiles_give_the_shipped_specs() -> None:
    ranges, provenance = read_percentiles(json.dumps(INCIDENT).encode(), "p.json")
    markers = tuple(INCIDENT)
    three = percentile_spec(ranges, input_type="uint16", imagenet=markers)
    six = percentile_spec(
        ranges, input_type="uint16", imagenet=markers, timepoints_ms=(0, 10000)
    )
    assert spec_digest(three) == spec_digest(read_spec(SPECS / "plate_3ch.json"))
    assert spec_digest(six) == spec_digest(read_spec(SPECS / "plate_6ch.json"))
    assert provenance.channels[2].percentiles == ((1, 0), (99, 238))


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        pytest.param({"p1": 9, "p99": 3}, "intensity 9 must be", id="exchanged"),
        pytest.param({"p1": 9}, "expected two percentiles", id="one"),
        pytest.param({"p1": 1, "p99": "x"}, "expected a number, found 'x'", id="text"),
        pytest.param({"low": 1, "high": 2}, "marker 'RFP1'", id="other-keys"),
    ],
)
def test_a_bad_percentile_file_names_the_marker(entry: object, sentence: str) -> None:
    with pytest.raises(SpecError, match=sentence):
        read_percentiles(json.dumps({"RFP1": entry}).encode(), "p.json")


def test_imagenet_must_bind_every_marker() -> None:
    ranges = {"A": (Decimal(0), Decimal(1)), "B": (Decimal(0), Decimal(1))}
    with pytest.raises(SpecError, match="bound to A, but the markers are A, B"):
        percentile_spec(ranges, input_type="uint16", imagenet=("A",))
