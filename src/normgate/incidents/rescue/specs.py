"""The recipes of the replay as specs; what must be measured is measured on drug wells.

No model trains on drug wells and no AUROC is taken from them, so constants that were
measured there have seen neither training nor test labels.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from normgate.contract import (
    Channel,
    Clip,
    Mask,
    Rescale,
    Spec,
    Standardize,
    StandardizeSample,
    read_spec,
)
from normgate.contract.steps import exact
from normgate.plates.measure import MeasureSettings, measure
from normgate.plates.schema import read_plate_csv

if TYPE_CHECKING:
    from normgate.families.plate.arms import Recipe

_BYTE = Rescale(low=exact(0), high=exact(255))


def contract_spec(folder: Path) -> Spec:
    """Percentiles and ImageNet by marker, as the contract demands."""
    return read_spec(folder / "plate_3ch.json")


def fluorescence_spec(folder: Path) -> Spec:
    """The fluorescence constants on the 16-bit range."""
    return read_spec(folder / "plate_3ch_fluorescence.json")


def spec_of(recipe: Recipe, folder: Path, csv: Path) -> Spec:
    """The spec of a recipe.

    Args:
        recipe: Its name.
        folder: Where the contracts' specs are.
        csv: The plate CSV that constants of the data set are measured on.
    """
    declared = contract_spec(folder)
    match recipe:
        case "percentile_imagenet":
            return declared
        case "fluorescence":
            return fluorescence_spec(folder)
        case "percentile_z":
            return _measured(csv)[0]
        case "dataset_z":
            return _measured(csv)[1]
        case "image_z":
            return _each(declared, _OF_UNIT)
        case "halo_on_masked":
            return _halo_on_masked(declared)
        case "u8_imagenet":
            return _on_bytes(declared)
        case "l8_fluorescence":
            return _on_bytes(fluorescence_spec(folder))
        case _:
            assert_never(recipe)


_OF_UNIT = StandardizeSample(
    scope="channel",
    fit_mask=Mask(),
    apply_mask=Mask(),
    outside="keep",
    eps=exact(0),
    eps_placement="add",
    degenerate="zeros",
    ddof=0,
)


def _measured(csv: Path) -> tuple[Spec, Spec]:
    """Mean 0 and std 1 of the data set: clipped to percentiles, and not clipped."""
    frame = read_plate_csv(csv)
    drugs = frozenset(frame.loc[frame["label"] == "", "split_group"])
    settings = MeasureSettings(then="zscore", split_groups=drugs)
    with tempfile.TemporaryDirectory() as state:
        found = measure(frame, csv, Path(state), settings)
    plain = [
        Channel(
            name=channel.name,
            input=channel.input,
            steps=(Standardize(mean=of.mean, std=of.std),),
        )
        for channel, of in zip(
            found.spec.channels, found.provenance.channels, strict=True
        )
        if of.mean is not None and of.std is not None
    ]
    return found.spec, Spec(channels=tuple(plain))


def _halo_on_masked(declared: Spec) -> Spec:
    """HALO's clip and rescale for HALO_MASKED, as loader and deployment had it."""
    steps = {channel.name: channel.steps for channel in declared.channels}
    mixed = {**steps, "HALO_MASKED": (*steps["HALO"][:2], steps["HALO_MASKED"][-1])}
    return Spec(
        channels=tuple(
            Channel(name=c.name, input=c.input, steps=mixed[c.name])
            for c in declared.channels
        )
    )


def _on_bytes(spec: Spec) -> Spec:
    """The last step of each channel, on 8-bit files rescaled to 0..1."""
    return Spec(
        channels=tuple(
            Channel(name=c.name, input="uint8", steps=(_BYTE, c.steps[-1]))
            for c in spec.channels
        )
    )


def _each(spec: Spec, step: StandardizeSample) -> Spec:
    return Spec(
        channels=tuple(
            Channel(name=c.name, input=c.input, steps=(step,)) for c in spec.channels
        )
    )


def clip_range(channel: Channel) -> tuple[float, float]:
    """The bounds that a channel is clipped to first."""
    first = channel.steps[0]
    if not isinstance(first, Clip):
        raise TypeError(f"channel {channel.name} is not clipped first")
    return float(first.low), float(first.high)
