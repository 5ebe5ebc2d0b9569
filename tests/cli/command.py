"""The `normgate` command, as a person types it."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner, Result

from normgate.cli import main

ROOT = Path(__file__).resolve().parents[2]
SPECS = ROOT / "contracts" / "specs"
RIGHT, SIX = str(SPECS / "plate_3ch.json"), str(SPECS / "plate_6ch.json")
WRONG = str(SPECS / "plate_3ch_fluorescence.json")


def run(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))
