"""Two outputs of a probe side by side: which channels differ, where, and why.

Arrays are float32, channels first. What a probe is, and what else can have gone wrong
with it, is the matter of each kind of data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from normgate.contract import describe_channel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from normgate.contract import Spec

CLOSE = 1e-4
"""Of a range: closer than this is taken for the same arithmetic."""


def same(found: NDArray[np.float32], expected: NDArray[np.float32]) -> bool:
    """Whether shape and every bit agree."""
    a, b = np.ascontiguousarray(found), np.ascontiguousarray(expected)
    return bool(np.array_equal(a.view(np.uint32), b.view(np.uint32)))


def near(found: NDArray[np.float32], other: NDArray[np.float32]) -> bool:
    """Whether nothing differs by more than a rounding."""
    gap = float(np.abs(found.astype(np.float64) - other).max())
    return gap <= CLOSE * max(float(np.ptp(other)), 1e-30)


def wrong_channels(
    found: NDArray[np.float32], expected: NDArray[np.float32]
) -> list[int]:
    """Channels (first axis) of which any output bit differs."""
    return [c for c in range(len(expected)) if not same(found[c], expected[c])]


def largest(
    found: NDArray[np.float32], expected: NDArray[np.float32]
) -> tuple[int, float]:
    """Where two outputs differ most (flat), and by how much; NaN counts most."""
    with np.errstate(invalid="ignore"):
        gap = np.abs(found.astype(np.float64) - expected.astype(np.float64)).ravel()
    different = (
        np.ascontiguousarray(found).view(np.uint32)
        != np.ascontiguousarray(expected).view(np.uint32)
    ).ravel()
    gap[np.isnan(gap) & different] = np.inf
    gap[~different] = -1.0
    at = int(gap.argmax())
    return at, float(gap[at])


def names(spec: Spec, channels: Sequence[int]) -> str:
    """The names of some channels, in words."""
    return ", ".join(spec.channels[c].name for c in channels)


def intensities(
    spec: Spec,
    planes: Sequence[NDArray[Any]],
    found: NDArray[np.float32],
    expected: NDArray[np.float32],
    cause: Callable[[int], str],
    otherwise: Callable[[int], str] = lambda _: "Check the steps and their constants",
) -> str:
    """Name the channel whose cause is plain, or else the one that is furthest off.

    Args:
        spec: What is declared.
        planes: What went in, one array a channel.
        found: What came out.
        expected: What should have.
        cause: What is wrong with a channel, in words; empty where that is not plain.
        otherwise: What is said of the channel where no cause is plain.
    """
    wrong = wrong_channels(found, expected)
    order = sorted(wrong, key=lambda c: -largest(found[c], expected[c])[1])
    causes = {c: cause(c) for c in order}
    told = next((c for c in order if causes[c]), order[0])
    at, _ = largest(found[told], expected[told])
    return (
        f"the loader does not apply what the spec declares in {names(spec, wrong)}: "
        f"in channel {spec.channels[told].name} intensity {planes[told].flat[at]:g} "
        f"becomes {found[told].flat[at]:.6g}, expected {expected[told].flat[at]:.6g} "
        f"({describe_channel(spec.channels[told])}). "
        f"{causes[told] or otherwise(told)}"
    )


def swapped_cause(
    spec: Spec,
    found: NDArray[np.float32],
    expected: NDArray[np.float32],
    channel: int,
    what: str = "image",
) -> str:
    """Whether a channel's output is another's, or its own at other places.

    Args:
        spec: What is declared.
        found: What came out.
        expected: What should have.
        channel: Which one.
        what: What was loaded, in a word.
    """
    for other, rival in enumerate(spec.channels):
        if other != channel and same(found[channel], expected[other]):
            return f"It carries {rival.name}: channels are swapped"
    one, two = (np.sort(array[channel], axis=None) for array in (found, expected))
    if same(one, two):
        return (
            f"Every output is there at another place: the {what} is shifted or turned"
        )
    return ""


def affine_cause(found: NDArray[np.float32], own: NDArray[np.float32]) -> str:
    """Whether the output is the expected one, scaled and shifted."""
    x, y = own.astype(np.float64).ravel(), found.astype(np.float64).ravel()
    if not (np.ptp(x) > 0 and np.isfinite(y).all()):
        return ""
    gain = float(np.cov(x, y, ddof=0)[0, 1] / np.var(x))
    offset = float(y.mean() - gain * x.mean())
    if np.abs(gain * x + offset - y).max() > CLOSE * max(np.ptp(y), 1e-30):
        return ""
    return (
        f"It is {gain:.6g} times the expected output plus {offset:.6g}: a step is "
        "applied twice, left out, or has other constants"
    )
