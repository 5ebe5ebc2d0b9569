"""Units collected into batches of one size, in the order in which they came.

Axes: n units, r replicates, k classes, c channels, y rows, x columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


class Batches:
    """Feeds a model with full batches; one buffer, so memory stays as it is.

    Args:
        size: Units in a batch.
        forward: Takes float32 (n, c, y, x) and returns logits (r, n, k). What it
            returns may still be under way on a device.
    """

    def __init__(
        self, size: int, forward: Callable[[torch.Tensor], torch.Tensor]
    ) -> None:
        self._size = size
        self._forward = forward
        self._buffer: NDArray[np.float32] | None = None
        self._filled = 0
        self._logits: list[torch.Tensor] = []

    def add(self, images_ncyx: NDArray[np.float32]) -> None:
        """Take units, and run the model for each batch that becomes full."""
        if self._buffer is None:
            shape = (self._size, *images_ncyx.shape[1:])
            self._buffer = np.empty(shape, dtype=np.float32)
        while len(images_ncyx):
            room = self._size - self._filled
            piece, images_ncyx = images_ncyx[:room], images_ncyx[room:]
            self._buffer[self._filled : self._filled + len(piece)] = piece
            self._filled += len(piece)
            if self._filled == self._size:
                self._run()

    def finish(self) -> NDArray[np.float32] | None:
        """Run what is left and give all logits since the last call.

        Returns:
            Float32 (r, n, k) in the order of the units; None where there were none.
        """
        if self._filled:
            self._run()
        logits, self._logits = self._logits, []
        return torch.cat(logits, dim=1).cpu().numpy() if logits else None

    def _run(self) -> None:
        assert self._buffer is not None
        batch = torch.from_numpy(self._buffer[: self._filled])
        self._logits.append(self._forward(batch))
        self._filled = 0
