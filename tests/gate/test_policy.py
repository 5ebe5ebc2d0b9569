from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal

import pytest

from normgate.contract import (
    Channel,
    Clip,
    Contract,
    Floor,
    Rescale,
    Scale,
    Spec,
    Standardize,
    channel_digest,
    contract_for,
    short_digest,
    spec_digest,
)
from normgate.gate import Card, Evidence, Member, Vital, decide, protected_alias
from normgate.gate.vitals import dead_channel

FINGERPRINT = "f" * 64
DIRECTORY = "d" * 64
IMAGENET = {"RFP1": ("0.485", "0.229"), "HALO": ("0.456", "0.224")}
RANGES = {"RFP1": (963, 9016), "HALO": (1783, 11525)}


def channel(name: str) -> Channel:
    low, high = map(Decimal, RANGES[name])
    mean, std = map(Decimal, IMAGENET[name])
    steps = (
        Clip(low=low, high=high),
        Rescale(low=low, high=high),
        Standardize(mean=mean, std=std),
    )
    return Channel(name=name, input="uint16", steps=steps)


def drifted(name: str) -> Channel:
    fluorescence = Standardize(mean=Decimal("0.2233"), std=Decimal("0.1644"))
    return Channel(name=name, input="uint16", steps=(fluorescence,))


GOOD = Spec(channels=(channel("RFP1"), channel("HALO")))
WRONG = Spec(channels=(drifted("RFP1"), drifted("HALO")))
HALF_WRONG = Spec(channels=(channel("RFP1"), drifted("HALO")))
ONE = Spec(channels=(channel("RFP1"),))
SWAPPED = Spec(channels=(channel("HALO"), channel("RFP1")))
RESPELLED = Spec(
    channels=(
        Channel(
            name="RFP1",
            input="uint16",
            steps=(
                Scale(gain=Decimal(2), offset=Decimal(0)),
                Scale(gain=Decimal("0.5"), offset=Decimal(0)),
                *channel("RFP1").steps,
            ),
        ),
        channel("HALO"),
    )
)
ALIVE = Vital(
    name="norm.RFP1.std",
    value=1.0,
    threshold=10.0,
    basis="measured",
    level="green",
    sentence="Channel RFP1 has std 1.",
)
CONTRACT: Contract = contract_for(
    GOOD, name="plate", floors=(Floor(metric="test_auroc", minimum=Decimal("0.8")),)
)


def evidence(spec: Spec = GOOD, *, auroc: float = 0.9) -> Evidence:
    digest = spec_digest(spec)
    return Evidence(
        model_id="m-" + "0" * 32,
        ready=True,
        source_run="run",
        spec=spec,
        card=Card(family="plate", metrics={"test_auroc": auroc}, vitals=(ALIVE,)),
        members=(
            Member(
                file="members/00.safetensors",
                spec_digest=digest,
                applied_fingerprint=FINGERPRINT,
            ),
        ),
        expected_fingerprint=FINGERPRINT,
        manifest_digest="a" * 64,
        directory_digest=DIRECTORY,
    )


def with_member(**changes: str | None) -> Evidence:
    found = evidence()
    return replace(found, members=(replace(found.members[0], **changes),))  # type: ignore[arg-type]


