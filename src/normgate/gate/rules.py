"""The rules, each a small pure function of one case that gives its refusals.

What is absent fails, and so does NaN. A refusal's sentence says what and why, its
remedy what to do; `verdict` puts them together, `policy` says which rules are asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from normgate.contract import (
    channel_digest,
    describe_channel,
    describe_steps,
    short_digest,
)
from normgate.gate.verdict import Refusal, some_names

if TYPE_CHECKING:
    from normgate.contract import Channel, Contract, ContractChannel
    from normgate.gate.evidence import Evidence

TRAIN_AGAIN = "Train it again with this version of normgate and register that run."
AS_WRITTEN = "Register the bundle as the training run wrote it."
WEIGHTS = "weights files"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """All that one decision rests on."""

    evidence: Evidence
    contract: Contract | None
    """The contract bound to the registered model; None where none is."""
    registered_digest: str | None
    """The directory digest that the gate recorded when the version was created."""


Rule = Callable[[Case], Iterator[Refusal]]


def contract_is_bound(case: Case) -> Iterator[Refusal]:
    """A model that nobody said anything about can't be promoted."""
    if case.contract is None:
        yield Refusal(
            "no-contract",
            "No contract is bound to this registered model, so there is nothing to "
            "hold its normalization against.",
            "Bind one with `normgate contract bind`.",
        )


def evidence_is_complete(case: Case) -> Iterator[Refusal]:
    """A finished model of a known run, with everything in it readable."""
    found = case.evidence
    if found.model_id is None:
        yield Refusal(
            "not-a-logged-model",
            "The version is not made of a logged model of this server, so its origin "
            "can't be told.",
            "Register a model that normgate's training logged.",
        )
    elif not found.ready:
        yield Refusal(
            "not-ready",
            f"Logged model {found.model_id} is not READY: its upload was not finished.",
            "Let the run finish or log the model again, and register that.",
        )
    if found.model_id is not None and found.source_run is None:
        yield Refusal(
            "no-source-run",
            f"Logged model {found.model_id} names no run that trained it.",
            TRAIN_AGAIN,
        )
    for problem in found.problems:
        yield Refusal("incomplete", problem, TRAIN_AGAIN)


def manifest_is_intact(case: Case) -> Iterator[Refusal]:
    """The bundle holds exactly the files that it was closed with."""
    for problem in case.evidence.manifest_problems:
        yield Refusal("manifest-broken", problem, AS_WRITTEN)


def weights_carry_the_spec(case: Case) -> Iterator[Refusal]:
    """One run's weights can't be put together with another's spec."""
    expected = case.evidence.spec_digest
    for member in case.evidence.members:
        if expected is None or member.spec_digest != expected:
            yield Refusal(
                "weights-of-another-spec",
                f"Weights {member.file} were trained with spec "
                f"{_short(member.spec_digest)}, but spec.json beside them is "
                f"{_short(expected)}.",
                AS_WRITTEN,
                kind=WEIGHTS,
                subject=member.file,
                brief=f"Weights {member.file}: spec {_short(member.spec_digest)}.",
            )


def applied_equals_declared(case: Case) -> Iterator[Refusal]:
    """What training applied to the probe image is what the spec declares."""
    expected = case.evidence.expected_fingerprint
    for member in case.evidence.members:
        if expected is None or member.applied_fingerprint != expected:
            yield Refusal(
                "applied-differs",
                f"Weights {member.file} were trained on pixels with applied "
                f"fingerprint {_short(member.applied_fingerprint)}, but the declared "
                f"spec gives {_short(expected)}: what was declared was not what was "
                "applied.",
                TRAIN_AGAIN,
                kind=WEIGHTS,
                subject=member.file,
                brief=f"Weights {member.file}: {_short(member.applied_fingerprint)}.",
            )


