"""A pass that was finished, stopped or killed, and is run again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.deploy.passes import digests, failing, models, run

from normgate.errors import DigestMismatch, Interrupted

if TYPE_CHECKING:
    import torch


ROOT = Path(__file__).resolve().parents[2]


def test_a_finished_job_is_not_repeated(data: Path, tmp_path: Path) -> None:
    run(data, tmp_path / "out")
    before = digests(tmp_path / "out")
    report = run(data, tmp_path / "out", failing())
    assert (report.images, report.resumed_sites) == (0, 10)
    assert digests(tmp_path / "out") == before


@pytest.mark.parametrize("stop_at", [1, 4, 9])
def test_a_stopped_job_resumes_to_the_identical_result(
    data: Path, tmp_path: Path, stop_at: int
) -> None:
    run(data, tmp_path / "whole")
    left = iter(range(stop_at))
    first = models()[0]

    def forward(batch_ncyx: torch.Tensor) -> torch.Tensor:
        if next(left, None) is None:
            raise Interrupted(signal.SIGTERM)
        return first.forward(batch_ncyx)

    threads = threading.active_count()
    with pytest.raises(Interrupted):
        run(data, tmp_path / "out", [replace(first, forward=forward), *models()[1:]])
    assert threading.active_count() == threads
    report = run(data, tmp_path / "out")
    assert report.resumed_sites == 3 * (stop_at // 3)
    assert digests(tmp_path / "out") == digests(tmp_path / "whole")


def test_another_deployment_in_the_folder_is_refused(
    data: Path, tmp_path: Path
) -> None:
    run(data, tmp_path / "out")
    with pytest.raises(DigestMismatch, match=r"settings\.batch_size was 5, is 6"):
        run(data, tmp_path / "out", batch_size=6)
    newer = [replace(models()[0], version="2"), *models()[1:]]
    with pytest.raises(DigestMismatch, match=r"models\.early\.version was 1, is 2"):
        run(data, tmp_path / "out", newer)
    data.write_text(data.read_text().replace("vehicle", "other"))
    with pytest.raises(DigestMismatch, match=r"data\.sha256 was"):
        run(data, tmp_path / "out")


KILLED = """
import sys, time
from dataclasses import replace
from pathlib import Path
from tests.deploy.passes import models, run

def slow(model):
    def forward(batch_ncyx):
        time.sleep(0.05)
        return model.forward(batch_ncyx)
    return replace(model, forward=forward)

run(Path(sys.argv[1]), Path(sys.argv[2]), [slow(model) for model in models()])
"""


def test_kill_9_loses_nothing_and_repeats_nothing(data: Path, tmp_path: Path) -> None:
    run(data, tmp_path / "whole")
    out = tmp_path / "out"
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(data), str(out)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )
    last = out / "both" / "part-00000.parquet"
    deadline = time.monotonic() + 240
    while not last.exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    kept = {path: path.stat().st_mtime_ns for path in out.rglob("part-00000.parquet")}
    assert len(kept) == 3
    assert not (out / "both" / "part-00003.parquet").exists()

    report = run(data, out)

    assert report.resumed_sites >= 3
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert digests(out) == digests(tmp_path / "whole")
