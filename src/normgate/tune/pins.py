"""What a study was begun with: trials are comparable only while all of it stays.

Pinned are the spec, the data, the search space, the goal, the code and the budget of a
trial. How many trials there are is not: more of the same are comparable.
"""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import normgate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from normgate.engine.tunable import Tunable
    from normgate.tune.goal import Goal
    from normgate.tune.space import Space


def pins_of(tunable: Tunable, space: Space, goal: Goal, seed: int) -> dict[str, Any]:
    """Everything that a study is held to, as plain JSON values."""
    return {
        "model": f"{tunable.family}/{tunable.name}",
        "spec_digest": tunable.spec_digest,
        "data_digest": tunable.data_digest,
        "space": space.document(),
        "goal": goal.document(),
        "constraints": list(tunable.constraints),
        "code": code_version(),
        "budget": {**tunable.budget, "seed": seed},
    }


def code_version() -> str:
    """The installed version, and a digest of the package's own source."""
    root = Path(normgate.__path__[0])
    total = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        total.update(f"{path.relative_to(root)}\n".encode() + path.read_bytes())
    return f"{installed_version('normgate')}+{total.hexdigest()[:12]}"


def differences(pinned: Mapping[str, Any], given: Mapping[str, Any]) -> tuple[str, ...]:
    """What two sets of pins do not share, a phrase each; none where they agree."""
    then = dict(_flat("", json.loads(json.dumps(pinned))))
    now = dict(_flat("", json.loads(json.dumps(given))))
    return tuple(
        f"{key} was {then.get(key, 'absent')} and is {now.get(key, 'absent')}"
        for key in sorted(then.keys() | now.keys())
        if then.get(key) != now.get(key)
    )


def _flat(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(f"{prefix}.{key}" if prefix else key, inner)
    else:
        yield prefix, value