def channels_are_the_contracts(case: Case) -> Iterator[Refusal]:
    """Exactly the contract's channels, no more and no fewer."""
    if case.contract is None or case.evidence.spec is None:
        return
    found = set(case.evidence.spec.names)
    demanded = {channel.name for channel in case.contract.channels}
    lacks, more = sorted(demanded - found), sorted(found - demanded)
    if not lacks and not more:
        return
    differences = [f"missing: {some_names(lacks)}"] if lacks else []
    differences += [f"not demanded: {some_names(more)}"] if more else []
    yield Refusal(
        "other-channels",
        "The model's channels are not those that "
        f"{_contract(case.contract)} demands ({'; '.join(differences)}).",
        "Train on the contract's channels, or bind the contract that is meant for this "
        "model.",
    )


def channels_compute_the_same(case: Case) -> Iterator[Refusal]:
    """Every shared channel is normalized as the contract demands."""
    if case.contract is None or case.evidence.spec is None:
        return
    found = {channel.name: channel for channel in case.evidence.spec.channels}
    for demanded in case.contract.channels:
        channel = found.get(demanded.name)
        if channel is not None and channel_digest(channel) != demanded.digest:
            yield _other_normalization(channel, demanded, case.contract)


def metrics_reach_their_floors(case: Case) -> Iterator[Refusal]:
    """Every floor is reached; a metric that is absent or NaN fails."""
    if case.contract is None or case.evidence.card is None:
        return
    metrics = case.evidence.card.metrics
    for floor in case.contract.floors:
        value = metrics.get(floor.metric)
        if value is None or not value >= float(floor.minimum):
            shown = "absent" if value is None else f"{value:.4g}"
            yield Refusal(
                "metric-below-floor",
                f"Metric {floor.metric} is {shown}, but {_contract(case.contract)} "
                f"demands at least {floor.minimum}.",
                "Look at the run's curves and train a better model.",
                kind="metrics",
                subject=floor.metric,
            )


def no_vital_is_red(case: Case) -> Iterator[Refusal]:
    """No sign of a dead or lying run; a card without vitals fails."""
    contract, card = case.contract, case.evidence.card
    if contract is None or card is None or not contract.forbid_red_vitals:
        return
    if not card.vitals:
        yield Refusal(
            "no-vitals",
            "The model's card holds no vitals, so nobody looked whether the run is "
            "alive.",
            TRAIN_AGAIN,
        )
    for vital in card.vitals:
        if vital.level == "red":
            yield Refusal(
                "red-vital",
                f"Vital {vital.name} is red: {vital.sentence}",
                "Mend its cause and train again.",
                kind="vitals",
                subject=vital.name,
            )


def bytes_are_unchanged(case: Case) -> Iterator[Refusal]:
    """What is served now is what was registered."""
    now = case.evidence.directory_digest
    if case.registered_digest is None:
        yield Refusal(
            "no-record",
            "The version was registered without the gate, so its bytes were not "
            "recorded.",
            "Register the logged model again.",
        )
    elif now != case.registered_digest:
        yield Refusal(
            "bytes-changed",
            f"The model's files changed after it was registered: digest {_short(now)}, "
            f"recorded {_short(case.registered_digest)}.",
            "Find out who changed them, and register the model again from its run.",
        )


def _other_normalization(
    found: Channel, demanded: ContractChannel, contract: Contract
) -> Refusal:
    say = describe_steps if found.input == demanded.input else describe_channel
    digests = _short(channel_digest(found)), _short(demanded.digest)
    return Refusal(
        "other-normalization",
        f"Channel {found.name} was trained with {describe_channel(found)} (digest "
        f"{digests[0]}), but {_contract(contract)} demands "
        f"{describe_channel(demanded)} (digest {digests[1]}).",
        "Train again with the contract's constants, or bind the contract that is meant "
        "for this model.",
        kind="channels",
        subject=found.name,
        brief=f"Channel {found.name} with {say(found)} (digest {digests[0]}) instead "
        f"of {say(demanded)} (digest {digests[1]}).",
    )


def _contract(contract: Contract) -> str:
    return f"contract {contract.name} version {contract.version}"


def _short(digest: str | None) -> str:
    return "none" if digest is None else short_digest(digest)
