"""The arms of the rescue incident's replay, as data: one training, one deployment each.

`before` is the incident: a model of the fluorescence constants behind a script that
applies percentiles. `after` is what the repaired code did, HALO's percentiles on an
8-bit HALO_MASKED, in training and deployment alike. `best` binds every constant by
marker, the same on both sides. The other arms change one thing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from normgate.plates.faults import Fault

Recipe = Literal[
    "percentile_imagenet",
    "percentile_z",
    "fluorescence",
    "dataset_z",
    "image_z",
    "halo_on_masked",
    "u8_imagenet",
    "l8_fluorescence",
]
"""How counts are normalized: percentiles to 0..1, then ImageNet's constants by marker;
then the data set's mean and std; the fluorescence constants on the 16-bit range; mean
and std of the data set, nothing clipped; of each unit; HALO's percentiles for
HALO_MASKED too; and two on 8-bit files: percentile-stretched, and Pillow's `L`."""

Pictures = Literal["plain", "masked_in_halo_counts", "no_biology"]
"""HALO_MASKED within 0..255; in HALO's own counts; and healthy neurons everywhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One training, and how it is deployed."""

    name: str
    about: str
    """What is done, in a few words."""
    recipe: Recipe
    """In training."""
    deployed: Recipe | None = None
    """At deployment; None for the recipe of training."""
    pictures: Pictures = "plain"
    fault: Fault = "none"
    """What is wrong with the plate table."""
    fault_at: Literal["training", "deployment"] = "training"
    trained_as: str = ""
    """The arm whose weights it takes, where only deployment differs."""


def _arms() -> tuple[Arm, ...]:
    return (
        Arm(
            name="before",
            about="trained on fluorescence constants, deployed on percentiles",
            recipe="fluorescence",
            deployed="percentile_imagenet",
            trained_as="fluorescence",
        ),
        Arm(
            name="after",
            about="HALO's percentiles on 8-bit HALO_MASKED, on both sides",
            recipe="halo_on_masked",
        ),
        Arm(
            name="best",
            about="percentiles and ImageNet by marker, on both sides",
            recipe="percentile_imagenet",
        ),
        Arm(
            name="fluorescence",
            about="fluorescence constants on both sides",
            recipe="fluorescence",
        ),
        Arm(
            name="percentile_z",
            about="percentiles, then mean and std of the data set",
            recipe="percentile_z",
        ),
        Arm(
            name="dataset_z",
            about="mean and std of the data set, nothing clipped",
            recipe="dataset_z",
        ),
        Arm(name="image_z", about="mean and std of each unit", recipe="image_z"),
        Arm(
            name="after_16bit",
            about="HALO's percentiles on HALO_MASKED in HALO's counts",
            recipe="halo_on_masked",
            pictures="masked_in_halo_counts",
        ),
        Arm(
            name="u8",
            about="stretched to 8 bits between the percentiles",
            recipe="u8_imagenet",
        ),
        Arm(name="l8", about="read by Pillow's mode L", recipe="l8_fluorescence"),
        Arm(
            name="l8_16bit",
            about="read by mode L, HALO_MASKED in HALO's counts",
            recipe="l8_fluorescence",
            pictures="masked_in_halo_counts",
        ),
        Arm(
            name="label_is_plate",
            about="WT on one plate, APP on the other, no biology at all",
            recipe="percentile_imagenet",
            pictures="no_biology",
            fault="label_is_plate",
        ),
        Arm(
            name="column_from_row",
            about="labels looked up by the row's letter",
            recipe="percentile_imagenet",
            fault="column_from_row_letter",
        ),
        Arm(
            name="classes_exchanged",
            about="best, its two classes exchanged at deployment",
            recipe="percentile_imagenet",
            fault="classes_exchanged",
            fault_at="deployment",
            trained_as="best",
        ),
        Arm(
            name="rows_shuffled",
            about="best, its predictions joined to other rows",
            recipe="percentile_imagenet",
            fault="rows_shuffled",
            fault_at="deployment",
            trained_as="best",
        ),
    )


ARMS: dict[str, Arm] = {arm.name: arm for arm in _arms()}

CROSSED: tuple[Recipe, ...] = (
    "percentile_imagenet",
    "percentile_z",
    "fluorescence",
    "dataset_z",
    "image_z",
    "l8_fluorescence",
)
"""The recipes that every plain model is deployed under; each is also trained."""
