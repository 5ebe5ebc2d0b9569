"""Writing what was measured, and telling a run and a person of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from normgate.contract import describe_channel, short_digest, spec_digest, write
from normgate.plates.histograms import draw_histograms

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from normgate.contract import Provenance, Spec
    from normgate.plates.measure import Measured

SPEC_NAME = "spec.json"
PROVENANCE_NAME = "provenance.json"
HISTOGRAMS_NAME = "histograms.png"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a run shows of a spec."""

    digest: str
    sentence: str
    note: str
    """Markdown."""
    params: Mapping[str, str]
    """Each channel's steps."""
    figures: Mapping[str, float]
    """Images, pixels, and each marker's percentiles, mean and std."""
    files: tuple[Path, ...]
    """What was written."""
    warnings: tuple[str, ...]
    """Why each unreadable picture did not count."""


def write_measured(measured: Measured, out: Path) -> Report:
    """Write spec, provenance and histograms to a folder."""
    report = write_spec(measured.spec, measured.provenance, out)
    picture = out / HISTOGRAMS_NAME
    draw_histograms(measured.spec, measured.histograms, picture)
    return replace(
        report, files=(*report.files, picture), warnings=measured.quarantined
    )


def write_spec(spec: Spec, provenance: Provenance, out: Path) -> Report:
    """Write spec and provenance to a folder."""
    write(out / SPEC_NAME, spec)
    write(out / PROVENANCE_NAME, provenance)
    digest = spec_digest(spec)
    images = sum(channel.images for channel in provenance.channels)
    sentence = (
        f"spec {short_digest(digest)} of {len(spec.channels)} channels in "
        f"{out / SPEC_NAME} ({provenance.estimator}, {images:,} images, "
        f"{len(provenance.quarantined)} could not be read)"
    )
    steps = {channel.name: describe_channel(channel) for channel in spec.channels}
    lines = [f"- `{name}`: {text}" for name, text in steps.items()]
    counted = (
        f"\n\nCounted: {provenance.restriction}." if provenance.restriction else ""
    )
    return Report(
        digest=digest,
        sentence=sentence,
        note="\n".join([f"**{sentence}**{counted}", "", *lines]),
        params={f"norm.{name.replace(':', '.')}": text for name, text in steps.items()},
        figures=_figures(provenance),
        files=(out / SPEC_NAME, out / PROVENANCE_NAME),
        warnings=(),
    )


def _figures(provenance: Provenance) -> dict[str, float]:
    figures: dict[str, float] = {"quarantined": float(len(provenance.quarantined))}
    for channel in provenance.channels:
        for percentile, intensity in channel.percentiles:
            figures[f"{channel.name}.p{percentile}"] = float(intensity)
        if channel.mean is not None and channel.std is not None:
            figures[f"{channel.name}.mean"] = float(channel.mean)
            figures[f"{channel.name}.std"] = float(channel.std)
        figures[f"{channel.name}.pixels"] = float(channel.pixels)
    return figures
