"""Whether every weight that is set changes what is learned.

The incident's advice was to raise a weight that was connected to nothing. Before the
first step each weight is doubled in turn, on one batch with the same noise: a gradient
that stays the same to the bit is that of a dead weight. Free bits are left out of the
question, for below their floor the KL term rests on purpose.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from normgate.errors import SettingsError
from normgate.families.imc.losses import WEIGHTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

    from normgate.families.imc.settings import LossSettings

    Loss = Callable[[LossSettings], Tensor]


def dead_weights(
    model: nn.Module, settings: LossSettings, loss: Loss
) -> tuple[str, ...]:
    """The weights above 0 that change no gradient.

    Args:
        model: Its parameters are asked, and left as they are.
        settings: The weights.
        loss: The loss of one batch under other weights, after warm-up.
    """
    settings = replace(settings, free_bits=0.0, warmup=0.0)
    before = _gradient(model, loss(settings))
    return tuple(
        name
        for name in WEIGHTS
        if getattr(settings, name) > 0
        and not _differ(before, _gradient(model, loss(_doubled(settings, name))))
    )


def refuse_dead_weights(model: nn.Module, settings: LossSettings, loss: Loss) -> None:
    """Stop a training before its first step where a weight is connected to nothing.

    Raises:
        SettingsError: With the weights.
    """
    dead = dead_weights(model, settings, loss)
    if dead:
        named = ", ".join(f"{name} ({getattr(settings, name):g})" for name in dead)
        raise SettingsError(
            f"doubling {named} changes no gradient of any parameter, so it would be "
            "searched and reported for nothing; set it to 0, or choose a network that "
            "it acts on"
        )


def _doubled(settings: LossSettings, name: str) -> LossSettings:
    return replace(settings, **{name: 2 * getattr(settings, name)})


def _gradient(model: nn.Module, loss: Tensor) -> list[Tensor | None]:
    parameters = list(model.parameters())
    return list(torch.autograd.grad(loss, parameters, allow_unused=True))


def _differ(one: list[Tensor | None], two: list[Tensor | None]) -> bool:
    return any(
        a is not None and b is not None and not torch.equal(a, b)
        for a, b in zip(one, two, strict=True)
    )
