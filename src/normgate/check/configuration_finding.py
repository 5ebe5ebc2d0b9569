"""How a finding about another tool's configuration is named and worded."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from normgate.gate import Finding

if TYPE_CHECKING:
    from normgate.gate import Level
    from normgate.gate.vitals import Basis
    from normgate.interop import Configuration

LOOK = "Look which of the two is right, and write that in both places."


def config_finding(
    one: Configuration,
    what: str,
    value: float,
    threshold: float,
    basis: Basis,
    level: Level,
    sentence: str,
    mend: str = "",
) -> Finding:
    """A finding about one configuration; its name begins with the configuration's.

    Args:
        one: The culprit.
        what: The end of the name.
        value: What was found.
        threshold: What it is judged by.
        basis: Of the threshold.
        level: Of the finding.
        sentence: What was found, and what was expected.
        mend: What to do about it; left out where the level is green.
    """
    return Finding(
        name=re.sub(r"[^A-Za-z0-9_.\-]+", ".", f"config.{one.name}.{what}"),
        value=value,
        threshold=threshold,
        basis=basis,
        level=level,
        sentence=sentence,
        culprit=one.name,
        mend=mend if level != "green" else "",
    )
