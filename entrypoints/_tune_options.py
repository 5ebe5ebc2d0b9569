"""The parameters of `tune`, and what they mean.

What belongs to a study stands in MLproject. Besides, a weight of the family can be
given a range or a value (`-P lr=1e-4:1e-2`), and any parameter of the family's training
entry a value (`-P epochs=10`); both come here as further options.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from normgate.cluster.engine import checked as checked_engine
from normgate.errors import SettingsError
from normgate.plates.parameters import words
from normgate.tune.sampling import checked
from normgate.tune.seeds import FEWEST_SEEDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_FLAGS = {"true": True, "false": False}
_RANGES = {
    "trials": (1, 100_000),
    "workers": (1, 1000),
    "top": (0, 100),
    "heartbeat": (1, 3600),
    "seed": (0, 2**31 - 1),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneRequest:
    """One checked call of `tune`."""

    family: str
    training: Mapping[str, str]
    """Parameters for the family's training entry, and ranges of weights, as text."""
    trials: int
    workers: int
    objectives: tuple[str, ...]
    desirable: bool
    sampler: str
    top: int
    """How many of the best are trained again; 0 for none."""
    seeds: int
    """Fresh seeds for each of them."""
    study: str
    """Empty for the model's own name."""
    storage: str
    """Empty for SQLite beside the study."""
    fork: bool
    heartbeat_s: int
    seed: int
    out: Path
    engine: str
    ray_address: str


def parse(options: Mapping[str, Any], further: Sequence[str]) -> TuneRequest:
    """Check the options of the entry.

    Args:
        options: Those of MLproject.
        further: What else was given, as `--lr 1e-4:1e-2`.

    Raises:
        SettingsError: With the parameter, its value and what is expected.
    """
    for name, (low, high) in _RANGES.items():
        if not low <= options[name] <= high:
            raise SettingsError(f"{name} is {options[name]}, expected {low} to {high}")
    if options["top"] and options["seeds"] < FEWEST_SEEDS:
        raise SettingsError(
            f"seeds is {options['seeds']}, expected at least {FEWEST_SEEDS}: one more "
            "seed shows no spread; or top=0 to train nothing again"
        )
    study = options["study"]
    if study and not re.fullmatch(r"[A-Za-z0-9._-]+", study):
        raise SettingsError(
            f"study is {study!r}, expected letters, digits and . _ - only"
        )
    given = _pairs(further)
    common = ("preset", "data", "spec")
    training = {name: options[name] for name in common if options[name]}
    return TuneRequest(
        family=options["family"],
        training={**training, **given},
        trials=options["trials"],
        workers=options["workers"],
        objectives=words(options["objectives"]),
        desirable=_flag("single", options["single"]),
        sampler=checked(options["sampler"]),
        top=options["top"],
        seeds=options["seeds"],
        study=study,
        storage=options["storage"],
        fork=_flag("fork", options["fork"]),
        heartbeat_s=options["heartbeat"],
        seed=options["seed"],
        out=Path(options["out"]),
        engine=checked_engine(options["engine"], options["ray_address"]),
        ray_address=options["ray_address"],
    )


def _pairs(further: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    rest = list(further)
    while rest:
        name = rest.pop(0)
        if not name.startswith("--"):
            raise SettingsError(f"{name!r} was given without a name; write name=value")
        key, equals, value = name.removeprefix("--").partition("=")
        if not equals and not rest:
            raise SettingsError(f"{key} was given without a value; write {key}=value")
        found[key.replace("-", "_")] = value if equals else rest.pop(0)
    return found


def _flag(name: str, text: str) -> bool:
    if text.lower() not in _FLAGS:
        raise SettingsError(f"{name} is {text!r}, expected true or false")
    return _FLAGS[text.lower()]
