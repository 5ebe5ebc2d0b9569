"""The incidents at reduced size: what must reproduce, with seed 0 of every arm.

Bounds lie three standard deviations between seeds or more from the means that were
measured at this size; docs/LOG.md has the figures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.conftest import ROOT

from normgate.incidents import open_incident
from normgate.incidents.port import Place
from normgate.incidents.table import Table
from normgate.tracker import NullTracker

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.slow


def replayed(
    name: str, arms: tuple[str, ...], factory: pytest.TempPathFactory
) -> Callable[[str, str], float]:
    """Arm and metric to the figure of seed 0."""
    out = factory.mktemp(name)
    specs = ROOT / "contracts" / "specs"
    incident = open_incident(name, Place(out=out, specs=specs, size="reduced"))
    table = Table(
        tuple(incident.run(arm, 0, NullTracker(), out / "arms" / arm) for arm in arms)
    )
    return lambda arm, metric: table.value(arm, metric, 0)
