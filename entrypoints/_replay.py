"""The arms and seeds of a replay, each a child run: skipped, resumed or trained.

Seeds go outermost, so that a replay that is stopped has whole tables of fewer seeds.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from _replay_record import record_child, record_tags

from mlflow_normgate.runs import child_run, identity_of
from normgate.engine.progress import duration
from normgate.errors import SettingsError
from normgate.incidents.outcome import Outcome, read_outcome, write_outcome
from normgate.incidents.table import Table
from normgate.plates.parameters import whole_numbers

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mlflow_normgate.runs import Run
    from normgate.incidents.port import Incident

_logger = logging.getLogger(__name__)


def seeds_of(text: str) -> tuple[int, ...]:
    """The seeds that were asked for.

    Raises:
        SettingsError: There is none, or they are no rising whole numbers.
    """
    seeds = whole_numbers("seeds", text)
    if not seeds:
        raise SettingsError("seeds is empty, expected whole numbers such as 0,1,2")
    return seeds


def replay(
    parent: Run,
    incident: Incident,
    arms: Sequence[str],
    seeds: Sequence[int],
    out: Path,
) -> Table:
    """Every arm under every seed, to a table in the incident's order."""
    began, trained, done = time.monotonic(), 0, 0
    found: dict[tuple[str, int], Outcome] = {}
    total = len(arms) * len(seeds)
    for seed in seeds:
        for arm in arms:
            outcome, fresh = _one(parent, incident, arm, seed, out)
            found[arm, seed] = outcome
            done += 1
            trained += fresh
            each = (time.monotonic() - began) / max(trained, 1)
            _logger.info(
                "%s: %d of %d arms and seeds, about %s left",
                incident.name,
                done,
                total,
                duration(each * (total - done)),
            )
    return Table(tuple(found[arm, seed] for arm in arms for seed in seeds))


def _one(
    parent: Run, incident: Incident, arm: str, seed: int, out: Path
) -> tuple[Outcome, bool]:
    """One child run; whether anything was left to do in it."""
    identity = identity_of(f"{incident.name} {arm}", incident.identity(arm, seed))
    folder = out / "arms" / arm / f"seed{seed}"
    tags = record_tags(incident, arm, seed)
    with child_run(parent, f"{arm} seed {seed}", identity, tags) as child:
        outcome = read_outcome(folder, identity)
        fresh = outcome is None
        if outcome is None:
            outcome = incident.run(arm, seed, child.tracker, folder)
            write_outcome(folder, identity, outcome)
        if not child.finished:
            record_child(child.tracker, incident, outcome, folder)
    state = "" if fresh else " (finished before)"
    _logger.info("%s seed %d%s: %.0f CPU-s", arm, seed, state, outcome.cpu_s)
    return outcome, fresh
