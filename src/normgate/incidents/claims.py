"""Claims about an incident, each a pure judgement of the table.

A claim is one quantity of one seed and the bound it is said to lie beyond. How far its
mean lies beyond, in standard deviations between seeds, decides what is said of it;
differences between arms are taken seed by seed, so that what seeds share cancels.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from normgate.incidents.table import spread

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from normgate.incidents.table import Table

Figure = Callable[[str, str], float]
"""Arm and metric to the figure of one seed; NaN where it is absent."""
Verdict = Literal["reproduced", "not reproduced", "could not be judged"]
Source = Literal["post-mortem", "prototype"]

DECISIVE = 1.0
"""Standard deviations between mean and bound below which nothing is decided."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One sentence, and when it holds."""

    name: str
    sentence: str
    """What is claimed, in words, without a full stop."""
    source: Source
    """`post-mortem`: written when it happened; `prototype`: measured before this
    product."""
    quantity: Callable[[Figure], float]
    """Of one seed."""
    relation: Literal["above", "below"]
    bound: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A claim held against the table."""

    claim: Claim
    verdict: Verdict
    mean: float
    sd: float
    seeds: int
    margin: float
    """Standard deviations by which the mean lies on the claimed side of the bound;
    below 0 it lies on the other; NaN where there is no spread to measure by."""

    @property
    def sentence(self) -> str:
        """The claim, the verdict and its numbers."""
        claim = self.claim
        if not self.seeds:
            return f"{claim.sentence}: {self.verdict}, for an arm is missing."
        found = f"{self.mean:.3g}" + (
            "" if math.isnan(self.sd) else f" ± {self.sd:.2g}"
        )
        counted = "1 seed" if self.seeds == 1 else f"{self.seeds} seeds"
        how = "" if math.isnan(self.margin) else f", margin {_sds(self.margin)}"
        return (
            f"{claim.sentence}: {self.verdict} (found {found} over {counted}, claimed "
            f"{claim.relation} {claim.bound:g}{how})."
        )


def judge(claim: Claim, table: Table) -> Judged:
    """Hold a claim against the seeds that have all its figures.

    Fewer than two seeds have no spread, so they decide nothing; seeds that agree to
    the last digit decide by their value alone.
    """
    values = [_of_seed(claim, table, seed) for seed in table.seeds]
    found = spread(values)
    sign = 1 if claim.relation == "above" else -1
    beyond = sign * (found.mean - claim.bound)
    margin = math.nan
    if found.count > 1:
        margin = beyond / found.sd if found.sd > 0 else math.copysign(math.inf, beyond)
    return Judged(
        claim=claim,
        verdict=_verdict(margin),
        mean=found.mean,
        sd=found.sd,
        seeds=found.count,
        margin=margin,
    )


def judge_all(claims: Iterable[Claim], table: Table) -> tuple[Judged, ...]:
    """Every claim, in its order."""
    return tuple(judge(claim, table) for claim in claims)


def paragraph(judged: Sequence[Judged]) -> str:
    """What reproduced and what did not, in Markdown, the post-mortem's claims first."""
    parts = []
    for source, title in (
        ("post-mortem", "Of what the post-mortem claimed"),
        ("prototype", "Of what an earlier prototype measured"),
    ):
        own = [one for one in judged if one.claim.source == source]
        if own:
            parts.append(f"{title}, {_counted(own)}.")
            parts.append("\n".join(f"- {one.sentence}" for one in own))
    return "\n\n".join(parts)


def _of_seed(claim: Claim, table: Table, seed: int) -> float:
    return claim.quantity(lambda arm, metric: table.value(arm, metric, seed))


def _verdict(margin: float) -> Verdict:
    if margin >= DECISIVE:
        return "reproduced"
    return "not reproduced" if margin <= -DECISIVE else "could not be judged"


def _counted(judged: Sequence[Judged]) -> str:
    verdicts: tuple[Verdict, ...] = (
        "reproduced",
        "not reproduced",
        "could not be judged",
    )
    counts = {name: sum(one.verdict == name for one in judged) for name in verdicts}
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count)


def _sds(margin: float) -> str:
    return "beyond measure" if math.isinf(margin) else f"{margin:.1f} SD"
