"""The check of data as part of a run: before a training, and as an entry of its own."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Literal, get_args

from normgate.check import CheckSettings, check, write_report
from normgate.check.report import metrics, text_table
from normgate.errors import DataError, SettingsError
from normgate.plates.progress import LoggedProgress

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mlflow_normgate.runs import Run
    from normgate.check import Checked
    from normgate.contract import Provenance, Spec

_logger = logging.getLogger(__name__)
How = Literal["block", "warn", "off"]


def check_first(
    run: Run,
    how: str,
    data: Path,
    spec: Spec,
    *,
    provenance: Provenance | None,
    out: Path,
    classes: Mapping[tuple[str, str], str] | None = None,
) -> None:
    """Check the data of a training before its first step.

    Args:
        run: The training's run, which gets the reports.
        how: `block` stops at a red finding, `warn` tells of it, `off` does nothing.
        data: The training's table.
        spec: The training's spec.
        provenance: Where its constants came from, if that is known.
        out: The folder of reports.
        classes: What is learnt of each well, by plate and well; None: the labels.

    Raises:
        DataError: A finding is red, and `how` is `block`.
        SettingsError: `how` is something else.
    """
    if how not in get_args(How):
        raise SettingsError(f"check is {how!r}, expected {', '.join(get_args(How))}")
    if how == "off":
        return
    settings = CheckSettings(classes=classes)
    found = checked_in_run(run, data, spec, settings, provenance=provenance, out=out)
    red = found.of("red")
    if red and how == "block":
        told = " ".join(f"{one.sentence} {one.mend}".strip() for one in red[:3])
        raise DataError(
            f"{data} is not fit for this training ({len(red)} red findings, see "
            f"{out / 'check.html'}): {told} Train with check=warn to go on all the same"
        )


def checked_in_run(
    run: Run,
    data: Path,
    spec: Spec | None,
    settings: CheckSettings,
    *,
    provenance: Provenance | None,
    out: Path,
) -> Checked:
    """Check a table, log it to a run, and say what was found."""
    progress = LoggedProgress("checked", "rows")
    found = check(data, spec, settings, provenance=provenance, progress=progress)
    written = write_report(found, out)
    for path in written.files:
        run.tracker.artifact(path)
    run.tracker.metrics(metrics(found), 0)
    run.tracker.tags(
        {"normgate.check": found.level, "normgate.check.table": found.source_digest}
    )
    for line in text_table(found).splitlines():
        _logger.info("%s", line)
    _logger.info("report: %s", written.page)
    return found
