"""What must be in order before MLflow's server starts: database, artifacts, users.

A worker that fails for any of it would be started again and again; here it is told in
one sentence. The database becomes normgate's, which workers would race to do.
"""

from __future__ import annotations

import importlib.util
import os
from typing import TYPE_CHECKING

import sqlalchemy as sa
from mlflow.entities import LifecycleStage
from mlflow.exceptions import MlflowException
from mlflow.store.db.utils import _is_empty_database, _verify_schema
from mlflow.store.tracking.dbmodels.models import SqlExperiment, SqlLoggedModel
from sqlalchemy.exc import DBAPIError

from mlflow_normgate import storage
from mlflow_normgate.storage import SCHEME
from mlflow_normgate.store import build
from normgate.errors import SettingsError, TrackingError

if TYPE_CHECKING:
    from mlflow_normgate.server import Launch

OUTSIDE: sa.Select[tuple[str]] = (
    sa.select(SqlExperiment.name)
    .where(
        SqlExperiment.lifecycle_stage == LifecycleStage.ACTIVE,
        SqlExperiment.artifact_location.not_like("mlflow-artifacts:%"),
        sa.exists().where(SqlLoggedModel.experiment_id == SqlExperiment.experiment_id),
    )
    .order_by(SqlExperiment.name)
)
"""Active experiments with models that lie where a client once wanted them."""


def prepare(launch: Launch) -> list[str]:
    """Make the database normgate's, and check what MLflow's workers will need.

    Returns:
        Experiments that keep models outside the sealed store, in order of names.

    Raises:
        SettingsError: If basic authentication lacks something.
        TrackingError: If the database or the artifact store can't be used.
    """
    os.environ.update(launch.environment)
    if launch.app == "basic-auth":
        _check_authentication()
    _check_artifacts(launch.artifacts)
    storage.connect(launch.database)
    _check_tables(launch.database)
    try:
        store = build(SCHEME + launch.database)
    except (MlflowException, DBAPIError) as error:
        reason = error.orig if isinstance(error, DBAPIError) else error.message
        raise TrackingError(
            f"{storage.shown(launch.database)} can't be used: {_line(reason)}"
        ) from error
    with store.engine.connect() as connection:
        names = list(connection.execute(OUTSIDE).scalars())
    store.engine.dispose()
    return names


def _check_authentication() -> None:
    """Say what MLflow's basic authentication lacks, before workers fail for it."""
    if importlib.util.find_spec("flask_wtf") is None:
        raise SettingsError(
            "--app-name basic-auth needs the Python package Flask-WTF; install "
            "normgate[auth]"
        )
    if not os.environ.get("MLFLOW_FLASK_SERVER_SECRET_KEY"):
        raise SettingsError(
            "--app-name basic-auth needs a secret key that all workers share; set "
            "MLFLOW_FLASK_SERVER_SECRET_KEY to a long random text and keep it"
        )
    from mlflow.server import auth

    storage.connect(auth.auth_config.database_uri)
    try:
        auth.bootstrap_admin_user()
    except MlflowException as error:
        raise SettingsError(_line(error.message)) from error


def _check_tables(database: str) -> None:
    """Leave tables of another release alone, which MLflow would upgrade unasked."""
    engine = storage.engine(database)
    if _is_empty_database(engine):
        return
    try:
        _verify_schema(engine)
    except MlflowException as error:
        raise TrackingError(
            f"{storage.shown(database)} holds no tables, or those of another release "
            "of MLflow; back it up, then run `mlflow db upgrade` on it"
        ) from error


def _line(reason: object) -> str:
    return " ".join(str(reason).split())


def _check_artifacts(destination: str) -> None:
    folder = storage.local_folder(destination)
    if folder is None:
        if importlib.util.find_spec("boto3") is None:
            raise SettingsError(
                "artifacts in s3:// need the Python package boto3; install normgate[s3]"
            )
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrackingError(f"{folder}: {error.strerror}") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise TrackingError(f"{folder} can't be written by this account")
