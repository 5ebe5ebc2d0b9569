"""Sends a spool's records to MLflow, as often as it takes, each with the same effect.

Metrics keep the time at which they were logged, so a record that arrives twice is
one point. What the server refuses for good is set aside; what can't be stored now
(a file, while numbers go through) is tried again later; when the server is away,
`Unreachable` is raised and nothing is lost.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from mlflow import MlflowClient
from mlflow.entities import (
    Dataset,
    DatasetInput,
    InputTag,
    Metric,
    Param,
    RunTag,
)
from mlflow.exceptions import MlflowException

from mlflow_normgate import mlruns
from mlflow_normgate.pictures import upload_picture

if TYPE_CHECKING:
    from mlflow_normgate.spool import Header, Record, Spool

_logger = logging.getLogger(__name__)
_MAX_METRICS = 1000
_MAX_TEXTS = 100
_MAX_BYTES = 400_000

Connect = Callable[[str], MlflowClient]
_T = TypeVar("_T")


class Unreachable(Exception):  # noqa: N818 - a state of the world, caught by callers
    """The server can't be reached or can't serve now; trying later may help."""


@dataclass(slots=True)
class _Batch:
    """What one `log_batch` takes."""

    metrics: list[Metric] = field(default_factory=list)
    params: list[Param] = field(default_factory=list)
    tags: list[RunTag] = field(default_factory=list)
    bytes: int = 0
    end: int = 0

    def add(self, record: Record) -> None:
        body = record.body
        match body.get("op"):
            case "metrics":
                self.metrics += [
                    Metric(key, float(value), body["t"], body["step"])
                    for key, value in body["values"].items()
                ]
            case "params":
                self.params += [Param(k, v) for k, v in body["values"].items()]
            case "tags":
                self.tags += [RunTag(k, v) for k, v in body["values"].items()]
            case _:
                pass
        self.bytes += record.end - record.start
        self.end = record.end

    def is_full(self) -> bool:
        texts = max(len(self.params), len(self.tags))
        return (
            len(self.metrics) >= _MAX_METRICS
            or texts >= _MAX_TEXTS
            or self.bytes >= _MAX_BYTES
        )

    def items(self) -> list[Metric | Param | RunTag]:
        return [*self.metrics, *self.params, *self.tags]


class Replay:
    """Sends one spool; the caller holds the spool's lock.

    Args:
        spool: What to send.
        connect: Makes a client of a tracking address.
        tracking_uri: Where to send instead of the address in the spool's header.
    """

    def __init__(
        self,
        spool: Spool,
        connect: Connect = MlflowClient,
        tracking_uri: str | None = None,
    ) -> None:
        self.spool = spool
        self.progress = spool.progress()
        self._connect = connect
        self._uri = tracking_uri
        self._header: Header | None = None
        self._client: MlflowClient | None = None

    def send(self) -> None:
        """Send everything that waits.

        Raises:
            Unreachable: The server is away; what was sent so far is remembered.
        """
        run_id = self._run_id()
        batch = _Batch(end=self.progress.offset)
        for record in self.spool.read(self.progress.offset):
            if record.body.get("op", "run") in {"run", "metrics", "params", "tags"}:
                batch.add(record)
                if batch.is_full():
                    batch = self._flush(run_id, batch)
                continue
            batch = self._flush(run_id, batch)
            self._send_other(run_id, record)
            batch.end = record.end
        self._flush(run_id, batch)
        self._retry_deferred(run_id)

    def is_complete(self) -> bool:
        """Whether nothing waits."""
        rest = next(self.spool.read(self.progress.offset), None)
        return rest is None and not self.progress.deferred

    def _run_id(self) -> str:
        if self._header is None:
            self._header = self.spool.header()
        header = self._header
        known = self.progress.run_id or header.run_id
        if known is None:
            known = self._ask(lambda: mlruns.resolve(self.client, header))
        if self.progress.run_id is None:
            self._advance(run_id=known)
        return str(known)

    @property
    def client(self) -> MlflowClient:
        """The client of the spool's tracking server, made when first needed."""
        if self._client is None:
            header = self._header or self.spool.header()
            uri = self._uri or header.tracking_uri
            self._client = self._ask(lambda: self._connect(uri))
        return self._client

    def _flush(self, run_id: str, batch: _Batch) -> _Batch:
        self._send_items(run_id, batch.items())
        if batch.end > self.progress.offset:
            self._advance(offset=batch.end)
        return _Batch(end=batch.end)

    def _send_items(self, run_id: str, items: list[Metric | Param | RunTag]) -> None:
        """Send in one call; if the server refuses, find the culprits by halving."""
        if not items:
            return
        try:
            self._ask(
                lambda: self.client.log_batch(
                    run_id,
                    metrics=[item for item in items if isinstance(item, Metric)],
                    params=[item for item in items if isinstance(item, Param)],
                    tags=[item for item in items if isinstance(item, RunTag)],
                )
            )
        except _Refused as refusal:
            if len(items) == 1:
                self._refuse(dict(items[0]), refusal)
                return
            middle = len(items) // 2
            self._send_items(run_id, items[:middle])
            self._send_items(run_id, items[middle:])

    def _send_other(self, run_id: str, record: Record) -> None:
        """Send what is no number or text: an end, a data set, a file."""
        try:
            self._ask(lambda: self._perform(run_id, record.body))
        except _Refused as refusal:
            self._refuse(record.body, refusal)
        except Unreachable:
            if record.body["op"] not in {"artifact", "image"}:
                raise
            self._ask(lambda: self.client.get_run(run_id))  # away altogether?
            deferred = (*self.progress.deferred, record.start)
            self._advance(offset=record.end, deferred=deferred)
            return
        self._advance(offset=record.end)

    def _retry_deferred(self, run_id: str) -> None:
        """Try the files again that could not be stored while records went on."""
        for start in self.progress.deferred:
            record = next(self.spool.read(start))
            try:
                self._ask(lambda body=record.body: self._perform(run_id, body))  # type: ignore[misc]
            except _Refused as refusal:
                self._refuse(record.body, refusal)
            rest = tuple(other for other in self.progress.deferred if other != start)
            self._advance(deferred=rest)

    def _perform(self, run_id: str, body: dict[str, Any]) -> None:
        match body["op"]:
            case "artifact":
                path = self.spool.folder / body["file"]
                self.client.log_artifact(run_id, str(path), body["folder"] or None)
            case "image":
                upload_picture(self.client, run_id, self.spool.folder / body["file"])
            case "dataset":
                self._log_dataset(run_id, _dataset(body))
            case "end":
                self.client.set_terminated(run_id, body["status"], body["t"])
            case other:
                raise _Refused(f"unknown operation {other!r}")

    def _log_dataset(self, run_id: str, dataset: DatasetInput) -> None:
        """Log a data set; of two runs that bring one at once, MLflow refuses one."""
        try:
            self.client.log_inputs(run_id, [dataset])
        except MlflowException:
            self.client.log_inputs(run_id, [dataset])  # by now it is there

    def _ask(self, call: Callable[[], _T]) -> _T:
        """Call the server, and sort what it raises into refused and unreachable."""
        try:
            return call()
        except (_Refused, Unreachable):
            raise
        except Exception as error:
            if mlruns.is_refusal(error) or isinstance(error, FileNotFoundError):
                raise _Refused(str(error)) from error
            raise Unreachable(f"{type(error).__name__}: {error}") from error

    def _refuse(self, body: dict[str, Any], refusal: _Refused) -> None:
        self.spool.refuse(body, str(refusal))
        self.progress = replace(self.progress, refused=self.progress.refused + 1)
        _logger.warning("MLflow refused %.300s: %.300s", body, refusal)

    def _advance(self, **changes: Any) -> None:
        self.progress = replace(self.progress, **changes)
        self.spool.remember(self.progress)


class _Refused(Exception):  # noqa: N818
    """The server will never take this."""


def _dataset(body: dict[str, Any]) -> DatasetInput:
    tags = [InputTag(key, value) for key, value in body["tags"].items()]
    return DatasetInput(Dataset(**body["dataset"]), tags)
