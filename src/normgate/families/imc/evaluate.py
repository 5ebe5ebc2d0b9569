"""What a network makes of units, and every metric of it.

Axes: u units, c channels, h rows and w columns of nodes, d latent, k symmetries.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from normgate.families.imc import metrics, symmetry
from normgate.families.imc.losses import divergence
from normgate.families.imc.model import Latent
from normgate.families.imc.space import Inverse, measured_space

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from normgate.families.imc.model import ImcModel
    from normgate.families.imc.settings import LossSettings
    from normgate.families.imc.units import ImcUnits

AT_ONCE = 256
"""Units in one forward pass of an evaluation."""
TURN = 1
"""The symmetry by which invariance and consistency are asked: a quarter turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a network gave for some units."""

    mu: NDArray[np.float64]
    """(u, d)."""
    logvar: NDArray[np.float64]
    images: NDArray[np.float64]
    """(u, c, h, w), the likeliest reconstruction, normalized; of cells, each real one
    by itself (cells, c, 1, 1)."""
    permuted: dict[str, float]
    """perm_accuracy, canonical_consistency and invariance_error, where they apply."""


class Judge:
    """Holds a training's constants, and judges networks by them.

    Args:
        units: All units.
        train: The training split's numbers: constants are measured on it alone.
        cofactor: Of the evaluation space; None for values that are no counts.
    """

    def __init__(
        self, units: ImcUnits, train: NDArray[np.int64], cofactor: float | None
    ) -> None:
        self._units, self._train = units, train
        raw = units.values(units.raw, train)
        self.space = measured_space(raw, cofactor)
        self.inverse = Inverse(units.spec, units.measured[train])
        self._scale = raw.std(axis=(0, 2, 3))

    def found(self, seen: Seen) -> NDArray[np.float64]:
        """Reconstructions in the evaluation space."""
        return self.restored(seen.images)

    def restored(self, images_uchw: NDArray[np.float64]) -> NDArray[np.float64]:
        """Normalized images in the evaluation space."""
        return self.space.of_raw(self.inverse(images_uchw))

    def truth(self, at: NDArray[np.int64]) -> NDArray[np.float64]:
        """Units in the evaluation space."""
        return self.space.of_raw(self._units.values(self._units.raw, at))

    def scores(
        self, seen: Seen, at: NDArray[np.int64], loss: LossSettings
    ) -> dict[str, float]:
        """Every metric but the probes."""
        found, units = self.found(seen), self._units
        seen_by = units.values(units.images, at).astype(float)
        scores = {
            **self._reconstructed(found, at),
            **metrics.latent_scores(seen.mu, seen.logvar),
            **metrics.legacy_scores(seen.images, seen_by),
            **seen.permuted,
        }
        if units.clean is not None:
            clean = self.space.of_raw(units.clean[at])
            scores["clean_sharpness"] = metrics.sharpness(found, clean)
        scores |= reported(seen, loss)
        return scores

    def _reconstructed(
        self, found: NDArray[np.float64], at: NDArray[np.int64]
    ) -> dict[str, float]:
        """The metrics that grids or cells have."""
        if self._units.joined is None:
            return metrics.image_scores(found, self.truth(at), self._scale)
        unit_n = np.nonzero(self._units.real(at))[0]
        return metrics.cell_scores(found, self.truth(at), unit_n, self._scale)

    def probed(
        self, train: Seen, seen: Seen, at: NDArray[np.int64]
    ) -> dict[str, float]:
        """Linear probes fitted on the training split's latents, judged on others."""
        labels = {
            name: (values[self._train], values[at])
            for name, values in self._units.labels.items()
        }
        return metrics.probes(train.mu, seen.mu, labels)

    def channel_r2(self, seen: Seen, at: NDArray[np.int64]) -> dict[str, float]:
        """R2 of each channel in the evaluation space."""
        each = metrics.channel_r2(self.found(seen), self.truth(at))
        return dict(zip(self._units.spec.names, each.tolist(), strict=True))


def reported(seen: Seen, loss: LossSettings) -> dict[str, float]:
    """The KL as the loss's reduction and floor report it.

    Returns:
        kl_reported, as a sum over dimensions, and legacy_kld_loss, as it was minimized.
    """
    latent = Latent(torch.from_numpy(seen.mu), torch.from_numpy(seen.logvar))
    minimized = float(divergence(latent, loss).reported)
    mean = loss.kl_reduction == "mean_legacy"
    return {
        "kl_reported": minimized * (seen.mu.shape[1] if mean else 1),
        "legacy_kld_loss": minimized,
    }


@torch.inference_mode()
def look(model: ImcModel, images_uchw: NDArray[np.float32]) -> Seen:
    """Show units to a network, in evaluation mode."""
    model.eval()
    device = next(model.parameters()).device
    parts = [
        _one_look(model, torch.from_numpy(images_uchw[at : at + AT_ONCE]).to(device))
        for at in range(0, len(images_uchw), AT_ONCE)
    ]
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    known = ("mu", "logvar", "images")
    rest = {k: float(x.mean()) for k, x in joined.items() if k not in known}
    return Seen(**{name: joined[name] for name in known}, permuted=rest)


def _one_look(model: ImcModel, units_bchw: torch.Tensor) -> dict[str, NDArray[Any]]:
    latent = model.encode(units_bchw)
    candidates = model.decode(latent.mu, units_bchw)
    found = {
        "mu": latent.mu,
        "logvar": latent.logvar,
        "images": candidates.hard(),
    }
    if candidates.choice_bk is not None:
        turned = symmetry.turned(units_bchw, TURN)
        again = model.encode(turned)
        choice = candidates.choice_bk.argmax(dim=1)
        chosen = model.decode(again.mu, turned).choice_bk
        assert chosen is not None
        found |= {
            "perm_accuracy": choice == _best(model, latent.mu, units_bchw),
            "canonical_consistency": chosen.argmax(dim=1) == _followed(choice),
            "invariance_error": (again.mu - latent.mu).abs().mean(dim=1),
        }
    return {name: x.double().cpu().numpy() for name, x in found.items()}


def _best(
    model: ImcModel, mu_bd: torch.Tensor, units_bchw: torch.Tensor
) -> torch.Tensor:
    """The symmetry of each reconstruction that fits its unit best."""
    every = symmetry.all_turned(model.canonical(mu_bd))
    errors_bk: torch.Tensor = (every - units_bchw[:, None]).square().mean((2, 3, 4))
    return errors_bk.argmin(dim=1)


def _followed(choice_b: torch.Tensor) -> torch.Tensor:
    """The choices of units after the quarter turn."""
    after = [symmetry.product(TURN, k) for k in range(symmetry.COUNT)]
    return torch.tensor(after, device=choice_b.device)[choice_b]
