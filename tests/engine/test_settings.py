"""Settings, devices and progress."""

from __future__ import annotations

import pytest
import torch
from tests.engine.toy import settings

from normgate.engine.device import (
    mixed_precision,
    random_states,
    resolve_device,
    restore_random_states,
    seed_all,
    set_threads,
)
from normgate.engine.progress import Progress, duration
from normgate.errors import SettingsError


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"epochs": 0}, "epochs is 0, expected a number 1 to 1000000"),
        ({"epochs": 1.5}, r"epochs is 1\.5, expected a number"),
        ({"seed": -1}, "seed is -1"),
        ({"batch_size": 1}, "batch_size is 1, expected a number 2"),
        ({"lr": 0.0}, r"lr is 0\.0, expected above 0 up to 100"),
        ({"lr": float("nan")}, "lr is nan"),
        ({"weight_decay": -0.1}, r"weight_decay is -0\.1, expected from 0"),
        ({"patience": 0}, "patience is 0"),
        ({"keep": "first"}, "keep is 'first', expected last or best"),
    ],
)
def test_a_setting_out_of_range_is_named(
    changed: dict[str, object], sentence: str
) -> None:
    with pytest.raises(SettingsError, match=sentence):
        settings(**changed)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "cpu:1", "cuda:99", ""])
def test_a_device_that_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="device is"):
        resolve_device(name)


def test_mixed_precision_is_for_cuda_only() -> None:
    assert mixed_precision(torch.device("cpu"), True) is None
    assert mixed_precision(torch.device("cuda"), False) is None


def test_threads_follow_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert set_threads() == 1
    assert torch.get_num_threads() == 1


def test_random_states_come_back_whole() -> None:
    import random

    import numpy as np

    seed_all(5)
    kept = random_states()
    first = (torch.rand(3).tolist(), np.random.rand(2).tolist(), random.random())
    restore_random_states(kept)
    again = (torch.rand(3).tolist(), np.random.rand(2).tolist(), random.random())
    assert first == again


def test_progress_tells_rate_and_time_left() -> None:
    now = [0.0]
    progress = Progress("toy", epochs=4, steps=10, epoch=1, clock=lambda: now[0])
    for _ in range(5):
        now[0] += 2.0
        progress.step(32)
    progress.epoch({"train_loss": 0.5, "validation_auroc": 0.75})
    assert progress.line() == (
        "toy: epoch 2/4 (38 %), 16 units/s, 0:00:50 left, train loss 0.500, "
        "validation auroc 0.750"
    )
    assert duration(3725) == "1:02:05"
