"""Recipes for imaging mass cytometry (IMC): channels of a spec, ready made.

Intensities mean abundance, and differ a thousandfold between channels, so the default
is one pair of constants for each marker, for all images: arcsinh, clip at the 99.9th
percentile, z-score by the data set. Per-image recipes level the abundance of a marker
out; `abundance_lost` says so of any channel. Fitting constants is the caller's work
(`normgate.acquisitions.statistics`).

A channel is named by its marker; `channel_name` says how a marker that is written with
other characters is called in a spec.
"""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from normgate.contract.spec import Channel, InputType, Spec, check_name
from normgate.contract.steps import (
    Arcsinh,
    Clip,
    Mask,
    SampleStep,
    Standardize,
    StandardizeSample,
    exact,
)
from normgate.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from normgate.contract.steps import Step

COFACTOR = Decimal(1)
"""Of arcsinh for IMC; 5 is usual for cells in suspension."""
REVIN_EPS = Decimal("1e-5")
Number = Decimal | int | float
Degenerate = Literal["zeros", "center", "raise"]
_OTHER = re.compile(r"[^A-Za-z0-9_.\-]+")
_GREEK = re.compile(r"GREEK (?:SMALL|CAPITAL) LETTER (?:FINAL )?(\w+)")


@lru_cache(maxsize=4096)
def channel_name(marker: str) -> str:
    """How a spec calls a marker: `Cytokeratin 5` is `Cytokeratin_5`.

    Greek letters are spelled (alpha, not its letter), accents are left out, and every
    other run of characters that a channel's name can't have becomes one `_`, or
    nothing at either end. `139La_CD3` stays as it is. Markers that are called alike
    are refused where they meet.

    Raises:
        SpecError: Nothing is left, or too much.
    """
    spelled = unicodedata.normalize("NFKD", "".join(map(_spelled, marker)))
    plain = "".join(c for c in spelled if not unicodedata.combining(c))
    name = _OTHER.sub("_", plain).strip("_.-")
    try:
        return check_name(name)
    except ValueError as error:
        raise SpecError(
            f"marker {marker!r} can't be called in a spec ({error}); give it another "
            "name in the panel"
        ) from error


def dataset_z(
    *,
    mean: Number,
    std: Number,
    low: Number,
    high: Number,
    name: str,
    cofactor: Number | None = COFACTOR,
    input_type: InputType = "float32",
) -> Channel:
    """Clip, arcsinh, then a data set's mean and sd: the same for every image.

    Args:
        mean: Of the training images after clip and arcsinh.
        std: Likewise, ddof 0.
        low: The lowest value of the training images, or a low percentile.
        high: Their 99.9th percentile, before arcsinh.
        name: The channel.
        cofactor: Of arcsinh; None for no arcsinh, as for embeddings.
        input_type: What the image holds.
    """
    return _channel(
        name,
        input_type,
        *bounded(low=low, high=high, cofactor=cofactor),
        Standardize(mean=exact(mean), std=exact(std)),
    )


def bounded(
    *, low: Number, high: Number, cofactor: Number | None = COFACTOR
) -> tuple[Step, ...]:
    """The steps before the z-score: clip, then arcsinh unless there is no cofactor.

    Raises:
        SpecError: Low is not below high, or the cofactor not above 0.
    """
    try:
        clip = Clip(low=exact(low), high=exact(high))
        curve = () if cofactor is None else (Arcsinh(cofactor=exact(cofactor)),)
    except ValueError as error:
        raise SpecError(
            f"clip {low}..{high} and cofactor {cofactor} are no steps; low must be "
            "below high, and the cofactor above 0"
        ) from error
    return (clip, *curve)


def image_z(
    *,
    name: str,
    ddof: Literal[0, 1] = 1,
    eps: Number = 0,
    eps_placement: Literal["add", "max"] = "add",
    degenerate: Degenerate = "zeros",
    input_type: InputType = "float32",
) -> Channel:
    """The incident's remedy: each channel by its own mean and sd in each image.

    As `(x - x.mean(dim=(1, 2))) / x.std(dim=(1, 2))` in torch, whose sd has ddof 1. The
    original has no eps, and NaN for a constant channel; here that is stated.

    Args:
        name: The channel.
        ddof: 1 as torch's sd, 0 as NumPy's.
        eps: Added to the sd, or a floor under it.
        eps_placement: Which of both.
        degenerate: What a constant channel becomes.
        input_type: What the image holds.
    """
    step = StandardizeSample(
        scope="channel",
        fit_mask=Mask(),
        apply_mask=Mask(),
        outside="keep",
        eps=exact(eps),
        eps_placement=eps_placement,
        degenerate=degenerate,
        ddof=ddof,
    )
    return _channel(name, input_type, step)


def revin(*, name: str, input_type: InputType = "float32") -> Channel:
    """As reversible instance normalization: per image, its mean and sd kept beside.

    The spec tells what is taken off; that the model gets it back is the family's work
    (`normgate.acquisitions.load.Loaded.removed`). Not `sqrt(var + eps)` as in the
    paper (Kim et al. 2022): eps is a floor under the sd, ddof is 0.
    """
    return image_z(
        name=name,
        ddof=0,
        eps=REVIN_EPS,
        eps_placement="max",
        degenerate="zeros",
        input_type=input_type,
    )


def legacy_none(*, name: str, input_type: InputType = "float32") -> Channel:
    """The incident's first: raw values, nothing done to them."""
    return _channel(name, input_type)


def legacy_image_z(*, name: str, input_type: InputType = "float32") -> Channel:
    """The incident's remedy to the letter; its NaN of a constant channel is refused."""
    return image_z(name=name, degenerate="raise", input_type=input_type)


def imc_spec(
    markers: Sequence[str],
    recipe: Callable[..., Channel],
    input_type: InputType = "float32",
) -> Spec:
    """One recipe without constants for every marker, called as a spec calls them.

    Raises:
        SpecError: Two markers are called alike, or one can't be called.
    """
    names = distinct_names(markers)
    return Spec(
        channels=tuple(recipe(name=name, input_type=input_type) for name in names)
    )


def distinct_names(markers: Sequence[str]) -> tuple[str, ...]:
    """What a spec calls markers.

    Raises:
        SpecError: Two are called alike, or one can't be called.
    """
    names: dict[str, str] = {}
    for marker in markers:
        name = channel_name(marker)
        if name in names:
            raise SpecError(
                f"markers {names[name]!r} and {marker!r} are both called {name} in a "
                "spec; rename one of them in the panel"
            )
        names[name] = marker
    return tuple(names)


def abundance_lost(channel: Channel) -> bool:
    """Whether a channel's level is taken off in each image, so that none is left."""
    return any(isinstance(step, SampleStep) for step in channel.steps)


def _spelled(letter: str) -> str:
    found = _GREEK.match(unicodedata.name(letter, ""))
    return found[1].lower() if found else letter


def _channel(name: str, input_type: InputType, *steps: Step) -> Channel:
    return Channel(name=name, input=input_type, steps=steps)
