"""The words of the report, for a reader who grew the cells and not the model."""

from __future__ import annotations

from normgate.plates.control_intervals import MIN_WELLS as SEPARATION_WELLS
from normgate.plates.hits import FDR, MIN_PLATES
from normgate.plates.statistics import MIN_CONTROLS
from normgate.plates.treatments import MIN_WELLS
from normgate.plates.well_score import WORDS


def glossary(how: str) -> dict[str, str]:
    """Each word and what it means, for well scores of one kind (`well_score`)."""
    return {
        "score": f"How diseased a well looks to the model: {WORDS[how]} of the "
        "logit of the diseased class minus that of the healthy one. Only "
        "replicates of the model that never saw the well in training count.",
        "rescue": "The score on the scale of the plate's own controls: 0% is the mean "
        "of the diseased ones, 100% that of the healthy ones. It is not clipped.",
        "95% interval": "Where the value lies in 95% of redraws of wells, cells and "
        "replicates. It speaks of these plates, not of plates to come. Under-covering: "
        f"there are too few wells (fewer than {MIN_CONTROLS} controls a class, "
        f"{MIN_WELLS} treated wells a plate, or for AUROC, SSMD and Z' "
        f"{SEPARATION_WELLS} controls a class) for the interval to be as wide as "
        "it should be.",
        "like healthy": "Share of a treatment's wells inside the range in which 95% of "
        "healthy wells are expected; the mean over plates.",
        "AUROC": "How often a diseased control scores above a healthy one; 0.5 is "
        "chance.",
        "SSMD, Z', robust Z'": "The distance of the controls in units of their spread. "
        "SSMD above 3 is strong, 2 to 3 moderate; Z' above 0.5 is an excellent assay, "
        "below 0 the controls overlap. Z' is unreliable where wells are few.",
        "robust z and hit": "Robust z: how many robust standard deviations of the "
        "diseased controls a treatment lies towards healthy. Hit: after correction for "
        f"many treatments (false discovery rate {FDR:g}), to one side, on at least "
        f"{MIN_PLATES} plates.",
        "mAP": "Mean average precision: how well wells of a treatment on different "
        "plates find each other among diseased controls; 1 is perfectly.",
        "residual": "What a treated well keeps when the effects of its row and column "
        "are taken out (median polish): stripes are gone, single wells stay.",
        "edge effect": "Wells of the outermost rows and columns minus wells of the "
        "same class inside, in score; p by permutation.",
    }
