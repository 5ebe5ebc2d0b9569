"""The incident's own signs of health, as they were written: shown, and never red.

A KL above 100 is no sign of health: the broken run had it too, and a collapsed one
reports dimensions times free bits. A cosine loss below 0.1 can't be reached where each
image was standardized.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from normgate.gate.vitals import Vital

if TYPE_CHECKING:
    from collections.abc import Mapping

KLD_LOSS = 100.0
COSINE_LOSS = 0.1


def advisory(metrics: Mapping[str, float]) -> tuple[Vital, ...]:
    """Both signs."""
    return kld_loss(metrics["kl_reported"]), cosine_loss(metrics["legacy_cosine_loss"])


def kld_loss(nats: float) -> Vital:
    """Recorded, and judges nothing."""
    return Vital(
        name="imc.advisory.kld_loss",
        value=nats,
        threshold=KLD_LOSS,
        basis="judgement",
        level="green",
        sentence=f"The KL is reported as {nats:.1f} nats; the incident asked for more "
        f"than {KLD_LOSS:g}, which its broken run had too: recorded, no judgement.",
    )


def cosine_loss(loss: float) -> Vital:
    """Yellow from 0.1 on, for its own space alone."""
    return Vital(
        name="imc.advisory.cosine_loss",
        value=loss,
        threshold=COSINE_LOSS,
        basis="judgement",
        level="green" if loss < COSINE_LOSS else "yellow",
        sentence=f"The cosine loss is {loss:.3f} in the space of the training's own "
        f"normalization; the incident asked for less than {COSINE_LOSS:g}, which noise "
        "may put out of reach.",
    )
