"""The IMC family for `tune`: one autoencoder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from _imc import bundled, demonstration, planned
from _imc_options import imc_options, parse
from _tune_families import Prepared, passed_on, typed

from normgate.acquisitions.table import acquisitions, read_acquisition_csv
from normgate.errors import SettingsError
from normgate.families.imc.tunable import WEIGHTS, terms_of, tunable_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from _tune_families import Check


def prepared(
    training: Mapping[str, str], out: Path, seed: int, check: Check
) -> Prepared:
    """Read the acquisitions and cut their units."""
    options = typed(imc_options, training, WEIGHTS, "imc")
    request = parse(options | {"out": str(out), "seed": seed})
    if request.settings.model.arch == "cell_graph":
        raise SettingsError(
            "arch is cell_graph, whose loss is not searched; tune a network of grids"
        )
    weights = {name: text for name, text in training.items() if name in WEIGHTS}
    check(terms_of(request.settings, probed=True), weights)
    data = request.data or demonstration(out)
    plan, told = planned(request, data, acquisitions(read_acquisition_csv(data), data))
    return Prepared(
        tunable=tunable_of(
            plan,
            request.fit,
            lambda plan, fit, members, to: bundled(to, told, plan, members, fit),
        ),
        given=weights,
        data=data,
        entry="train_imc",
        training=passed_on(training, WEIGHTS, data),
    )
