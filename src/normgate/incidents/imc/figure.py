"""Test units beside their reconstructions, so that it is seen where all look alike.

Both are shown in the evaluation space, in the channel that is reconstructed median
well and in that of the least scale. Axes: u units, c channels, h rows, w columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from normgate.engine.canvas import save
from normgate.families.imc.metrics import channel_r2

if TYPE_CHECKING:
    from pathlib import Path

    from normgate.families.imc.task import ImcTask

SHOWN = 8


def reconstructions(path: Path, task: ImcTask) -> Path:
    """Draw the first test units of a fitted task."""
    at = task.parts.test
    truth, found = task.judge.truth(at), task.judge.found(task.look(at))
    each = channel_r2(found, truth)
    scales = task.units.raw[task.parts.train].std(axis=(0, 2, 3))
    middle = int(np.argsort(each)[len(each) // 2])
    chosen = {"of median R2": middle, "of the least scale": int(np.argmin(scales))}
    figure = Figure(figsize=(1.2 + SHOWN * 0.95, 4.6), layout="constrained")
    grid = figure.subplots(4, SHOWN)
    for pair, (words, channel) in enumerate(chosen.items()):
        low, high = np.percentile(truth[:SHOWN, channel], (1, 99))
        for row, images in enumerate((truth, found)):
            line = grid[2 * pair + row]
            for unit, axes in enumerate(line):
                axes.imshow(images[unit, channel], vmin=low, vmax=high, cmap="viridis")
                axes.set_xticks([])
                axes.set_yticks([])
            line[0].set_ylabel(("unit", "found")[row], fontsize=8)
        name = task.units.spec.names[channel]
        title = f"channel {words} ({name}), R2 {each[channel]:.2f}"
        grid[2 * pair][0].set_title(title, loc="left", fontsize=8)
    figure.suptitle(task.name, x=0.01, ha="left", fontsize=10)
    save(figure, path)
    return path
