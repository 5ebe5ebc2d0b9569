"""Signs of a dead or lying IMC training, judged from its metrics.

Each rule is pure: a number meets a threshold with its basis. The measured thresholds
separated good runs from broken ones on simulated units at demo size; they were chosen
with those runs in view, so they ask for a look at other data before they are trusted
there. NaN fails. The incident's own signs come along from `advisory`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from normgate.families.imc.advisory import advisory
from normgate.gate.vitals import Vital, channel_std, dead_channel, scale_ratio

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from normgate.families.imc.settings import Logvar
    from normgate.gate.vitals import Basis, Level

KL_TRUE = 5.0
ACTIVE_SHARE = 0.25
FLOOR_RATIO = 1.5
DIVERSITY = 0.3
SHARPNESS = 0.5
SPATIAL_R2 = 0.3
ABUNDANCE_R2 = 0.5
DENSITY_PROBE = 0.3
PERM_ACCURACY = 0.5
CONSISTENCY = 0.95
SIGMA = 0.5
SMALLEST_SIGMA: dict[Logvar, float] = {"linear": 0.0067, "silu_legacy": 0.870}
"""exp(logvar / 2) at the least log variance: -10 by the clamp, -0.2785 by SiLU."""


def imc_vitals(
    metrics: Mapping[str, float], logvar: Logvar, *, grids: bool = True
) -> tuple[Vital, ...]:
    """Every vital whose metrics are there.

    Args:
        metrics: By the names of `metrics`; also `dead_weights`, and where they apply
            `kl_reported` (as a sum over dimensions), `clean_sharpness`,
            `density_probe`, `perm_accuracy` and `canonical_consistency`.
        logvar: How the network makes log variances.
        grids: Whether units are grids; cells have no layout, and their permuter
            chooses among other than eight.
    """
    return (
        kl_true(metrics["kl_true"]),
        active(metrics["active_share"]),
        diversity(metrics["diversity"]),
        *((spatial(metrics["spatial_r2"]),) if grids else ()),
        abundance(metrics["abundance_r2"]),
        lowest_scale(metrics["r2_low_scale"]),
        dead_weights(metrics["dead_weights"]),
        smallest_sigma(SMALLEST_SIGMA[logvar]),
        floor(metrics["kl_reported"], metrics["kl_true"]),
        *_where(metrics, grids),
        *advisory(metrics),
    )


def norm_vitals(
    channels: Sequence[str], images_uchw: NDArray[np.float32]
) -> tuple[Vital, ...]:
    """Of normalized units: how far spreads lie apart, and each channel that is off.

    Panels have many channels, so those whose vitals are green have no line.
    """
    each = images_uchw.std(axis=(0, 2, 3), dtype=float).tolist()
    stds = dict(zip(channels, each, strict=True))
    judged = [
        vital
        for name, std in stds.items()
        for vital in (dead_channel(name, std), channel_std(name, std))
    ]
    return (scale_ratio(stds), *(one for one in judged if one.level != "green"))


def _where(metrics: Mapping[str, float], grids: bool) -> tuple[Vital, ...]:
    """Those that not every training can have."""
    rules: dict[str, Callable[[float], Vital]] = {"density_probe": density}
    if grids:
        rules |= {
            "clean_sharpness": sharpness,
            "perm_accuracy": permuted,
            "canonical_consistency": consistent,
        }
    return tuple(rule(metrics[name]) for name, rule in rules.items() if name in metrics)


def kl_true(nats: float) -> Vital:
    """Red when the latent says nothing of the unit, whatever is reported."""
    return _above(
        "kl.true",
        nats,
        KL_TRUE,
        f"The latent carries {nats:.2f} nats, without any floor; more than {KL_TRUE:g} "
        "is expected, so lower kld_scale, or look at the normalization.",
    )


def active(share: float) -> Vital:
    """Red when most latent dimensions stay the same for all units."""
    return _above(
        "latent.active",
        share,
        ACTIVE_SHARE,
        f"{share:.0%} of the latent dimensions vary between units; at least "
        f"{ACTIVE_SHARE:.0%} is expected, so lower kld_scale or the number of "
        "dimensions.",
        inclusive=True,
    )


def floor(reported: float, true: float) -> Vital:
    """Yellow when most of the reported KL is the floor of the free bits."""
    ratio = reported / true if true > 0 else float("inf" if reported > 0 else "nan")
    return _vital(
        "kl.floor",
        ratio,
        FLOOR_RATIO,
        "theorem",
        "green" if ratio <= FLOOR_RATIO else "yellow",
        f"The reported KL is {ratio:.2f} times the true one; up to {FLOOR_RATIO:g} is "
        "expected, more is the floor of the free bits and no sign of health.",
    )


def diversity(ratio: float) -> Vital:
    """Yellow when reconstructions of different units look alike."""
    return _above(
        "images.diversity",
        ratio,
        DIVERSITY,
        f"Reconstructions vary {ratio:.3f} times as much between units as the units "
        f"do; more than {DIVERSITY:g} is expected, less is the sign that all look "
        "alike.",
        bad="yellow",
        basis="judgement",
    )


def sharpness(ratio: float) -> Vital:
    """Yellow when reconstructions are blurred beside the signal without noise."""
    return _above(
        "images.sharpness",
        ratio,
        SHARPNESS,
        f"Differences between neighbours have {ratio:.3f} times the energy of the "
        f"clean signal's; more than {SHARPNESS:g} is expected, less is blur.",
        bad="yellow",
    )


def spatial(r2: float) -> Vital:
    """Red when the layout within a unit is not reconstructed."""
    return _above(
        "images.spatial_r2",
        r2,
        SPATIAL_R2,
        f"The layout within units is reconstructed with R2 {r2:.3f}; more than "
        f"{SPATIAL_R2:g} is expected, so look at the normalization before the losses.",
    )


def abundance(r2: float) -> Vital:
    """Red when how much there is of a marker is not reconstructed."""
    return _above(
        "images.abundance_r2",
        r2,
        ABUNDANCE_R2,
        f"The mean of each channel is reconstructed with R2 {r2:.3f}; more than "
        f"{ABUNDANCE_R2:g} is expected, less is the sign that it was standardized away "
        "on each image.",
    )


def lowest_scale(r2: float) -> Vital:
    """Red when channels of small numbers were not learned at all."""
    return _above(
        "images.r2_low_scale",
        r2,
        0.0,
        f"The tenth of the channels with the smallest scale is reconstructed with R2 "
        f"{r2:.3f}; more than 0 is expected, less is the sign that large channels are "
        "the whole loss.",
    )


def density(r2: float) -> Vital:
    """Red when cell density can't be read off the latent."""
    return _above(
        "latent.density_probe",
        r2,
        DENSITY_PROBE,
        f"A linear probe reads density off the latent with R2 {r2:.3f}; more than "
        f"{DENSITY_PROBE:g} is expected, less is the sign that abundance is lost.",
    )


