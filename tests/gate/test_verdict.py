from __future__ import annotations

from decimal import Decimal

import pytest

from normgate.contract import (
    Channel,
    Scale,
    Spec,
    channel_digest,
    contract_for,
    short_digest,
    spec_digest,
)
from normgate.gate import Card, Evidence, Member, Refusal, Verdict, decide
from normgate.gate.verdict import NAMED, some_names


def panel(count: int, gain: str) -> Spec:
    """A spec of many channels that differ in name alone."""
    steps = (Scale(gain=Decimal(gain), offset=Decimal(0)),)
    return Spec(
        channels=tuple(
            Channel(name=f"M{number}", input="uint16", steps=steps)
            for number in range(1, count + 1)
        )
    )


def panel_digests(*gains: str) -> list[str]:
    return [short_digest(channel_digest(panel(1, gain).channels[0])) for gain in gains]


def refused(count: int, members: int = 1, fingerprint: str = "f") -> Verdict:
    """The verdict on a panel whose every channel is normalized wrongly."""
    spec = panel(count, "0.5")
    found = Evidence(
        model_id="m-0",
        ready=True,
        source_run="run",
        spec=spec,
        card=Card(family="panel", metrics={}, vitals=()),
        members=tuple(
            Member(
                file=f"members/{number:02d}.safetensors",
                spec_digest=spec_digest(spec),
                applied_fingerprint="f",
            )
            for number in range(members)
        ),
        expected_fingerprint=fingerprint,
        directory_digest="d",
    )
    contract = contract_for(panel(count, "0.25"), name="panel")
    lenient = contract.model_copy(update={"forbid_red_vitals": False})
    return decide(found, lenient, "d")


def test_an_allowed_verdict_says_nothing() -> None:
    assert Verdict().allowed
    assert Verdict().text == ""


def test_one_refusal_is_its_sentence_and_its_remedy() -> None:
    verdict = Verdict((Refusal("a", "It is so.", "Do that."),))
    assert verdict.text == "It is so. Do that."


def test_what_to_do_stands_second_and_each_remedy_once() -> None:
    refusals = (
        Refusal("a", "A is so.", "Do this."),
        Refusal("b", "B is so.", "Do this."),
        Refusal("c", "C is so.", "Do that."),
        Refusal("d", "D is so.", "Do that."),
    )
    assert Verdict(refusals).text == (
        "A is so. Do this. Also: B is so. C is so. Do that. D is so."
    )


def test_every_rule_counts_what_it_leaves_out() -> None:
    twice = tuple(Refusal("a", f"{n} is so.", "Do this.") for n in range(5))
    again = tuple(Refusal("b", f"{n} is thus.", "Do this.") for n in range(5))
    text = Verdict(twice + again).text
    assert text.count("And 2 more of this kind.") == 2
    assert text.count("Do this.") == 1


def test_three_channels_are_all_told_with_their_constants() -> None:
    text = refused(3).text
    assert text.count("was trained with") == 1
    assert text.count(" instead of ") == 2
    for digest in panel_digests("0.5", "0.25"):
        assert text.count(f"(digest {digest})") == 3
    assert "more" not in text
    assert text.count("Train again with the contract's constants") == 1


@pytest.mark.parametrize(
    ("count", "ending"),
    [
        pytest.param(4, "And 1 more channel: M4.", id="one-more"),
        pytest.param(6, "And 3 more channels: M4, M5, M6.", id="six"),
        pytest.param(
            40,
            f"And 37 more channels: {', '.join(f'M{n}' for n in range(4, 41))}.",
            id="an-imaging-panel",
        ),
    ],
)
def test_of_many_channels_three_are_told_and_the_rest_is_named(
    count: int, ending: str
) -> None:
    verdict = refused(count)
    assert len(verdict.refusals) == count
    assert verdict.text.count("scale by 0.25 plus 0") == 3
    assert verdict.text.endswith(ending)
    assert len(verdict.text) < 1200


def test_a_thousand_channels_still_make_a_text_that_can_be_read() -> None:
    verdict = refused(1000)
    assert len(verdict.refusals) == 1000
    assert verdict.text.endswith("M42, M43 and 957 more.")
    assert len(verdict.text) < 1500


def test_other_rules_are_counted_by_themselves() -> None:
    verdict = refused(2, members=5, fingerprint="e")
    told = verdict.text.partition(" Also: ")[2]
    found, demanded = panel_digests("0.5", "0.25")
    assert told.startswith(
        f"Channel M2 with scale by 0.5 plus 0 (digest {found}) instead of scale by "
        f"0.25 plus 0 (digest {demanded}). Weights members/00.safetensors were trained "
        "on pixels with applied fingerprint f, but the declared spec gives e: "
    )
    assert "Weights members/02.safetensors: f. And 2 more" in told
    assert "And 2 more weights files: members/03.safetensors, members/04" in told
    assert told.endswith(
        "Train it again with this version of normgate and register that run."
    )
    assert verdict.codes == ("other-normalization",) * 2 + ("applied-differs",) * 5


def test_names_are_all_told_up_to_a_number() -> None:
    names = [f"C{number}" for number in range(NAMED + 1)]
    assert some_names(names[:2]) == "C0, C1"
    assert some_names(names[:NAMED]).endswith(f"C{NAMED - 1}")
    assert some_names(names).endswith(f"C{NAMED - 1} and 1 more")
