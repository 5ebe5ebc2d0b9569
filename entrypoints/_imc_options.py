"""The parameters of an IMC training, and what they mean.

What `mlflow run` passes is text; here it becomes one checked request, or a sentence.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
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

from normgate.acquisitions.geometry import CellGeometry, GridGeometry
from normgate.acquisitions.statistics import StatisticsSettings
from normgate.contract import provenance_beside, read_spec
from normgate.errors import SettingsError
from normgate.families.imc.settings import (
    PERMUTERS,
    ImcSettings,
    LossSettings,
    ModelSettings,
)
from normgate.families.imc.statistics import refuse_lost_abundance
from normgate.plates.parameters import words

if TYPE_CHECKING:
    from normgate.acquisitions.geometry import Geometry
    from normgate.contract import Provenance, Spec
    from normgate.engine.settings import FitSettings

Statistics = Literal["contract", "measure"]
NAME = "imc"
"""The registered model, its preset and its contract."""
CELLS = "imc_counts"
"""The usual spec and contract of cell graphs: masks are of images of counts."""
_LOSS, _MODEL = LossSettings(), ModelSettings()

_OPTIONS = (
    click.option("--data", default="", help="Acquisition CSV; empty: a demonstration."),
    click.option("--spec", default="", help="The spec; empty: the contract's own."),
    click.option("--statistics", default="contract", help="Or measure: z by data set."),
    click.option("--markers", default="", help="With measure: which; empty: all."),
    click.option("--percentiles", default="0,99.9", help="With measure: the clip."),
    click.option("--cofactor", default=0.0, help="Of arcsinh, for counts; 0: none."),
    click.option("--abundance-lost", default=0, help="1: train though it is lost."),
    click.option("--replicates", default=2, help="Seeds and held-out folds."),
    click.option("--folds", default=5, help="Of slides or patients; 2 are held out."),
    click.option("--epochs", default=40, help="Passes over the training units."),
    click.option("--batch-size", default=32, help="Units in one step."),
    click.option("--lr", default=0.003, help="The largest learning rate."),
    click.option("--weight-decay", default=0.01, help="AdamW's."),
    click.option("--arch", default=_MODEL.arch, help="Or d4, cell_graph, ..."),
    click.option("--permuter", default="", help="d4, softsort, none; empty: usual."),
    click.option("--latent", default=_MODEL.latent, help="Dimensions of the latent."),
    click.option("--revin", default=0, help="1: a unit's own mean and std beside it."),
    click.option("--augment", default=0, help="1: units turned and mirrored."),
    click.option("--kld-scale", default=_LOSS.kld_scale, help="Weight of the KL."),
    click.option("--free-bits", default=_LOSS.free_bits, help="Nats a dimension."),
    click.option("--free-bits-mode", default=_LOSS.free_bits_mode, help="Or legacy."),
    click.option("--kl-reduction", default=_LOSS.kl_reduction, help="Or mean_legacy."),
    click.option("--warmup", default=_LOSS.warmup, help="Share of the steps."),
    click.option("--cosine", default=_LOSS.cosine, help="Its weight."),
    click.option("--gradient", default=_LOSS.gradient, help="Its weight."),
    click.option("--perm", default=_LOSS.perm, help="Its weight, with a permuter."),
    click.option("--grid", default=6, help="Nodes on each side of a unit."),
    click.option("--pool", default=1, help="Pixels on each side of a node."),
    click.option("--cells", default=32, help="Of cell_graph: most of a unit."),
    click.option("--edges", default="knn", help="Of cell_graph: or delaunay."),
    click.option("--neighbours", default=6, help="Of cell_graph, with knn."),
    click.option("--stop-on-red", default=0, help="From this epoch on; 0 never."),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One checked call of an IMC training."""

    data: Path | None
    """The acquisition CSV; None for the demonstration."""
    spec: Spec
    provenance: Provenance | None
    measured: StatisticsSettings | None
    """What to measure on training acquisitions; None for the spec's own constants."""
    markers: tuple[str, ...]
    cofactor: float | None
    """Of the evaluation space."""
    geometry: Geometry
    replicates: int
    folds: int
    settings: ImcSettings
    augment: bool
    fit: FitSettings
    """Of the first replicate; each next has the next seed."""
    out: Path
    finish: bool
    """Whether to bind, promote and deploy."""
    check: str
    """`block`, `warn` or `off`: what a red finding of the data does."""

    @property
    def contract(self) -> Path:
        """What a model that is bound to no contract is bound to."""
        cells = isinstance(self.geometry, CellGeometry)
        return CONTRACTS / f"{CELLS if cells else NAME}.json"


