"""Where a registry and its artifacts are kept: addresses checked, sealed and shown.

`normgate server` and the administrator's commands find their database and the artifact
store here. Starting MLflow's server is `server`'s work, sealing `seal`'s.
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

import mlflow
import sqlalchemy as sa
from mlflow.environment_variables import MLFLOW_ENABLE_WORKSPACES, MLFLOW_WORKSPACE
from mlflow.utils.file_utils import local_file_uri_to_path
from mlflow.utils.workspace_utils import DEFAULT_WORKSPACE_NAME
from sqlalchemy.exc import ArgumentError, DBAPIError

from normgate.errors import SettingsError, TrackingError

SCHEME = "normgate+"
DRIVERS = (
    "sqlite",
    "postgresql",
    "postgresql+psycopg",
    "postgresql+psycopg2",
)
DEFAULT_DATABASE = "sqlite:///mlflow.db"
DEFAULT_ARTIFACTS = "./mlartifacts"
CONNECT_S = 10
# MLflow's names for them stand in `mlflow.server`, which takes seconds to import.
SERVE_ARTIFACTS = "_MLFLOW_SERVER_SERVE_ARTIFACTS"
ARTIFACTS_DESTINATION = "_MLFLOW_SERVER_ARTIFACT_DESTINATION"


def database(uri: str) -> str:
    """Check a database's address, and return it without `normgate+` in front.

    Raises:
        SettingsError: If it is none that the gate can hold; no password is repeated.
    """
    plain = uri.removeprefix(SCHEME)
    try:
        url = sa.make_url(plain)
    except (ArgumentError, ValueError) as error:
        named = "that" if "@" in plain else repr(plain)
        raise SettingsError(
            f"{named} is no address of a database; expected {DEFAULT_DATABASE} or "
            "postgresql://user@host/name"
        ) from error
    if url.drivername not in DRIVERS:
        raise SettingsError(
            f"the gate's registry can't be in {url.drivername}; expected one of "
            f"{', '.join(DRIVERS)}"
        )
    if "@" in (url.host or ""):
        raise SettingsError(
            "the database's password has an @ in it; write it as %40, or leave the "
            "password out and set PGPASSWORD"
        )
    return plain


def shown(uri: str) -> str:
    """An address for a person to read, with *** for its password."""
    url = sa.make_url(uri.removeprefix(SCHEME))
    return url.render_as_string(hide_password=True)


def sealed(destination: str) -> str:
    """The address of an artifact store under its seal, of a plain or sealed one.

    Raises:
        SettingsError: If there is no seal for such a store.
    """
    return f"{SCHEME}{unsealed(destination)}"


def unsealed(destination: str) -> str:
    """The address of an artifact store without its seal, a local one as `file://`.

    Raises:
        SettingsError: If there is no seal for such a store.
    """
    plain = destination.removeprefix(SCHEME)
    scheme = urlsplit(plain).scheme
    if scheme == "s3":
        return plain
    if scheme not in {"", "file"}:
        raise SettingsError(
            f"artifacts at {scheme}:// can't be sealed; expected a local folder or "
            "s3://bucket/folder"
        )
    path = local_file_uri_to_path(plain) if scheme else plain
    return Path(path).absolute().as_uri()


def local_folder(destination: str) -> Path | None:
    """The folder of a local artifact store; None for a remote one."""
    plain = unsealed(destination)
    return None if plain.startswith("s3:") else Path(local_file_uri_to_path(plain))


def engine(uri: str) -> sa.Engine:
    """An engine that keeps no connection open.

    Raises:
        TrackingError: If the driver that the address names is absent.
    """
    wait = {"connect_timeout": CONNECT_S} if uri.startswith("postgresql") else {}
    try:
        return sa.create_engine(uri, poolclass=sa.NullPool, connect_args=wait)
    except ModuleNotFoundError as error:
        raise TrackingError(
            f"{shown(uri)} needs the Python package {error.name}; install it, or write "
            "postgresql:// for the driver that comes with normgate"
        ) from error


def connect(uri: str) -> None:
    """Try to open a database once; MLflow itself would try for minutes.

    Raises:
        TrackingError: In one sentence.
    """
    try:
        engine(uri).connect().close()
    except DBAPIError as error:
        reason = " ".join(str(error.orig).split())
        raise TrackingError(f"{shown(uri)} can't be opened: {reason}") from error


def registry(named: str | None) -> str:
    """The registry's database: the one that is named, or MLflow's own setting.

    Raises:
        TrackingError: If that is a server, or a file that is not there.
    """
    uri = named or str(mlflow.get_registry_uri())
    if urlsplit(uri).scheme in {"http", "https"}:
        raise TrackingError(
            "the registry is behind a server, and this is read from its database; name "
            "the database with --store, or run this where the server runs"
        )
    plain = database(uri)
    path = sa.make_url(plain).database
    if plain.startswith("sqlite:") and not Path(path or "").is_file():
        raise TrackingError(f"{plain}: there is no such file; name another by --store")
    connect(plain)
    return plain


def workspaces(uri: str) -> list[str]:
    """The workspaces of a registry, as MLflow's own tables know them."""
    known = sa.table("workspaces", sa.column("name"))
    with engine(uri).connect() as connection:
        if not sa.inspect(connection).has_table(known.name):
            return [DEFAULT_WORKSPACE_NAME]
        return sorted(connection.execute(sa.select(known.c.name)).scalars())


def enter(uri: str, workspace: str | None) -> None:
    """Let this process work in one workspace, if the registry has several.

    Raises:
        SettingsError: If there is no such workspace.
    """
    known = workspaces(uri)
    chosen = workspace or MLFLOW_WORKSPACE.get() or DEFAULT_WORKSPACE_NAME
    if chosen not in known:
        raise SettingsError(f"no workspace {chosen!r}: there are {', '.join(known)}")
    if known != [DEFAULT_WORKSPACE_NAME]:
        MLFLOW_ENABLE_WORKSPACES.set(True)
        MLFLOW_WORKSPACE.set(chosen)


def stand_in(uri: str, artifacts: str | None) -> None:
    """Let this process read what the server of a database stores, without a server.

    Args:
        uri: The database.
        artifacts: The server's artifact store; by default that of MLflow's setting,
            or `./mlartifacts` where there is one.

    Raises:
        SettingsError: If there is no such artifact store.
    """
    mlflow.set_tracking_uri(uri)
    named = artifacts or os.environ.get("MLFLOW_ARTIFACTS_DESTINATION")
    destination = unsealed(named or DEFAULT_ARTIFACTS)
    folder = local_folder(destination)
    if folder is None or folder.is_dir():
        os.environ[SERVE_ARTIFACTS] = "true"
        os.environ[ARTIFACTS_DESTINATION] = destination
    elif named is not None:
        raise SettingsError(f"{folder}: there is no such folder of artifacts")


def stands_in() -> bool:
    """Whether this process can read what a server stores."""
    return os.environ.get(SERVE_ARTIFACTS) == "true"
