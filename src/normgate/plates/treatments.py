"""Treatments: the rescue of each on every plate and over plates, with intervals.

A treatment is a treatment on a genotype. Its rescue on a plate is the mean over its
wells; over plates, the mean of the plates where it is defined, each plate counting
alike. Intervals are the middle 95% of hierarchical bootstrap draws, in which control
wells are drawn anew too; plates are not drawn, so an interval speaks of these plates.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from normgate.errors import SettingsError
from normgate.plates.aggregate import TREATED, Scores, roles, score
from normgate.plates.beside import fieller, healthy_like
from normgate.plates.bootstrap import Bootstrap, interval
from normgate.plates.concordance import concordance
from normgate.plates.control_intervals import control_intervals
from normgate.plates.hits import plate_hits
from normgate.plates.over_plates import GROUP, over_plates
from normgate.plates.positions import edge_effect, polished
from normgate.plates.retrieval import retrieval
from normgate.plates.statistics import (
    NOMINAL,
    UNDER_COVERING,
    controls,
    plate_row,
    rescue,
)
from normgate.plates.well_score import checked_way

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from normgate.plates.gather import ModelPredictions
    from normgate.plates.statistics import Controls
    from normgate.transform.threads import Spread

MIN_WELLS = 4
"""Wells of a treatment on a plate below which its interval is labelled: with fewer,
the draws hardly know how much wells differ (measured in docs/LOG.md)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AggregateSettings:
    """What a user chooses about the statistics."""

    disease: str = ""
    """Class whose controls are 0% rescued; empty: the model's positive class."""
    healthy: str = ""
    """Class whose controls are 100% rescued; empty: the model's only other class."""
    score: str = ""
    """How units become wells: mean, median, trimmed or weighted; empty: as the model
    was judged in its training."""
    bootstrap: int = 1000
    """Draws behind each interval, 100 to 100,000."""
    seed: int = 0
    """Every draw follows from it."""

    def __post_init__(self) -> None:
        """Refuse what gives no score or no interval."""
        if self.score:
            checked_way("score", self.score)
        if not 100 <= self.bootstrap <= 100_000:
            msg = f"bootstrap is {self.bootstrap}, expected 100 to 100000 draws"
            raise SettingsError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """Everything that is known of one model's plates."""

    predictions: ModelPredictions
    scores: Scores
    wells: pd.DataFrame
    """`Scores.wells`, with model and rescue."""
    plates: pd.DataFrame
    """One row per plate: control separation, and whether rescue is defined."""
    plate_treatments: pd.DataFrame
    """One row per plate and treatment."""
    treatments: pd.DataFrame
    """One row per treatment, by falling rescue; undefined ones last."""
    concordance: pd.DataFrame
    """One row per pair of plates, and of replicates."""
    retrieval: pd.DataFrame
    """Mean average precision by treatment; empty where it is undefined."""
    retrieval_reason: str
    """Why it is undefined."""

    @property
    def title(self) -> str:
        """The model and its version, for people."""
        return f"{self.scores.model} v{self.scores.version}"


def analyse(
    predictions: ModelPredictions, settings: AggregateSettings, spread: Spread = map
) -> Analysis:
    """Go from the rows of one model to wells, plates and treatments.

    Args:
        predictions: The rows.
        settings: What is disease, what is health, how many draws.
        spread: What sees to each plate; the results are the same whatever it is.

    Raises:
        SettingsError: A class is not the model's.
        DataError: A well has rows of two treatments, genotypes or labels.
    """
    wanted = roles(
        predictions.meta, predictions.model, settings.disease, settings.healthy
    )
    scores = score(predictions, wanted, settings.score or predictions.meta.aggregation)
    chosen = [controls(scores, plate) for plate in scores.wells["plate"].unique()]
    found = list(spread(partial(_seen_to, scores, settings), chosen))
    plates = pd.DataFrame([plate for plate, _ in found])
    rows = [row for _, treatments in found for row, _ in treatments]
    draws = [drawn for _, treatments in found for _, drawn in treatments]
    by_plate = _with_hits(pd.DataFrame(rows, columns=_PLATE_COLUMNS), scores, chosen)
    residuals = [polished(scores, one.plate) for one in chosen]
    wells = scores.wells.assign(
        rescue=_well_rescue(scores, plates),
        residual=np.fmax.reduce([one.residuals for one in residuals]),
    )
    retrieved, missing = retrieval(scores, settings.seed)
    wells.insert(0, "model", scores.model)
    return Analysis(
        predictions=predictions,
        scores=scores,
        wells=wells,
        plates=plates.assign(
            polish_reason=[one.reason for one in residuals],
            polish_note=[one.note for one in residuals],
        ),
        plate_treatments=by_plate,
        treatments=over_plates(by_plate, draws),
        concordance=concordance(scores, by_plate, settings.bootstrap, settings.seed),
        retrieval=retrieved,
        retrieval_reason=missing,
    )


