"""Folders of configurations: which files belong together, and what can't be read."""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.interop.test_others import CT, KEY, TIMM
from tests.interop.written import WINDOW, compose, metadata, write

from normgate.check.declared import judged
from normgate.errors import DataError
from normgate.interop import find_configurations
from normgate.interop.files import LARGEST

if TYPE_CHECKING:
    from collections.abc import Iterator

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


def test_aliases_upon_aliases_take_no_time(tmp_path: Path) -> None:
    write(tmp_path / "config.json", STARDIST)
    rows = ["a0: &a0 [x, x]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    (tmp_path / "laughs.yaml").write_text("\n".join([*rows, "preprocessing: *a11"]))
    assert find_configurations(tmp_path).strange == ("laughs.yaml",)
    listed = {f"s{n}": f"$@s{n + 1} + @s{n + 1}" for n in range(30)}
    document = {
        "preprocessing": "@s0",
        **listed,
        "s30": [WINDOW],
        "c": {"_target_": "X"},
    }
    write(tmp_path / "b" / "inference.json", document)
    assert find_configurations(tmp_path / "b").configurations


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


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner)
    ),
    max_leaves=4,
)
WHOLE: dict[str, Any] = {
    "metadata": metadata(),
    "inference": INFERENCE,
    "plans": {
        "plans_name": "p",
        "configurations": {"2d": {"normalization_schemes": ["CTNormalization"],
                                  "use_mask_for_norm": [False]}},
        KEY: {"0": CT},
    },
    "rdf": {"type": "model", "format_version": "0.4.9", "inputs": [
        {"name": "raw", "axes": "bcyx", "data_type": "uint8", "data_range": [0, 255],
         "preprocessing": [{"name": "scale_range", "kwargs": {
             "axes": "yx", "min_percentile": 1, "max_percentile": 99}}]}]},
    "timm": TIMM,
    "stardist": STARDIST,
}  # fmt: skip


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place of a document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for key, one in inner:
        yield (*path, key)
        if isinstance(one, dict | list):
            yield from paths(one, (*path, key))


PLACES = [(name, path) for name, whole in WHOLE.items() for path in paths(whole)]


@settings(max_examples=300)
@given(st.sampled_from(PLACES), VALUES)
def test_whatever_stands_in_a_file_the_others_are_read(
    place: tuple[str, tuple[Any, ...]], value: Any
) -> None:
    name, path = place
    document = copy.deepcopy(WHOLE[name])
    inner = document
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / "good" / "config.json", STARDIST)
        write(Path(folder) / "bad" / f"{name}.json", document)
        found = find_configurations(Path(folder))
        assert "good" in {one.name for one in found.configurations}
        for one in found.configurations:
            assert list(judged(one))
