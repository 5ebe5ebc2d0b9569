from __future__ import annotations

import json
import math

import pytest

from mlflow_normgate.untrusted import MAX_SENTENCES, json_object, number, shown, some


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param(b"[]", "no JSON object", id="a-list"),
        pytest.param(b'{"a": 1, "a": 2}', "'a' stands more than once", id="twice"),
        pytest.param(b'{"b": {"a": 1, "a": 1}}', "more than once", id="twice-inside"),
        pytest.param('{"a": 1}'.encode("utf-16"), "can't decode", id="utf-16"),
        pytest.param(b'\xef\xbb\xbf{"a": 1}', "BOM", id="byte-order-mark"),
        pytest.param(b'{"a": ' + b"1" * 5000 + b"}", "integer string", id="digits"),
        pytest.param(b"", "Expecting value", id="empty"),
    ],
)
def test_only_one_plain_object_is_read(data: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        json_object(data)


def test_many_keys_are_read_in_bounded_time() -> None:
    keys = {f"k{number}": 0 for number in range(300_000)}
    text = json.dumps(keys)
    assert json_object(text.encode()) == keys
    with pytest.raises(ValueError, match="k299999"):
        json_object((text[:-1] + ', "k299999": 1}').encode())


@pytest.mark.parametrize("value", [True, False, "0.9", " 1", "NaN", "", None, [1], {}])
def test_what_only_looks_like_a_number_is_none(value: object) -> None:
    with pytest.raises(ValueError, match="expected a number"):
        number(value)


def test_numbers_are_read_as_a_card_writes_them() -> None:
    assert (number(1), number(0.5), number("inf")) == (1.0, 0.5, math.inf)
    assert math.isnan(number("nan"))
    with pytest.raises(OverflowError):
        number(10**400)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("plain Größe µm", "plain Größe µm", id="letters"),
        pytest.param("a\u202eb\u200bc", "a\\u202eb\\u200bc", id="direction-and-width"),
        pytest.param("a\nb\x00", "a\\nb\\x00", id="lines"),
        pytest.param("\ud800", "\\ud800", id="lone-surrogate"),
        pytest.param("x" * 601, "x" * 600 + " ...", id="long"),
    ],
)
def test_text_cannot_pretend(text: str, expected: str) -> None:
    assert shown(text) == expected
    shown(text).encode()


def test_of_many_sentences_some_are_told() -> None:
    many = [str(count) for count in range(MAX_SENTENCES + 2)]
    assert some(many)[-2:] == (str(MAX_SENTENCES - 1), "And 2 more of this kind.")
    assert some(many[:2]) == ("0", "1")
