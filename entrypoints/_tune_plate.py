"""The plate family for `tune`: one model of one preset, one timepoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from _plate import demonstration, planned
from _plate_options import parse, plate_options
from _tune_families import Prepared, typed

from normgate.errors import SettingsError
from normgate.families.plate.settings import PRESETS
from normgate.families.plate.tunable import PlateTunable
from normgate.plates.load import sites
from normgate.plates.schema import read_plate_csv

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

WEIGHTS = ("lr", "weight_decay", "dropout")
_ENTRIES = {name: f"train_{name}" for name in PRESETS}
_NOT_TUNED = {"preset", "replicates", "finish", "out", "seed"}


def prepared(training: Mapping[str, str], out: Path, seed: int) -> Prepared:
    """Read the plates and make the units of one model."""
    preset = training.get("preset", "rescue")
    if preset not in PRESETS:
        raise SettingsError(
            f"preset is {preset!r}, expected one of {', '.join(PRESETS)}"
        )
    given = {name: text for name, text in training.items() if name != "preset"}
    if PRESETS[preset].per_timepoint:
        given.setdefault("timepoints", "0")
    options = typed(plate_options(preset), given, WEIGHTS, "plate")
    request = parse(preset, options | {"out": str(out), "seed": seed})
    if len(request.timepoints) != 1:
        raise SettingsError(
            f"timepoints is {options['timepoints']!r}, expected one: a study is of one "
            "model"
        )
    data = request.data or demonstration(out)
    places = sites(read_plate_csv(data), data)
    plan, origin = planned(request, data, places, request.timepoints[0])
    return Prepared(
        tunable=PlateTunable(plan=plan, fit=request.fit, origin=origin),
        given={name: text for name, text in given.items() if name in WEIGHTS},
        data=data,
        entry=_ENTRIES[preset],
        training={"data": str(data)}
        | {
            name: text
            for name, text in given.items()
            if name not in _NOT_TUNED and name not in WEIGHTS
        },
    )
