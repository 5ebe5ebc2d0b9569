"""The parameters of the four plate trainings, and what they mean.

What `mlflow run` passes is text; here it becomes one checked request, or a sentence.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from _options import (
    CONTRACTS,
    Command,
    check_counts,
    decorated,
    finishes,
    fit_of,
    given,
)

from normgate.contract import provenance_beside, read_spec
from normgate.errors import SettingsError
from normgate.families.plate.settings import PRESETS, ModelSettings, Preset
from normgate.plates.geometry import Geometry
from normgate.plates.parameters import whole_numbers, words
from normgate.plates.well_score import checked_way

if TYPE_CHECKING:
    from collections.abc import Callable

    from normgate.contract import Provenance, Spec
    from normgate.engine.settings import FitSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One checked call of a plate training."""

    preset: Preset
    data: Path | None
    """The plate CSV; None for the demonstration."""
    spec: Spec
    provenance: Provenance | None
    geometry: Geometry
    timepoints: tuple[int | None, ...]
    """One model each; None alone where every channel names its own timepoint."""
    replicates: int
    folds: int
    model: ModelSettings
    aggregation: str
    """How units become wells where wells are judged."""
    fit: FitSettings
    """Of the first replicate; each next has the next seed."""
    out: Path
    finish: bool
    """Whether to bind, promote, deploy and aggregate."""
    check: str
    """`block`, `warn` or `off`: what a red finding of the data does."""


def plate_options(preset: str) -> Callable[[Command], Command]:
    """The options of an entry, in the order of its MLproject parameters."""
    options = [
        click.option("--data", default="", help="The plate CSV; empty: a demo."),
        click.option("--spec", default="", help="The spec; empty: the contract's own."),
        click.option("--classes", default="", help="negative,positive; empty: usual."),
        *([_TIMEPOINTS] if PRESETS[preset].per_timepoint else []),
        click.option("--replicates", default=3, help="3 to try out; 10 to publish."),
        click.option("--folds", default=5, help="Folds of wells; two are held out."),
        click.option("--epochs", default=40, help="Passes over the training wells."),
        click.option("--batch-size", default=32, help="Units in one step."),
        click.option("--lr", default=0.003, help="The largest learning rate."),
        click.option("--weight-decay", default=0.01, help="AdamW's."),
        click.option("--dropout", default=0.2, help="Before the last layer."),
        click.option(
            "--backbone", default="demo", help="Or resnet10, resnet18, timm:<n>."
        ),
        click.option(
            "--intensity-jitter", default=0.0, help="Random gain and offset; 0 is off."
        ),
        click.option(
            "--aggregation", default="mean", help="Or median, trimmed, weighted."
        ),
        click.option("--geometry", default="tile", help="site, tile or cell."),
        click.option("--window", default=32, help="Pixels cut out; not for site."),
        click.option("--size", default=32, help="Pixels that the network sees."),
        click.option("--border", default="drop", help="drop, reflect or zero."),
    ]

    return lambda command: decorated(command, options)


_TIMEPOINTS = click.option(
    "--timepoints", default="0,10000", help="Milliseconds; one model for each."
)


def parse(preset_name: str, options: dict[str, Any]) -> Request:
    """Check the options of an entry.

    Raises:
        SettingsError: With the parameter, its value and what is expected.
        SpecError: The spec is absent or not valid.
    """
    preset = _preset(PRESETS[preset_name], options["classes"])
    finish = finishes(options)
    check_counts(options)
    kind = options["geometry"]
    spec_path = Path(options["spec"] or CONTRACTS / "specs" / preset.spec)
    times = whole_numbers("timepoints", options.get("timepoints", ""))
    if preset.per_timepoint and not times:
        raise SettingsError(
            "timepoints is empty, expected milliseconds such as 0,10000"
        )
    return Request(
        preset=preset,
        data=given(options),
        spec=read_spec(spec_path),
        provenance=provenance_beside(spec_path),
        geometry=Geometry(
            kind=kind,
            window=None if kind == "site" else options["window"],
            size=options["size"],
            border=options["border"],
        ),
        timepoints=times or (None,),
        replicates=options["replicates"],
        folds=options["folds"],
        model=ModelSettings(
            backbone=options["backbone"],
            dropout=options["dropout"],
            intensity_jitter=options["intensity_jitter"],
        ),
        aggregation=checked_way("aggregation", options["aggregation"]),
        fit=fit_of(options),
        out=Path(options["out"]),
        finish=finish,
        check=options["check"],
    )


def _preset(preset: Preset, classes: str) -> Preset:
    names = words(classes)
    if not names:
        return preset
    if len(names) != 2 or names[0] == names[1]:
        raise SettingsError(
            f"classes is {classes!r}, expected two names, negative before positive"
        )
    return replace(preset, classes=(names[0], names[1]))
