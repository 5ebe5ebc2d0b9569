"""The tracker port on one MLflow run: everything goes through the run's spool.

A call returns as soon as its record is on local disk; a background thread sends it.
An absent server is never an error here; a key that MLflow can't take is, at once.
"""

from __future__ import annotations

import logging
import math
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlflow_normgate.limits import (
    MAX_PARAM,
    MAX_TAG,
    NOTE_TAG,
    artifact_name,
    as_text,
    checked_key,
    same_value,
    shortened,
    shortened_note,
    to_json_number,
)
from mlflow_normgate.pictures import picture_name
from mlflow_normgate.replay import Replay
from mlflow_normgate.sender import Sender
from mlflow_normgate.spool import Header, SpoolWriter, now_ms
from normgate.errors import TrackingError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow import MlflowClient

    from normgate.tracker import Scalar

_logger = logging.getLogger(__name__)
_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(slots=True)
class Known:
    """What the run held when it was opened, so that a resumed run repeats nothing."""

    params: dict[str, str] = field(default_factory=dict)
    points: set[tuple[str, int, float]] = field(default_factory=set)
    """Key, step and value of every metric point; NaN as None would be."""

    @classmethod
    def of(cls, client: MlflowClient, run_id: str, *, points: bool) -> Known:
        """Ask the server what a run holds; the points only for a resumed run."""
        data = client.get_run(run_id).data
        known = cls(params=dict(data.params))
        for key in data.metrics if points else ():
            for point in client.get_metric_history(run_id, key):
                known.points.add((key, point.step, _comparable(point.value)))
        return known


