"""A case table against a spec: each case read once, its faults named, the rest audited.

What a normalization keeps of a CT is `volumes.audit`'s; here its answers and what
`cases` took down become findings over all cases.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from typing import TYPE_CHECKING

from normgate.check.cases import Seen
from normgate.check.checked import Checked
from normgate.check.raw import padding
from normgate.contract import spec_digest
from normgate.contract.ct import CT
from normgate.errors import DataError, SpecError
from normgate.gate import Finding
from normgate.gate.finding import finding, ranked
from normgate.transform.distribution import Distribution
from normgate.transform.view import ChannelView
from normgate.volumes.audit import audit
from normgate.volumes.cases import cases, read_case_csv
from normgate.volumes.geometry import VolumeGeometry
from normgate.volumes.load import Loader
from normgate.volumes.statistics import leaked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from normgate.check.settings import CheckSettings
    from normgate.contract import Provenance, Spec
    from normgate.volumes.cases import Case

_WHOLE = VolumeGeometry(dims=2, patch=(32, 32))
"""Volumes are looked at whole, so this cuts nothing."""
_FAULTS = {
    "pair": "Register and resample one onto the other's grid; look whose they are.",
    "hu": "Declare ct_slope and ct_intercept in the row, or use the CT in HU.",
    "masks": "Give the mask's file, or another CT.",
    "input": "Use a spec for the type of these volumes.",
}
_MENDS = {
    "roundtrip_db": "Widen the clip, or add a channel that shows bone.",
    "power_ratio": "Give both modalities a spread alike.",
    "zero_spread": "Use constants of the data set instead of each case's own.",
}
_ELSE = "Look at the channel's constants and at the histograms."


def check_volumes(
    data: Path,
    spec: Spec | None,
    settings: CheckSettings,
    provenance: Provenance | None,
    progress: Callable[[int, int], None] | None,
) -> Checked:
    """Collect the facts of a case table and decide on them.

    Raises:
        DataError: The table is not valid.
        SpecError: A channel is neither MRI nor CT.
    """
    every = cases(read_case_csv(data), data)
    number = min(settings.sample or len(every), len(every))
    some = [every[i * len(every) // number] for i in range(number)]
    loader = None if spec is None else Loader(spec, _WHOLE)
    seen = Seen(loader)
    found = list(_audited(seen, some, progress))
    found += findings(seen, len(some))
    found += _formats(every)
    found += _leaks(provenance, settings)
    return Checked(
        kind="volumes",
        source=str(data),
        source_digest=hashlib.sha256(data.read_bytes()).hexdigest(),
        spec_digest="" if spec is None else spec_digest(spec),
        looked_at=f"{number - len(seen.quarantined):,} of {len(every):,} cases read, "
        f"{seen.good:,} without a fault",
        findings=ranked(found),
        channels=_views(seen, spec),
        quarantined=tuple(seen.quarantined),
    )


def _audited(
    seen: Seen, some: Sequence[Case], progress: Callable[[int, int], None] | None
) -> Iterator[Finding]:
    """Read all cases; where there is a spec, audit what it keeps of the good ones."""
    each = seen.each(some, progress)
    if seen.loader is None:
        for _ in each:
            pass
        return
    try:
        vitals = audit(seen.loader, each).vitals
    except (DataError, SpecError) as error:
        if seen.good:
            yield _fault("audit", [("", str(error))], seen.good, _ELSE)
        return
    for vital in vitals:
        kind = vital.name.rpartition(".")[2]
        mend = "" if vital.level == "green" else _MENDS.get(kind, _ELSE)
        culprit = vital.name.split(".")[1] if vital.name.count(".") > 1 else "spec"
        yield finding(vital, culprit=culprit, mend=mend)


def findings(seen: Seen, number: int) -> Iterator[Finding]:
    """What the cases themselves give away."""
    for kind, mend in _FAULTS.items():
        yield _fault(kind, seen.faults[kind], number, mend)
    yield _noted(
        "data.padded", "padded", seen, number,
        told="padded voxels (a CT gets -1024 HU there, anything else its lowest value)",
        mend="Leave the padding out of masks and statistics.",
    )  # fmt: skip
    yield _noted(
        "data.excess", "beyond the last pixel", seen, number,
        told="bytes beyond their pixels, which are not read",
        mend="Look whether rows and columns of the header are right, or export anew.",
    )  # fmt: skip
    yield _repeated(seen.digests)
    for (modality, _), counts in seen.before.items():
        yield padding(modality, Distribution.of(counts))


def _fault(
    kind: str, faults: Sequence[tuple[str, str]], number: int, mend: str
) -> Finding:
    """Red where a case can't be what it is said to be."""
    said = f"All {number} cases pass what is asked of {kind}."
    if faults:
        said = f"{len(faults)} of {number} cases: {faults[0][1]}."
    return Finding(
        name=f"data.{CT}.hu" if kind == "hu" else f"data.{kind}",
        value=float(len(faults)),
        threshold=0.0,
        basis="judgement",
        level="red" if faults else "green",
        sentence=said,
        culprit=f"case {faults[0][0]}" if faults else "table",
        mend=mend if faults else "",
    )


