"""Bundles: what a trained model is, as a folder of plain files without any pickle.

    members/00.safetensors ...  weights; metadata binds them to spec and fingerprint
    spec.json  provenance.json  what is applied, and where its constants came from
    card.json                   family, settings, geometry, members, metrics, vitals
    golden.safetensors          raw input, and every output that each member gave
    manifest.json               SHA-256 of every file

`load` verifies all of it: the manifest, that the weights were trained under the spec
beside them, that the spec gives the fingerprint that training measured, and that the
golden input still gives the golden outputs. Networks, what raw input looks like, and
what the members say together are the family's.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from safetensors import SafetensorError, safe_open

from normgate.contract import (
    Provenance,
    Spec,
    parse_provenance,
    parse_spec,
    short_digest,
    spec_digest,
    to_json,
    write_atomic,
)
from normgate.engine import manifest
from normgate.engine.card import Card, parse_card
from normgate.engine.ensemble import Ensemble
from normgate.engine.golden import GOLDEN, check_golden, golden_bytes
from normgate.engine.weights import weights_bytes
from normgate.errors import BundleError, NormgateError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor, nn


class Family(Protocol):
    """What a bundle asks of its family."""

    def network(self, spec: Spec, card: Card) -> nn.Module:
        """An untrained member."""

    def raw_input(self, spec: Spec, card: Card) -> nn.Module:
        """What turns raw input into what a member takes."""

    def outputs(
        self, card: Card, network: nn.Module, units: Tensor
    ) -> Mapping[str, Tensor]:
        """What a member gives for units, by name; the same each time."""

    def combine(
        self, card: Card, outputs: Mapping[str, NDArray[Any]]
    ) -> dict[str, NDArray[Any]]:
        """The outputs of all members, (r, ...), to predictions, by name."""

    def accept(self, spec: Spec, card: Card, given: NDArray[Any]) -> NDArray[Any]:
        """Give back raw input as `raw_input` takes it.

        Raises:
            DataError: It is of another type or shape, or no longer raw.
        """

    def fingerprint(self, spec: Spec, card: Card) -> str:
        """The applied fingerprint that spec and card must give."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A bundle whose bytes were verified; `ensemble` is ready to use."""

    folder: Path
    spec: Spec
    provenance: Provenance | None
    card: Card
    manifest_digest: str
    ensemble: Ensemble
    family: Family

    def predict(self, raw: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Predict from raw input, and refuse what is not raw.

        Raises:
            DataError: What is wrong with it.
        """
        accepted = self.family.accept(self.spec, self.card, raw)
        return self.ensemble.predict(accepted)


def write_bundle(
    folder: Path,
    *,
    family: Family,
    spec: Spec,
    provenance: Provenance | None,
    card: Card,
    states: Sequence[dict[str, Tensor]],
    golden_raw: Tensor,
) -> str:
    """Write a bundle, whole or not at all.

    Args:
        folder: Where it goes; one that is there is replaced.
        family: Builds the members, for the golden outputs.
        spec: What training applied.
        provenance: Where its constants came from.
        card: Everything else; one member for each state.
        states: The members' weights.
        golden_raw: Raw input to keep with every output of every member.

    Returns:
        The manifest's digest.

    Raises:
        BundleError: Card and states do not belong together.
    """
    if len(states) != len(card.members):
        raise BundleError(
            f"{len(card.members)} members on the card, {len(states)} sets"
        )
    scratch = folder.parent / f".{folder.name}.tmp"
    shutil.rmtree(scratch, ignore_errors=True)
    for index, state in enumerate(states):
        data = weights_bytes(state, _binding(card, index))
        write_atomic(scratch / _member_path(index), data)
    write_atomic(scratch / "spec.json", to_json(spec))
    if provenance is not None:
        write_atomic(scratch / "provenance.json", to_json(provenance))
    write_atomic(scratch / "card.json", card.to_json())
    ensemble = _ensemble(family, spec, card, states)
    write_atomic(scratch / GOLDEN, golden_bytes(ensemble, golden_raw))
    digest = manifest.close(scratch)
    shutil.rmtree(folder, ignore_errors=True)
    scratch.rename(folder)
    return digest


def read_card(folder: Path) -> Card:
    """Read a bundle's card alone, unverified: to learn its family.

    Raises:
        BundleError: There is no readable card.
    """
    return parse_card(_bytes(folder / "card.json"), str(folder / "card.json"))


def load(folder: Path, family: Family, device: str = "cpu") -> Bundle:
    """Read and verify a bundle.

    Args:
        folder: The bundle.
        family: The family that its card names.
        device: Where the members go once they are verified.

    Raises:
        BundleError: Any file, binding or golden output is not as it was written.
    """
    digest = manifest.verify(folder)
    card, spec = read_card(folder), _spec(folder)
    if spec_digest(spec) != card.spec_digest:
        raise BundleError(
            f"{folder}: spec.json is {short_digest(spec_digest(spec))}, but the card "
            f"says {short_digest(card.spec_digest)}; they are not of one training"
        )
    states = [_state(folder, card, index) for index in range(len(card.members))]
    _check_fingerprint(folder, family, spec, card)
    ensemble = _ensemble(family, spec, card, states, folder)
    check_golden(folder, ensemble)
    return Bundle(
        folder=folder,
        spec=spec,
        provenance=_provenance(folder),
        card=card,
        manifest_digest=digest,
        ensemble=ensemble.to(device),
        family=family,
    )


def _binding(card: Card, index: int) -> dict[str, str]:
    """What a weights file says of its own training."""
    member = card.members[index]
    return {
        "format": "normgate.member/1",
        "spec_digest": card.spec_digest,
        "applied_fingerprint": card.applied_fingerprint,
        "geometry": json.dumps(dict(card.geometry), sort_keys=True),
        "classes": json.dumps(list(card.classes)),
        "replicate": str(member.replicate),
        "seed": str(member.seed),
    }


def _state(folder: Path, card: Card, index: int) -> dict[str, Tensor]:
    """Read one member's weights, and hold their metadata against the card."""
    path = folder / _member_path(index)
    try:
        with safe_open(path, framework="pt") as file:
            found = file.metadata() or {}
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise BundleError(f"{path} can't be read as weights ({error})") from error
    for key, expected in _binding(card, index).items():
        if found.get(key) != expected:
            raise BundleError(
                f"{path} was trained with {key} {found.get(key)!r}, but the bundle "
                f"says {expected!r}; weights and spec must be of one training"
            )
    return state


def _check_fingerprint(folder: Path, family: Family, spec: Spec, card: Card) -> None:
    expected = family.fingerprint(spec, card)
    if expected != card.applied_fingerprint:
        raise BundleError(
            f"{folder}: training applied {short_digest(card.applied_fingerprint)} to "
            f"the probe, but its spec and geometry give {short_digest(expected)}; what "
            "was declared was not what was applied, so train again"
        )


def _ensemble(
    family: Family,
    spec: Spec,
    card: Card,
    states: Sequence[dict[str, Tensor]],
    source: Path | str = "the bundle",
) -> Ensemble:
    members = []
    for index, state in enumerate(states):
        network = family.network(spec, card)
        try:
            network.load_state_dict(state)
        except RuntimeError as error:
            raise BundleError(
                f"{source}: weights {index} do not fit the card's network ({error})"
            ) from error
        members.append(network)
    return Ensemble(
        family.raw_input(spec, card),
        members,
        outputs=partial(family.outputs, card),
        combine=partial(family.combine, card),
    )


def _member_path(index: int) -> str:
    return f"members/{index:02d}.safetensors"


def _spec(folder: Path) -> Spec:
    path = folder / "spec.json"
    try:
        return parse_spec(_bytes(path), str(path))
    except NormgateError as error:
        raise BundleError(f"the bundle's spec is not valid: {error}") from error


def _provenance(folder: Path) -> Provenance | None:
    path = folder / "provenance.json"
    return parse_provenance(_bytes(path), str(path)) if path.exists() else None


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BundleError(
            f"{path} can't be read ({error.strerror}); name a bundle's folder"
        ) from error