def permuted(accuracy: float) -> Vital:
    """Red when the permuter's choice is not the one that fits."""
    return _above(
        "permuter.accuracy",
        accuracy,
        PERM_ACCURACY,
        f"The permuter's likeliest symmetry is the best one for {accuracy:.1%} of the "
        f"units; more than {PERM_ACCURACY:.0%} is expected (one in eight is chance).",
    )


def consistent(share: float) -> Vital:
    """Red when a turned unit is not given the turned choice."""
    return _above(
        "permuter.consistency",
        share,
        CONSISTENCY,
        f"For {share:.1%} of the units a turn turns the permuter's choice with it; "
        f"more than {CONSISTENCY:.0%} is expected.",
    )


def dead_weights(count: float) -> Vital:
    """Red when a weight that is set changes no gradient."""
    return _vital(
        "loss.dead_weights",
        count,
        0.0,
        "theorem",
        "green" if count == 0 else "red",
        f"{count:.0f} of the loss's weights change no gradient; 0 is expected, for a "
        "weight that is connected to nothing is searched for nothing.",
    )


def smallest_sigma(sigma: float) -> Vital:
    """Red when the network can't be certain, whatever it learns."""
    return _vital(
        "latent.smallest_sigma",
        sigma,
        SIGMA,
        "theorem",
        "green" if sigma < SIGMA else "red",
        f"The least standard deviation that the latent can have is {sigma:.3g}; below "
        f"{SIGMA:g} is expected, so leave log variances without an activation.",
    )


def _above(
    name: str,
    value: float,
    threshold: float,
    sentence: str,
    *,
    bad: Level = "red",
    basis: Basis = "measured",
    inclusive: bool = False,
) -> Vital:
    """Bad at or below a threshold; NaN is bad."""
    fine = value > threshold or (inclusive and value == threshold)
    return _vital(name, value, threshold, basis, "green" if fine else bad, sentence)


def _vital(
    name: str,
    value: float,
    threshold: float,
    basis: Basis,
    level: Level,
    sentence: str,
) -> Vital:
    return Vital(
        name=f"imc.{name}",
        value=value,
        threshold=threshold,
        basis=basis,
        level=level,
        sentence=sentence,
    )
