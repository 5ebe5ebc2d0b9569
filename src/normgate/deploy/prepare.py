"""Everything that must hold before the first row is predicted.

A model is verified anew where it is used: its files against its manifest, its golden
counts against their logits (`engine.bundle`), and the applied fingerprint, measured
through the very reader and loader that will read the plates, against the one that
training measured. Then the models must agree with each other and with the plates.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import torch

from normgate.contract import short_digest
from normgate.deploy.agreement import check_agreement, check_names
from normgate.deploy.models import Member, Model
from normgate.engine.bundle import load, read_card
from normgate.engine.device import resolve_device
from normgate.errors import BundleError, DataError, DigestMismatch, FingerprintMismatch
from normgate.families.plate.bundled import PlateBundles
from normgate.plates.applied import readable_file
from normgate.plates.geometry import Geometry
from normgate.plates.load import Loader, sites
from normgate.plates.probe import verify
from normgate.plates.schema import read_plate_csv

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from normgate.deploy.models import Promoted
    from normgate.engine.bundle import Bundle, Family
    from normgate.engine.card import MemberCard
    from normgate.engine.ensemble import Ensemble
    from normgate.plates.load import Site

logger = logging.getLogger(__name__)
FAMILY = "plate"


def prepare(
    promoted: Sequence[Promoted], data: Path, device: str
) -> tuple[list[Model], list[Site]]:
    """Read the plate CSV, verify every model, and make sure that they fit.

    Args:
        promoted: The models of the pass.
        data: The plate CSV.
        device: `auto`, `cpu`, `cuda` or `cuda:0`.

    Returns:
        The models, ready to predict, and the sites in the CSV's order.

    Raises:
        BundleError: If a bundle was altered or computes other logits here.
        FingerprintMismatch: If a model's pixels would be normalized otherwise than
            its training's were.
        DigestMismatch: If the models normalize a shared channel differently.
        DataError: If the CSV is not valid, or has not what a model reads.
        SettingsError: If a model's name can't be a folder's or is given twice, or
            this machine has no such device.
    """
    check_names([one.name for one in promoted])
    path = data.resolve()
    places = sites(read_plate_csv(path), path)
    where = resolve_device(device)
    # A resumed job must give the rows of an uninterrupted one.
    torch.backends.cudnn.deterministic = True
    models = [prepare_model(one, places, where) for one in promoted]
    check_agreement(models)
    return models, places


def prepare_model(
    promoted: Promoted, places: Sequence[Site], device: torch.device
) -> Model:
    """Verify one promoted bundle for the plates at hand; see `prepare`."""
    bundle = opened(promoted, FAMILY, PlateBundles(), device)
    card = bundle.card
    geometry = Geometry.from_json(card.geometry)
    loader = Loader(bundle.spec, geometry, card.timepoint_ms)
    _check_pictures(promoted.name, loader, places)
    applied = applied_by(
        promoted.name, lambda: verify(loader, readable_file(loader, places))
    )
    check_applied(promoted, bundle, applied)
    return Model(
        name=promoted.name,
        version=promoted.version,
        loader=loader,
        members=tuple(_member(member) for member in card.members),
        classes=card.classes,
        positive=card.positive,
        spec_digest=card.spec_digest,
        manifest_digest=bundle.manifest_digest,
        device=device.type,
        forward=_Forward(bundle.ensemble, device),
        aggregation=str(card.settings.get("aggregation", "mean")),
    )


def family_of(promoted: Sequence[Promoted], known: tuple[str, ...]) -> str:
    """The one family that all models of a pass are of.

    Raises:
        BundleError: They are of several, or of one that can't be deployed.
    """
    found = sorted({read_card(one.bundle).family for one in promoted})
    if len(found) != 1 or found[0] not in known:
        raise BundleError(
            f"these models are of family {' and '.join(found)}; one deployment takes "
            f"models of one family: {', '.join(known)}"
        )
    return found[0]


def opened(
    promoted: Promoted, name: str, family: Family, device: torch.device
) -> Bundle:
    """Load a promoted bundle of a family, and make sure that it is what was promoted.

    Raises:
        BundleError: It is of another family, was altered or computes otherwise here.
        DigestMismatch: It is not the bundle that was promoted.
    """
    found = read_card(promoted.bundle).family
    if found != name:
        raise BundleError(
            f"{promoted.name} is of family {found!r}; this deployment is for {name!r} "
            "models alone"
        )
    bundle = load(promoted.bundle, family, str(device))
    if bundle.manifest_digest != promoted.manifest_digest:
        raise DigestMismatch(
            f"{promoted.bundle} is bundle {short_digest(bundle.manifest_digest)}, but "
            f"version {promoted.version} of {promoted.name} was promoted as "
            f"{short_digest(promoted.manifest_digest)}; fetch the model again"
        )
    return bundle


def applied_by(name: str, measured: Callable[[], str]) -> str:
    """The applied fingerprint of what is at hand; a mismatch names the model.

    Raises:
        FingerprintMismatch: The loader does not apply what the model's spec declares.
    """
    try:
        return measured()
    except FingerprintMismatch as mismatch:
        raise FingerprintMismatch(f"{name}: {mismatch}") from mismatch


def check_applied(promoted: Promoted, bundle: Bundle, applied: str) -> None:
    """Hold the fingerprint of what is at hand against that of the training.

    Raises:
        FingerprintMismatch: They differ.
    """
    trained = bundle.card.applied_fingerprint
    if applied != trained:
        raise FingerprintMismatch(
            f"{promoted.name}: these pictures would be read with applied fingerprint "
            f"{short_digest(applied)}, but training applied {short_digest(trained)}; "
            "deploy with the normgate version that trained it, or train again"
        )
    logger.info(
        "%s version %s verified: manifest %s, spec %s, applied fingerprint %s",
        promoted.name,
        promoted.version,
        short_digest(bundle.manifest_digest),
        short_digest(bundle.card.spec_digest),
        short_digest(trained),
    )


class _Forward:
    """Normalized units on the CPU to float32 logits on the device."""

    def __init__(self, ensemble: Ensemble, device: torch.device) -> None:
        self._ensemble = ensemble
        self._device = device

    @torch.inference_mode()
    def __call__(self, batch_ncyx: torch.Tensor) -> torch.Tensor:
        return self._ensemble.outputs(batch_ncyx.to(self._device))["logits"].float()


def _member(card: MemberCard) -> Member:
    return Member(
        replicate=card.replicate,
        temperature=card.temperature,
        seen=frozenset(card.train_groups) | frozenset(card.validation_groups),
    )


def _check_pictures(name: str, loader: Loader, places: Sequence[Site]) -> None:
    """Refuse a model that reads what no site has."""
    for key in loader.keys:
        if not any(key in site.planes for site in places):
            have = ", ".join(sorted({str(k) for site in places for k in site.planes}))
            raise DataError(
                f"{name} reads {key}, which no site of the plate CSV has; it has {have}"
            )
