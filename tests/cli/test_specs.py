from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.cli.command import RIGHT, SIX, WRONG, run

from normgate.contract import read_spec, spec_digest


def test_show_tells_every_channel_and_digest() -> None:
    result = run("spec", "show", RIGHT)
    assert result.exit_code == 0
    assert result.output.startswith(f"spec {spec_digest(read_spec(Path(RIGHT)))}")
    assert "HALO_MASKED  57336946f5f5" in result.output
    assert "  clip 1783..11525\n" in result.output


def test_digest_prints_the_digest_alone() -> None:
    result = run("spec", "digest", RIGHT)
    assert result.output == spec_digest(read_spec(Path(RIGHT))) + "\n"


def test_table_gives_the_output_of_chosen_intensities() -> None:
    result = run("spec", "table", RIGHT, "--channel", "RFP1", "--at", "0,963,9016")
    assert result.output.splitlines() == [
        "channel,intensity,output",
        "RFP1,0,-2.117904",
        "RFP1,963,-2.117904",
        "RFP1,9016,2.2489083",
    ]


def test_table_writes_every_intensity_of_every_channel(tmp_path: Path) -> None:
    out = tmp_path / "table.csv"
    assert run("spec", "table", RIGHT, "--out", str(out)).exit_code == 0
    assert len(out.read_text().splitlines()) == 1 + 3 * 65536


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("spec", "show", "nothing.json"), "nothing.json: can't be read"),
        (("spec", "table", RIGHT, "--channel", "GFP"), "the spec has RFP1, HALO"),
        (("spec", "table", RIGHT, "--at", "65536"), "uint16 holds 0 to 65535"),
        (("spec", "table", RIGHT, "--at", "x"), "expected whole numbers"),
    ],
)
def test_a_users_error_is_one_sentence_and_exit_code_2(
    words: tuple[str, ...], sentence: str
) -> None:
    result = run(*words)
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_import_percentiles_reproduces_the_shipped_spec(tmp_path: Path) -> None:
    source = tmp_path / "intensity_percentiles.json"
    source.write_text(
        json.dumps(
            {
                "RFP1": {"p1": 963, "p99": 9016},
                "HALO": {"p1": 1783, "p99": 11525},
                "HALO_MASKED": {"p1": 0, "p99": 238},
            }
        )
    )
    out = tmp_path / "spec.json"
    words = ["--imagenet", "RFP1,HALO,HALO_MASKED", "--timepoints", "0,10000"]
    result = run("spec", "import-percentiles", str(source), *words, "--out", str(out))
    assert result.exit_code == 0
    assert spec_digest(read_spec(out)) == spec_digest(read_spec(Path(SIX)))
    assert (tmp_path / "spec.provenance.json").is_file()


def test_diff_of_equal_specs_says_so_and_exits_0() -> None:
    result = run("diff", RIGHT, RIGHT)
    assert result.exit_code == 0
    assert "the same" in result.output


def test_diff_names_channels_constants_and_intensities(tmp_path: Path) -> None:
    picture = tmp_path / "diff.png"
    result = run("diff", RIGHT, WRONG, "--png", str(picture))
    assert result.exit_code == 1
    assert "3 of 3 channels differ" in result.output
    assert "clip 963..9016" in result.output
    assert "mean 0.2233 std 0.1644" in result.output
    assert picture.read_bytes().startswith(b"\x89PNG")
