"""Simulated acquisitions: stacks whose channels differ a thousandfold in scale.

A channel is its scale, 10 to the power of -1.5..1.5, times the sum of a base level,
spatial patterns that are shared by all channels and stronger or weaker by class, the
class's own level, the acquisition's density, and noise. So class and density live in
the level (abundance), and the layout in the patterns. In count mode that sum is the
logarithm of a rate, weaker between cells, and pixels are negative binomial counts.
Nothing here knows of files.

`_cyx` arrays are (channels, rows, columns), `_pyx` (patterns, rows, columns).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.ndimage import gaussian_filter

from normgate.errors import SettingsError

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

Mode = Literal["values", "counts"]
MARKERS: tuple[tuple[str, str], ...] = (
    ("In113", "Histone H3"),
    ("La139", "CD45"),
    ("Pr141", "\N{GREEK SMALL LETTER ALPHA}-SMA"),
    ("Nd143", "Vimentin"),
    ("Nd144", "CD14"),
    ("Sm147", "CD163"),
    ("Eu153", "PD-L1"),
    ("Gd156", "CD4"),
    ("Gd158", "E-cadherin"),
    ("Dy162", "CD8a"),
    ("Er168", "Ki-67"),
    ("Er170", "CD3"),
    ("Yb172", "H3K27Ac"),
    ("Yb176", "Cytokeratin 5"),
    ("Ir191", "DNA1"),
    ("Ir193", "DNA2"),
)
"""Metal and target of the channels in count mode, as many as are asked for."""
_HALF_DECADES = 1.5
_PATTERN_PX = 2.5
"""Standard deviation of the filter that makes patterns smooth: a latent of 32 numbers
can hold three of them on 6 x 6 nodes, which it can't where each node is its own."""
_SHARPNESS = 2.0
_NOISE = 0.3
_LEVEL = 0.6
"""Spread over channels of what class and density add."""
_LAYOUT = 1.2
"""Spread over channels of what patterns add: layouts are two fifths of the variance."""
_COUNT_DECADES = (-0.5, 1.3)
_DISPERSION = 4.0
_BETWEEN_CELLS = 0.25
_CELL_RADIUS_PX = (1.8, 2.8)
_CELL_SPACING_PX = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldSettings:
    """What all acquisitions of a data set have in common."""

    seed: int
    """With an acquisition's number it decides the acquisition."""
    world: int = 0
    """What channels, classes and patterns are follows from it."""
    mode: Mode = "values"
    """Values such as embeddings have, or counts."""
    channels: int = 128
    """Channels; at most 16 in count mode."""
    classes: int = 4
    """Classes of acquisitions."""
    patterns: int = 3
    """Spatial patterns that channels share."""
    rows: int = 6
    """Rows of an acquisition, in pixels or patches."""
    columns: int = 6
    """Columns."""

    def __post_init__(self) -> None:
        """Refuse what can't be simulated.

        Raises:
            SettingsError: With the parameter, its value and what is expected.
        """
        most = {"channels": 1024 if self.mode == "values" else len(MARKERS)}
        for name in ("channels", "classes", "patterns", "rows", "columns"):
            value, limit = getattr(self, name), most.get(name, 4096)
            if not 1 <= value <= limit:
                raise SettingsError(f"{name} is {value}, expected 1 to {limit}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """One acquisition and the truth about it."""

    array_cyx: NDArray[np.float32]
    """What an instrument or a network would give."""
    clean_cyx: NDArray[np.float32]
    """The same without noise; in count mode, the rate."""
    label: int
    """Its class."""
    density: float
    """What it adds to every channel's level, times the channel's own factor."""
    cells_yx: NDArray[np.uint16]
    """Labels of cells; in count mode they are where signal is."""


@dataclass(frozen=True)
class World:
    """Draws acquisitions of one data set; the same number gives the same one."""

    settings: WorldSettings

    @property
    def markers(self) -> tuple[tuple[str, str], ...]:
        """Tag and target of every channel."""
        count = self.settings.channels
        if self.settings.mode == "counts":
            return MARKERS[:count]
        return tuple((f"E{c + 1:04d}", "") for c in range(count))

    def acquisition(self, number: int) -> Simulated:
        """Draw an acquisition."""
        own = self.settings
        draw = np.random.default_rng((own.seed, number))
        label = int(draw.integers(own.classes))
        density = float(draw.normal())
        cells_yx = _cells(draw, own.rows, own.columns)
        signal_cyx = self._signal(draw, label, density)
        if own.mode == "counts":
            clean = self._constants.rate_c[:, None, None] * np.exp(signal_cyx)
            clean = clean * np.where(cells_yx > 0, 1.0, _BETWEEN_CELLS)
            chance = _DISPERSION / (_DISPERSION + clean)
            noisy = draw.negative_binomial(_DISPERSION, chance).astype(np.float64)
        else:
            scale = self._constants.scale_c[:, None, None]
            clean = scale * signal_cyx
            noisy = clean + scale * _NOISE * draw.normal(size=clean.shape)
        return Simulated(
            array_cyx=noisy.astype(np.float32),
            clean_cyx=clean.astype(np.float32),
            label=label,
            density=density,
            cells_yx=cells_yx,
        )

    def _signal(
        self, draw: Generator, label: int, density: float
    ) -> NDArray[np.float64]:
        """Base, patterns, class and density; of the order of 1 in every channel."""
        own, fixed = self.settings, self._constants
        patterns_pyx = np.stack(
            [_pattern(draw, own.rows, own.columns) for _ in range(own.patterns)]
        )
        weights_cp = fixed.weights_cp * fixed.activity_kp[label]
        layout_cyx = np.tensordot(weights_cp, patterns_pyx, axes=1)
        level = fixed.base_c + fixed.level_kc[label] + density * fixed.density_c
        result: NDArray[np.float64] = layout_cyx + level[:, None, None]
        return result if own.mode == "values" else _LEVEL * result

    @cached_property
    def _constants(self) -> _Constants:
        own = self.settings
        draw = np.random.default_rng(own.world)
        each, halves = own.channels, _HALF_DECADES
        return _Constants(
            scale_c=10 ** draw.uniform(-halves, halves, size=each),
            base_c=draw.normal(size=each),
            weights_cp=_LAYOUT * draw.normal(size=(each, own.patterns)),
            activity_kp=draw.uniform(0.5, 1.5, size=(own.classes, own.patterns)),
            level_kc=_LEVEL * draw.normal(size=(own.classes, each)),
            density_c=_LEVEL * draw.normal(size=each),
            rate_c=10 ** draw.uniform(*_COUNT_DECADES, size=each),
        )


@dataclass(frozen=True, slots=True)
class _Constants:
    """What is drawn once: c channels, p patterns, k classes."""

    scale_c: NDArray[np.float64]
    base_c: NDArray[np.float64]
    weights_cp: NDArray[np.float64]
    activity_kp: NDArray[np.float64]
    level_kc: NDArray[np.float64]
    density_c: NDArray[np.float64]
    rate_c: NDArray[np.float64]


def _pattern(draw: Generator, rows: int, columns: int) -> NDArray[np.float64]:
    """A smooth random field of spread 1, its edges sharpened."""
    margin = math.ceil(3 * _PATTERN_PX)
    white = draw.normal(size=(rows + 2 * margin, columns + 2 * margin))
    smooth = gaussian_filter(white, _PATTERN_PX)[margin:-margin, margin:-margin]
    # The sum of the filter's squares in two dimensions is 1 / (4 pi sigma^2).
    unit = smooth * (2 * math.sqrt(math.pi) * _PATTERN_PX)
    result: NDArray[np.float64] = np.tanh(_SHARPNESS * unit)
    return result


def _cells(draw: Generator, rows: int, columns: int) -> NDArray[np.uint16]:
    """Round cells near the points of a grid; no two touch."""
    labels = np.zeros((rows, columns), dtype=np.uint16)
    y, x = np.indices(labels.shape)
    half, number = _CELL_SPACING_PX / 2, 0
    for row in range(rows // _CELL_SPACING_PX):
        for column in range(columns // _CELL_SPACING_PX):
            middle = np.array([row, column]) * _CELL_SPACING_PX + half - 0.5
            middle += draw.uniform(-0.5, 0.5, size=2)
            radius = draw.uniform(*_CELL_RADIUS_PX)
            inside = (y - middle[0]) ** 2 + (x - middle[1]) ** 2 <= radius**2
            number += 1
            labels[inside & (labels == 0)] = number
    return labels