def imc_options(command: Command) -> Command:
    """The options of the entry, in the order of its MLproject parameters."""
    return decorated(command, _OPTIONS)


def parse(options: dict[str, Any]) -> Request:
    """Check the options of the entry.

    Raises:
        SettingsError: With the parameter, its value and what is expected.
        SpecError: The spec is absent or not valid.
    """
    choose("statistics", options["statistics"], get_args(Statistics))
    check_counts(options)
    measures = options["statistics"] == "measure"
    cells = options["arch"] == "cell_graph"
    if cells:
        _refuse_for_cells(options)
    usual = CELLS if cells else NAME
    spec_path = Path(options["spec"] or CONTRACTS / "specs" / f"{usual}.json")
    spec = read_spec(spec_path)
    if not measures:
        refuse_lost_abundance(spec, bool(options["abundance_lost"]))
    return Request(
        data=given(options),
        spec=spec,
        provenance=provenance_beside(spec_path),
        measured=_measured(options) if measures else None,
        markers=tuple(words(options["markers"])),
        cofactor=options["cofactor"] or None,
        geometry=_geometry(options),
        replicates=options["replicates"],
        folds=options["folds"],
        settings=ImcSettings(model=_model(options), loss=_loss(options)),
        augment=bool(options["augment"]),
        fit=fit_of(options),
        out=Path(options["out"]),
        finish=finishes(options),
        check=options["check"],
    )


def _refuse_for_cells(options: dict[str, Any]) -> None:
    """What cell graphs can't have, in a sentence each."""
    if not options["data"]:
        raise SettingsError(
            "arch is cell_graph, and the demonstration's acquisitions are without "
            "masks; name an acquisition CSV with masks (data)"
        )
    if options["augment"]:
        raise SettingsError(
            "augment is 1, but a cell graph is the same however it is turned; set it "
            "to 0"
        )


def _geometry(options: dict[str, Any]) -> Geometry:
    if options["arch"] == "cell_graph":
        return CellGeometry(
            edges=options["edges"],
            neighbours=options["neighbours"],
            cells=options["cells"],
        )
    return GridGeometry(grid=(options["grid"], options["grid"]), pool=options["pool"])


def _measured(options: dict[str, Any]) -> StatisticsSettings:
    parts = words(options["percentiles"])
    try:
        low, high = (Decimal(part) for part in parts)
    except (ValueError, InvalidOperation) as error:
        raise SettingsError(
            f"percentiles is {options['percentiles']!r}, expected two, as 0,99.9"
        ) from error
    cofactor = Decimal(str(options["cofactor"])) if options["cofactor"] else None
    return StatisticsSettings(percentiles=(low, high), cofactor=cofactor)


def _model(options: dict[str, Any]) -> ModelSettings:
    arch = options["arch"]
    choose("arch", arch, tuple(PERMUTERS))
    return ModelSettings(
        arch=arch,
        permuter=options["permuter"] or PERMUTERS[arch][0],
        latent=options["latent"],
        revin=bool(options["revin"]),
    )


def _loss(options: dict[str, Any]) -> LossSettings:
    return LossSettings(
        kld_scale=options["kld_scale"],
        cosine=options["cosine"],
        gradient=options["gradient"],
        perm=options["perm"],
        kl_reduction=options["kl_reduction"],
        free_bits=options["free_bits"],
        free_bits_mode=options["free_bits_mode"],
        warmup=options["warmup"],
    )
