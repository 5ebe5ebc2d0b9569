"""What a plate training logs beside what every training does: its own pictures.

Pictures lie at the root of a run's artifacts and have the same names in every run: the
UI shows only such files side by side.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from _training import close

from normgate.engine.record import metric_table
from normgate.families.plate import figures
from normgate.families.plate.assemble import held_out

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from _plate_options import Request
    from _training import Trained

    from mlflow_normgate.runs import Run
    from normgate.engine.member import Member
    from normgate.families.plate.plan import Plan
    from normgate.tracker import Tracker

_logger = logging.getLogger(__name__)
_HEADLINES = (
    "test_auroc",
    "test_well_auroc",
    "test_accuracy",
    "test_nll",
    "test_well_nll",
    "test_ece",
    "temperature",
)


@dataclass(frozen=True, slots=True)
class PlateAccount:
    """Implements `_training.Account`."""

    plan: Plan

    def pictures(self, tracker: Tracker, folder: Path, prefix: str = "") -> None:
        """Intensities before and after, and units of each class."""
        histogram = folder / f"{prefix}histograms.png"
        units = folder / f"{prefix}units.png"
        figures.histograms(histogram, self.plan.spec, self.plan.units)
        figures.montage(units, self.plan.units, self.plan.classes)
        tracker.artifact(histogram)
        tracker.artifact(units)
        tracker.image(units, f"{prefix}units", step=0)

    def results(self, tracker: Tracker, member: Member, folder: Path) -> None:
        """Curves of the training, ROC and calibration of the test split."""
        curves, roc = folder / "curves.png", folder / "roc_calibration.png"
        figures.curves(curves, member.history)
        self._roc(roc, [member])
        for path in (curves, roc):
            tracker.artifact(path)

    def model(self, tracker: Tracker, members: Sequence[Member], folder: Path) -> None:
        """ROC and calibration of all replicates."""
        roc = folder / f"{self.plan.name}_roc_calibration.png"
        self._roc(roc, members)
        tracker.artifact(roc)

    def words(self, member: Member) -> str:
        """Wells of each split, and the headline figures."""
        card = member.card
        figures_of = {name: card.metrics[name] for name in _HEADLINES}
        return (
            f"{len(card.train_groups)} wells trained, "
            f"{len(card.validation_groups)} validated, "
            f"{len(card.test_groups)} tested.\n\n"
            f"{metric_table({'held-out wells': figures_of})}"
        )

    def line(self, member: Member) -> str:
        """AUROC and temperature."""
        return (
            f"test AUROC {member.card.metrics['test_auroc']:.3f} by well split, "
            f"temperature {member.card.temperature:.2f}"
        )

    def _roc(self, path: Path, members: Sequence[Member]) -> None:
        curves = {
            f"replicate {one.card.replicate + 1}": held_out(self.plan, [one])
            for one in members
        }
        figures.roc_and_calibration(path, curves, self.plan.classes[-1])


def record_parent(
    parent: Run, request: Request, models: Sequence[Trained], closing: Sequence[str]
) -> None:
    """The closing words, in the run's note and on the console."""
    table = metric_table(
        {
            f"{model.name} version {model.version}": {
                key: model.card.metrics[key]
                for key in ("test_auroc", "test_auroc_std", "ensemble_auroc")
            }
            for model in models
        }
    )
    lines = [_sentence(model) for model in models]
    close(parent, table, request.spec, [*lines, *closing])
    _logger.info("  figures of the training: %s", request.out / "figures")


def _sentence(model: Trained) -> str:
    metrics, count = model.card.metrics, len(model.card.members)
    spread = f" +- {metrics['test_auroc_std']:.3f} (std)" if count > 1 else ""
    return (
        f"{model.name} version {model.version}: AUROC {metrics['test_auroc']:.3f}"
        f"{spread} of {count} replicates on wells that each had not seen"
    )
