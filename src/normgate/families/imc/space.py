"""The one space in which reconstructions are judged, whatever a training normalized by.

It is each channel's raw values, through `arcsinh(x / cofactor)` where the data are
counts, standardized by mean and std of the training split: constants of the data set,
kept on the card. A reconstruction comes there through the inverse of the training's own
normalization. What a spec measured on each image can't be known from a latent, so for
the metrics it is undone with the training split's mean of those statistics: the image's
own would carry the abundances around the model. `own` undoes it with the image's own,
for pictures.

Axes: u units, c channels, h rows and w columns of nodes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from normgate.contract import ClampAffine, StandardizeSample, normal_form
from normgate.contract.normal_form import Nonlinear
from normgate.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from normgate.contract import Channel, ChannelForm, Spec

_SMALLEST_STD = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """Constants of the evaluation space, one for each channel."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    cofactor: float | None
    """Of the arcsinh before; None where raw values are standardized as they are."""

    def of_raw(self, raw_uchw: NDArray[Any]) -> NDArray[np.float64]:
        """Raw values in this space."""
        bent = _bent(raw_uchw.astype(np.float64), self.cofactor)
        found: NDArray[np.float64] = (bent - _wide(self.mean)) / _wide(self.std)
        return found


def measured_space(raw_uchw: NDArray[Any], cofactor: float | None) -> Space:
    """The space of a training split's raw values; a constant channel keeps std 1."""
    bent = _bent(raw_uchw.astype(np.float64), cofactor)
    std = bent.std(axis=(0, 2, 3))
    return Space(
        mean=tuple(bent.mean(axis=(0, 2, 3)).tolist()),
        std=tuple(np.where(std > _SMALLEST_STD, std, 1.0).tolist()),
        cofactor=cofactor,
    )


@dataclass(frozen=True, slots=True)
class _Undo:
    """Fixed steps, then at most one that is measured on each acquisition."""

    fixed: tuple[ClampAffine | Nonlinear, ...]
    step: StandardizeSample | None


class Inverse:
    """From normalized values back to raw ones.

    Args:
        spec: What was applied; each channel's fixed steps, then at most one
            `standardize_sample` of its own channel, and nothing after it.
        measured_uc2: What `sample_statistics` gave for the training split's units.

    Raises:
        SpecError: A channel can't be undone.
    """

    def __init__(self, spec: Spec, measured_uc2: NDArray[np.float64]) -> None:
        self._undo = tuple(_undo(channel) for channel in spec.channels)
        self._mean = measured_uc2.mean(axis=0, keepdims=True)

    def __call__(self, y_uchw: NDArray[Any]) -> NDArray[np.float64]:
        """Raw values, as far as a latent can know them."""
        return self.own(y_uchw, self._mean)

    def own(
        self, y_uchw: NDArray[Any], measured_uc2: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Raw values, by the statistics of each unit's own acquisition."""
        found = np.empty(y_uchw.shape, dtype=np.float64)
        for c, undo in enumerate(self._undo):
            center, divisor = (measured_uc2[:, c, k, None, None] for k in (0, 1))
            x = y_uchw[:, c].astype(np.float64) * divisor + center
            for operation in reversed(undo.fixed):
                x = _backwards(operation, x)
            found[:, c] = x
        return found


def sample_statistics(
    spec: Spec, planes: Sequence[NDArray[Any]]
) -> NDArray[np.float64]:
    """Center and divisor that a spec measures on an acquisition, (c, 2).

    Args:
        spec: Its channels without a measured step give 0 and 1.
        planes: Raw values of each channel.

    Raises:
        SpecError: A channel can't be undone.
    """
    found = np.tile((0.0, 1.0), (len(spec.channels), 1))
    for c, (channel, plane) in enumerate(zip(spec.channels, planes, strict=True)):
        undo = _undo(channel)
        if undo.step is None:
            continue
        x = plane.astype(np.float64)
        for operation in undo.fixed:
            x = _forwards(operation, x)
        spread, eps = float(x.std(ddof=undo.step.ddof)), float(undo.step.eps)
        added = undo.step.eps_placement == "add"
        found[c] = x.mean(), spread + eps if added else max(spread, eps)
    return found


def loses_abundance(spec: Spec) -> tuple[str, ...]:
    """Channels whose mean is measured on each image and taken off it."""
    return tuple(
        channel.name for channel in spec.channels if not normal_form(channel).fixed
    )


def _undo(channel: Channel) -> _Undo:
    form: ChannelForm = normal_form(channel)
    fixed = [op for op in form.operations if isinstance(op, ClampAffine | Nonlinear)]
    last = form.operations[-1] if len(fixed) < len(form.operations) else None
    plain = (
        isinstance(last, StandardizeSample)
        and last.scope == "channel"
        and last.fit_mask.kind == last.apply_mask.kind == "all"
    )
    if len(form.operations) - len(fixed) > 1 or (last is not None and not plain):
        raise SpecError(
            f"channel {channel.name!r} can't be undone; use fixed steps, and after "
            "them at most one standardize_sample of scope 'channel' without masks"
        )
    return _Undo(tuple(fixed), last if isinstance(last, StandardizeSample) else None)


def _forwards(
    operation: ClampAffine | Nonlinear, x: NDArray[np.float64]
) -> NDArray[np.float64]:
    if isinstance(operation, Nonlinear):
        return np.arcsinh(x) if operation.name == "arcsinh" else np.log1p(x)
    low = None if operation.low is None else float(operation.low)
    high = None if operation.high is None else float(operation.high)
    clipped = x if low is None and high is None else np.clip(x, low, high)
    return clipped * float(operation.gain) + float(operation.offset)


def _backwards(
    operation: ClampAffine | Nonlinear, y: NDArray[np.float64]
) -> NDArray[np.float64]:
    """What was clipped is gone, so a value beyond a bound comes back as it is."""
    if isinstance(operation, Nonlinear):
        # A network may give more than any count: sinh must stay a number.
        return (
            np.sinh(np.clip(y, -50, 50))
            if operation.name == "arcsinh"
            else (np.expm1(np.clip(y, None, 50)))
        )
    return (y - float(operation.offset)) / float(operation.gain)


def _bent(x: NDArray[np.float64], cofactor: float | None) -> NDArray[np.float64]:
    return x if cofactor is None else np.arcsinh(x / cofactor)


def _wide(constants: tuple[float, ...]) -> NDArray[np.float64]:
    return np.array(constants)[:, None, None]