def _noted(
    name: str, word: str, seen: Seen, number: int, *, told: str, mend: str
) -> Finding:
    """Yellow where readers noted something of the files."""
    noted = [(case, note) for case, note in seen.notes if word in note]
    such = f", such as case {noted[0][0]} ({noted[0][1]})" if noted else ""
    count = len(dict(noted))
    return Finding(
        name=name,
        value=float(count),
        threshold=0.0,
        basis="theorem",
        level="yellow" if noted else "green",
        sentence=f"{count} of {number} cases have {told}{such}.",
        culprit=f"case {noted[0][0]}" if noted else "table",
        mend=mend if noted else "",
    )


def _repeated(digests: dict[str, list[str]]) -> Finding:
    """Red where two cases have the very same volume."""
    twice = [names for names in digests.values() if len(set(names)) > 1]
    said = "No volume stands in two cases."
    if twice:
        said = (
            f"{len(twice)} volumes stand in two cases, such as {' and '.join(twice[0])}"
            "; training and test may share them."
        )
    return Finding(
        name="data.repeated",
        value=float(len(twice)),
        threshold=0.0,
        basis="theorem",
        level="red" if twice else "green",
        sentence=said,
        culprit=f"case {twice[0][0]}" if twice else "table",
        mend="Keep one of them." if twice else "",
    )


def _formats(every: Sequence[Case]) -> Iterator[Finding]:
    """Yellow where one modality comes in several formats."""
    for modality in ("mri", "ct"):
        kinds: dict[str, int] = defaultdict(int)
        for case in every:
            kinds[_format(getattr(case, modality))] += 1
        told = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
        mixed = len(kinds) > 1
        yield Finding(
            name=f"data.{modality.upper()}.formats",
            value=float(len(kinds)),
            threshold=1.0,
            basis="judgement",
            level="yellow" if mixed else "green",
            sentence=f"The {modality.upper()} volumes of the table are {told}.",
            culprit=modality.upper(),
            mend="Convert all of them in one way, or look that slope, intercept and "
            "orientation were kept in each."
            if mixed
            else "",
        )


def _format(path: Path) -> str:
    name = path.name.lower()
    return next((k for k in ("nii", "nrrd", "nhdr") if f".{k}" in name), "dicom")


def _leaks(provenance: Provenance | None, settings: CheckSettings) -> Iterator[Finding]:
    """Red where a spec's constants saw a case that is not for training."""
    if provenance is None or not settings.training:
        return
    wrong = leaked(provenance, settings.training)
    yield Finding(
        name="design.fitted_on",
        value=float(len(wrong)),
        threshold=0.0,
        basis="theorem",
        level="red" if wrong else "green",
        sentence=f"{len(wrong)} cases that are not for training counted in the spec's "
        f"constants{': ' if wrong else ''}{', '.join(wrong[:5])}.",
        culprit=provenance.source,
        mend="Measure again on the training cases alone." if wrong else "",
    )


def _views(seen: Seen, spec: Spec | None) -> tuple[ChannelView, ...]:
    raw = {modality: counts for (modality, _), counts in seen.before.items()}
    if spec is None or seen.loader is None:
        return tuple(
            ChannelView(
                name=name, channel=None, before=Distribution.of(counts), after=None
            )
            for name, counts in raw.items()
        )
    return tuple(
        ChannelView(
            name=channel.name,
            channel=channel,
            before=Distribution.of(raw[modality]),
            after=Distribution.of(seen.after[channel.name])
            if channel.name in seen.after
            else None,
        )
        for channel, modality in zip(spec.channels, seen.loader.modalities, strict=True)
        if modality in raw
    )
