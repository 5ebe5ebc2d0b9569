"""What a fusion training logs beside what every training does: its own pictures.

Pictures lie at the root of a run's artifacts and have the same names in every run: the
UI shows only such files side by side.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from _training import close

from normgate.contract import write_atomic
from normgate.engine.record import metric_table
from normgate.families.fusion import figures
from normgate.families.fusion.channels import condition_order
from normgate.families.fusion.task import PICTURE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from _fusion_options import Request
    from _training import Trained

    from mlflow_normgate.runs import Run
    from normgate.engine.member import Member
    from normgate.families.fusion.plan import Plan
    from normgate.tracker import Tracker

_logger = logging.getLogger(__name__)
_HEADLINES = (
    "bone_psnr_hu",
    "bone_ncc",
    "brain_ncc",
    "bone_ssim",
    "brain_ssim",
    "lesion_dice",
)
_BASELINES = ("mean", "max", "copy", "noise")


@dataclass(frozen=True, slots=True)
class FusionAccount:
    """Implements `_training.Account`."""

    plan: Plan

    def pictures(self, tracker: Tracker, folder: Path, prefix: str = "") -> None:
        """HU, and what the network sees of each channel."""
        spec = self.plan.spec
        names = [spec.names[index] for index in condition_order(spec)]
        path = folder / f"{prefix}histograms.png"
        figures.histograms(path, self.plan.units, names)
        tracker.artifact(path)
        notes = self.plan.units.notes
        if notes:
            told = folder / "notes.txt"
            write_atomic(told, ("\n".join(notes) + "\n").encode())
            tracker.artifact(told, "data")

    def results(self, tracker: Tracker, member: Member, folder: Path) -> None:
        """Curves of the training, and the last evaluation in a picture."""
        curves = folder / "curves.png"
        figures.curves(curves, member.history)
        tracker.artifact(curves)
        tracker.artifact(folder / f"{PICTURE}.png")

    def words(self, member: Member) -> str:
        """Patients of each split, and figures beside those that nobody had to learn."""
        card = member.card
        rows = {"fused": {name: card.metrics[f"test_{name}"] for name in _HEADLINES}}
        for baseline in _BASELINES:
            rows[f"baseline: {baseline}"] = {
                name: card.metrics[key]
                for name in _HEADLINES
                if (key := f"test_baseline_{baseline}_{name}") in card.metrics
            }
        return (
            f"{len(card.train_groups)} patients trained, "
            f"{len(card.validation_groups)} validated, "
            f"{len(card.test_groups)} tested.\n\n{metric_table(rows)}"
        )

    def line(self, member: Member) -> str:
        """Bone, brain and lesion."""
        found = member.card.metrics
        return (
            f"test bone {found['test_bone_psnr_hu']:.1f} dB, correlation of bone "
            f"{found['test_bone_ncc']:.3f} and brain {found['test_brain_ncc']:.3f}, "
            f"lesion Dice {found['test_lesion_dice']:.3f}, patients held out"
        )


def record_parent(
    parent: Run, request: Request, plan: Plan, model: Trained, closing: Sequence[str]
) -> None:
    """The closing words, in the run's note and on the console."""
    metrics, count = model.card.metrics, len(model.card.members)
    shown = {name: metrics[f"test_{name}"] for name in _HEADLINES}
    table = metric_table({f"{model.name} version {model.version}": shown})
    spread = f" +- {metrics['test_bone_psnr_hu_std']:.2f} (std)" if count > 1 else ""
    line = (
        f"{model.name} version {model.version}: bone "
        f"{metrics['test_bone_psnr_hu']:.1f}{spread} dB of 2000 HU, {count} replicates "
        "on patients that each had not seen"
    )
    close(parent, table, plan.spec, [line, *closing])
    _logger.info("  figures of the training: %s", request.out / "figures")
