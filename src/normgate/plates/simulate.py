"""Simulated neurons: what one site of a plate looks like at each timepoint.

A model of severity s (0 healthy, 1 diseased): neurites are Poisson(5 - s), HALO puncta
Poisson(2 + 2.2 s) and more of them after stimulation, expression is lognormal (sigma
0.45) and shared by both dyes, photons are Poisson and the camera adds read noise. A
toxic drug takes neurites. Nothing here knows of files or plates.

`_yx` arrays are planes (rows, columns) in counts or in units of soma brightness.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.ndimage import binary_dilation, gaussian_filter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.random import Generator
    from numpy.typing import NDArray

MARKERS = ("RFP1", "HALO", "HALO_MASKED")
TILE = 32
"""Side of the square that holds one neuron, in pixels."""
TILES = 3
"""Neurons along a side of a site."""
SIDE = TILE * TILES

_NEURITES = 5.0
_PUNCTA = 2.0
_EXPRESSION_SIGMA = 0.45
_PHOTON = 20.0
"""Counts per photo-electron."""
_READ_NOISE = 12.0
"""Standard deviation of the camera's noise, in counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How bright one dye is."""

    background: float
    """Camera offset and medium, in counts."""
    signal: float
    """Counts of a soma of expression 1."""


LOOKS: Mapping[str, Look] = {
    "RFP1": Look(background=989.0, signal=6500.0),
    "HALO": Look(background=1809.0, signal=8200.0),
}
MASKED_COUNTS = 40.0
"""Counts of HALO above background that make one count of HALO_MASKED."""
Masked = Literal["byte", "halo"]
"""What HALO_MASKED holds inside the mask: HALO above its background, scaled to 0..255,
or HALO's own counts. Outside it is 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What a well does to its neurons."""

    severity: float
    """0 healthy to 1 diseased."""
    toxicity: float
    """Neurites lost to the drug, from 0 to 1 of them."""
    gain: Mapping[str, float]
    """Brightness of plate and well, by marker (RFP1 and HALO)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Neuron:
    """One neuron before the camera, in units of soma brightness."""

    body_yx: NDArray[np.float64]
    puncta_yx: tuple[NDArray[np.float64], ...]
    """One plane of puncta a timepoint."""
    expression: float


def simulate_site(
    condition: Condition,
    puncta_gain: Sequence[float],
    rng: Generator,
    masked: Masked = "byte",
) -> list[dict[str, NDArray[np.uint16]]]:
    """Simulate one site: nine neurons on a grid, the same ones at each timepoint.

    Args:
        condition: What the well does to its neurons.
        puncta_gain: For each timepoint, puncta per unit of severity.
        rng: Where every random number comes from.
        masked: What HALO_MASKED holds.

    Returns:
        For each timepoint a plane of (96, 96) uint16 counts by marker.
    """
    neurons = [_neuron(condition, puncta_gain, rng) for _ in range(TILES**2)]
    body = _mosaic([n.body_yx * n.expression for n in neurons])
    mask = binary_dilation(_mosaic([n.body_yx for n in neurons]) > 0.12, iterations=1)
    planes = []
    for time in range(len(puncta_gain)):
        puncta = _mosaic([n.puncta_yx[time] * n.expression for n in neurons])
        halo = _exposed("HALO", 0.30 * body + puncta, condition, rng)
        planes.append(
            {
                "RFP1": _counts(_exposed("RFP1", body, condition, rng)),
                "HALO": _counts(halo),
                "HALO_MASKED": _counts(np.where(mask, _masked(halo, masked), 0)),
            }
        )
    return planes


def _masked(halo_yx: NDArray[np.float64], kind: Masked) -> NDArray[np.float64]:
    """HALO as it stands inside the mask."""
    if kind == "halo":
        return halo_yx
    above = np.clip(halo_yx - LOOKS["HALO"].background, 0, None) / MASKED_COUNTS
    return np.minimum(above, 255)


def _neuron(
    condition: Condition, puncta_gain: Sequence[float], rng: Generator
) -> Neuron:
    """A soma, its neurites and its puncta, inside one tile."""
    soma = rng.uniform(0.40, 0.60, 2) * TILE
    wanted = (_NEURITES - condition.severity) * (1 - 0.6 * condition.toxicity)
    neurites = [_neurite(soma, rng) for _ in range(rng.poisson(wanted))]
    shape = rng.uniform(2.2, 3.0, 2)
    y, x = np.ogrid[:TILE, :TILE]
    body = np.exp(
        -0.5 * (((y - soma[0]) / shape[0]) ** 2 + ((x - soma[1]) / shape[1]) ** 2)
    )
    body += gaussian_filter(_deposit(neurites, 0.55), 0.8)
    inside = np.argwhere(body > 0.15)
    totals = [_PUNCTA + gain * condition.severity for gain in puncta_gain]
    puncta = _puncta(inside, totals, rng)
    return Neuron(
        body_yx=body,
        puncta_yx=tuple(puncta),
        expression=float(rng.lognormal(0.0, _EXPRESSION_SIGMA)),
    )


def _neurite(soma: NDArray[np.float64], rng: Generator) -> NDArray[np.float64]:
    """Points (n, 2) along a bent line from the soma outwards."""
    steps = int(rng.integers(14, 26))
    angle = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.12, steps))
    return soma + np.cumsum(np.stack([np.sin(angle), np.cos(angle)], 1) * 0.75, 0)


def _puncta(
    inside: NDArray[np.intp], means: Sequence[float], rng: Generator
) -> list[NDArray[np.float64]]:
    """Bright spots inside the neuron; a later timepoint adds to the first's."""
    planes, spots, before = [], [], 0.0
    for mean in means:
        count = int(rng.poisson(max(mean - before, 0.0)))
        before = max(mean, before)
        if count:
            at = inside[rng.integers(0, len(inside), count)].astype(np.float64)
            spots.append(at + rng.uniform(-0.5, 0.5, at.shape))
        planes.append(gaussian_filter(_deposit(spots, 7.0), 0.9))
    return planes


def _deposit(
    lines: Sequence[NDArray[np.float64]], amount: float
) -> NDArray[np.float64]:
    """Put an amount at each point (n, 2) that lies inside the tile."""
    plane = np.zeros((TILE, TILE))
    if lines:
        at = np.rint(np.concatenate(lines)).astype(np.intp)
        at = at[((at >= 0) & (at < TILE)).all(axis=1)]
        np.add.at(plane, (at[:, 0], at[:, 1]), amount)
    return plane


def _mosaic(tiles: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Nine tiles to one site."""
    grid = np.stack(tiles).reshape(TILES, TILES, TILE, TILE)
    return grid.transpose(0, 2, 1, 3).reshape(SIDE, SIDE)


def _exposed(
    marker: str, light_yx: NDArray[np.float64], condition: Condition, rng: Generator
) -> NDArray[np.float64]:
    """What the camera makes of light: photon noise, read noise, and its offset."""
    look = LOOKS[marker]
    photons = rng.poisson(light_yx * look.signal * condition.gain[marker] / _PHOTON)
    noise = rng.normal(0.0, _READ_NOISE, light_yx.shape)
    counts: NDArray[np.float64] = look.background + photons * _PHOTON + noise
    return counts


def _counts(plane_yx: NDArray[np.float64]) -> NDArray[np.uint16]:
    return np.clip(np.rint(plane_yx), 0, np.iinfo(np.uint16).max).astype(np.uint16)
