"""One MLflow run per identity, opened, resumed and ended truthfully.

A run's identity is a digest of its name and settings, kept as tag
`normgate.identity`.

- A **parent** that `mlflow run` created (MLFLOW_RUN_ID) is adopted. Otherwise an
  unfinished parent of the same identity is opened again; after a finished one, a new
  parent is created.
- A **child** is looked for in the whole experiment, whoever its parent was: so a
  rerun by `mlflow run`, which always brings a new parent, finds the children of the
  previous attempt. A finished child is skipped; an unfinished one is resumed. If its
  former parent did not finish, the child moves under the new parent and the former
  one gets tag `normgate.superseded_by`; a finished parent keeps its children, and
  the new one says whose it reuses in `normgate.reuses_children_of`.
- A run that a live process of this machine, or any process of another machine, has
  open is never taken over.
- A child can be opened while the server is away: its spool creates it later.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import rfc8785

from mlflow_normgate import mlruns
from mlflow_normgate.limits import MAX_TAG, as_text
from mlflow_normgate.opening import Place, Run, join, open_child, open_parent
from normgate.errors import Interrupted, TrackingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from normgate.tracker import Scalar

__all__ = ["Place", "Run", "child_run", "identity_of", "joined_run", "parent_run"]

_logger = logging.getLogger(__name__)
_OPEN_PATIENCE_S = 30.0
_ADOPT = "MLFLOW_RUN_ID"
_T = TypeVar("_T")


def identity_of(name: str, settings: Mapping[str, Scalar]) -> str:
    """The digest that names a run by what it is asked to do.

    Args:
        name: The entry, or what the child is.
        settings: Everything that changes the result; data digests belong here too.
    """
    texts = {key: as_text(value) for key, value in settings.items()}
    return hashlib.sha256(rfc8785.dumps({"name": name, "settings": texts})).hexdigest()


@contextmanager
def parent_run(
    place: Place,
    name: str,
    identity: str,
    tags: Mapping[str, str] | None = None,
) -> Iterator[Run]:
    """Open the run of an entry, and end it as its block ends.

    Raises:
        TrackingError: The server can't be reached, or a live process has a run of
            the same identity open.
    """
    adopted = os.environ.get(_ADOPT)
    run = _with_patience(
        place, lambda: open_parent(place, name, identity, tags or {}, adopted)
    )
    os.environ.pop(_ADOPT, None)  # or another process would adopt the same run
    with _ending(run):
        yield run


def joined_run(place: Place, run_id: str) -> Run:
    """A parent that another process has open: children can be opened below it.

    Its tracker keeps nothing, and it is not ended here.

    Raises:
        TrackingError: The server can't be reached, or has no such run.
    """
    return _with_patience(place, lambda: join(place, run_id))


@contextmanager
def child_run(
    parent: Run,
    name: str,
    identity: str,
    tags: Mapping[str, str] | None = None,
) -> Iterator[Run]:
    """Open one part of a parent's work: new, resumed, or finished and to be skipped.

    Args:
        parent: The run that this is a part of.
        name: What the child is called in the UI; a part of its identity.
        identity: Digest of everything that makes the child's result, data included:
            the parent's settings are not added, so that a parent with more
            replicates finds those that are finished.
        tags: Marks of the child.

    Raises:
        TrackingError: A live process has the same child open.
    """
    whole = hashlib.sha256(f"{name}\n{identity}".encode()).hexdigest()
    run = open_child(parent, name, whole, tags or {})
    with _ending(run):
        yield run


@contextmanager
def _ending(run: Run) -> Iterator[None]:
    """End the run as the block ends, and let every error pass."""
    try:
        yield
    except Interrupted as stop:
        run.tracker.tags({mlruns.STOPPED_TAG: str(stop)})
        run.end("KILLED")
        raise
    except KeyboardInterrupt:
        run.tracker.tags({mlruns.STOPPED_TAG: "stopped from the keyboard"})
        run.end("KILLED")
        raise
    except SystemExit as leaving:
        run.end("FAILED" if leaving.code else "FINISHED")
        raise
    except BaseException as error:
        sentence = str(error) or type(error).__name__
        run.tracker.tags({mlruns.ERROR_TAG: sentence[:MAX_TAG]})
        run.end("FAILED")
        raise
    else:
        run.end("FINISHED")


def _with_patience(place: Place, call: Callable[[], _T]) -> _T:
    """Try for a while: a server may be starting."""
    ends = time.monotonic() + _OPEN_PATIENCE_S
    while True:
        try:
            return call()
        except TrackingError:
            raise
        except Exception as error:
            if mlruns.is_refusal(error) or time.monotonic() > ends:
                raise TrackingError(
                    f"no run can be opened on {place.tracking_uri}: "
                    f"{str(error)[:300]}; check MLFLOW_TRACKING_URI and the server"
                ) from error
            _logger.info("waiting for the tracking server %s", place.tracking_uri)
            time.sleep(2.0)
