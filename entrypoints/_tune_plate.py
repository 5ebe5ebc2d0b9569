"""The plate family for `tune`: one model of one preset, one timepoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from _plate import bundled, demonstration, planned, training_of
from _plate_options import parse, plate_options
from _tune_families import Prepared, passed_on, typed

from normgate.errors import SettingsError
from normgate.families.plate.settings import PRESETS
from normgate.families.plate.tunable import terms_of, tunable_of
from normgate.plates.load import sites
from normgate.plates.schema import read_plate_csv

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from _tune_families import Check

SEARCHED = ("lr", "weight_decay", "dropout", "aggregation")


def prepared(
    training: Mapping[str, str], out: Path, seed: int, check: Check
) -> Prepared:
    """Read the plates and make the units of one model."""
    preset = training.get("preset", "rescue")
    if preset not in PRESETS:
        raise SettingsError(
            f"preset is {preset!r}, expected one of {', '.join(PRESETS)}"
        )
    given = {name: text for name, text in training.items() if name != "preset"}
    if PRESETS[preset].per_timepoint:
        given.setdefault("timepoints", "0")
    options = typed(plate_options(preset), given, SEARCHED, "plate")
    request = parse(preset, options | {"out": str(out), "seed": seed})
    if len(request.timepoints) != 1:
        raise SettingsError(
            f"timepoints is {options['timepoints']!r}, expected one: a study is of one "
            "model"
        )
    searched = {name: text for name, text in given.items() if name in SEARCHED}
    check(terms_of(request.model, request.fit, request.aggregation), searched)
    data = request.data or demonstration(out)
    timepoint = request.timepoints[0]
    plan, fingerprint = planned(request, sites(read_plate_csv(data), data), timepoint)
    told = training_of(request, data, plan, timepoint, fingerprint)
    return Prepared(
        tunable=tunable_of(
            plan,
            request.fit,
            lambda plan, fit, members, to: bundled(
                to, request, told, plan, members, fit, timepoint
            ),
        ),
        given=searched,
        data=data,
        entry=f"train_{preset}",
        training=passed_on(given, SEARCHED, data),
    )
