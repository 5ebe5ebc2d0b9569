"""The shipped contract on embeddings refuses what the incident prescribed."""

from __future__ import annotations

import pytest
from tests.conftest import ROOT

from normgate.contract import read_contract, read_spec, spec_digest
from normgate.errors import SettingsError
from normgate.families.imc.space import loses_abundance
from normgate.families.imc.statistics import refuse_lost_abundance
from normgate.families.imc.vitals import imc_vitals
from normgate.gate import Card, Evidence, Member, decide

SPECS = ROOT / "contracts" / "specs"
CONTRACT = read_contract(ROOT / "contracts" / "imc.json")
LOST = {
    "kl_true": 106.0,
    "kl_reported": 110.0,
    "active_share": 1.0,
    "diversity": 0.5,
    "spatial_r2": 0.63,
    "abundance_r2": 0.01,
    "r2_low_scale": 0.17,
    "dead_weights": 0.0,
    "density_probe": -0.01,
    "legacy_cosine_loss": 0.28,
}
"""What the prescribed repair came to in the replay."""


def evidence(name: str, **changed: float) -> Evidence:
    spec = read_spec(SPECS / f"{name}.json")
    vitals = imc_vitals(LOST | changed, "linear")
    return Evidence(
        model_id="m-" + "0" * 32,
        ready=True,
        source_run="run",
        spec=spec,
        card=Card(family="imc", metrics={}, vitals=vitals),
        members=(
            Member(
                file="members/00.safetensors",
                spec_digest=spec_digest(spec),
                applied_fingerprint="f" * 64,
            ),
        ),
        expected_fingerprint="f" * 64,
        manifest_digest="a" * 64,
        directory_digest="d" * 64,
    )


def test_a_model_of_the_contracts_constants_is_allowed() -> None:
    found = evidence("imc", abundance_r2=0.9, density_probe=0.9)
    assert decide(found, CONTRACT, "d" * 64).allowed


def test_a_model_of_standardized_images_is_refused_channel_by_channel() -> None:
    verdict = decide(evidence("imc_legacy_image_z"), CONTRACT, "d" * 64)
    other = [one for one in verdict.refusals if one.code == "other-normalization"]
    assert len(other) == 128
    assert other[0].sentence.startswith(
        "Channel E0001 was trained with float32: standardize each channel by its own"
    )
    assert "contract imc version 1 demands float32: clip" in other[0].sentence


def test_its_vitals_alone_refuse_it_too() -> None:
    verdict = decide(evidence("imc"), CONTRACT, "d" * 64)
    red = {one.code for one in verdict.refusals}
    assert red == {"red-vital"}


def test_a_training_that_deletes_abundances_must_be_asked_for() -> None:
    lost = read_spec(SPECS / "imc_legacy_image_z.json")
    assert len(loses_abundance(lost)) == 128
    with pytest.raises(SettingsError, match="abundance_lost=1"):
        refuse_lost_abundance(lost, asked=False)
    refuse_lost_abundance(lost, asked=True)
    refuse_lost_abundance(read_spec(SPECS / "imc.json"), asked=False)
