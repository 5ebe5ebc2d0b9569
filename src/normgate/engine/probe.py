"""What the first steps of a training come to, so that two settings can be compared.

Where a setting changes neither a gradient nor an update, it changes no training.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import torch

from normgate.engine.device import seed_all

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from normgate.engine.settings import FitSettings
    from normgate.engine.task import Task

STEPS = 2
"""The second gradient also shows what acts through the optimizer alone."""
DONE = 0.9
"""The share of a training that the steps are taken for: past every warm-up, so that a
term that comes in late is there."""


def first_steps(task: Task, settings: FitSettings) -> NDArray[np.float64]:
    """Gradients and updates of a few steps on the CPU; the task's model is trained.

    Args:
        task: Newly made.
        settings: Learning rate, weight decay and seed.

    Returns:
        Every gradient of every step, then how the parameters moved, in one row.
    """
    seed_all(settings.seed)
    model = task.model.train()
    before = [parameter.detach().clone() for parameter in model.parameters()]
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=settings.lr, weight_decay=settings.weight_decay
    )
    found: list[torch.Tensor] = []
    generator = torch.Generator().manual_seed(settings.seed)
    for batch in islice(task.batches(generator), STEPS):
        loss, _ = task.loss(batch, DONE)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        found += [
            parameter.grad.detach().clone()
            for parameter in model.parameters()
            if parameter.grad is not None
        ]
        optimizer.step()
    found += [
        parameter.detach() - old
        for parameter, old in zip(model.parameters(), before, strict=True)
    ]
    row: NDArray[np.float64] = (
        torch.cat([one.flatten() for one in found]).double().numpy()
    )
    return row
