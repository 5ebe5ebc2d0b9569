"""The one training loop: any task, AdamW under one cycle, a checkpoint every epoch.

A training that is killed anywhere goes on from its last complete epoch and ends with
the weights of one that was never stopped; on CPU with equal threads, bit for bit. A
stop by a signal (`errors.Interrupted`, raised wherever it strikes) passes through: the
last checkpoint stands, for an epoch that was cut can't be taken up in its middle.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch

from normgate.engine import checkpoint as checkpoints
from normgate.engine.checkpoint import Checkpoint
from normgate.engine.device import (
    mixed_precision,
    random_states,
    resolve_device,
    restore_random_states,
    seed_all,
    set_threads,
)
from normgate.engine.progress import Progress
from normgate.engine.task import Pictured
from normgate.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from normgate.engine.settings import FitSettings
    from normgate.engine.task import Task
    from normgate.gate import Vital
    from normgate.tracker import Tracker

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """What a training came to; the task's model holds the weights."""

    epochs: int
    """Epochs that were run, over all processes."""
    kept_epoch: int
    """The epoch whose weights stayed."""
    history: tuple[dict[str, float], ...]
    """The metrics of each epoch."""


def fit(
    task: Task, settings: FitSettings, tracker: Tracker, checkpoint_dir: Path
) -> Fitted:
    """Train a task, or take up where an earlier process stopped.

    Args:
        task: What to train; its model is trained in place.
        settings: How.
        tracker: Told of each epoch's metrics and pictures, at step 1 for the first.
        checkpoint_dir: This training's own folder.

    Raises:
        DataError: The loss is no number any more, or the checkpoint is unreadable.
        SettingsError: The checkpoint is of another training.
        Interrupted: As the signal handler raised it.
    """
    set_threads()
    run = _Fit(task, settings)
    run.begin(checkpoints.load(checkpoint_dir, run.identity))
    for epoch, metrics in enumerate(run.history, start=1):
        tracker.metrics(metrics, step=epoch)
    progress = Progress(
        task.name, epochs=settings.epochs, steps=task.steps_per_epoch, epoch=run.epoch
    )
    while not run.finished:
        metrics = run.one_epoch(progress)
        progress.epoch(metrics)
        tracker.metrics(metrics, step=run.epoch)
        if isinstance(task, Pictured):
            for key, path in task.pictures(checkpoint_dir).items():
                tracker.image(path, key, step=run.epoch)
        checkpoints.save(checkpoint_dir, run.checkpoint())
    return run.end()


