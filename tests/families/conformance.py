"""One suite for every family: what the loop expects of a task, checked on a real one.

A family's test module derives from `TaskConformance` and gives its task.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch

from normgate.engine.loop import fit, fit_identity
from normgate.engine.settings import FitSettings
from normgate.tracker import NullTracker

if TYPE_CHECKING:
    from pathlib import Path

    from normgate.engine.task import Task

SETTINGS = FitSettings(epochs=2, seed=1, device="cpu", batch_size=16)


class TaskConformance:
    def task(self, **changed: Any) -> Task:
        """A small task of the family; equal arguments give equal tasks."""
        raise AssertionError("a family's test gives its task")

    def batch(self, task: Task, seed: int = 0) -> Any:
        return next(iter(task.batches(torch.Generator().manual_seed(seed))))

    def test_every_parameter_gets_a_gradient(self) -> None:
        task = self.task()
        loss, _ = task.loss(self.batch(task), 0.0)
        loss.backward()
        for name, parameter in task.model.named_parameters():
            assert parameter.grad is not None, name
            assert bool(parameter.grad.abs().sum() > 0), name

    def test_it_overfits_one_batch(self) -> None:
        task = self.task(dropout=0.0)
        batch = self.batch(task)
        optimizer = torch.optim.AdamW(task.model.parameters(), lr=5e-3)
        first = float(task.loss(batch, 0.0)[0].detach())
        for _ in range(120):
            loss, _ = task.loss(batch, 0.0)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        assert float(loss.detach()) < 0.3 * first

    @pytest.mark.parametrize("split", ["train", "validation", "test"])
    def test_evaluation_is_the_same_each_time(self, split: Any) -> None:
        task = self.task()
        assert task.evaluate(split) == pytest.approx(task.evaluate(split), abs=0)
        assert task.monitor.metric in task.evaluate(split)

    def test_an_epoch_follows_from_its_generator(self) -> None:
        task = self.task()
        same, other = self.batch(task, 3), self.batch(task, 4)
        for key, value in self.batch(task, 3).items():
            assert torch.equal(value, same[key])
        assert any(not torch.equal(same[key], other[key]) for key in same)

    def test_an_epoch_has_the_steps_that_it_says(self) -> None:
        task = self.task()
        assert task.steps_per_epoch >= 1
        generator = torch.Generator().manual_seed(0)
        assert len(list(task.batches(generator))) == task.steps_per_epoch

    def test_equal_tasks_have_one_identity_and_equal_weights(self) -> None:
        one, two = self.task(), self.task()
        assert one.identity == two.identity
        for a, b in zip(
            one.model.state_dict().values(),
            two.model.state_dict().values(),
            strict=True,
        ):
            assert torch.equal(a, b)

    def test_the_seed_changes_identity(self) -> None:
        task = self.task()
        other = replace(SETTINGS, seed=2)
        assert fit_identity(task, SETTINGS) != fit_identity(task, other)

    def test_it_trains_and_gives_vitals(self, tmp_path: Path) -> None:
        task = self.task()
        fitted = fit(task, SETTINGS, NullTracker(), tmp_path)
        assert fitted.epochs == 2
        names = [vital.name for vital in task.vitals()]
        assert len(names) == len(set(names)) > 0
