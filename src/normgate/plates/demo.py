"""The demonstration experiment: simulated plates as real 16-bit TIFF files.

Each plate has 8 rows and 24 columns; `fates` says what they hold. What is true of every
well stands in truth.csv, so that a rescue score can be held against it. Pixels are
`simulate`'s, and `faults` are what can be wrong with the table.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import pandas as pd
import tifffile

from normgate.contract import write_atomic
from normgate.errors import DataError, SettingsError
from normgate.plates.fates import COLUMNS, HEALTHY, Fate, fate_of
from normgate.plates.faults import Fault, with_fault
from normgate.plates.schema import write_plate_csv
from normgate.plates.simulate import MARKERS, Condition, Masked, simulate_site
from normgate.plates.wells import Well

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

PUNCTA_AT_REST, PUNCTA_STIMULATED = 2.2, 3.2
"""HALO puncta per unit of severity, at the first and at later timepoints."""
CSV_NAME = "plates.csv"
TRUTH_NAME = "truth.csv"
SETTINGS_NAME = "demo.json"
_FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoSettings:
    """How much to simulate."""

    seed: int = 0
    """Every picture follows from it."""
    plates: int = 2
    """Plates, named P1, P2, ..."""
    rows: int = 8
    """Rows of each plate, 1 to 16; each has all 24 columns."""
    sites: int = 1
    """Sites of nine neurons in each well."""
    timepoints_ms: tuple[int, ...] = (0, 10000)
    """Times after stimulation; HALO answers from the second on."""
    masked_dtype: str = "uint16"
    """Type of the HALO_MASKED files: uint16 or uint8; the values are the same."""
    masked: Masked = "byte"
    """`byte`: HALO_MASKED within 0..255; `halo`: HALO's own counts inside the mask."""
    fault: Fault = "none"
    """What is wrong with the table, as `faults.with_fault` explains."""

    def __post_init__(self) -> None:
        """Refuse what can't be simulated."""
        if not (self.plates >= 1 and 1 <= self.rows <= 16 and self.sites >= 1):
            msg = (
                f"a demo of {self.plates} plates, {self.rows} rows, {self.sites} sites"
            )
            raise SettingsError(f"{msg} can't be; at least 1 each, and at most 16 rows")
        if self.masked_dtype not in ("uint8", "uint16"):
            msg = f"masked_dtype {self.masked_dtype!r} is neither uint8 nor uint16"
            raise SettingsError(msg)
        for name, known in (("masked", get_args(Masked)), ("fault", get_args(Fault))):
            if getattr(self, name) not in known:
                msg = f"{name} is {getattr(self, name)!r}, expected {', '.join(known)}"
                raise SettingsError(msg)
        if self.masked == "halo" and self.masked_dtype == "uint8":
            raise SettingsError("masked=halo does not fit into masked_dtype uint8")
        times = self.timepoints_ms
        if not times or list(times) != sorted(set(times)) or times[0] < 0:
            raise SettingsError(f"timepoints {times} must rise from 0 or above")


