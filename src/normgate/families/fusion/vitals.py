"""Signs of a dead or lying fusion, judged from its metrics.

Each rule is pure: a number meets a threshold with its basis. The measured thresholds
separated good runs from broken ones on phantoms at demo size; they were chosen with
those runs in view, so they ask for a look at other data before they are trusted there.
NaN fails. The incident's own red flags come along from `advisory`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from normgate.families.fusion.advisory import advisory
from normgate.gate.vitals import Vital

if TYPE_CHECKING:
    from collections.abc import Mapping

    from normgate.gate.vitals import Basis, Level

AT_BOUND = 0.01
BONE_PSNR_HU = 15.0
BONE_NCC = 0.5
BRAIN_NCC = 0.5
SHUFFLE_DROP = 0.3
NONEMPTY = 5
ORACLE_SHARE = 0.95
ABOVE_NOISE_DB = 3.0
COPY_DIFFERENCE = 1e-6
ZERO_GRADIENT_YELLOW, ZERO_GRADIENT_RED = 0.05, 0.50


def fusion_vitals(metrics: Mapping[str, float], epoch: int) -> tuple[Vital, ...]:
    """Every vital whose metrics are there.

    Args:
        metrics: By the names of `metrics` and `baselines`; also `loss` and
            `zero_gradient` of the training, `oracle_share` of its sampler (left out
            in regression), and `copy_difference` where a misregistered set was fused.
        epoch: Epochs that were trained.
    """
    return (
        at_bound(metrics["at_bound"]),
        bone_psnr_hu(metrics["bone_psnr_hu"]),
        bone_ncc(metrics["bone_ncc"]),
        brain_ncc(metrics["brain_ncc"]),
        ct_used(metrics["bone_ncc_drop"]),
        mri_used(metrics["brain_ncc_drop"]),
        lesion_predicted(metrics["lesion_identical"]),
        lesion_cases(metrics["lesion_nonempty"]),
        above_noise(metrics["bone_psnr_hu"] - metrics["baseline_noise_bone_psnr_hu"]),
        *_where(metrics),
        *advisory(metrics, epoch),
    )


def _where(metrics: Mapping[str, float]) -> tuple[Vital, ...]:
    """Those that not every training can have."""
    rules = {
        "oracle_share": sampler,
        "zero_gradient": zero_gradient,
        "copy_difference": no_copy,
    }
    return tuple(rule(metrics[name]) for name, rule in rules.items() if name in metrics)


def at_bound(share: float) -> Vital:
    """Red when fused images pile up at the bound: what is there has no gradient."""
    return _vital(
        "fused.at_bound",
        share,
        AT_BOUND,
        "measured",
        "green" if share < AT_BOUND else "red",
        f"{share:.2%} of the fused voxels lie at the output's bound; below "
        f"{AT_BOUND:.0%} is expected, so look at the prediction type before the bound.",
    )


def bone_psnr_hu(decibel: float) -> Vital:
    """Red when bone is far from the CT, in HU over a fixed range."""
    return _at_least(
        "bone.psnr_hu",
        decibel,
        BONE_PSNR_HU,
        f"Bone of the fused images is {decibel:.2f} dB (of 2000 HU) from the CT; more "
        f"than {BONE_PSNR_HU:g} is expected, so look at the CT's normalization.",
    )


def bone_ncc(correlation: float) -> Vital:
    """Red when bone does not vary as the CT does."""
    return _at_least(
        "bone.ncc",
        correlation,
        BONE_NCC,
        f"In bone the fused images correlate {correlation:.3f} with the CT; more than "
        f"{BONE_NCC:g} is expected, so look at the CT's normalization and target.",
    )


def brain_ncc(correlation: float) -> Vital:
    """Red when brain does not vary as the MRI does."""
    return _at_least(
        "brain.ncc",
        correlation,
        BRAIN_NCC,
        f"In the brain the fused images correlate {correlation:.3f} with the MRI; more "
        f"than {BRAIN_NCC:g} is expected, so look at the MRI's normalization and "
        "target.",
    )


def ct_used(drop: float) -> Vital:
    """Red when another patient's CT makes no difference: the model ignores it."""
    return _at_least(
        "bone.ct_shuffle_drop",
        drop,
        SHUFFLE_DROP,
        f"With another patient's CT the correlation in bone falls by {drop:.3f}; more "
        f"than {SHUFFLE_DROP:g} is expected, less is the sign that CT is ignored (or "
        "that there are too few patients to exchange).",
    )


