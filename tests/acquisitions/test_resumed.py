"""A measurement that was killed goes on: nothing twice, and the same to the bit."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.acquisitions.studies import simulated

from normgate.acquisitions import passes
from normgate.acquisitions.measured import AcquisitionMeasureSettings, measure_table
from normgate.acquisitions.table import read_acquisition_csv
from normgate.transform import kept

if TYPE_CHECKING:
    from pathlib import Path

    from normgate.contract import Provenance, Spec

ROWS = 12
BROKEN = 2
_KILLED = """
import os, signal, sys
from pathlib import Path
from normgate.acquisitions import passes
from normgate.acquisitions.measured import AcquisitionMeasureSettings, measure_table
from normgate.acquisitions.table import read_acquisition_csv
from normgate.transform import kept

kept.SAVE_SECONDS, passes._BATCH_PIXELS = 0.0, 50
csv, out, calls = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])

def progress(done, total):
    global calls
    calls -= 1
    if not calls:
        os.kill(os.getpid(), signal.SIGKILL)

frame = read_acquisition_csv(csv)
measure_table(frame, csv, AcquisitionMeasureSettings(), progress, out)
"""


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    """A table of twelve acquisitions, one of which can't be read."""
    rows = simulated(tmp_path / "demo", format="ome-tiff")
    assert len(rows) == ROWS
    rows[BROKEN].image.path.write_bytes(b"")
    return tmp_path / "demo" / "acquisitions.csv"


def measured(
    csv: Path, out: Path | None, calls: list[int]
) -> tuple[Spec, Provenance, tuple[str, ...]]:
    frame = read_acquisition_csv(csv)
    settings = AcquisitionMeasureSettings()
    return measure_table(frame, csv, settings, lambda done, _: calls.append(done), out)


def killed(csv: Path, out: Path, calls: int) -> None:
    command = [sys.executable, "-c", _KILLED, str(csv), str(out), str(calls)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.parametrize(
    ("at", "first"),
    [
        pytest.param(7, (7,), id="values"),
        pytest.param(ROWS + 5, (ROWS, 5), id="percentiles"),
        pytest.param(2 * ROWS + 9, (ROWS, ROWS, 9), id="clipped"),
    ],
)
def test_a_killed_measurement_goes_on_and_gives_the_same_bits(
    csv: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    at: int,
    first: tuple[int, ...],
) -> None:
    monkeypatch.setattr(passes, "_BATCH_PIXELS", 50)
    out, whole = tmp_path / "out", measured(csv, None, [])
    assert len(whole[2]) == 1
    killed(csv, out, at)
    calls: list[int] = []
    assert measured(csv, out, calls) == whole
    # What was done is told once, and each acquisition after it is read once a pass.
    expected = [n for done in first for n in range(done, ROWS + 1)]
    expected += [n for _ in range(3 - len(first)) for n in range(1, ROWS + 1)]
    assert calls == expected
    assert not list(out.glob(".measure-state*"))


def test_an_acquisition_that_was_mended_since_is_counted(
    csv: Path, tmp_path: Path
) -> None:
    out, rows = tmp_path / "out", read_acquisition_csv(csv)
    killed(csv, out, 7)
    (state,) = out.glob(".measure-state*")
    assert list(json.loads(state.read_bytes())["corrupt"]) == [str(BROKEN)]
    names = [csv.parent / name for name in rows["image"]]
    names[BROKEN].write_bytes(names[BROKEN + 1].read_bytes())
    os.utime(names[BROKEN])
    found = measured(csv, out, [])
    assert found == measured(csv, None, [])
    assert not found[2]


def test_states_are_seldom_where_they_are_slow(tmp_path: Path) -> None:
    times = iter([0.0, 4.0, 5.0, 5.0, 7.0, 26.0, 27.0])
    state = kept.State(tmp_path / "state", "x", clock=lambda: next(times))
    assert not state.due
    assert state.due
    state.save(kept.Kept(done=frozenset({0}), corrupt={}, counters={"a": b"1"}))
    assert not state.due
    assert state.due
    found = state.read()
    assert found is not None
    assert found.counters == {"a": b"1"}
    assert kept.State(tmp_path / "state", "y").read() is None
