"""The model systems by name. Each is a folder {settings, model, data, task}.py.

Families never import each other; only this file knows them all. Their modules are
imported when they are asked for, for they bring torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from normgate.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from normgate.engine.bundle import Bundle, Family

__all__ = ["FAMILIES", "family_of", "open_bundle"]


def _plate() -> Family:
    from normgate.families.plate.bundled import PlateBundles

    return PlateBundles()


def _fusion() -> Family:
    from normgate.families.fusion.bundled import FusionBundles

    return FusionBundles()


def _imc() -> Family:
    from normgate.families.imc.bundled import ImcBundles

    return ImcBundles()


FAMILIES: dict[str, Callable[[], Family]] = {
    "plate": _plate,
    "fusion": _fusion,
    "imc": _imc,
}


def family_of(name: str) -> Family:
    """What reads a family's bundles.

    Raises:
        BundleError: No family is called so.
    """
    if name not in FAMILIES:
        known = ", ".join(sorted(FAMILIES))
        raise BundleError(f"the card names family {name!r}; this version has {known}")
    return FAMILIES[name]()


def open_bundle(folder: Path, device: str = "cpu") -> Bundle:
    """Read and verify a bundle of any family.

    Args:
        folder: The bundle.
        device: A torch device, as `cpu` or `cuda`.

    Raises:
        BundleError: Something in it is not as it was written.
    """
    from normgate.engine.bundle import load, read_card

    return load(folder, family_of(read_card(folder).family), device)
