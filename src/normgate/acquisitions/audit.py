"""The audit of acquisitions under a spec, before any training: facts become findings.

Is every marker there, once, and itself? Is a channel dead, sparse, or a thousand times
as wide as another? Were the data normalized before? Does what is left of a channel
still tell how much of its marker an acquisition has (C8)? Only red forbids.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import rankdata

from normgate.acquisitions.exchanged import exchanged
from normgate.contract.imc import abundance_lost
from normgate.gate import Finding, vitals
from normgate.gate.finding import finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from normgate.acquisitions.facts import Facts
    from normgate.contract import Spec
    from normgate.gate import Level

SPARSE = 0.98
RETAINED = 0.5
LEAST_ACQUISITIONS = 8
"""Fewer say nothing of how levels differ."""
STANDARD_MEAN, STANDARD_STD = 1e-3, 1e-2
"""A plane that is so near to mean 0 and sd 1 was made so."""


def raw_findings(facts: Facts, number: int) -> Iterator[Finding]:
    """What acquisitions give away without a spec.

    Args:
        facts: What was found.
        number: How many were looked at.
    """
    yield _panels(facts, number)
    yield _repeated(facts)
    yield from exchanged(facts)
    yield _normalized_before(facts)
    for c, name in enumerate(facts.names):
        yield _sparse(name, float(facts.zero_ac[:, c].mean()))
    yield _raw_scale(facts)


def spec_findings(facts: Facts, spec: Spec) -> Iterator[Finding]:
    """What a spec makes of them."""
    stds = facts.after.std_c
    for c, name in enumerate(facts.names):
        below, above = facts.beyond_c2[c]
        for vital in vitals.channel_vitals(
            name,
            low=float(facts.after.low_ac[:, c].min()),
            high=float(facts.after.high_ac[:, c].max()),
            std=float(stds[c]),
            below=float(below),
            above=float(above),
        ):
            mend = "" if vital.level == "green" else "Measure this study's markers."
            yield finding(vital, culprit=name, mend=mend)
    if len(stds) > 1:
        ratio = vitals.scale_ratio(
            {name: float(std) for name, std in zip(facts.names, stds, strict=True)}
        )
        yield finding(
            ratio,
            culprit=facts.names[int(np.argmax(stds))],
            mend=""
            if ratio.level == "green"
            else "Give every channel constants of its own.",
        )
    yield _abundance(facts, spec)


def retention(facts: Facts) -> dict[str, float]:
    """Per channel, how well levels after the spec rank acquisitions as before.

    The squared rank correlation of an acquisition's raw and normalized mean; 0 where
    the normalized ones are all alike, NaN where the raw ones are.
    """
    found = {}
    for c, name in enumerate(facts.names):
        before, after = facts.raw.mean_ac[:, c], facts.after.mean_ac[:, c]
        spread = float(facts.after.std_ac[:, c].mean())
        alike = float(np.ptp(after)) <= 1e-5 * max(spread, 1e-30)
        if np.ptp(before) == 0:
            found[name] = float("nan")
        else:
            found[name] = 0.0 if alike else _squared_rank(before, after)
    return found


def _abundance(facts: Facts, spec: Spec) -> Finding:
    """Yellow where a spec levels out what intensities mean."""
    declared = [c.name for c in spec.channels if abundance_lost(c)]
    kept = {k: v for k, v in retention(facts).items() if np.isfinite(v)}
    enough = len(facts.acquisitions) >= LEAST_ACQUISITIONS and bool(kept)
    value = float(np.median(list(kept.values()))) if enough else float("nan")
    lost = [name for name, one in kept.items() if enough and not one > RETAINED]
    said = (
        f"Over {len(facts.acquisitions)} acquisitions the median channel keeps "
        f"{value:.2f} of the ranking by abundance; {len(lost)} of {len(kept)} keep "
        f"{RETAINED:g} or less."
        if enough
        else f"{len(facts.acquisitions)} acquisitions tell nothing of how abundance "
        f"differs; {LEAST_ACQUISITIONS} or more would."
    )
    if declared:
        said += (
            f" {len(declared)} channels are normalized by each acquisition's own "
            f"statistics (such as {declared[0]}): abundance is lost."
        )
    level: Level = "yellow" if declared or lost else "green"
    return Finding(
        name="norm.abundance_lost",
        value=value,
        threshold=RETAINED,
        basis="measured",
        level=level,
        sentence=said,
        culprit=(declared or lost or ["table"])[0],
        mend="Use constants of the data set, or give the model what is removed."
        if level == "yellow"
        else "",
    )


def _panels(facts: Facts, number: int) -> Finding:
    """Red where a marker is missing, duplicated or unknown, or a value does not fit."""
    faults = facts.faults
    said = (
        f"All channels are bound by name in {number} acquisitions; files list them in "
        f"{len(facts.orders)} different order(s)."
    )
    if faults:
        said = f"{len(faults)} of {number} acquisitions: {faults[0][1]}."
    return Finding(
        name="data.panels",
        value=float(len(faults)),
        threshold=0.0,
        basis="theorem",
        level="red" if faults else "green",
        sentence=said,
        culprit=f"acquisition {faults[0][0]}" if faults else "table",
        mend="Mend the panel, or leave the acquisition out." if faults else "",
    )


def _repeated(facts: Facts) -> Finding:
    twice = facts.repeated
    said = "No acquisition stands in the table twice under other names."
    if twice:
        said = f"{' and '.join(twice[0][:2])} hold the very same values."
    return Finding(
        name="data.repeated",
        value=float(len(twice)),
        threshold=0.0,
        basis="theorem",
        level="red" if twice else "green",
        sentence=said,
        culprit=f"acquisition {twice[0][0]}" if twice else "table",
        mend="Keep one of them." if twice else "",
    )


def _normalized_before(facts: Facts) -> Finding:
    """Red where planes have mean 0 and sd 1 each: nothing measured is like that."""
    made = (np.abs(facts.raw.mean_ac) < STANDARD_MEAN) & (
        np.abs(facts.raw.std_ac - 1) < STANDARD_STD
    )
    share_a = made.mean(axis=1)
    wrong = [
        one.acquisition
        for one, share in zip(facts.acquisitions, share_a, strict=True)
        if share > 0.5
    ]
    said = "No acquisition has mean 0 and sd 1 in its raw channels."
    if wrong:
        said = (
            f"{len(wrong)} of {len(share_a)} acquisitions, such as {wrong[0]}, have "
            "mean 0 and sd 1 in most raw channels: they were normalized before."
        )
    return Finding(
        name="data.normalized_before",
        value=float(len(wrong)),
        threshold=0.0,
        basis="judgement",
        level="red" if wrong else "green",
        sentence=said,
        culprit=f"acquisition {wrong[0]}" if wrong else "table",
        mend="Export what was measured." if wrong else "",
    )


def _sparse(name: str, share: float) -> Finding:
    """Red where a channel is 0 everywhere, yellow where it nearly is."""
    level: Level = "red" if share == 1 else "yellow" if share > SPARSE else "green"
    return Finding(
        name=f"data.{name}.sparse",
        value=share,
        threshold=1.0 if level == "red" else SPARSE,
        basis="judgement",
        level=level,
        sentence=f"{share:.2%} of channel {name} is exactly 0"
        + (": the channel is dead." if level == "red" else "."),
        culprit=name,
        mend="Leave the marker out, or look whether it was measured."
        if level != "green"
        else "",
    )


def _raw_scale(facts: Facts) -> Finding:
    """How far channels differ before anything is done; for the record."""
    stds = facts.raw.std_c
    alive = stds[stds > 0]
    ratio = float(alive.max() / alive.min()) if len(alive) else float("nan")
    least, most = (facts.names[int(i)] for i in (np.argmin(stds), np.argmax(stds)))
    return Finding(
        name="data.scale_ratio",
        value=ratio,
        threshold=float("inf"),
        basis="measured",
        level="green",
        sentence=f"Raw, channel {most} spreads widest and {least} least; the widest "
        f"{ratio:.4g} times as wide as the narrowest that varies at all.",
        culprit=most,
        mend="",
    )


def _squared_rank(one: NDArray[np.float64], two: NDArray[np.float64]) -> float:
    return float(np.corrcoef(rankdata(one), rankdata(two))[0, 1] ** 2)
