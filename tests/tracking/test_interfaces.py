"""What a logged model says it takes is what its bundle takes."""

from __future__ import annotations

import pytest
from tests.engine import bundles as plates
from tests.families.fusion import bundles as heads
from tests.families.fusion.simulated import GEOMETRY, spec

from mlflow_normgate.bundlefiles import FINGERPRINTS
from mlflow_normgate.interfaces import INTERFACES, interface_of
from normgate.errors import BundleError
from normgate.families import FAMILIES, family_of
from normgate.volumes.probe import expected_fingerprint

CARDS = {
    "plate": (plates.spec(), plates.card()),
    "fusion": (spec(), heads.card()),
}


def test_every_family_has_an_interface_and_a_fingerprint() -> None:
    assert set(FAMILIES) == set(INTERFACES) == set(FINGERPRINTS)
    assert set(CARDS) <= set(FAMILIES)


@pytest.mark.parametrize("family", CARDS)
def test_the_logged_example_is_raw_input_of_its_family(family: str) -> None:
    own, card = CARDS[family]
    found = interface_of(own, {"family": family, "classes": card.classes})
    example = found.example
    assert family_of(family).accept(own, card, example) is example
    (raw,) = found.signature.inputs.inputs
    assert raw.type == example.dtype
    assert len(raw.shape) == example.ndim
    named = {output.name for output in found.signature.outputs.inputs}
    assert len(named) == 2


def test_a_server_knows_what_the_probe_of_a_fusion_gives() -> None:
    card = {"geometry": GEOMETRY.to_json()}
    found = FINGERPRINTS["fusion"](spec(), card)
    assert found == expected_fingerprint(spec(), GEOMETRY)
    huge = GEOMETRY.to_json() | {"patch": [4096, 4096]}
    with pytest.raises(ValueError, match="more than"):
        FINGERPRINTS["fusion"](spec(), {"geometry": huge})


def test_an_unknown_family_is_told() -> None:
    with pytest.raises(BundleError, match="names family 'other'"):
        interface_of(plates.spec(), {"family": "other"})