def with_card(**changes: object) -> Evidence:
    found = evidence()
    assert found.card is not None
    return replace(found, card=replace(found.card, **changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("found", "codes"),
    [
        pytest.param(evidence(), (), id="as-demanded"),
        pytest.param(evidence(RESPELLED), (), id="respelled-is-the-same"),
        pytest.param(evidence(SWAPPED), (), id="channels-are-bound-by-name"),
        pytest.param(evidence(auroc=0.8), (), id="floor-is-inclusive"),
        pytest.param(evidence(auroc=0.799), ("metric-below-floor",), id="below-floor"),
        pytest.param(evidence(auroc=math.nan), ("metric-below-floor",), id="nan-fails"),
        pytest.param(
            with_card(metrics={}), ("metric-below-floor",), id="absent-metric-fails"
        ),
        pytest.param(
            evidence(WRONG), ("other-normalization",) * 2, id="wrong-in-both-channels"
        ),
        pytest.param(
            evidence(HALF_WRONG), ("other-normalization",), id="wrong-in-one-channel"
        ),
        pytest.param(evidence(ONE), ("other-channels",), id="a-channel-is-missing"),
        pytest.param(
            with_member(spec_digest="0" * 64),
            ("weights-of-another-spec",),
            id="spec-json-was-exchanged",
        ),
        pytest.param(
            with_member(spec_digest=None),
            ("weights-of-another-spec",),
            id="weights-say-nothing",
        ),
        pytest.param(
            with_member(applied_fingerprint="0" * 64),
            ("applied-differs",),
            id="declared-was-not-applied",
        ),
        pytest.param(
            with_member(applied_fingerprint=None),
            ("applied-differs",),
            id="nothing-was-applied",
        ),
        pytest.param(
            replace(with_member(applied_fingerprint=None), expected_fingerprint=None),
            ("applied-differs",),
            id="absence-equals-nothing",
        ),
        pytest.param(
            with_card(vitals=(ALIVE, dead_channel("HALO", 0.0))),
            ("red-vital",),
            id="dead-channel",
        ),
        pytest.param(with_card(vitals=()), ("no-vitals",), id="nobody-looked"),
        pytest.param(
            replace(evidence(), ready=False), ("not-ready",), id="upload-unfinished"
        ),
        pytest.param(
            replace(evidence(), source_run=None), ("no-source-run",), id="no-run"
        ),
        pytest.param(
            replace(evidence(), model_id=None, ready=False, source_run=None),
            ("not-a-logged-model",),
            id="no-logged-model",
        ),
        pytest.param(
            replace(evidence(), problems=("spec.json is missing.",)),
            ("incomplete",),
            id="something-is-missing",
        ),
        pytest.param(
            replace(evidence(), manifest_problems=("spec.json was altered.",)),
            ("manifest-broken",),
            id="a-file-was-altered",
        ),
        pytest.param(
            replace(evidence(), directory_digest="0" * 64),
            ("bytes-changed",),
            id="bytes-were-exchanged",
        ),
        pytest.param(
            replace(evidence(WRONG), ready=False, directory_digest=None),
            (
                "not-ready",
                "other-normalization",
                "other-normalization",
                "bytes-changed",
            ),
            id="every-refusal-is-told",
        ),
    ],
)
def test_the_verdict_names_every_refusal(
    found: Evidence, codes: tuple[str, ...]
) -> None:
    verdict = decide(found, CONTRACT, DIRECTORY)
    assert verdict.codes == codes
    assert verdict.allowed == (not codes)


def test_a_model_without_a_contract_is_refused() -> None:
    verdict = decide(evidence(), None, DIRECTORY)
    assert verdict.codes == ("no-contract",)
    assert "normgate contract bind" in verdict.text


def test_a_version_from_before_the_gate_is_refused() -> None:
    assert decide(evidence(), CONTRACT, None).codes == ("no-record",)


def test_a_contract_may_forgive_red_vitals() -> None:
    lenient = CONTRACT.model_copy(update={"forbid_red_vitals": False})
    dying = with_card(vitals=(dead_channel("HALO", 0.0),))
    assert decide(dying, lenient, DIRECTORY).allowed


def test_the_refusal_names_the_channel_and_both_constants() -> None:
    text = decide(evidence(HALF_WRONG), CONTRACT, DIRECTORY).text
    found, demanded = drifted("HALO"), channel("HALO")
    assert text == (
        "Channel HALO was trained with uint16: standardize mean 0.2233 std 0.1644 "
        f"(digest {short_digest(channel_digest(found))}), but contract plate version 1 "
        "demands uint16: clip 1783..11525, rescale 1783..11525 to 0..1, standardize "
        f"mean 0.456 std 0.224 (digest {short_digest(channel_digest(demanded))}). "
        "Train again with the contract's constants, or bind the contract that is meant "
        "for this model."
    )


def test_channels_that_are_missing_or_too_many_are_named() -> None:
    other = Channel(name="ER", input="uint16", steps=())
    found = evidence(Spec(channels=(channel("RFP1"), other)))
    text = decide(found, CONTRACT, DIRECTORY).text
    assert "demands (missing: HALO; not demanded: ER). Train on" in text
    assert "(missing: HALO)." in decide(evidence(ONE), CONTRACT, DIRECTORY).text


@pytest.mark.parametrize(
    ("alias", "protected"),
    [
        ("champion", True),
        ("production", True),
        ("Candidate", True),
        ("candidate", False),
        ("challenger", False),
    ],
)
def test_every_alias_outside_the_open_list_is_protected(
    alias: str, protected: bool
) -> None:
    assert protected_alias(alias) is protected
