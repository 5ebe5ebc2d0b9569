"""Provenance: where a spec's constants came from. Kept beside it, never hashed in."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from normgate.contract.steps import Closed, Constant


class ChannelProvenance(Closed):
    """What one channel's constants were measured on."""

    name: str
    images: Annotated[int, Field(ge=0)]
    """Image files that were read."""
    pixels: Annotated[int, Field(ge=0)]
    """Pixels that counted, after masks."""
    percentiles: tuple[tuple[Constant, Constant], ...] = ()
    """Pairs of percentile (0..100) and intensity in counts."""
    mean: Constant | None = None
    std: Constant | None = None
    ddof: Literal[0, 1] = 0


class Provenance(Closed):
    """The origin of a spec's constants."""

    format: Literal["normgate.provenance/1"] = "normgate.provenance/1"
    source: str
    """The table or file that was measured or imported."""
    source_digest: str
    """SHA-256 of that file."""
    estimator: str
    """How constants were estimated, e.g. `exact histogram` or `imported`."""
    restriction: str = ""
    """Which rows or pixels counted, e.g. `training wells` or `pixels above 0`."""
    cases: tuple[str, ...] = ()
    """The cases that counted, by name, where data come in cases."""
    quarantined: tuple[str, ...] = ()
    """Files that could not be read and did not count."""
    channels: tuple[ChannelProvenance, ...] = ()
