from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.tracking.bundle_files import CONTRACT, RIGHT, WRONG

from mlflow_normgate.notes import (
    BEGIN,
    CUT,
    END,
    MAX_DESCRIPTION,
    MAX_NOTE,
    Said,
    escaped,
    version_note,
    with_note,
)
from normgate.contract import (
    Channel,
    Contract,
    Scale,
    Spec,
    channel_digest,
    contract_for,
    short_digest,
    spec_digest,
)

NOON = 1_763_726_400_000
REFUSED = Said(
    target="champion",
    allowed=False,
    text="Channel RFP1 is not as demanded. Train again.",
    contract="plate version 1",
    when_ms=NOON,
    actor="user alice",
)
ALLOWED = Said(
    target="production",
    allowed=True,
    contract="plate version 1",
    when_ms=NOON - 60_000,
    actor="user bob",
)


def note(
    spec: Spec | None = WRONG,
    contract: Contract | None = CONTRACT,
    verdicts: tuple[Said, ...] = (),
    problems: tuple[str, ...] = (),
) -> str:
    return version_note(
        spec,
        spec_digest=None if spec is None else spec_digest(spec),
        manifest_digest="a" * 64,
        contract=contract,
        verdicts=verdicts,
        problems=problems,
    )


def panel(count: int, wrong: tuple[int, ...] = ()) -> Spec:
    def gain(number: int) -> Decimal:
        return Decimal("0.25") if number in wrong else Decimal("0.5")

    return Spec(
        channels=tuple(
            Channel(
                name=f"MARKER-{number}",
                input="uint16",
                steps=(Scale(gain=gain(number), offset=Decimal(0)),),
            )
            for number in range(count)
        )
    )


