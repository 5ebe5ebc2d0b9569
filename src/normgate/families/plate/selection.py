"""Which sites a preset learns from, and the class of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

from normgate.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from normgate.families.plate.settings import Preset
    from normgate.plates.load import Site


@dataclass(frozen=True, slots=True)
class Labelled:
    """One site and its class number."""

    site: Site
    label: int


def select(sites: Sequence[Site], preset: Preset) -> tuple[Labelled, ...]:
    """The sites of a preset, in the order of the plate table.

    `genotype` takes control wells (those with a label) by their label; `treatment`
    takes the wells of one genotype, controls as the first class, others as the second.

    Raises:
        DataError: A control's label is none of the classes, or a class has no site.
    """
    found = tuple(
        Labelled(site, label)
        for site in sites
        if (label := _label(site, preset)) is not None
    )
    for number, name in enumerate(preset.classes):
        if not any(one.label == number for one in found):
            raise DataError(
                f"no site of class {name!r} for {preset.name}; {_how(preset)}"
            )
    return found


def classes_of(
    labelled: Sequence[Labelled], preset: Preset
) -> dict[tuple[str, str], str]:
    """The class of each well, by plate and well."""
    return {
        (one.site.plate, one.site.well): preset.classes[one.label] for one in labelled
    }


def _label(site: Site, preset: Preset) -> int | None:
    """The class number of a site; None if the preset does not learn from it."""
    if preset.genotype and site.genotype != preset.genotype:
        return None
    match preset.question:
        case "genotype":
            if not site.label:
                return None
            if site.label not in preset.classes:
                raise DataError(
                    f"{site.name} has label {site.label!r}; expected "
                    f"{' or '.join(preset.classes)}, or empty. Mend the plate table, "
                    "or name your labels with classes=negative,positive"
                )
            return preset.classes.index(site.label)
        case "treatment":
            return 0 if site.label else 1
        case _:
            assert_never(preset.question)


def _how(preset: Preset) -> str:
    if preset.question == "genotype":
        return "control wells carry their class in column label of the plate table"
    return (
        f"wells of genotype {preset.genotype} are untreated where column label of the "
        "plate table is filled, and treated where it is empty"
    )
