"""What an IMC training logs beside what every training does: its own pictures.

Pictures lie at the root of a run's artifacts and have the same names in every run: the
UI shows only such files side by side.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from _training import close

from normgate.engine.record import metric_table
from normgate.families.imc import figures
from normgate.families.imc.task import PICTURE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from _imc_options import Request
    from _training import Trained

    from mlflow_normgate.runs import Run
    from normgate.engine.member import Member
    from normgate.families.imc.plan import Plan
    from normgate.tracker import Tracker

_logger = logging.getLogger(__name__)
_HEADLINES = (
    "r2_median",
    "spatial_r2",
    "abundance_r2",
    "r2_low_scale",
    "sharpness",
    "kl_true",
    "class_probe",
    "density_probe",
)
_R2 = "test_r2."


@dataclass(frozen=True, slots=True)
class ImcAccount:
    """Implements `_training.Account`."""

    plan: Plan

    def pictures(self, tracker: Tracker, folder: Path, prefix: str = "") -> None:
        """Spread of each channel before and after normalization."""
        path = folder / f"{prefix}spread.png"
        figures.spreads(path, self.plan.units)
        tracker.artifact(path)

    def results(self, tracker: Tracker, member: Member, folder: Path) -> None:
        """Curves, reconstructions and latents of the test split, R2 of channels."""
        kept, units = member.kept, self.plan.units
        test_at = kept["test_at"].numpy()
        names = ("curves", "latents", "r2", PICTURE)
        paths = {name: folder / f"{name}.png" for name in names}
        truth, found = (kept[f"shown_{name}"].numpy() for name in ("truth", "found"))
        figures.compared(paths[PICTURE], truth, found, units.spec.names)
        figures.curves(paths["curves"], member.history)
        labels = {name: values[test_at] for name, values in units.labels.items()}
        figures.latents(paths["latents"], kept["test_mu"].numpy(), labels)
        figures.channel_bars(paths["r2"], channel_r2(member))
        for path in paths.values():
            tracker.artifact(path)

    def words(self, member: Member) -> str:
        """Groups of each split, and the headline figures."""
        card = member.card
        return (
            f"{len(card.train_groups)} slides or patients trained, "
            f"{len(card.validation_groups)} validated, "
            f"{len(card.test_groups)} tested.\n\n"
            f"{metric_table({'held out': shown(card.metrics)})}"
        )

    def line(self, member: Member) -> str:
        """R2 of all, of the layout where there is one, and of abundance."""
        found = member.card.metrics
        layout = found.get("test_spatial_r2")
        laid = "" if layout is None else f"layout {layout:.3f}, "
        return (
            f"test R2 {found['test_r2_median']:.3f} (median channel), {laid}abundance "
            f"{found['test_abundance_r2']:.3f}, true KL {found['test_kl_true']:.1f} "
            "nats, slides or patients held out"
        )


def shown(metrics: Mapping[str, float]) -> dict[str, float]:
    """The headline figures of a card, those that it has."""
    return {
        name: metrics[f"test_{name}"]
        for name in _HEADLINES
        if f"test_{name}" in metrics
    }


def channel_r2(member: Member) -> dict[str, float]:
    """R2 of each channel on a replicate's test split."""
    return {
        name.removeprefix(_R2): value
        for name, value in member.card.metrics.items()
        if name.startswith(_R2)
    }


def record_parent(
    parent: Run, request: Request, plan: Plan, model: Trained, closing: Sequence[str]
) -> None:
    """The closing words, in the run's note and on the console."""
    metrics, count = model.card.metrics, len(model.card.members)
    table = metric_table({f"{model.name} version {model.version}": shown(metrics)})
    spread = f" +- {metrics['test_r2_median_std']:.3f} (std)" if count > 1 else ""
    line = (
        f"{model.name} version {model.version}: R2 {metrics['test_r2_median']:.3f}"
        f"{spread} (median channel), {count} replicates on slides or patients that "
        "each had not seen"
    )
    close(parent, table, plan.units.spec, [line, *closing])
    _logger.info("  figures of the training: %s", request.out / "figures")
