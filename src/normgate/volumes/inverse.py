"""Back from normalized values to what the volume held, HU for CT.

Between its clip bounds a channel is one affine for each case: the same for all where
its steps are fixed, the case's own where they are measured. What was clipped is gone;
the bounds say where that begins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from normgate.contract import ClampAffine, normal_form
from normgate.errors import SpecError
from normgate.transform.sample import Values, transform_sample

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from normgate.contract import Channel, ChannelForm

_STRAIGHT = 1e-9
# Not even, so that a curve that is symmetric about the middle is no straight line.
_PLACES = (0.25, 0.4, 0.75)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inverse:
    """`x = (y - offset) / gain`, for x from low to high."""

    gain: float
    """Normalized units for each unit of the volume, such as 1/HU."""
    offset: float
    """What 0 becomes."""
    low: float
    """Below this, in the volume's units, values were clipped; -inf for nowhere."""
    high: float

    def __call__(self, normalized: NDArray[Any]) -> NDArray[np.float64]:
        """Values in the volume's units (HU for CT), in binary64; nothing is clipped."""
        back: NDArray[np.float64] = np.asarray(normalized, dtype=np.float64)
        return (back - self.offset) / self.gain

    @property
    def zero(self) -> float:
        """What a normalized 0 stands for."""
        return -self.offset / self.gain


def inverse(channel: Channel, volume_zyx: NDArray[Any]) -> Inverse:
    """How one channel of one case is undone.

    Args:
        channel: A channel of clips and affine steps, fixed or measured on the sample.
        volume_zyx: The whole volume of the case, of the channel's input dtype.

    Raises:
        DataError: The case is degenerate where a step refuses that.
        SpecError: The channel is no affine between its bounds.
    """
    form = normal_form(channel)
    low, high = _bounds(form)
    start = low if np.isfinite(low) else float(volume_zyx.min())
    stop = high if np.isfinite(high) else float(volume_zyx.max())
    if not start < stop:
        start, stop = stop - 1, stop + 1
    x = start + (stop - start) * np.array(_PLACES)
    y = _normalized(form, x, volume_zyx, channel.name)
    gain = float(y[2] - y[0]) / float(x[2] - x[0])
    bent = abs(float(y[1]) - float(y[0]) - gain * float(x[1] - x[0]))
    if gain == 0 or bent > _STRAIGHT * abs(float(y[2] - y[0])):
        raise SpecError(
            f"channel {channel.name!r} can't be undone: between its bounds it is no "
            "straight line; use clips, affine steps and standardize_sample"
        )
    return Inverse(
        gain=gain, offset=float(y[1]) - gain * float(x[1]), low=low, high=high
    )


def _bounds(form: ChannelForm) -> tuple[float, float]:
    """The bounds of the first clamp."""
    first = form.operations[0] if form.operations else None
    if not isinstance(first, ClampAffine):
        return -np.inf, np.inf
    return (
        -np.inf if first.low is None else float(first.low),
        np.inf if first.high is None else float(first.high),
    )


def _normalized(
    form: ChannelForm, x: NDArray[np.float64], volume_zyx: NDArray[Any], name: str
) -> NDArray[np.float64]:
    """What some values become among those of a case; they do not count themselves."""
    if form.fixed:
        alone = Values(x, np.zeros(x.size, dtype=np.int64))
        return transform_sample([form], [alone], [name])[0]
    if any(getattr(step, "scope", None) == "image" for step in form.operations):
        raise SpecError(
            f"channel {name!r} is measured together with others (scope 'image'), so it "
            "can't be undone alone; use scope 'channel'"
        )
    values, counts = np.unique(volume_zyx, return_counts=True)
    both = Values(
        np.concatenate([values.astype(np.float64), x]),
        np.concatenate([counts.astype(np.int64), np.zeros(x.size, dtype=np.int64)]),
    )
    return transform_sample([form], [both], [name])[0][-x.size :]
