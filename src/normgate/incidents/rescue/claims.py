"""What is claimed of incident rescue, and which figures its table shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from normgate.incidents.claims import Claim
from normgate.incidents.port import Column

if TYPE_CHECKING:
    from normgate.incidents.claims import Figure

COLUMNS = (
    Column(metric="auroc", title="AUROC of units"),
    Column(metric="accuracy", title="accuracy"),
    Column(metric="p_WT", title="mean P(APP), WT", better="lower"),
    Column(metric="p_APP", title="mean P(APP), APP"),
    Column(metric="rescue_spearman", title="rescue, Spearman"),
    Column(metric="rescue_mae", title="rescue, MAE", better="lower"),
    Column(metric="least_channel_std", title="least channel std"),
)


def _range(of: Figure) -> float:
    """The largest difference of AUROC; NaN where one is absent."""
    arms = ("best", "fluorescence", "percentile_z", "dataset_z")
    return float(np.ptp([of(arm, "auroc") for arm in arms]))


CLAIMS = (
    Claim(
        name="percentiles_better",
        sentence="Percentiles with ImageNet's constants are the correct way: trained "
        "and deployed alike, their AUROC exceeds that of the fluorescence constants by "
        "more than .03",
        source="post-mortem",
        quantity=lambda of: of("best", "auroc") - of("fluorescence", "auroc"),
        relation="above",
        bound=0.03,
    ),
    Claim(
        name="mismatch_matters",
        sentence="Two normalizations make deployment invalid: a model behind the other "
        "one's script has an accuracy below .6",
        source="post-mortem",
        quantity=lambda of: of("before", "accuracy"),
        relation="below",
        bound=0.6,
    ),
    Claim(
        name="after_all_identical",
        sentence="After the repair all channels are normalized by their own range: the "
        "least standard deviation of a channel is above .1",
        source="post-mortem",
        quantity=lambda of: of("after", "least_channel_std"),
        relation="above",
        bound=0.1,
    ),
    Claim(
        name="consistent_works",
        sentence="Trained and deployed alike, percentiles with ImageNet's constants "
        "reach an AUROC above .75",
        source="prototype",
        quantity=lambda of: of("best", "auroc"),
        relation="above",
        bound=0.75,
    ),
    Claim(
        name="recipe_does_not_matter",
        sentence="The recipe does not matter where it is the same on both sides: the "
        "largest difference of AUROC between four of them is below .03",
        source="prototype",
        quantity=_range,
        relation="below",
        bound=0.03,
    ),
    Claim(
        name="crossed_fails",
        sentence="The other way round, a model of percentiles behind the fluorescence "
        "constants has an accuracy below .6",
        source="prototype",
        quantity=lambda of: of("best", "on.fluorescence.accuracy"),
        relation="below",
        bound=0.6,
    ),
    Claim(
        name="one_class",
        sentence="It gives both classes one answer: mean P(APP) of APP and WT differ "
        "by less than .1",
        source="prototype",
        quantity=lambda of: (
            of("best", "on.fluorescence.p_APP") - of("best", "on.fluorescence.p_WT")
        ),
        relation="below",
        bound=0.1,
    ),
    Claim(
        name="dead_channel",
        sentence="HALO's percentiles make 8-bit HALO_MASKED a constant: its standard "
        "deviation is below .001",
        source="prototype",
        quantity=lambda of: of("after", "least_channel_std"),
        relation="below",
        bound=1e-3,
    ),
    Claim(
        name="dead_channel_unseen",
        sentence="The dead channel does not show in the AUROC, which falls by less "
        "than .03",
        source="prototype",
        quantity=lambda of: of("best", "auroc") - of("after", "auroc"),
        relation="below",
        bound=0.03,
    ),
    Claim(
        name="greyscale",
        sentence="Pillow's mode L costs more than .04 of AUROC where HALO_MASKED is in "
        "HALO's counts",
        source="prototype",
        quantity=lambda of: of("after_16bit", "auroc") - of("l8_16bit", "auroc"),
        relation="above",
        bound=0.04,
    ),
    Claim(
        name="u8_harmless",
        sentence="Stretching to 8 bits costs less than .02 of AUROC",
        source="prototype",
        quantity=lambda of: of("best", "auroc") - of("u8", "auroc"),
        relation="below",
        bound=0.02,
    ),
    Claim(
        name="greyscale_inverts",
        sentence="A model of percentiles that is deployed on mode L is inverted: its "
        "AUROC is below .4",
        source="prototype",
        quantity=lambda of: of("best", "on.l8_fluorescence.auroc"),
        relation="below",
        bound=0.4,
    ),
    Claim(
        name="confound",
        sentence="Where the label is the plate, no biology at all reaches an AUROC "
        "above .75",
        source="prototype",
        quantity=lambda of: of("label_is_plate", "auroc"),
        relation="above",
        bound=0.75,
    ),
    Claim(
        name="exchanged",
        sentence="Exchanged classes give one minus the AUROC: below .3",
        source="prototype",
        quantity=lambda of: of("classes_exchanged", "auroc"),
        relation="below",
        bound=0.3,
    ),
    Claim(
        name="shuffled",
        sentence="Shuffled rows leave chance: the AUROC is below .6",
        source="prototype",
        quantity=lambda of: of("rows_shuffled", "auroc"),
        relation="below",
        bound=0.6,
    ),
    Claim(
        name="image_z_rescue",
        sentence="Mean and std of each unit find the rescue of drugs better, for how "
        "much a cell expresses is a nuisance there: Spearman higher by more than .05",
        source="prototype",
        quantity=lambda of: (
            of("image_z", "rescue_spearman") - of("best", "rescue_spearman")
        ),
        relation="above",
        bound=0.05,
    ),
)
