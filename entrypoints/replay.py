"""Replay an incident: before, after and best practice, side by side, several seeds."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, get_args

import click
from _replay import replay, seeds_of
from _replay_record import record_parent

from mlflow_normgate.entry import run_entry
from normgate.errors import SettingsError
from normgate.incidents import open_incident
from normgate.incidents.port import Place, Size, chosen_arms
from normgate.plates.parameters import words

logger = logging.getLogger(__name__)
SPECS = Path(__file__).resolve().parent.parent / "contracts" / "specs"


@click.command()
@click.option("--incident", default="rescue", help="rescue, fusion or imc.")
@click.option("--seeds", default="0,1,2", help="One training of each arm for each.")
@click.option("--arms", default="", help="Names separated by commas; empty: all.")
@click.option("--size", default="demo", help="demo: minutes; reduced: for tests.")
@click.option("--out", default="work/replay", help="Where everything is written.")
def main(**options: Any) -> None:
    """Replay an incident: before, after and best practice, side by side."""
    marks = {"normgate.incident": options["incident"]}
    with run_entry("replay", options, marks) as parent:
        if options["size"] not in get_args(Size):
            expected = " or ".join(get_args(Size))
            raise SettingsError(f"size is {options['size']!r}, expected {expected}")
        name = options["incident"]
        out = Path(options["out"]) / name / options["size"]
        incident = open_incident(
            name, Place(out=out, specs=SPECS, size=options["size"])
        )
        arms = chosen_arms(incident, words(options["arms"]))
        table = replay(parent, incident, arms, seeds_of(options["seeds"]), out)
        for line in record_parent(parent.tracker, incident, table, out / "summary"):
            logger.info("%s", line)


if __name__ == "__main__":
    main()
