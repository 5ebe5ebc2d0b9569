"""Judging the design: labels that go with plates, too few groups, leaked statistics."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from normgate.gate import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from normgate.check.facts import PlateFacts
    from normgate.gate import Level

CONFOUNDED_YELLOW, CONFOUNDED_RED = 0.5, 0.9
LEAST_GROUPS = 3
"""Training, validation and test need a group of each label."""


def findings(facts: PlateFacts) -> Iterator[Finding]:
    """Everything about the design of the experiment."""
    wells = {(p.plate, p.well): (p.label, p.plate, p.group) for p in facts.places}
    labelled = [one for one in wells.values() if one[0]]
    yield confounded([one[:2] for one in labelled])
    if len({label for label, _, _ in labelled}) > 1:
        yield few_groups([(label, group) for label, _, group in labelled])
    yield from fitted_on(facts)


def cramers_v(pairs: Sequence[tuple[str, str]]) -> float:
    """How strongly two kinds go together, 0 to 1, without the bias of few samples.

    Bergsma, W. (2013), A bias-correction for Cramer's V and Tschuprow's T, Journal of
    the Korean Statistical Society 42, 323-328.

    Returns:
        The corrected V; NaN where one of them has a single kind.
    """
    counts = Counter(pairs)
    rows = sorted({a for a, _ in counts})
    columns = sorted({b for _, b in counts})
    r, k, n = len(rows), len(columns), len(pairs)
    if min(r, k) < 2:
        return math.nan
    table = np.array([[counts[a, b] for b in columns] for a in rows], dtype=np.float64)
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / n
    phi2 = float(((table - expected) ** 2 / expected).sum()) / n
    corrected = max(phi2 - (k - 1) * (r - 1) / (n - 1), 0.0)
    sides = [side - (side - 1) ** 2 / (n - 1) for side in (r, k)]
    least = min(sides) - 1
    return math.sqrt(min(corrected / least, 1.0)) if least > 0 else 0.0


def confounded(wells: Sequence[tuple[str, str]]) -> Finding:
    """Red where the label of a well can be told from its plate.

    Args:
        wells: Label and plate of each labelled well.
    """
    v = cramers_v(wells)
    level: Level = "green"
    if v >= CONFOUNDED_YELLOW:
        level = "red" if v >= CONFOUNDED_RED else "yellow"
    said = "one label or one plate, so label and plate can't be confounded"
    if not math.isnan(v):
        said = (
            f"Cramer's V of label and plate is {v:.2f} over {len(wells)} wells (for "
            f"small samples); below {CONFOUNDED_RED:g} is needed, for a model that "
            "tells plates apart looks as if it told labels apart"
        )
    return Finding(
        name="design.label_by_plate",
        value=0.0 if math.isnan(v) else v,
        threshold=CONFOUNDED_RED if level == "red" else CONFOUNDED_YELLOW,
        basis="measured",
        level=level,
        sentence=f"{said[0].upper()}{said[1:]}.",
        culprit="label",
        mend="Put wells of every label on every plate, or train within one plate."
        if level != "green"
        else "",
    )


def few_groups(wells: Sequence[tuple[str, str]]) -> Finding:
    """Red where a label has too few split groups for three parts.

    Args:
        wells: Label and split group of each labelled well.
    """
    groups = {label: {g for one, g in wells if one == label} for label, _ in wells}
    label = min(groups, key=lambda one: len(groups[one]))
    count = len(groups[label])
    few = count < LEAST_GROUPS
    return Finding(
        name="design.groups",
        value=float(count),
        threshold=float(LEAST_GROUPS),
        basis="theorem",
        level="red" if few else "green",
        sentence=f"Label {label} has {count} split groups; training, validation and "
        "test need one each.",
        culprit=label,
        mend="Add wells of this label; no honest score comes of these." if few else "",
    )


def fitted_on(facts: PlateFacts) -> Iterator[Finding]:
    """Whether a spec's constants were measured on what is to be held out."""
    origin = facts.provenance
    if origin is None:
        return
    told = origin.restriction.rpartition("; ")[2]
    of_groups = "split groups" in told
    same_table = origin.source_digest == facts.table_digest
    level, said, mend = "green", f"measured on {origin.source}", ""
    if facts.training and told != facts.training_statement:
        level = "red" if of_groups or same_table else "yellow"
        said = f"measured on {told or 'all rows'} of {origin.source}, while "
        said += f"training is {facts.training_statement}"
        mend = "Measure again with the file of training groups (measure -P groups=...)."
    elif same_table and not of_groups:
        level = "yellow"
        said = f"measured on all rows of {origin.source}, those to be held out among "
        said += "them"
        mend = "Measure on the training groups alone (measure -P groups=...)."
    yield Finding(
        name="design.fitted_on",
        value=float(level != "green"),
        threshold=0.0,
        basis="theorem",
        level=level,  # type: ignore[arg-type]
        sentence=f"The spec's constants were {said}.",
        culprit=origin.source,
        mend=mend,
    )
