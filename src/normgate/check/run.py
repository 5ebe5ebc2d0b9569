"""Data or configurations against a spec: which kind, and who collects and decides."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from normgate.check import acquisitions, plates, volumes
from normgate.check.configurations import check_configurations
from normgate.errors import DataError
from normgate.interop.files import SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from normgate.check.checked import Checked, Kind
    from normgate.check.settings import CheckSettings
    from normgate.contract import Provenance, Spec


def check(
    data: Path,
    spec: Spec | None,
    settings: CheckSettings,
    *,
    provenance: Provenance | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Checked:
    """Hold a table's data, or other tools' configurations, against a spec.

    Args:
        data: A plate CSV, a case CSV or an acquisition CSV; or a JSON or YAML file of
            another tool, or a folder of such.
        spec: What is to normalize them; None looks at the data alone.
        settings: How much is looked at.
        provenance: Where the spec's constants came from, if that is known.
        progress: Told of the rows looked at and of their total.

    Raises:
        DataError: The table is of no kind that is known, or not valid; or there is no
            configuration.
        SpecError: The spec's channels are not of this kind of data.
    """
    kind = kind_of(data)
    if kind == "configurations":
        return check_configurations(data, spec)
    collect = {
        "plates": plates.check_plates,
        "volumes": volumes.check_volumes,
        "acquisitions": acquisitions.check_acquisitions,
    }
    return collect[kind](data, spec, settings, provenance, progress)


def kind_of(data: Path) -> Kind:
    """What a table's columns, or a file's name, say that it is.

    Raises:
        DataError: It can't be read, or is no table that is known.
    """
    if data.is_dir() or data.suffix.lower() in SUFFIXES:
        return "configurations"
    try:
        with data.open(encoding="utf-8", newline="") as file:
            columns = next(csv.reader(file), [])
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{data} can't be read as a table ({error}); name a plate, case or "
            "acquisition CSV"
        ) from error
    if {"mri", "ct"} <= set(columns):
        return "volumes"
    if {"acquisition", "image"} <= set(columns):
        return "acquisitions"
    if "well" in columns:
        return "plates"
    raise DataError(
        f"{data} has columns {', '.join(columns[:8]) or 'none'}: neither a plate CSV "
        "(well, path_<MARKER>, as `index` makes it), a case CSV (mri, ct) nor an "
        "acquisition CSV (acquisition, image)"
    )