class _Fit:
    """The state of one training."""

    def __init__(self, task: Task, settings: FitSettings) -> None:
        self.task = task
        self.settings = settings
        self.device = resolve_device(settings.device)
        self.identity = fit_identity(task, settings)
        self.epoch = 0
        self.finished = False
        self.history: list[dict[str, float]] = []
        self.best: dict[str, Any] = {}
        seed_all(settings.seed)
        task.model.to(self.device)
        self.optimizer = torch.optim.AdamW(
            task.model.parameters(), lr=settings.lr, weight_decay=settings.weight_decay
        )
        self.total_steps = settings.epochs * task.steps_per_epoch
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, max_lr=settings.lr, total_steps=self.total_steps
        )
        self.precision = mixed_precision(self.device, settings.amp)
        self.scaler = torch.amp.GradScaler(
            self.device.type, enabled=self.precision is torch.float16
        )

    def begin(self, found: Checkpoint | None) -> None:
        """Take up a checkpoint, if there is one."""
        if found is None:
            return
        self.task.model.load_state_dict(found.model)
        self.optimizer.load_state_dict(found.optimizer)
        self.schedule.load_state_dict(found.schedule)
        self.scaler.load_state_dict(found.scaler)
        restore_random_states(found.random)
        self.epoch, self.finished = found.epoch, found.finished
        self.history, self.best = found.history, found.best
        if not self.finished:
            name, total = self.task.name, self.settings.epochs
            _logger.info("%s: resuming after epoch %d of %d", name, self.epoch, total)

    def one_epoch(self, progress: Progress) -> dict[str, float]:
        """Train one epoch and evaluate it."""
        generator = torch.Generator().manual_seed(
            _mixed(self.settings.seed, self.epoch)
        )
        self.task.model.train()
        sums: dict[str, float] = {}
        units = 0
        for index, batch in enumerate(self.task.batches(generator)):
            count = len(next(iter(batch.values())))
            for key, value in self._step(batch, index).items():
                sums[key] = sums.get(key, 0.0) + value * count
            units += count
            progress.step(count)
        metrics = {key: value / max(units, 1) for key, value in sums.items()}
        metrics["lr"] = float(self.schedule.get_last_lr()[0])
        self.task.model.eval()
        found = self.task.evaluate("validation")
        metrics |= {f"validation_{key}": value for key, value in found.items()}
        self.epoch += 1
        self.history.append(metrics)
        self._judge(found)
        return metrics

    def _step(self, batch: Any, index: int) -> dict[str, float]:
        moved = {key: x.to(self.device, non_blocking=True) for key, x in batch.items()}
        at = self.epoch * self.task.steps_per_epoch + index
        with torch.autocast(
            self.device.type, dtype=self.precision, enabled=self.precision is not None
        ):
            loss, parts = self.task.loss(moved, at / self.total_steps)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise DataError(
                f"{self.task.name}: the loss is {value} in epoch {self.epoch + 1}, "
                f"step {index + 1}; look for broken pixels in the data, or lower lr "
                f"({self.settings.lr:g})"
            )
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.schedule.step()
        shown = {f"train_{key}": float(part) for key, part in parts.items()}
        return {"train_loss": value, **shown}

    def _judge(self, found: dict[str, float]) -> None:
        """Remember the best epoch where that is asked, and see whether to stop."""
        settings, monitor = self.settings, self.task.monitor
        if settings.keep == "best" or settings.patience is not None:
            value = found[monitor.metric] * (1 if monitor.larger_is_better else -1)
            if not self.best or value > self.best["value"]:
                self.best = {
                    "epoch": self.epoch,
                    "value": value,
                    "model": _copied(self.task.model.state_dict()),
                }
            waited = self.epoch - int(self.best["epoch"])
            if settings.patience is not None and waited >= settings.patience:
                self.finished = True
        self.finished = self.finished or self.epoch >= settings.epochs
        if settings.stop_on_red is not None and self.epoch >= settings.stop_on_red:
            self._heed(self.task.alarms())

    def _heed(self, vitals: tuple[Vital, ...]) -> None:
        """Stop where a vital is red."""
        red = [vital for vital in vitals if vital.level == "red"]
        if red and not self.finished:
            self.finished = True
            name, epoch = self.task.name, self.epoch
            _logger.warning("%s: ends at epoch %d: %s", name, epoch, red[0].sentence)

    def checkpoint(self) -> Checkpoint:
        """The state as it is now."""
        return Checkpoint(
            identity=self.identity,
            epoch=self.epoch,
            finished=self.finished,
            model=self.task.model.state_dict(),
            optimizer=self.optimizer.state_dict(),
            schedule=self.schedule.state_dict(),
            scaler=self.scaler.state_dict(),
            random=random_states(),
            best=self.best,
            history=self.history,
        )

    def end(self) -> Fitted:
        """Leave the weights that were asked for in the model, for evaluation."""
        kept = self.epoch
        if self.settings.keep == "best" and self.best:
            self.task.model.load_state_dict(self.best["model"])
            kept = int(self.best["epoch"])
        self.task.model.eval()
        return Fitted(epochs=self.epoch, kept_epoch=kept, history=tuple(self.history))


def fit_identity(task: Task, settings: FitSettings) -> str:
    """The digest that a checkpoint must agree with; the device may change."""
    chosen = asdict(settings)
    del chosen["device"]
    document = json.dumps({"task": task.identity, "fit": chosen}, sort_keys=True)
    return hashlib.sha256(document.encode()).hexdigest()


def _mixed(seed: int, epoch: int) -> int:
    """A seed of its own for each epoch."""
    digest = hashlib.sha256(f"{seed}/{epoch}".encode()).digest()
    return int.from_bytes(digest[:7], "big")


def _copied(state: dict[str, Any]) -> dict[str, Any]:
    return {key: value.detach().cpu().clone() for key, value in state.items()}
