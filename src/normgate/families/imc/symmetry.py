"""The eight symmetries of the square, on grids of nodes.

Symmetry k is k % 4 quarter turns, after a mirror image from 4 on. They act on the last
two axes, h and w, which must be equal.
"""

from __future__ import annotations

import torch
from torch import Tensor

COUNT = 8


def turned(grids: Tensor, symmetry: int) -> Tensor:
    """One symmetry of grids (..., s, s)."""
    mirrored = grids.flip(-1) if symmetry >= 4 else grids
    return torch.rot90(mirrored, symmetry % 4, dims=(-2, -1))


def all_turned(grids_bcss: Tensor) -> Tensor:
    """All symmetries of grids (b, c, s, s): (b, 8, c, s, s)."""
    return torch.stack([turned(grids_bcss, k) for k in range(COUNT)], dim=1)


def inverse(symmetry: int) -> int:
    """The symmetry that undoes one: a mirror image undoes itself."""
    return symmetry if symmetry >= 4 else -symmetry % 4


def chosen(grids_bcss: Tensor, symmetry_b: Tensor) -> Tensor:
    """Each grid under a symmetry of its own."""
    every = all_turned(grids_bcss)
    return every[torch.arange(len(every), device=every.device), symmetry_b]


def product(second: int, first: int) -> int:
    """The symmetry that is `second` after `first`."""
    turns = first % 4 if second < 4 else -first % 4
    mirrored = (first >= 4) != (second >= 4)
    return (second + turns) % 4 + (4 if mirrored else 0)
