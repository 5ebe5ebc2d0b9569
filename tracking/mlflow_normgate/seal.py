"""Which logged models are sealed, so that nobody changes a file of theirs any more.

A model is sealed when it is READY, or when a registered version that is not deleted is
made of it: a client can turn READY back, but it can't make a version unmade. The
repositories that ask before they write are in `sealed_local` and `sealed_s3`. Only the
database counts, and it is asked every time: an answer that was kept could not see that
a model was registered a moment ago.

A path belongs to every logged model that it names, however it is spelled. What names
none (the artifacts of runs, traces) is not sealed, for it can't be promoted.
"""

from __future__ import annotations

import os
import posixpath
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import sqlalchemy as sa
from mlflow.entities import LifecycleStage, LoggedModelStatus
from mlflow.entities.model_registry.model_version_stages import STAGE_DELETED_INTERNAL
from mlflow.store.artifact.host_policy import is_tracking_server_process
from mlflow.store.model_registry.dbmodels.models import SqlModelVersion
from mlflow.store.tracking.dbmodels.models import SqlLoggedModel

from mlflow_normgate.reserved import refused

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sqlalchemy.engine import Engine

SCHEME = "normgate+"
MODEL = re.compile(r"(?:^|/)models/(m-[0-9a-f]{32})(?=/|$)")
MAX_DECODINGS = 10
"""How often a path is percent-decoded; MLflow refuses what needs more."""
BATCH = 100
# MLflow's name for it stands in `mlflow.server`, which a client need not import.
ARTIFACTS_ONLY = "_MLFLOW_SERVER_ARTIFACTS_ONLY"


@dataclass(frozen=True, slots=True)
class State:
    """What the database says of one logged model."""

    ready: bool
    deleted: bool
    """By a client; `mlflow gc` has not removed it yet."""
    registered: bool
    """A registered version that is not deleted is made of it."""


def models_in(*paths: str) -> set[str]:
    """The ids of the logged models that paths name, in any spelling of them."""
    found: set[str] = set()
    for path in paths:
        for _ in range(MAX_DECODINGS):
            plain = re.sub(r"[/\\]+", "/", path)
            for spelling in (plain, posixpath.normpath(f"/{plain}")):
                found.update(MODEL.findall(spelling.lower()))
            encoded, path = path, unquote(path)
            if path == encoded:
                break
    return found


def refuse_writing(models: Iterable[str]) -> None:
    """Let files be written for logged models that are not sealed.

    Args:
        models: Their ids.

    Raises:
        MlflowException: With status 403, if one is sealed or unknown.
    """
    for model, state in _states(models):
        if state is None:
            raise refused(
                f"{model} is no logged model of this server, so nothing can be stored "
                "for it. Create the model on this server first."
            )
        if state.registered or state.ready:
            raise refused(
                f"{model} is sealed, for {_reason(state)}: none of its files can be "
                "added, replaced or uploaded any more. Log a new model with the files "
                "that you want, and register that one."
            )


def refuse_deleting(models: Iterable[str]) -> None:
    """Let files of logged models be deleted that no version needs.

    Those of a READY model may go when the model itself was deleted, as `mlflow gc`
    does.

    Args:
        models: Their ids.

    Raises:
        MlflowException: With status 403, if one must stay or is unknown.
    """
    for model, state in _states(models):
        if state is None:
            raise refused(
                f"{model} is no logged model of this server, so its files can't be "
                "deleted through it. Ask the platform engineer who runs the server."
            )
        if state.registered or (state.ready and not state.deleted):
            first = "the versions made of it" if state.registered else "that model"
            raise refused(
                f"{model} is sealed, for {_reason(state)}: none of its files can be "
                f"deleted. Delete {first} first."
            )


def refuse_handing_out(models: Iterable[str]) -> None:
    """Hand out no address to upload to, for it would still be good after the seal.

    Args:
        models: Ids of logged models that the address is for.

    Raises:
        MlflowException: With status 403, if there is one.
    """
    for model in sorted(models):
        raise refused(
            f"The files of {model} can't be uploaded past this server, because such an "
            "address would outlive the model's seal. Upload them through the server."
        )


def _reason(state: State) -> str:
    return "a version is made of it" if state.registered else "it is READY"


def _states(models: Iterable[str]) -> Iterator[tuple[str, State | None]]:
    """What the database says of logged models; None of one that it does not know."""
    wanted = sorted(models)
    if not wanted:
        return
    tracking, registry = _engines()
    for start in range(0, len(wanted), BATCH):
        some = wanted[start : start + BATCH]
        registered = _registered(registry, some)
        found = {row.model_id: row for row in _rows(tracking, some)}
        for model in some:
            row = found.get(model)
            yield model, row and _state(row, model in registered)


def _state(row: sa.Row[Any], registered: bool) -> State:
    return State(
        ready=row.status == LoggedModelStatus.READY.to_int(),
        deleted=row.lifecycle_stage == LifecycleStage.DELETED,
        registered=registered,
    )


def _rows(tracking: Engine, models: Sequence[str]) -> Sequence[sa.Row[Any]]:
    table = sa.inspect(SqlLoggedModel).local_table.c
    query = sa.select(table.model_id, table.status, table.lifecycle_stage)
    with tracking.connect() as connection:
        return connection.execute(query.where(table.model_id.in_(models))).all()


def _registered(registry: Engine, models: Sequence[str]) -> set[str]:
    """Those of some logged models that a version of any workspace is made of."""
    table = sa.inspect(SqlModelVersion).local_table.c
    location = sa.func.coalesce(table.storage_location, table.source)
    query = sa.select(location).where(
        table.current_stage != STAGE_DELETED_INTERNAL,
        sa.or_(*(location.like(f"%/models/{model}/%") for model in models)),
    )
    with registry.connect() as connection:
        return models_in(*connection.execute(query).scalars())


def _engines() -> tuple[Engine, Engine]:
    """The databases of the tracking store and of the registry of this process."""
    if os.environ.get(ARTIFACTS_ONLY):
        raise refused(
            "This server only stores artifacts and has no database to ask which models "
            "are sealed. Send what belongs to a model to the tracking server."
        )
    tracking, registry = (
        _server_stores() if is_tracking_server_process() else _client_stores()
    )
    if not (hasattr(tracking, "engine") and hasattr(registry, "engine")):
        raise refused(
            "Sealed artifacts are written by the server alone, and this process has no "
            "database to ask which models are sealed. Log through the server."
        )
    return tracking.engine, registry.engine


def _server_stores() -> tuple[Any, Any]:
    from mlflow.server import handlers

    return handlers._get_tracking_store(), handlers._get_model_registry_store()


def _client_stores() -> tuple[Any, Any]:
    from mlflow.tracking._model_registry.utils import _get_store as registry_store
    from mlflow.tracking._tracking_service.utils import _get_store as tracking_store

    return tracking_store(), registry_store()