class MlflowTracker:
    """Implements `normgate.tracker.Tracker` on an MLflow run.

    Args:
        root: Folder that holds the spools.
        header: The run, which need not exist on the server yet.
        known: What the run held before.
        close_patience_s: Seconds to try at the end while the server is away.
    """

    def __init__(
        self,
        root: Path,
        header: Header,
        known: Known | None = None,
        close_patience_s: float = 20.0,
    ) -> None:
        self._root = root
        self._known = known or Known()
        self._writer = SpoolWriter(root, header)
        self._replay = Replay(self._writer.spool)
        self._sender = Sender(
            self._writer, self._replay, close_patience_s=close_patience_s
        )

    def params(self, values: Mapping[str, Scalar]) -> None:
        """Record settings; what the run holds already is not sent again.

        A value that differs from what `mlflow run` logged under the same key (its
        parameters can't be changed) is recorded as `resolved.<key>`.
        """
        new: dict[str, str] = {}
        for key, value in values.items():
            name = self._free_param(checked_key(key, "param"), as_text(value))
            if name is not None:
                new[name] = self._fitting(name, as_text(value), MAX_PARAM, "params")
                self._known.params[name] = new[name]
        self._append_values("params", new)

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Record numbers at a step; a resumed run's equal points are not repeated."""
        new = {
            checked_key(key, "metric"): to_json_number(value)
            for key, value in values.items()
            if (key, step, _comparable(value)) not in self._known.points
        }
        if new:
            record = {"op": "metrics", "t": now_ms(), "step": int(step), "values": new}
            self._append(record)

    def tags(self, values: Mapping[str, str]) -> None:
        """Record searchable marks; the last value stands."""
        new = {
            checked_key(key, "tag"): self._fitting(key, str(value), MAX_TAG, "tags")
            for key, value in values.items()
        }
        self._append_values("tags", new)

    def artifact(self, path: Path, folder: str = "") -> None:
        """Record a copy of a file or folder, kept as `folder/<its name>`.

        Raises:
            TrackingError: There is no such file or folder.
        """
        if not path.exists():
            raise TrackingError(f"{path} does not exist; it can't be logged")
        self._append_file({"op": "artifact", "folder": folder}, path)

    def image(self, path: Path, key: str, step: int) -> None:
        """Record a PNG picture under a key at a step.

        Raises:
            TrackingError: The file is missing or is no PNG.
        """
        checked_key(key, "image")
        if not path.is_file() or path.read_bytes()[: len(_PNG)] != _PNG:
            raise TrackingError(f"{path} is not a PNG file; write the picture as PNG")
        name = picture_name(key, int(step), now_ms())
        self._append_file({"op": "image"}, path, name)

    def note(self, markdown: str) -> None:
        """Describe the run; a long text is kept whole as artifact `note.md`."""
        if len(markdown) > MAX_TAG:
            self._text_artifact(markdown, "note.md", "")
            markdown = shortened_note(markdown, "note.md")
        self._append_values("tags", {NOTE_TAG: markdown})

    def dataset(self, dataset: Mapping[str, str], tags: Mapping[str, str]) -> None:
        """Record an input data set; `mlflow_normgate.datasets` makes its fields."""
        self._append({"op": "dataset", "dataset": dict(dataset), "tags": dict(tags)})

    def flush(self, timeout_s: float = 60.0) -> bool:
        """Wait until the server has everything; False if it could not in time."""
        return self._sender.flush(timeout_s)

    @property
    def run_id(self) -> str | None:
        """The run on the server; None while the server never answered."""
        return self._replay.progress.run_id

    def end(self, status: str) -> bool:
        """Record how the run ended, send the rest for a bounded time, and stop.

        Returns:
            Whether the server has everything. If not, one sentence is logged.
        """
        self._append({"op": "end", "status": status, "t": now_ms()})
        complete = self._sender.close()
        spool = self._writer.spool
        refused = self._replay.progress.refused
        if not complete:
            _logger.warning(
                "%d records wait in %s; send them with `normgate sync %s`",
                spool.waiting(),
                spool.records_file,
                self._root,
            )
        if refused:
            _logger.warning(
                "MLflow refused %d values; they are in %s",
                refused,
                spool.folder / "refused.jsonl",
            )
        return complete

    def _append(self, record: Mapping[str, Any]) -> None:
        try:
            self._writer.append(record)
        except OSError as error:
            _logger.error(
                "%s can't be written, so a record is lost (%s); free some space",
                self._writer.spool.records_file,
                error,
            )
        self._sender.wake()

    def _append_values(self, operation: str, values: Mapping[str, str]) -> None:
        if values:
            self._append({"op": operation, "values": dict(values)})

    def _append_file(
        self, record: dict[str, Any], path: Path, name: str | None = None
    ) -> None:
        try:
            staged = self._writer.stage(path, name)
        except OSError as error:
            _logger.error("%s was not logged: it can't be copied (%s)", path, error)
            return
        self._append({**record, "file": staged})

    def _fitting(self, key: str, value: str, limit: int, folder: str) -> str:
        if len(value) <= limit:
            return value
        name = artifact_name(key)
        self._text_artifact(value, name, folder)
        return shortened(value, limit, f"{folder}/{name}")

    def _text_artifact(self, text: str, name: str, folder: str) -> None:
        with tempfile.TemporaryDirectory() as temporary:
            path = Path(temporary) / name
            path.write_text(text, encoding="utf-8")
            self.artifact(path, folder)

    def _free_param(self, key: str, value: str) -> str | None:
        """The key to record a value under, or None if it is recorded already."""
        for name in (key, f"resolved.{key}"):
            logged = self._known.params.get(name)
            if logged is None:
                return name
            if same_value(logged, value) or (
                len(value) > MAX_PARAM and logged.startswith(value[:500])
            ):
                return None
        _logger.warning(
            "param %r stays %r: MLflow params can't change to %r",
            key,
            self._known.params[key],
            value[:200],
        )
        return None


def _comparable(value: float) -> float:
    """A value that equals itself: NaN becomes a number that no metric has."""
    number = float(value)
    if math.isnan(number):
        return -1.2345678901234567e301
    return max(min(number, 1.7976931348623157e308), -1.7976931348623157e308)