def write_demo(
    folder: Path,
    settings: DemoSettings | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write the demonstration plates, or find that they are there already.

    Args:
        folder: Where `plates.csv`, `truth.csv` and `images/` go; made if missing.
        settings: How much to simulate; None takes the demo that is there, or all.
        progress: Told of the wells written and of their total.

    Returns:
        The path of the plate CSV, which is written last.

    Raises:
        DataError: The folder holds something else.
    """
    settings = settings or _settings_of(folder) or DemoSettings()
    stamp = _stamp(settings)
    if _present(folder, stamp):
        return folder / CSV_NAME
    shutil.rmtree(folder / "images", ignore_errors=True)
    write_atomic(folder / SETTINGS_NAME, stamp)
    rows: list[dict[str, Any]] = []
    truth: list[dict[str, Any]] = []
    total = settings.plates * settings.rows * COLUMNS
    for done, (plate, well, fate) in enumerate(_layout(settings), start=1):
        rows += _write_well(folder, settings, plate, well, fate)
        truth.append({"plate": f"P{plate}", "well": well.name, **asdict(fate)})
        if progress is not None:
            progress(done, total)
    write_atomic(folder / TRUTH_NAME, _csv(pd.DataFrame(truth)))
    table = with_fault(pd.DataFrame(rows), settings.fault, settings.seed)
    write_plate_csv(table, folder / CSV_NAME)
    return folder / CSV_NAME


def _layout(settings: DemoSettings) -> Iterator[tuple[int, Well, Fate]]:
    for plate in range(1, settings.plates + 1):
        for row in range(1, settings.rows + 1):
            for column in range(1, COLUMNS + 1):
                fate = fate_of(column)
                if settings.fault == "label_is_plate":
                    fate = replace(HEALTHY, treatment=fate.treatment)
                yield plate, Well(row, column), fate


def _write_well(
    folder: Path, settings: DemoSettings, plate: int, well: Well, fate: Fate
) -> list[dict[str, Any]]:
    """Simulate one well, write its files, and give its rows of the plate table."""
    rng = _rng(settings.seed, plate, well)
    condition = Condition(
        severity=fate.severity,
        toxicity=fate.toxicity,
        gain=_gain(settings, plate, well, rng),
    )
    later = len(settings.timepoints_ms) - 1
    puncta = [PUNCTA_AT_REST] + [PUNCTA_STIMULATED] * later
    rows = []
    for site in range(1, settings.sites + 1):
        for time, planes in zip(
            settings.timepoints_ms,
            simulate_site(condition, puncta, rng, settings.masked),
            strict=True,
        ):
            row = {
                "plate": f"P{plate}",
                "well": well.name,
                "row": well.row,
                "column": well.column,
                "site": str(site),
                "timepoint_ms": time,
                "genotype": fate.genotype,
                "treatment": fate.treatment,
                "label": fate.label,
                "split_group": f"P{plate}:{well.name}",
            }
            for marker in MARKERS:
                name = f"images/P{plate}/{well.name}_s{site}_t{time}ms_{marker}.tif"
                small = marker == "HALO_MASKED" and settings.masked_dtype == "uint8"
                plane = planes[marker].astype(np.uint8) if small else planes[marker]
                _write_tiff(folder / name, plane)
                row[f"path_{marker}"] = name
            rows.append(row)
    return rows


def _gain(
    settings: DemoSettings, plate: int, well: Well, rng: np.random.Generator
) -> dict[str, float]:
    """Brightness by marker: plate (sigma 0.15), well (sigma 0.04), edge (+5%)."""
    edge = well.row in (1, settings.rows) or well.column in (1, COLUMNS)
    of_plate = _rng(settings.seed, plate, None)
    return {
        marker: float(of_plate.lognormal(0.0, 0.15) * rng.lognormal(0.0, 0.04))
        * (1.05 if edge else 1.0)
        for marker in ("RFP1", "HALO")
    }


def _rng(seed: int, plate: int, well: Well | None) -> np.random.Generator:
    """A generator of its own for each plate and well, so that order never matters."""
    name = f"{seed}/{plate}/{well.name if well else 'plate'}"
    digest = hashlib.sha256(name.encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))


def _stamp(settings: DemoSettings) -> bytes:
    """The settings as JSON; later ones only where they are chosen.

    So a demo from before they existed is still its own.
    """
    chosen = asdict(settings)
    for name, usual in (("masked", "byte"), ("fault", "none")):
        if chosen[name] == usual:
            del chosen[name]
    return json.dumps({"format": _FORMAT, **chosen}, indent=1).encode()


def _settings_of(folder: Path) -> DemoSettings | None:
    """The settings of the demo in a folder; None where there is none."""
    try:
        values = json.loads((folder / SETTINGS_NAME).read_bytes())
        del values["format"]
        return DemoSettings(
            **{**values, "timepoints_ms": tuple(values["timepoints_ms"])}
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _present(folder: Path, stamp: bytes) -> bool:
    """Whether this very demo is complete here; anything foreign is refused."""
    settings, table = folder / SETTINGS_NAME, folder / CSV_NAME
    if not settings.is_file():
        if folder.is_dir() and any(folder.iterdir()):
            msg = f"{folder} is not empty and holds no demo; name an empty folder"
            raise DataError(msg)
        return False
    if settings.read_bytes() != stamp:
        msg = f"{folder} holds a demo of other settings; name another folder"
        raise DataError(msg)
    return table.is_file()


def _write_tiff(path: Path, plane: NDArray[Any]) -> None:
    """One plain TIFF, without fsync: the CSV, written last, says that all are there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, plane, photometric="minisblack", metadata=None)


def _csv(frame: pd.DataFrame) -> bytes:
    return frame.to_csv(index=False, lineterminator="\n").encode()
