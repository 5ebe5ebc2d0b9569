"""Folders of configurations: which files belong together, and what can't be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.interop.written import WINDOW, compose, metadata, write

from normgate.errors import DataError
from normgate.interop import find_configurations
from normgate.interop.files import LARGEST

if TYPE_CHECKING:
    from pathlib import Path

INFERENCE = {"preprocessing": compose(WINDOW)}
STARDIST = {"n_rays": 32, "grid": [2, 2], "n_channel_in": 1}


def test_bundles_are_told_apart_by_folder_and_by_prefix(tmp_path: Path) -> None:
    write(tmp_path / "one/configs/metadata.json", metadata())
    write(tmp_path / "one/configs/inference.json", INFERENCE)
    write(tmp_path / "flat/a__metadata.json", metadata())
    write(tmp_path / "flat/a__inference.json", INFERENCE)
    write(tmp_path / "flat/b__inference.json", INFERENCE)
    found = find_configurations(tmp_path).configurations
    assert {one.name: len(one.files) for one in found} == {
        "one": 2, "flat/a": 2, "flat/b": 1,
    }  # fmt: skip


def test_what_cant_be_read_is_named_and_the_rest_is_read(tmp_path: Path) -> None:
    write(tmp_path / "config.json", STARDIST)
    write(tmp_path / "thresholds.json", {"prob": 0.5})
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "broken.yaml").write_text("a: [")
    (tmp_path / "deep.json").write_text("[" * 100_000)
    (tmp_path / "large.json").write_bytes(b" " * (LARGEST + 1))
    (tmp_path / "readme.txt").write_text("no configuration")
    found = find_configurations(tmp_path)
    assert len(found.configurations) == 1
    assert found.strange == ("thresholds.json",)
    assert found.files == 6
    assert [why.partition(":")[0] for why in found.unreadable] == [
        "broken.json", "broken.yaml", "deep.json", "large.json",
    ]  # fmt: skip


def test_yaml_is_read_without_running_what_it_names(tmp_path: Path) -> None:
    write(tmp_path / "config.json", STARDIST)
    marker = tmp_path / "ran"
    tag = f"!!python/object/apply:pathlib.Path.touch [{marker}]"
    (tmp_path / "evil.yaml").write_text(f"a: {tag}\n")
    assert find_configurations(tmp_path).unreadable
    assert not marker.exists()


def test_the_digest_follows_names_and_bytes(tmp_path: Path) -> None:
    write(tmp_path / "a" / "config.json", STARDIST)
    write(tmp_path / "b" / "config.json", STARDIST)
    one, same = (find_configurations(tmp_path / name).digest for name in "ab")
    assert one == same
    write(tmp_path / "b" / "config.json", {**STARDIST, "n_rays": 64})
    assert find_configurations(tmp_path / "b").digest != one


def test_a_folder_without_any_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "other.json", {"a": 1})
    with pytest.raises(DataError, match=r"no configuration of MONAI.*1 JSON or YAML"):
        find_configurations(tmp_path)
    with pytest.raises(DataError, match="name a file or folder of one"):
        find_configurations(tmp_path / "absent.json")
