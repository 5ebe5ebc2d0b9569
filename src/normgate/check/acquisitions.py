"""An acquisition table against a spec: each acquisition read once, then the audit.

What is collected and judged is `acquisitions.facts`' and `acquisitions.audit`'s.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from normgate.acquisitions.audit import raw_findings, spec_findings
from normgate.acquisitions.diagnosis import diagnosis
from normgate.acquisitions.facts import collect
from normgate.acquisitions.geometry import GridGeometry
from normgate.acquisitions.load import Loader
from normgate.acquisitions.statistics import common_markers
from normgate.acquisitions.table import acquisitions, read_acquisition_csv
from normgate.check.checked import Checked
from normgate.check.normalized import clip_bounds
from normgate.contract import spec_digest
from normgate.contract.imc import imc_spec, legacy_none
from normgate.gate import Finding
from normgate.gate.finding import ranked
from normgate.transform.distribution import Distribution
from normgate.transform.view import ChannelView

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from normgate.acquisitions.facts import Facts
    from normgate.acquisitions.table import Acquisition
    from normgate.check.settings import CheckSettings
    from normgate.contract import Provenance, Spec

_WHOLE = GridGeometry(grid=(1, 1))
"""Acquisitions are looked at whole, so this cuts nothing."""


def check_acquisitions(
    data: Path,
    spec: Spec | None,
    settings: CheckSettings,
    provenance: Provenance | None,
    progress: Callable[[int, int], None] | None,
) -> Checked:
    """Collect the facts of an acquisition table and decide on them.

    Raises:
        DataError: The table is not valid, or not one acquisition can be used.
    """
    every = acquisitions(read_acquisition_csv(data), data)
    number = min(settings.sample or len(every), len(every))
    some = [every[i * len(every) // number] for i in range(number)]
    own = spec or imc_spec(common_markers(some), legacy_none)
    clips = [clip_bounds(channel) for channel in own.channels]
    facts = collect(Loader(own, _WHOLE), some, clips, progress)
    found = list(raw_findings(facts, number))
    if spec is not None:
        found += spec_findings(facts, spec)
    found += _leaks(provenance, settings, every)
    return Checked(
        kind="acquisitions",
        source=str(data),
        source_digest=hashlib.sha256(data.read_bytes()).hexdigest(),
        spec_digest="" if spec is None else spec_digest(spec),
        looked_at=f"{len(facts.acquisitions):,} of {len(every):,} acquisitions used",
        findings=ranked(found),
        channels=tuple(_views(facts, spec)),
        quarantined=facts.quarantined,
        diagnosis=diagnosis(facts, after=spec is not None),
    )


def _views(facts: Facts, spec: Spec | None) -> Iterator[ChannelView]:
    """The first channels, for a picture has only so much room."""
    known = {} if spec is None else {one.name: one for one in spec.channels}
    for name, (raw, after) in facts.histograms.items():
        yield ChannelView(
            name=name,
            channel=known.get(name),
            before=Distribution.of(raw),
            after=Distribution.of(after) if name in known else None,
        )


def _leaks(
    provenance: Provenance | None,
    settings: CheckSettings,
    every: Sequence[Acquisition],
) -> Iterator[Finding]:
    """Red where a spec's constants saw an acquisition that is not for training."""
    if provenance is None or not settings.training:
        return
    held = {
        one.acquisition for one in every if one.split_group not in settings.training
    }
    wrong = sorted(held & set(provenance.cases))
    yield Finding(
        name="design.fitted_on",
        value=float(len(wrong)),
        threshold=0.0,
        basis="theorem",
        level="red" if wrong else "green",
        sentence=f"{len(wrong)} acquisitions that are not for training counted in the "
        f"spec's constants{': ' if wrong else ''}{', '.join(wrong[:5])}.",
        culprit=provenance.source,
        mend="Measure again on the training groups alone." if wrong else "",
    )
