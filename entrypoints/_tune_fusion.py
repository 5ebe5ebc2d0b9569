"""The fusion family for `tune`: the model of one preset."""

from __future__ import annotations

from typing import TYPE_CHECKING

from _fusion import bundled, demonstration, planned
from _fusion_options import fusion_options, parse
from _tune_families import Prepared, passed_on, typed

from normgate.families.fusion.tunable import WEIGHTS, terms_of, tunable_of
from normgate.volumes.cases import cases, read_case_csv

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from _tune_families import Check


def prepared(
    training: Mapping[str, str], out: Path, seed: int, check: Check
) -> Prepared:
    """Read the cases and cut their patches."""
    options = typed(fusion_options, training, WEIGHTS, "fusion")
    request = parse(options | {"out": str(out), "seed": seed})
    weights = {name: text for name, text in training.items() if name in WEIGHTS}
    check(terms_of(request.preset.loss), weights)
    data = request.data or demonstration(out)
    plan, told = planned(request, data, cases(read_case_csv(data), data))
    return Prepared(
        tunable=tunable_of(
            plan,
            request.fit,
            lambda plan, fit, members, to: bundled(
                to, request, told, plan, members, fit
            ),
        ),
        given=weights,
        data=data,
        entry="train_fusion",
        training=passed_on(training, WEIGHTS, data),
    )