def rows(text: str) -> dict[str, list[str]]:
    """The cells of a note's table by channel."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    cells = [[c.strip().removesuffix("&emsp;") for c in x.split("|")] for x in lines]
    return {row[1]: row[2:-1] for row in cells[1:]}


def test_the_heading_tells_the_last_verdict() -> None:
    text = note(verdicts=(REFUSED, ALLOWED))
    heading, sentence, *_ = text.split("\n\n")
    assert heading == (
        "Refused: champion under contract plate version 1, 2025-11-21 12:00:00 UTC; "
        "who asked: user alice."
    )
    assert sentence == "> Channel RFP1 is not as demanded. Train again."
    assert "- 2025-11-21 11:59:00 UTC: production allowed; who asked: user bob" in text
    assert note(RIGHT, verdicts=(ALLOWED,)).startswith("Allowed: production under ")


def test_before_any_verdict_the_contract_in_force_is_told() -> None:
    told = "No verdict yet, contract in force: "
    assert note().startswith(f"{told}plate version 1.\n")
    without = note(contract=None)
    assert without.startswith(f"{told}none.\n")
    assert [cells[-1] for cells in rows(without).values()] == ["none in force"] * 3


def test_only_the_last_few_verdicts_are_told() -> None:
    text = note(verdicts=(REFUSED, *[ALLOWED] * 9))
    assert text.count("who asked: user bob") == 4


def test_the_table_holds_what_is_computed_against_what_is_demanded() -> None:
    found = rows(note())
    assert list(found) == ["RFP1", "HALO", "HALO_MASKED"]
    computes, digest, contract = found["RFP1"]
    assert computes.startswith("uint16: rescale 0..65535 to 0..1, standardize mean 0.2")
    assert digest == f"`{short_digest(channel_digest(WRONG.channels[0]))}`"
    assert contract.startswith("**differs**: uint16: clip 963..9016, ")
    assert contract.endswith(f" `{short_digest(CONTRACT.channels[0].digest)}`")
    right = rows(note(RIGHT))
    assert [cells[-1] for cells in right.values()] == ["the same"] * 3
    digests = f"Spec `{short_digest(spec_digest(WRONG))}`, bundle `{'a' * 12}`."
    assert digests in note().split("\n\n")


def test_channels_that_are_missing_or_not_demanded_are_told() -> None:
    spec = Spec(channels=(RIGHT.channels[0], *panel(1).channels))
    found = rows(note(spec))
    assert found["MARKER-0"][-1] == "**no such channel**"
    assert found["HALO"][:2] == ["**missing**", "none"]
    assert found["HALO"][-1].startswith("**differs**: uint16: clip 1783")


def test_a_version_of_nothing_tells_what_is_wrong() -> None:
    text = note(None, None, problems=("The bundle has no spec.json.", "It is empty."))
    assert "> The bundle has no spec.json. It is empty." in text
    assert "Spec none" in text
    assert rows(text) == {}
    assert "It is empty" not in note(
        None, verdicts=(REFUSED,), problems=("It is empty",)
    )


@pytest.mark.parametrize("count", [60, 1000])
def test_of_many_channels_those_that_differ_are_kept(count: int) -> None:
    demanded = contract_for(panel(count), name="panel")
    found = rows(note(panel(count, wrong=(5, count - 1)), demanded))
    *channels, rest = found
    assert len(channels) > 10
    assert {"MARKER-5", f"MARKER-{count - 1}"} < set(channels)
    assert rest == f"and {count - len(channels)} more channels"
    assert found[rest][-1] == "0 of them differ"
    all_wrong = note(panel(count, wrong=tuple(range(count))), demanded)
    assert len(all_wrong) <= MAX_NOTE
    assert f"| {count - len(rows(all_wrong)) + 1} of them differ |" in all_wrong


@pytest.mark.parametrize("letter", ["x", "<"])
def test_long_words_leave_room_for_the_table(letter: str) -> None:
    long = Said(
        target=letter * 255,
        allowed=False,
        text=letter * 9000,
        contract=letter * 90,
        when_ms=NOON,
        actor=letter * 256,
    )
    text = note(verdicts=(long,) * 9)
    assert len(text) <= MAX_NOTE
    assert len(rows(text)) == 3


def test_forty_channels_fit() -> None:
    assert len(rows(note(panel(40), contract_for(panel(40), name="panel")))) == 40


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("plate_3ch and test_auroc", "plate_3ch and test_auroc"),
        ("uint16: clip 963..9016", "uint16: clip 963..9016"),
        ("<img src=//h/x>", "&lt;img src=//h/x&gt;"),
        ("![x](https://h/x.png)", r"\!\[x\](https&#58;//h/x.png)"),
        ("@bob, a@b.org", "&#64;bob, a&#64;b.org"),
        ("www.h.org", r"www\.h.org"),
        (":tada:", "&#58;tada:"),
        ("a | b", r"a \| b"),
        ("_a_ *b* `c` ~~d~~", r"\_a\_ \*b\* \`c\` \~\~d\~\~"),
        ("a\n\n# b\u2028c", r"a \# b c"),
        ("\x00a\u202eb\ud800c", "abc"),
        (f"{END} x", r"&lt;\!-- end of normgate's note --&gt; x"),
    ],
)
def test_what_comes_from_outside_is_shown_as_it_is_written(
    text: str, safe: str
) -> None:
    assert escaped(text) == safe


def test_nothing_in_a_note_is_left_unescaped() -> None:
    evil = "<img src=x> | [a](b)"
    said = Said(
        target=evil, allowed=False, text=evil, contract=evil, when_ms=NOON, actor=evil
    )
    text = note(verdicts=(said, said), problems=(evil,))
    assert text.count(escaped(evil)) == 6
    assert "<" not in text
    assert "[a]" not in text.replace(r"\[a\]", "")


def test_what_a_person_wrote_is_kept_on_both_sides() -> None:
    first = with_note("My words.", "one\n\nand one")
    assert first == f"My words.\n\none {BEGIN}\n\nand one\n\n{END}"
    second = with_note(f"{first}\n\nMore of mine.\n", "two")
    assert second == f"My words.\n\ntwo {BEGIN}\n\n{END}\n\nMore of mine."
    assert with_note(None, "one") == f"one {BEGIN}\n\n{END}"


@pytest.mark.parametrize(
    "description",
    [
        pytest.param(f"mine\n{BEGIN}\nold", id="end-mark-deleted"),
        pytest.param(f"mine\n\nold\n{END}", id="begin-mark-deleted"),
        pytest.param(f"{END} mine {BEGIN} old", id="crossed"),
    ],
)
def test_a_mark_that_lost_its_fellow_takes_no_words_with_it(description: str) -> None:
    found = with_note(with_note(description, "one"), "two")
    assert "mine" in found
    assert "old" in found
    assert found.count(BEGIN) == found.count(END) == 1
    assert "one" not in found


def test_a_note_is_cut_at_a_line_before_a_person_is() -> None:
    words = "w" * (MAX_DESCRIPTION - 400)
    found = with_note(words, note(verdicts=(REFUSED,)))
    assert found.startswith(f"{words}\n\nRefused: champion under contract ")
    assert found.endswith(f"{CUT}\n\n{END}")
    assert len(found) <= MAX_DESCRIPTION
    full = "w" * (MAX_DESCRIPTION - 10)
    assert with_note(full, note()) == full


PIECES = st.sampled_from([BEGIN, END, "\n", "words", " ", "#", "w" * 2400])


@given(st.lists(PIECES, max_size=8).map("".join), st.text(min_size=1, max_size=80))
def test_a_note_that_is_replaced_leaves_no_trace(description: str, other: str) -> None:
    last = note(verdicts=(REFUSED,))
    once = with_note(description, last)
    assert with_note(with_note(description, "." + escaped(other)), last) == once
    assert with_note(once, last) == once
    assert len(once) <= max(MAX_DESCRIPTION, len(description))
