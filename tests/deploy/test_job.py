"""The job file names every difference, and the lock keeps a second process out."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from normgate.deploy.job import differences, file_sha256, locked, open_job
from normgate.errors import DigestMismatch, SettingsError

if TYPE_CHECKING:
    from pathlib import Path

PINS = {
    "data": {"sha256": "a" * 64, "sites": 3},
    "models": {"m": {"version": "1", "manifest_digest": "b" * 64}},
    "settings": {"batch_size": 8},
}


def test_the_same_job_is_resumed(tmp_path: Path) -> None:
    assert open_job(tmp_path, PINS) is False
    assert open_job(tmp_path, PINS) is True


@pytest.mark.parametrize(
    ("section", "value", "words"),
    [
        ("data", {"sha256": "c" * 64, "sites": 3}, "data.sha256 was aaaa"),
        ("settings", {"batch_size": 9}, "settings.batch_size was 8, is 9"),
        ("models", {"n": {"version": "1"}}, "models.m.version was 1, is absent"),
    ],
    ids=["other-csv", "other-batch", "other-model"],
)
def test_another_job_is_refused_by_name(
    tmp_path: Path, section: str, value: dict[str, object], words: str
) -> None:
    open_job(tmp_path, PINS)
    with pytest.raises(DigestMismatch, match=words):
        open_job(tmp_path, {**PINS, section: value})


def test_every_difference_is_named() -> None:
    assert differences({"a": {"b": 1}, "c": 2}, {"a": {"b": 2}, "d": 3}) == [
        "a.b was 1, is 2",
        "c was 2, is absent",
        "d was absent, is 3",
    ]


def test_predictions_without_a_job_file_are_of_unknown_origin(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "part-00000.parquet").write_bytes(b"")
    with pytest.raises(DigestMismatch, match="unknown"):
        open_job(tmp_path, PINS)


@pytest.mark.parametrize("text", ["{", "[]", ""])
def test_a_damaged_job_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "deploy.json").write_text(text)
    with pytest.raises(DigestMismatch, match=r"deploy\.json"):
        open_job(tmp_path, PINS)


def test_a_second_holder_is_refused_and_the_lock_ends(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(SettingsError, match="another process"):  # noqa: SIM117
        with locked(tmp_path):
            pass
    with locked(tmp_path):
        pass


def test_leftovers_of_a_killed_write_are_removed(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    leftover = tmp_path / "m" / ".part-00000.parquet.abc"
    kept = tmp_path / "m" / "part-00000.parquet"
    for file in (leftover, kept):
        file.write_bytes(b"x")
    with locked(tmp_path):
        pass
    assert not leftover.exists()
    assert kept.exists()


def test_the_digest_is_that_of_the_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"plate,well\n")
    assert file_sha256(path) == hashlib.sha256(b"plate,well\n").hexdigest()
    with pytest.raises(SettingsError, match="absent"):
        file_sha256(tmp_path / "absent.csv")
