"""The incident's own red flags, shown as advice: never red, for they mislead.

A model that ignores CT altogether passes them, and a healthy one failed for a loss of
2.01. They are about metrics that change with the normalization and with the weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from normgate.gate.vitals import Vital

if TYPE_CHECKING:
    from collections.abc import Mapping

EPOCH = 10
"""The incident's red flags are about epoch 10 and later."""
LEAST_PSNR, LEAST_SSIM, MOST_LOSS = 5.0, 0.10, 2.0
CT_RANGE = (0.0, 0.8)
FUSED_RANGE = (-3.0, 5.0)


def advisory(metrics: Mapping[str, float], epoch: int) -> tuple[Vital, ...]:
    """The incident's own red flags, yellow at most."""
    found = [
        bone_psnr(metrics["legacy_bone_psnr"], epoch),
        brain_ssim(metrics["legacy_brain_ssim"], epoch),
        ct_range(metrics["ct_low"], metrics["ct_high"]),
        fused_range(metrics["fused_low"], metrics["fused_high"]),
    ]
    if "loss" in metrics:
        found.append(loss(metrics["loss"]))
    return tuple(found)


def bone_psnr(decibel: float, epoch: int) -> Vital:
    """The incident's: bone_psnr above 5 dB at epoch 10."""
    return _flag(
        "bone_psnr",
        decibel,
        LEAST_PSNR,
        decibel > LEAST_PSNR or epoch < EPOCH,
        f"The incident's bone_psnr is {decibel:.2f} dB and asks for more than "
        f"{LEAST_PSNR:g} from epoch {EPOCH} on; it changes with the "
        "normalization alone.",
    )


def brain_ssim(similarity: float, epoch: int) -> Vital:
    """The incident's: brain_ssim above 0.10 at epoch 10."""
    return _flag(
        "brain_ssim",
        similarity,
        LEAST_SSIM,
        similarity > LEAST_SSIM or epoch < EPOCH,
        f"The incident's brain_ssim is {similarity:.4f} and asks for more than "
        f"{LEAST_SSIM:g} from epoch {EPOCH} on; a copy or a maximum of the "
        "inputs reaches 1.",
    )


def ct_range(low: float, high: float) -> Vital:
    """The incident's: the CT does not lie in 0 to 0.8."""
    least, most = CT_RANGE
    return _flag(
        "ct_range",
        high,
        most,
        low < least or high > most,
        f"Normalized CT spans {low:.3f} to {high:.3f}; the incident's CT lay within "
        f"{least:g} to {most:g}, and the model ignored it.",
    )


def fused_range(low: float, high: float) -> Vital:
    """The incident's: the fused images do not span exactly -3 to 5.

    One end says enough: a broken run reached -3.000 and 4.911.
    """
    least, most = FUSED_RANGE
    return _flag(
        "fused_range",
        high,
        most,
        round(low, 3) != least and round(high, 3) != most,
        f"Fused images span {low:.3f} to {high:.3f}; the incident's stood at the clamp "
        f"({least:g} to {most:g}).",
    )


def loss(loss: float) -> Vital:
    """The incident's: the loss is below 2.0. Recorded; it is always green."""
    return _flag(
        "loss",
        loss,
        MOST_LOSS,
        True,
        f"The loss is {loss:.3f}; the incident asked for less than {MOST_LOSS:g}. "
        "It is recorded and judges nothing: it scales with its own weights, and a "
        "broken run had 1.51.",
    )


def _flag(
    name: str, value: float, threshold: float, fine: bool, sentence: str
) -> Vital:
    return Vital(
        name=f"fusion.advisory.{name}",
        value=value,
        threshold=threshold,
        basis="judgement",
        level="green" if fine else "yellow",
        sentence=sentence,
    )
