"""The documentation of attacks is that of the attacks there are."""

from __future__ import annotations

from tests.attacks import table
from tests.attacks.catalog import ATTACKS, Layer


def test_the_document_lists_every_attack_and_nothing_else() -> None:
    assert sorted(table.written()) == sorted(one.title for one in ATTACKS), table.STALE
    assert table.DOCUMENT.read_text() == table.document(table.written()), table.STALE


def test_what_remains_says_what_to_do_about_it() -> None:
    rest = [one for one in ATTACKS if one.stopped_by is Layer.NOTHING]
    assert rest
    for one in rest:
        assert one.instead.endswith(".")
        assert one.instead in table.written()[one.title]


def test_a_sentence_is_shown_without_what_changes() -> None:
    said = f"m-{'0a' * 16} has {'ab' * 6}, in /x/served-sqlite/y\n[SQL: no]"
    assert table.sentence(said) == "m-… has …, in /folder/y"
    long = table.sentence("word " * 100)
    assert long.endswith("word …")
    assert len(long) <= table.MOST + 2
