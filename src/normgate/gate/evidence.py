"""Evidence: what the gate itself found in the bytes of one model version.

Nothing here comes from tags or from a client's word. Something that could not be
found is None or empty, and the reason stands among the problems, so that one look
gives a person everything that is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from normgate.contract import spec_digest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from normgate.contract import Spec
    from normgate.gate.vitals import Vital


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """What one weights file says of its own training."""

    file: str
    """Path inside the bundle."""
    spec_digest: str | None
    """The spec that the engine trained with, from the file's metadata."""
    applied_fingerprint: str | None
    """What the reader, loader and normalizer gave for the probe while training."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """The part of a bundle's card that promotions are decided on."""

    family: str
    metrics: Mapping[str, float]
    """Headline figures, as `test_auroc`."""
    vitals: tuple[Vital, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Facts about one model version."""

    model_id: str | None
    """The logged model that the version is made of."""
    ready: bool
    """Whether that model was finished (status READY)."""
    source_run: str | None
    """The run that logged it, as the tracking store knows it."""
    problems: tuple[str, ...] = ()
    """Whatever is missing, unreadable or of another format, one sentence each."""
    manifest_problems: tuple[str, ...] = ()
    """Files that are missing, extra or altered, one sentence each."""
    spec: Spec | None = None
    card: Card | None = None
    members: tuple[Member, ...] = ()
    expected_fingerprint: str | None = None
    """What the spec's table and the card's geometry give for the probe."""
    manifest_digest: str | None = None
    """SHA-256 of the bundle's manifest."""
    directory_digest: str | None = None
    """SHA-256 over every file of the model, served now."""

    @property
    def spec_digest(self) -> str | None:
        """The digest of what the spec computes."""
        return None if self.spec is None else spec_digest(self.spec)
