"""Golden digests are promises: a changed one is a line in the CHANGELOG."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from normgate.contract import (
    Channel,
    Rescale,
    Standardize,
    channel_digest,
    describe_channel,
    read_spec,
    spec_digest,
)

ROOT = Path(__file__).resolve().parents[2]
SPECS = ROOT / "contracts" / "specs"
GOLDEN = json.loads((ROOT / "tests" / "golden" / "spec_digests.json").read_text())


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_digests_are_the_promised_ones(name: str) -> None:
    spec = read_spec(SPECS / f"{name}.json")
    found = {channel.name: channel_digest(channel) for channel in spec.channels}
    assert {"spec": spec_digest(spec), **found} == GOLDEN[name]


def test_every_shipped_spec_has_a_golden_digest() -> None:
    assert {path.stem for path in SPECS.glob("*.json")} == set(GOLDEN)


def test_a_digest_can_be_computed_by_hand() -> None:
    """The canonical bytes, spelled out, so that other software can reproduce them."""
    spec = read_spec(SPECS / "plate_3ch.json")
    canonical = (
        '{"format":"normgate.normal-form/1","input":"uint16","operations":['
        '{"gain":"1000/1844137","high":"9016","low":"963",'
        '"offset":"-4868705/1844137","operation":"clamp_affine"}]}'
    )
    by_hand = hashlib.sha256(canonical.encode()).hexdigest()
    assert channel_digest(spec.channels[0]) == by_hand


def test_three_and_six_channels_agree_by_marker() -> None:
    three = read_spec(SPECS / "plate_3ch.json")
    six = read_spec(SPECS / "plate_6ch.json")
    by_marker = {c.marker: channel_digest(c) for c in three.channels}
    assert [channel_digest(c) for c in six.channels] == [
        by_marker[c.marker] for c in six.channels
    ]
    assert [c.timepoint_ms for c in six.channels] == [0, 0, 0, 10000, 10000, 10000]
    assert spec_digest(three) != spec_digest(six)


def test_the_fluorescence_constants_agree_in_no_channel() -> None:
    right = read_spec(SPECS / "plate_3ch.json")
    wrong = read_spec(SPECS / "plate_3ch_fluorescence.json")
    pairs = zip(right.channels, wrong.channels, strict=True)
    assert all(channel_digest(a) != channel_digest(b) for a, b in pairs)


def test_torchvision_and_transformers_spellings_of_imagenet_agree() -> None:
    """x/255 then mean and std, against mean and std times 255 in one step."""
    mean, std = "0.485", "0.229"
    two = Channel(
        name="R",
        input="uint8",
        steps=(
            Rescale(low=0, high=255),
            Standardize(mean=float(mean), std=float(std)),
        ),
    )
    one = Channel(
        name="R", input="uint8", steps=(Standardize(mean=123.675, std=58.395),)
    )
    assert channel_digest(two) == channel_digest(one)


def test_a_channel_reads_as_a_sentence() -> None:
    spec = read_spec(SPECS / "plate_3ch.json")
    assert describe_channel(spec.channels[0]) == (
        "uint16: clip 963..9016, rescale 963..9016 to 0..1, "
        "standardize mean 0.485 std 0.229"
    )