def _seen_to(
    scores: Scores, settings: AggregateSettings, chosen: Controls
) -> tuple[dict[str, Any], list[tuple[dict[str, Any], NDArray[np.float64]]]]:
    """One plate, and its treatments."""
    plate = _plate(scores, chosen, settings)
    bootstrap = Bootstrap(scores, settings.bootstrap, settings.seed)
    return plate, _on_plate(scores, chosen, plate, bootstrap)


def _plate(
    scores: Scores, chosen: Controls, settings: AggregateSettings
) -> dict[str, Any]:
    """Everything of one plate: its controls with intervals, and its edge."""
    draws, seed = settings.bootstrap, settings.seed
    edge = edge_effect(scores, chosen.plate, draws, seed)
    return {
        **plate_row(scores, chosen),
        **control_intervals(scores, chosen, draws, seed),
        "edge_difference": edge.difference,
        "edge_p": edge.p,
        "edge_wells": edge.edge_wells,
        "edge_reason": edge.reason,
    }


def _with_hits(
    by_plate: pd.DataFrame, scores: Scores, chosen: list[Controls]
) -> pd.DataFrame:
    """Add robust z, p and q to the treatments of each plate."""
    parts = [
        plate_hits(scores, one, by_plate[by_plate["plate"] == one.plate])
        for one in chosen
    ]
    return by_plate.join(pd.concat(parts))


_PLATE_COLUMNS = (
    "model", "plate", "genotype", "treatment", "wells", "units", "score", "rescue",
    "low", "high", "interval", "fieller_low", "fieller_high", "healthy_like", "reason",
)  # fmt: skip


def _on_plate(
    scores: Scores, chosen: Controls, plate: dict[str, Any], bootstrap: Bootstrap
) -> list[tuple[dict[str, Any], NDArray[np.float64]]]:
    """Each treatment of one plate, and its draws (none where undefined)."""
    wells = scores.wells
    values = wells["score"].to_numpy(dtype=np.float64)
    disease, healthy = values[chosen.disease], values[chosen.healthy]
    here = wells[(wells["plate"] == chosen.plate) & (wells["role"] == TREATED)]
    defined = bool(plate["rescue_defined"])
    means = (plate["mean_disease"], plate["mean_healthy"])
    drawn = [
        bootstrap.means(where, f"{chosen.plate}/controls/{name}") if defined else None
        for name, where in (("disease", chosen.disease), ("healthy", chosen.healthy))
    ]
    found = []
    for (genotype, treatment), group in here.groupby(GROUP, sort=True):
        positions = group.index.to_numpy(dtype=np.int64)
        row = {
            "model": scores.model,
            "plate": chosen.plate,
            "genotype": genotype,
            "treatment": treatment,
            "wells": len(group),
            "units": int(group["units"].sum()),
            "score": float(group["score"].mean()),
            "rescue": float("nan"),
            "interval": "",
            "fieller_low": float("nan"),
            "fieller_high": float("nan"),
            "healthy_like": healthy_like(values[positions], healthy),
            "reason": plate["reason"],
        }
        draws = np.empty(0)
        if drawn[0] is not None and drawn[1] is not None:
            name = f"{chosen.plate}/{genotype}/{treatment}"
            treated = bootstrap.means(positions, name)
            with np.errstate(divide="ignore", invalid="ignore"):
                draws = (drawn[0] - treated) / (drawn[0] - drawn[1])
            row["rescue"] = float(rescue(np.array(row["score"]), *means))
            ends = fieller(values[positions], disease, healthy)
            row["fieller_low"], row["fieller_high"] = ends
            trusted = chosen.enough and len(group) >= MIN_WELLS
            row["interval"] = NOMINAL if trusted else UNDER_COVERING
        row["low"], row["high"] = interval(draws)
        found.append((row, draws))
    return found


def _well_rescue(scores: Scores, plates: pd.DataFrame) -> NDArray[np.float64]:
    """Rescue of each well, NaN where its plate has none."""
    out = np.full(len(scores.wells), np.nan)
    values = scores.wells["score"].to_numpy(dtype=np.float64)
    for plate in plates[plates["rescue_defined"]].to_dict("records"):
        here = (scores.wells["plate"] == plate["plate"]).to_numpy()
        means = (plate["mean_disease"], plate["mean_healthy"])
        out[here] = rescue(values[here], *means)
    return out