def mri_used(drop: float) -> Vital:
    """Red when another patient's MRI makes no difference: the model ignores it."""
    return _at_least(
        "brain.mri_shuffle_drop",
        drop,
        SHUFFLE_DROP,
        f"With another patient's MRI the correlation in the brain falls by {drop:.3f}; "
        f"more than {SHUFFLE_DROP:g} is expected, less is the sign that MRI is ignored "
        "(or that there are too few patients to exchange).",
    )


def lesion_predicted(identical: float) -> Vital:
    """Red when every predicted lesion is the truth to the voxel."""
    return _vital(
        "lesion.identical",
        identical,
        1.0,
        "judgement",
        "red" if identical >= 1 else "green",
        f"In {identical:.1%} of the cases with a lesion the predicted mask is the true "
        "one to the voxel; in all of them is the sign that the truth was passed as the "
        "prediction.",
    )


def lesion_cases(count: float) -> Vital:
    """Yellow when too few cases have a lesion for the Dice to say anything."""
    return _vital(
        "lesion.nonempty",
        count,
        NONEMPTY,
        "judgement",
        "green" if count >= NONEMPTY else "yellow",
        f"{count:.0f} of the evaluated cases have a lesion; from {NONEMPTY} on the "
        "Dice is worth reading.",
    )


def sampler(share: float) -> Vital:
    """Red when the sampler diverges even with a perfect network."""
    return _vital(
        "sampler.oracle",
        share,
        ORACLE_SHARE,
        "theorem",
        "green" if share >= ORACLE_SHARE else "red",
        f"With the exact posterior mean for a network {share:.1%} of the samples end "
        f"near the data; at least {ORACLE_SHARE:.0%} is expected, so look "
        "at the sampler and its steps: no training can mend that.",
    )


def above_noise(decibel: float) -> Vital:
    """Red when bone is hardly better than noise."""
    return _at_least(
        "bone.above_noise",
        decibel,
        ABOVE_NOISE_DB,
        f"In bone the fused images are {decibel:.2f} dB better than noise; at least "
        f"{ABOVE_NOISE_DB:g} is expected.",
        inclusive=True,
    )


def no_copy(difference: float) -> Vital:
    """Red when a misregistered pair is fused to the copy of its regions."""
    return _vital(
        "fused.copy_difference",
        difference,
        COPY_DIFFERENCE,
        "theorem",
        "green" if difference > COPY_DIFFERENCE else "red",
        f"On misregistered pairs the fused images differ from a copy of the regions by "
        f"{difference:.3g} of its sd; 0 is the sign that masks were copied rather than "
        "images fused.",
    )


def zero_gradient(fraction: float) -> Vital:
    """Judge the share of voxels whose gradient the bound stops in training."""
    level: Level = "red"
    if fraction < ZERO_GRADIENT_RED:
        level = "green" if fraction < ZERO_GRADIENT_YELLOW else "yellow"
    return _vital(
        "train.zero_gradient",
        fraction,
        ZERO_GRADIENT_RED if level == "red" else ZERO_GRADIENT_YELLOW,
        "measured",
        level,
        f"The output's bound stops the gradient at {fraction:.1%} of the voxels in "
        f"training; below {ZERO_GRADIENT_YELLOW:.0%} is expected, so look at the "
        "prediction type before the bound.",
    )


def _at_least(
    name: str, value: float, threshold: float, sentence: str, inclusive: bool = False
) -> Vital:
    """Red below a measured threshold; NaN is red."""
    fine = value > threshold or (inclusive and value == threshold)
    level: Level = "green" if fine else "red"
    return _vital(name, value, threshold, "measured", level, sentence)


def _vital(
    name: str,
    value: float,
    threshold: float,
    basis: Basis,
    level: Level,
    sentence: str,
) -> Vital:
    return Vital(
        name=f"fusion.{name}",
        value=value,
        threshold=float(threshold),
        basis=basis,
        level=level,
        sentence=sentence,
    )
