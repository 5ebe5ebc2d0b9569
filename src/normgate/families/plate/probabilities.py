"""From the members' logits to the probabilities of one model.

Axes: r members, n units, k classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def combined(
    logits_rnk: NDArray[np.float32], temperatures: Sequence[float]
) -> dict[str, NDArray[np.floating]]:
    """What the members say together.

    Args:
        logits_rnk: Of every member.
        temperatures: One for each; its logits are divided by it before softmax.

    Returns:
        `logits`, their mean, float32 (n, k), and `probabilities`, float64 (n, k):
        softmax of the mean of the tempered logits.
    """
    scale = np.array(temperatures).reshape(-1, 1, 1)
    tempered = (logits_rnk.astype(np.float64) / scale).mean(axis=0)
    return {"logits": logits_rnk.mean(axis=0), "probabilities": softmax(tempered)}


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Softmax over the last axis."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    result: NDArray[np.float64] = shifted / shifted.sum(axis=-1, keepdims=True)
    return result
