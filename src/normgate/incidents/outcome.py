"""What came of one arm under one seed, as one file that is written last.

A rerun reads the file instead of training; a file of other settings counts for none.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from normgate.contract import write_atomic
from normgate.gate.vitals import vital_from_record

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from normgate.gate import Vital

NAME = "outcome.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The final figures of one arm under one seed."""

    arm: str
    seed: int
    metrics: Mapping[str, float]
    """By name; NaN where a figure is undefined."""
    vitals: tuple[Vital, ...] = ()
    step: int = 0
    """The last epoch, where the figures belong on a curve."""
    cpu_s: float = 0.0
    """Processor seconds of the process that finished it."""
    pictures: tuple[str, ...] = ()
    """Names of PNG files in the outcome's folder."""


def write_outcome(folder: Path, identity: str, outcome: Outcome) -> None:
    """Keep an outcome; its pictures lie in the folder already."""
    document = {
        "identity": identity,
        "arm": outcome.arm,
        "seed": outcome.seed,
        "metrics": {key: _plain(value) for key, value in outcome.metrics.items()},
        "vitals": [
            {**vital.record(), "value": _plain(vital.value)} for vital in outcome.vitals
        ],
        "step": outcome.step,
        "cpu_s": round(outcome.cpu_s, 3),
        "pictures": list(outcome.pictures),
    }
    write_atomic(folder / NAME, (json.dumps(document, indent=1) + "\n").encode())


def read_outcome(folder: Path, identity: str) -> Outcome | None:
    """The outcome in a folder; None where it is not finished, or is another's."""
    try:
        found = json.loads((folder / NAME).read_bytes())
    except (OSError, ValueError):
        return None
    if not isinstance(found, dict) or found.get("identity") != identity:
        return None
    return Outcome(
        arm=found["arm"],
        seed=found["seed"],
        metrics={key: float(value) for key, value in found["metrics"].items()},
        vitals=tuple(map(vital_from_record, found["vitals"])),
        step=found["step"],
        cpu_s=found["cpu_s"],
        pictures=tuple(found["pictures"]),
    )


def _plain(value: Any) -> float | str:
    """A number as JSON has it; `nan` and `inf` as text, for JSON has none."""
    number = float(value)
    return number if math.isfinite(number) else str(number)
