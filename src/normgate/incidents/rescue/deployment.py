"""A fitted model over sites, as at deployment: files, another spec perhaps, logits.

The table that rows are joined by may be another than in training, with its own faults;
wells that the model was trained on are left out of every score but the drugs'.
Axes: n units, k classes, c channels, y, x.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.stats import spearmanr

from normgate.families.plate.metrics import scores
from normgate.families.plate.probabilities import softmax
from normgate.families.plate.task import logits_of
from normgate.gate.vitals import prediction_vitals
from normgate.plates.fates import fate_of
from normgate.plates.statistics import MIN_SEPARATION, mean, pooled_se, rescue

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from normgate.families.plate.task import PlateTask
    from normgate.gate import Vital
    from normgate.plates.load import Loader, Site


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """The logits of some sites' units, with what their table says of them."""

    logits: NDArray[np.float64]
    """(n, k)."""
    labels: NDArray[np.int64]
    """Class numbers by the table, (n,); -1 where it has none."""
    groups: NDArray[np.str_]
    """Split groups, (n,)."""
    classes: tuple[str, ...]

    def metrics(self) -> dict[str, float]:
        """AUROC, accuracy and the rest, as `plate.metrics.scores` names them."""
        return scores(self.logits, self.labels, self.groups, self.classes)

    def vitals(self) -> tuple[Vital, ...]:
        """Of the predictions."""
        positive = softmax(self.logits)[:, -1].tolist()
        return prediction_vitals(positive, positive=self.classes[-1])

    def well_scores(self) -> dict[str, float]:
        """The mean margin of each split group's units."""
        margin = self.logits[:, -1] - self.logits[:, 0]
        names, index = np.unique(self.groups, return_inverse=True)
        means = np.bincount(index, weights=margin) / np.bincount(index)
        return dict(zip(map(str, names), means.tolist(), strict=True))


def held_out(task: PlateTask, places: Iterable[Site]) -> list[Site]:
    """Control sites of wells that the model was not trained on."""
    seen = set(task.train_groups)
    return [s for s in places if s.label and s.split_group not in seen]


def drugs(places: Iterable[Site]) -> list[Site]:
    """Sites of diseased wells with a drug."""
    return [s for s in places if not s.label and s.genotype == "APP"]


def deploy(task: PlateTask, loader: Loader, places: Sequence[Site]) -> Deployed:
    """Run a fitted model over sites."""
    images = [loader.units(site, loader.read(site)).images for site in places]
    counts = [len(one) for one in images]
    labels = [task.classes.index(site.label) if site.label else -1 for site in places]
    return Deployed(
        logits=logits_of(task.model, map(torch.from_numpy, images)).astype(np.float64),
        labels=np.repeat(np.array(labels, dtype=np.int64), counts),
        groups=np.repeat(np.array([site.split_group for site in places]), counts),
        classes=task.classes,
    )


def rescue_scores(
    controls: Deployed, treated: Deployed, places: Sequence[Site]
) -> dict[str, float]:
    """How well the rescue of drug wells is found, against what was simulated.

    Args:
        controls: Held-out control wells.
        treated: Diseased wells with drugs.
        places: The sites of `treated`.

    Returns:
        `rescue_spearman` and `rescue_mae` over the drug wells of the plates whose
        controls the model tells apart; NaN where it does so on no plate.
    """
    found: dict[str, float] = {}
    scored = treated.well_scores()
    for plate in sorted({site.plate for site in places}):
        ends = _ends(controls, plate)
        if ends is not None:
            for name, score in scored.items():
                if name.startswith(f"{plate}:"):
                    found[name] = float(rescue(np.array(score), *ends))
    truth = {site.split_group: fate_of(site.column).rescue for site in places}
    if not found:
        return {"rescue_spearman": float("nan"), "rescue_mae": float("nan")}
    estimated = np.array([found[name] for name in found])
    true = np.array([truth[name] for name in found])
    return {
        "rescue_spearman": float(spearmanr(estimated, true).statistic),
        "rescue_mae": float(np.abs(estimated - true).mean()),
    }


def _ends(controls: Deployed, plate: str) -> tuple[float, float] | None:
    """Mean score of a plate's diseased and healthy controls, if they are apart."""
    score = controls.well_scores()
    label = dict(zip(map(str, controls.groups), controls.labels, strict=True))
    disease, healthy = (
        np.array([
            value for name, value in score.items()
            if name.startswith(f"{plate}:") and label[name] == number
        ])
        for number in (len(controls.classes) - 1, 0)
    )  # fmt: skip
    apart = mean(disease) - mean(healthy)
    if not apart >= MIN_SEPARATION * pooled_se(disease, healthy):
        return None
    return mean(disease), mean(healthy)
