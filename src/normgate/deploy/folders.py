"""A deployment that writes a folder of files for each row: resumable, stamped.

    deploy.json  quarantine.csv   what the job is of, and what could not be used
    <model>/<row>/                files, and last a stamp: what made them, digests

A row is done when its stamp stands there and its input files are those of then; so a
rerun after a kill does what is left, and a mended file is seen to again. What the files
are is the caller's.
"""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from normgate.contract.files import write_atomic
from normgate.deploy.case_report import refuse_ruin, write_quarantined
from normgate.deploy.job import file_sha256, open_job
from normgate.engine.device import resolve_device
from normgate.errors import DataError
from normgate.plates.progress import LoggedProgress

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from normgate.deploy.models import Promoted
    from normgate.deploy.settings import DeploySettings
    from normgate.engine.bundle import Bundle

logger = logging.getLogger(__name__)


class Row(Protocol):
    """A row of the table."""

    def input_digest(self) -> str:
        """Of every file's bytes."""


_Row = TypeVar("_Row", bound=Row)
_Loader = TypeVar("_Loader")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready(Generic[_Loader]):
    """One verified model, ready to use."""

    promoted: Promoted
    bundle: Bundle
    loader: _Loader

    @property
    def stamps(self) -> dict[str, str]:
        """What made a file."""
        return {
            "model": self.promoted.name,
            "version": self.promoted.version,
            "spec_digest": self.bundle.card.spec_digest,
            "manifest_digest": self.bundle.manifest_digest,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What a job is called."""

    done: str
    """What progress says was done with a row, as `fused`."""
    row: str
    """What a row is, as `case`."""
    stamp: str
    """The file that is written last into a row's folder."""

    @property
    def rows(self) -> str:
        """What several are."""
        return f"{self.row}s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What became of all rows, a model each."""

    resumed: int
    made: int
    bad: Mapping[str, str]
    """By row: why it can't be used."""


def see_to_all(
    models: Sequence[Ready[_Loader]],
    rows: Mapping[str, _Row],
    settings: DeploySettings,
    kind: Kind,
    make: Callable[[Sequence[Ready[_Loader]], _Row, str], None],
) -> Tally:
    """Make every row's folders of every model, but those that an earlier run left.

    Args:
        models: All that were verified.
        rows: By the names that their folders get, in the table's order.
        settings: Of the job, whose folder the caller has `locked`.
        kind: What the job is called.
        make: Makes a row's folders of some models, given the digest of its input; may
            raise a `DataError`.

    Raises:
        DataError: Too many rows can't be used.
        DigestMismatch: The folder holds another deployment.
    """
    progress, out = LoggedProgress(kind.done, kind.rows), settings.out
    resumed = made = 0
    bad: dict[str, str] = {}
    if open_job(out, _pins(models, rows, settings, kind)):
        logger.info("resuming the deployment in %s", out)
    for done, (name, row) in enumerate(rows.items(), start=1):
        try:
            digest = row.input_digest()
            todo = [m for m in models if not _finished(m, out, name, digest, kind)]
            if todo:
                make(todo, row, digest)
        except DataError as error:
            logger.warning("quarantined: %s", error)
            bad[name] = str(error)
            write_quarantined(out, kind.row, bad)
            refuse_ruin(bad, len(rows), kind.rows, settings)
        else:
            resumed, made = resumed + len(models) - len(todo), made + len(todo)
        progress(done, len(rows))
    write_quarantined(out, kind.row, bad)
    return Tally(resumed=resumed, made=made, bad=bad)


def write_files(
    folder: Path, files: Mapping[str, bytes], stamp: str, record: Mapping[str, Any]
) -> None:
    """Write a row's files, and last its stamp: a record, and the files' digests."""
    for name, data in files.items():
        write_atomic(folder / name, data)
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    text = json.dumps({**record, "sha256": digests}, indent=2, sort_keys=True) + "\n"
    write_atomic(folder / stamp, text.encode())


def _pins(
    models: Sequence[Ready[_Loader]],
    rows: Mapping[str, _Row],
    settings: DeploySettings,
    kind: Kind,
) -> dict[str, Any]:
    return {
        "data": {"sha256": file_sha256(settings.data), kind.rows: len(rows)},
        "models": {model.promoted.name: model.stamps for model in models},
        "settings": {"device": resolve_device(settings.device).type},
    }


def _finished(
    model: Ready[_Loader], out: Path, name: str, digest: str, kind: Kind
) -> bool:
    path = out / model.promoted.name / name / kind.stamp
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return False
    expected = {**model.stamps, "input_digest": digest}
    return all(found.get(key) == value for key, value in expected.items())
