"""`normgate check` and `normgate diff --data`, as a person types them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from tests.cli.command import RIGHT, WRONG, run

from normgate.plates.demo import DemoSettings, write_demo


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings = DemoSettings(plates=1, rows=3, timepoints_ms=(0,))
    return write_demo(tmp_path_factory.mktemp("demo"), settings)


def test_what_is_not_red_leaves_with_0_and_writes_its_reports(
    demo: Path, tmp_path: Path
) -> None:
    words = ["--spec", RIGHT, "--sample", "6", "--out", str(tmp_path / "out")]
    result = run("check", str(demo), *words)
    assert result.exit_code == 0, result.output
    assert "0 red" in result.stdout
    assert "6 of 72 rows" in result.stdout
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["check.html", "check.json", "check.png"]


def test_what_is_red_leaves_with_3_and_json_tells_why(
    demo: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "spec.json"
    spec = json.loads(Path(RIGHT).read_text())
    for channel in spec["channels"]:
        channel["input"] = "int16"
    broken.write_text(json.dumps(spec))
    result = run("check", str(demo), "--spec", str(broken), "--sample", "2", "--json")
    assert result.exit_code == 3
    record = json.loads(result.stdout)
    assert record["level"] == "red"
    assert record["findings"][0]["name"].endswith(".input")


def test_a_folder_of_configurations_is_checked(tmp_path: Path) -> None:
    document = {"n_rays": 32, "grid": [2, 2], "n_channel_in": 1}
    (tmp_path / "config.json").write_text(json.dumps(document))
    result = run("check", str(tmp_path))
    assert result.exit_code == 0, result.output
    assert "declares no normalization of image" in result.stdout


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("check", "nothing.json"), "nothing.json holds no configuration of MONAI"),
        (("check", "nothing.csv"), "nothing.csv can't be read as a table"),
        (("diff", RIGHT, WRONG, "--model", "x"), "--model and --out need --data"),
    ],
    ids=["no-configuration", "no-table", "no-data"],
)
def test_refused_input_is_one_sentence_and_exit_code_2(
    words: tuple[str, ...], sentence: str
) -> None:
    result = run(*words)
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("words", [("check",), ("diff", RIGHT, WRONG, "--data")])
def test_without_the_readers_the_command_says_what_to_install(
    demo: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    readers = tuple(f"normgate.{name}" for name in ("check", "plates", "acquisitions"))
    for name in [name for name in sys.modules if name.startswith(readers)]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tifffile", None)
    result = run(*words, str(demo))
    assert result.exit_code == 2
    assert "tifffile is not installed here" in result.stderr
    assert "pip install 'normgate[train]'" in result.stderr


def test_diff_tells_what_each_spec_makes_of_real_images(
    demo: Path, tmp_path: Path
) -> None:
    words = ["--data", str(demo), "--sample", "6", "--out", str(tmp_path / "out")]
    result = run("diff", RIGHT, WRONG, *words)
    assert result.exit_code == 1
    assert "On 6 of 72 rows" in result.stdout
    record = json.loads((tmp_path / "out" / "diff.json").read_text())
    assert record["predictions"] is None
    assert [one["channel"] for one in record["channels"]] == [
        "RFP1", "HALO", "HALO_MASKED",
    ]  # fmt: skip
    for one in record["channels"]:
        assert one["moved_std"] > 0.2
        assert one["first"]["std"] > one["second"]["std"]
    picture = tmp_path / "out" / "diff.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
