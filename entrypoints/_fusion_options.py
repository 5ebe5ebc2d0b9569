"""The parameters of a fusion training, and what they mean.

What `mlflow run` passes is text; here it becomes one checked request, or a sentence.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import click
from _options import (
    CONTRACTS,
    Command,
    check_counts,
    choose,
    decorated,
    finishes,
    fit_of,
    given,
)

from normgate.contract import provenance_beside, read_spec
from normgate.errors import SettingsError
from normgate.families.fusion.settings import (
    PRESETS,
    DiffusionSettings,
    ModelSettings,
    Preset,
    TaskSettings,
)
from normgate.plates.parameters import words
from normgate.volumes.geometry import VolumeGeometry

if TYPE_CHECKING:
    from normgate.contract import Provenance, Spec
    from normgate.engine.settings import FitSettings

Statistics = Literal["contract", "measure"]
OnRed = Literal["refuse", "record"]
_DEFAULT = PRESETS["stroke"].loss

_OPTIONS = (
    click.option("--data", default="", help="The case CSV; empty: a demonstration."),
    click.option("--preset", default="stroke", help="The clinical question: stroke."),
    click.option("--spec", default="", help="The spec; empty: the contract's own."),
    click.option("--statistics", default="contract", help="Or measure: of the CT."),
    click.option("--audit", default="refuse", help="Or record: train despite red."),
    click.option("--replicates", default=2, help="Seeds and held-out folds."),
    click.option("--folds", default=5, help="Folds of patients; two are held out."),
    click.option("--epochs", default=4, help="Evaluations."),
    click.option("--passes", default=12, help="Passes over the patches in an epoch."),
    click.option("--batch-size", default=8, help="Patches in one step."),
    click.option("--lr", default=0.003, help="The largest learning rate."),
    click.option("--weight-decay", default=0.0001, help="AdamW's."),
    click.option("--alpha", default=_DEFAULT.alpha, help="Likeness with MRI in brain."),
    click.option("--beta", default=_DEFAULT.beta, help="Likeness with CT in bone."),
    click.option("--gamma", default=_DEFAULT.gamma, help="The lesion's weight."),
    click.option("--lambda-roi", default=_DEFAULT.lambda_roi, help="Of all three."),
    click.option("--mode", default="diffusion", help="Or regression."),
    click.option("--prediction", default="v", help="Or x0."),
    click.option("--steps", default=20, help="Of the sampler."),
    click.option("--bound", default="none", help="Or tanh, dynamic."),
    click.option("--size", default="demo", help="Or small, full: MONAI's networks."),
    click.option("--patch", default="32,32", help="rows,columns; slices first for 3D."),
    click.option("--stop-on-red", default=0, help="From this epoch on; 0 never."),
    click.option("--amp", default=1, help="Mixed precision on CUDA; 0 is off."),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One checked call of a fusion training."""

    preset: Preset
    """With the loss weights that were asked for."""
    data: Path | None
    """The case CSV; None for the demonstration."""
    spec: Spec
    provenance: Provenance | None
    statistics: Statistics
    """Whether CT constants are the spec's own, or measured on training cases."""
    audit: OnRed
    """Whether a red audit of the normalization forbids the training."""
    geometry: VolumeGeometry
    replicates: int
    folds: int
    model: ModelSettings
    diffusion: DiffusionSettings
    task: TaskSettings
    fit: FitSettings
    """Of the first replicate; each next has the next seed."""
    out: Path
    finish: bool
    """Whether to bind, promote and deploy."""
    check: str
    """`block`, `warn` or `off`: what a red finding of the data does."""


def fusion_options(command: Command) -> Command:
    """The options of the entry, in the order of its MLproject parameters."""
    return decorated(command, _OPTIONS)


def parse(options: dict[str, Any]) -> Request:
    """Check the options of the entry.

    Raises:
        SettingsError: With the parameter, its value and what is expected.
        SpecError: The spec is absent or not valid.
    """
    choose("statistics", options["statistics"], get_args(Statistics))
    choose("audit", options["audit"], get_args(OnRed))
    check_counts(options)
    preset = _preset(options)
    patch = _patch(options["patch"])
    spec_path = Path(options["spec"] or CONTRACTS / "specs" / preset.spec)
    return Request(
        preset=preset,
        data=given(options),
        spec=read_spec(spec_path),
        provenance=provenance_beside(spec_path),
        statistics=options["statistics"],
        audit=options["audit"],
        geometry=VolumeGeometry(dims=len(patch), patch=patch),
        replicates=options["replicates"],
        folds=options["folds"],
        model=ModelSettings(size=options["size"], dims=len(patch)),
        diffusion=DiffusionSettings(
            mode=options["mode"],
            prediction=options["prediction"],
            steps=options["steps"],
            bound=options["bound"],
        ),
        task=TaskSettings(passes=options["passes"]),
        fit=fit_of(options),
        out=Path(options["out"]),
        finish=finishes(options),
        check=_check(options),
    )


def _preset(options: dict[str, Any]) -> Preset:
    known = PRESETS.get(options["preset"])
    if known is None:
        raise SettingsError(
            f"preset is {options['preset']!r}, expected {', '.join(PRESETS)}"
        )
    weights = {name: options[name] for name in ("alpha", "beta", "gamma", "lambda_roi")}
    return replace(known, loss=replace(known.loss, **weights))


def _patch(text: str) -> tuple[int, ...]:
    parts = words(text)
    if len(parts) not in (2, 3) or not all(part.isdigit() for part in parts):
        raise SettingsError(
            f"patch is {text!r}, expected rows,columns or slices,rows,columns, as 32,32"
        )
    return tuple(int(part) for part in parts)


def _check(options: dict[str, Any]) -> str:
    """What a red finding does; nothing is blocked where red is to be recorded."""
    recorded = options["audit"] == "record" and options["check"] == "block"
    return "warn" if recorded else str(options["check"])
