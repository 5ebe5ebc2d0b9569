"""The loop: what survives a kill, what stops it, and what it reports."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from tests.engine.toy import Toy, settings, weights

from normgate.engine import checkpoint, loop
from normgate.engine.loop import fit, fit_identity
from normgate.errors import DataError, Interrupted, SettingsError
from normgate.gate import Vital
from normgate.tracker import NullTracker

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).resolve().parents[2]


class Recorder(NullTracker):
    def __init__(self) -> None:
        self.points: list[tuple[int, dict[str, float]]] = []

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        self.points.append((step, dict(values)))


def same(found: list[torch.Tensor], expected: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def uninterrupted(folder: Path, epochs: int = 6) -> tuple[Toy, Recorder]:
    task, tracker = Toy(), Recorder()
    fit(task, settings(epochs), tracker, folder)
    return task, tracker


def stop_at(step: int) -> Toy:
    def before(now: int) -> None:
        if now == step:
            raise Interrupted(signal.SIGTERM)

    return Toy(before_step=before)


@pytest.mark.parametrize("step", [0, 1, 3, 7, 17], ids=lambda step: f"step-{step}")
def test_a_training_that_was_stopped_ends_with_the_same_weights(
    tmp_path: Path, step: int
) -> None:
    expected, expected_points = uninterrupted(tmp_path / "whole")
    with pytest.raises(Interrupted):
        fit(stop_at(step), settings(), NullTracker(), tmp_path / "cut")

    task, tracker = Toy(), Recorder()
    fit(task, settings(), tracker, tmp_path / "cut")

    assert same(weights(task), weights(expected))
    assert tracker.points == expected_points.points


def test_the_state_of_the_caller_does_not_matter(tmp_path: Path) -> None:
    expected, _ = uninterrupted(tmp_path / "a")
    torch.manual_seed(12345)
    torch.rand(7)
    found, _ = uninterrupted(tmp_path / "b")
    assert same(weights(found), weights(expected))


@pytest.mark.slow
def test_a_killed_process_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for folder in (whole, cut):
        folder.mkdir()
    subprocess.run(command(whole, 30, 0.0), check=True, cwd=ROOT, env=environment())
    process = subprocess.Popen(command(cut, 30, 0.02), cwd=ROOT, env=environment())
    wait_for(cut / checkpoint.NAME)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (cut / "final.pt").exists()

    subprocess.run(command(cut, 30, 0.0), check=True, cwd=ROOT, env=environment())

    found = torch.load(cut / "final.pt", weights_only=True)
    assert same(found, torch.load(whole / "final.pt", weights_only=True))


def command(folder: Path, epochs: int, seconds: float) -> list[str]:
    toy = ["-m", "tests.engine.toy", str(folder), str(epochs), str(seconds)]
    return [sys.executable, *toy]


def environment() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1"}


def wait_for(path: Path) -> None:
    ends = time.monotonic() + 240
    while not path.exists():
        assert time.monotonic() < ends
        time.sleep(0.01)


def test_a_stop_while_a_checkpoint_is_written_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, _ = uninterrupted(tmp_path / "whole")
    replace = Path.replace
    calls = []

    def interrupted(self: Path, target: Path) -> Path:
        calls.append(target)
        if len(calls) == 3:
            raise Interrupted(signal.SIGINT)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(Interrupted):
        fit(Toy(), settings(), NullTracker(), tmp_path / "cut")
    task = Toy()
    found = checkpoint.load(tmp_path / "cut", fit_identity(task, settings()))
    assert found is not None
    assert found.epoch == 2
    assert [path.name for path in (tmp_path / "cut").iterdir()] == [checkpoint.NAME]

    fit(task, settings(), NullTracker(), tmp_path / "cut")
    assert same(weights(task), weights(expected))


def test_a_finished_training_is_not_run_again(tmp_path: Path) -> None:
    expected, points = uninterrupted(tmp_path)
    task, tracker = Toy(before_step=lambda step: pytest.fail("trained")), Recorder()
    fitted = fit(task, settings(), tracker, tmp_path)
    assert same(weights(task), weights(expected))
    assert tracker.points == points.points
    assert fitted.epochs == 6


def test_every_epoch_reports_losses_and_validation(tmp_path: Path) -> None:
    _, tracker = uninterrupted(tmp_path)
    assert [step for step, _ in tracker.points] == [1, 2, 3, 4, 5, 6]
    names = {"train_loss", "train_half", "lr", "validation_loss"}
    assert all(set(values) == names for _, values in tracker.points)
    assert tracker.points[-1][1]["train_loss"] < tracker.points[0][1]["train_loss"]


def test_a_loss_that_is_no_number_stops_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the loss is nan in epoch 2, step 2; look for"):
        fit(Toy(poison_at=5), settings(), NullTracker(), tmp_path)


@pytest.mark.parametrize(
    ("keep", "kept", "better"),
    [
        pytest.param("last", 5, False, id="last"),
        pytest.param("best", 3, True, id="best"),
    ],
)
def test_patience_ends_a_training_that_gets_no_better(
    tmp_path: Path, keep: str, kept: int, better: bool
) -> None:
    task = Toy(evaluations=[3.0, 2.0, 1.0, 1.5, 1.2, 0.1])
    chosen = settings(6, patience=2, keep=keep)
    fitted = fit(task, chosen, NullTracker(), tmp_path)
    assert (fitted.epochs, fitted.kept_epoch) == (5, kept)
    found = checkpoint.load(tmp_path, fit_identity(task, chosen))
    assert found is not None
    state = found.best["model"] if better else found.model
    assert same(weights(task), list(state.values()))


def test_a_checkpoint_of_other_settings_is_refused(tmp_path: Path) -> None:
    uninterrupted(tmp_path)
    with pytest.raises(SettingsError, match="is of another training"):
        fit(Toy(), settings(7), NullTracker(), tmp_path)


@pytest.mark.parametrize("data", [b"", b"no checkpoint", b"PK\x03\x04 cut"])
def test_a_broken_checkpoint_is_named(tmp_path: Path, data: bytes) -> None:
    (tmp_path / checkpoint.NAME).write_bytes(data)
    with pytest.raises(DataError, match=r"\.pt can't be read as a checkpoint"):
        fit(Toy(), settings(), NullTracker(), tmp_path)


def test_a_checkpoint_can_run_no_code(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return (os.system, ("touch trapped",))

    torch.save(
        {"format": checkpoint.FORMAT, "model": Trap()}, tmp_path / "checkpoint.pt"
    )
    with pytest.raises(DataError, match="can't be read"):
        fit(Toy(), settings(), NullTracker(), tmp_path)
    assert not Path("trapped").exists()


def test_the_device_may_change_between_attempts() -> None:
    assert fit_identity(Toy(), settings()) == fit_identity(
        Toy(), settings(device="auto")
    )
    assert fit_identity(Toy(), settings()) != fit_identity(Toy(), settings(seed=4))


def test_the_loop_does_not_know_any_family() -> None:
    assert "families" not in Path(loop.__file__).read_text()


def test_a_red_vital_ends_a_training_from_the_epoch_that_was_asked(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sign = Vital(
        name="toy",
        value=0.0,
        threshold=1.0,
        basis="judgement",
        level="red",
        sentence="It is dead.",
    )
    never = fit(Toy(signs=(sign,)), settings(), NullTracker(), tmp_path / "never")
    asked = settings(stop_on_red=4)
    found = fit(Toy(signs=(sign,)), asked, NullTracker(), tmp_path / "asked")
    green = replace(sign, level="green")
    well = fit(Toy(signs=(green,)), asked, NullTracker(), tmp_path / "well")
    assert (never.epochs, found.epochs, well.epochs) == (6, 4, 6)
    assert "toy: ends at epoch 4: It is dead." in caplog.text
    again = fit(Toy(signs=(sign,)), asked, NullTracker(), tmp_path / "asked")
    assert again.epochs == 4
