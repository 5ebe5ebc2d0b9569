"""The cost of a mismatch: what `normgate diff` says of real data and a real model.

It reads images and may run a network, so it needs what the base install has not;
without it the command says so in a sentence.
"""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from normgate.cli.check import NEEDS
from normgate.contract import write_atomic
from normgate.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

    from normgate.check.both import Both
    from normgate.contract import Spec
    from normgate.deploy.change import Change

FIGURE_NAME, JSON_NAME = "diff.png", "diff.json"
FORMAT = "normgate.diff/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One question of `normgate diff`."""

    first: Spec
    second: Spec
    labels: tuple[str, str]
    """What to call the specs."""
    data: Path
    model: str
    """`models:/rescue-0ms@champion`; empty for none."""
    sample: str
    """Rows that are read, or `all`."""
    out: Path | None
    """The folder of figure and JSON; None writes none."""


def cost(asked: Asked) -> list[str]:
    """Say what two specs make of real data, and of a model's predictions.

    Raises:
        SettingsError: What it needs is not installed, or the model is not promoted.
        NormgateError: The table, a spec or the model does not fit.
    """
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
    try:
        return _cost(asked)
    except ModuleNotFoundError as error:
        raise SettingsError(NEEDS.format(name=error.name)) from error


def _cost(asked: Asked) -> list[str]:
    from normgate.check.both import under_both
    from normgate.check.settings import CheckSettings, sample_size
    from normgate.plates.progress import LoggedProgress

    settings = CheckSettings(sample=sample_size(asked.sample))
    progress = LoggedProgress("normalized", "rows")
    both = under_both(asked.data, asked.first, asked.second, settings, progress)
    lines, found = both.sentences(), None
    if asked.model:
        found = _predicted(asked, settings.sample)
        lines += found.sentences()
    if asked.out is not None:
        lines.append(f"picture: {_write(asked, asked.out, both, found)}")
    return lines


def _predicted(asked: Asked, sample: int | None) -> Change:
    """What the model's predictions do, over sites spread over the table."""
    from mlflow_normgate.deployment import resolve_all
    from normgate.deploy.change import change, spread_sites
    from normgate.deploy.prepare import prepare
    from normgate.plates.progress import LoggedProgress

    models, places = prepare(resolve_all([asked.model]), asked.data, "auto")
    some = spread_sites(places, sample)
    progress = LoggedProgress("predicted", "sites")
    return change(models[0], asked.first, asked.second, some, progress)


def _write(asked: Asked, out: Path, both: Both, found: Change | None) -> Path:
    from normgate.check.both_figure import draw_both

    told = {} if found is None else found.by_label
    picture = out / FIGURE_NAME
    draw_both(
        both,
        picture,
        asked.labels,
        {label: (units.first, units.second) for label, units in told.items()},
        "" if found is None else found.positive,
    )
    record: dict[str, Any] = {
        "format": FORMAT,
        "specs": dict(zip(asked.labels, both.digests, strict=True)),
        "looked_at": both.looked_at,
        "channels": [channel.record() for channel in both.channels],
        "predictions": None if found is None else found.record(),
    }
    text = json.dumps(record, indent=2, allow_nan=False) + "\n"
    write_atomic(out / JSON_NAME, text.encode())
    return picture
