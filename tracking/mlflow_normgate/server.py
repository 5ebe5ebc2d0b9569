"""`normgate server`: MLflow's own server, with the gate and its artifacts sealed.

Options are read by MLflow's own command, so that no spelling and no variable of the
environment goes around the checks here. Addresses are handed over in the environment:
a password in them never stands in a list of processes. MLflow then takes this process
over, with its signals and its exit code. What must be in order before is `readiness`.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlsplit

import click
import mlflow.cli
from click.core import ParameterSource
from mlflow.environment_variables import (
    MLFLOW_ENABLE_REMOTE_ASSISTANT,
    MLFLOW_ENABLE_WORKSPACES,
    MLFLOW_SERVER_ENABLE_CUSTOM_SCORERS,
)

from mlflow_normgate import storage
from mlflow_normgate.pace import asks_per_minute
from mlflow_normgate.storage import SCHEME
from normgate.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

BACKEND, REGISTRY = "backend_store_uri", "registry_store_uri"
ARTIFACTS = "artifacts_destination"
ADDRESSES = {
    BACKEND: "MLFLOW_BACKEND_STORE_URI",
    REGISTRY: "MLFLOW_REGISTRY_STORE_URI",
    ARTIFACTS: "MLFLOW_ARTIFACTS_DESTINATION",
    "read_replica_backend_store_uri": "MLFLOW_READ_REPLICA_BACKEND_STORE_URI",
    "workspace_store_uri": "MLFLOW_WORKSPACE_STORE_URI",
}
"""Options that may hold a password, and the variables that stand for them."""

DEFAULTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # Seconds; uvicorn's 5 kill workers that are only slow, while they start or hash.
    "UVICORN_TIMEOUT_WORKER_HEALTHCHECK": "60",
}
"""Variables that are set unless they are set already."""

OPENING = {
    MLFLOW_ENABLE_REMOTE_ASSISTANT: "run commands on this machine through an assistant",
    MLFLOW_SERVER_ENABLE_CUSTOM_SCORERS: "run code of their own in the server",
}
"""Variables that give clients the rights of the server, and what they could do then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """How MLflow's server is to be started."""

    database: str
    artifacts: str
    """With its seal."""
    app: str | None
    """MLflow's own application, such as `basic-auth`."""
    options: tuple[str, ...]
    """MLflow's own options, none of which holds a password."""
    environment: Mapping[str, str]
    """Variables to set."""


def plan(store: str | None, artifacts: str | None, options: Sequence[str]) -> Launch:
    """Read the options, and refuse those that would open a way around the gate.

    Args:
        store: The database, if it was named to normgate.
        artifacts: The artifact store, if it was named to normgate.
        options: MLflow's own options, as they were typed.

    Raises:
        SettingsError: In one sentence, without a password.
    """
    given = _parse(options)
    database = storage.database(
        _one("--store", store, given, BACKEND) or storage.DEFAULT_DATABASE
    )
    destination = storage.sealed(
        _one("--artifacts", artifacts, given, ARTIFACTS) or storage.DEFAULT_ARTIFACTS
    )
    _refuse_ways_around(given, database)
    asks_per_minute()
    found = given.params
    handed = {key: found[key] for key in ADDRESSES if found[key]}
    handed |= {BACKEND: database, REGISTRY: SCHEME + database, ARTIFACTS: destination}
    workspaces = found["enable_workspaces"] or MLFLOW_ENABLE_WORKSPACES.get()
    return Launch(
        database=database,
        artifacts=destination,
        app=found["app_name"],
        options=tuple(_typed(given)),
        environment={
            **{key: os.environ.get(key, value) for key, value in DEFAULTS.items()},
            MLFLOW_ENABLE_WORKSPACES.name: "true" if workspaces else "false",
            **{ADDRESSES[key]: value for key, value in handed.items()},
        },
    )


def become(launch: Launch) -> NoReturn:
    """Let MLflow's server take this process over."""
    command = [sys.executable, "-m", "mlflow", "server", *launch.options]
    os.execve(sys.executable, command, {**os.environ, **launch.environment})


def _parse(options: Sequence[str]) -> click.Context:
    """Read MLflow's options by MLflow's own command, its variables too."""
    try:
        return mlflow.cli.server.make_context("normgate server", list(options))
    except click.UsageError as error:
        raise SettingsError(error.format_message()) from error


def _one(option: str, named: str | None, given: click.Context, key: str) -> str | None:
    """One address, which may be named in two ways but not differently."""
    source = given.get_parameter_source(key)
    other = None if source is ParameterSource.DEFAULT else given.params[key]
    if named is not None and other is not None and named != other:
        raise SettingsError(
            f"{option} and {_spelling(given, key)} name different places; keep one"
        )
    return named or other


def _refuse_ways_around(given: click.Context, database: str) -> None:
    found = given.params
    if not found["serve_artifacts"]:
        raise SettingsError(
            f"{_spelling(given, 'serve_artifacts')} would let clients write to the "
            "artifact store themselves, around the seal; leave it out"
        )
    if found["artifacts_only"]:
        raise SettingsError(
            f"{_spelling(given, 'artifacts_only')} would leave out the registry that "
            "says which artifacts are sealed; leave it out"
        )
    root = found["default_artifact_root"]
    if root and urlsplit(root).scheme != "mlflow-artifacts":
        raise SettingsError(
            f"{_spelling(given, 'default_artifact_root')} would send clients to "
            "another place than the sealed one; leave it out, and name the artifact "
            "store with --artifacts"
        )
    registry = found[REGISTRY]
    if registry and storage.database(registry) != database:
        raise SettingsError(
            f"{_spelling(given, REGISTRY)} names another database than the store's; "
            "the gate needs both in one: leave it out"
        )
    for variable, deed in OPENING.items():
        if variable.get():
            raise SettingsError(
                f"{variable.name} would let clients {deed}, with its rights to the "
                "database; leave it out"
            )


def _spelling(given: click.Context, key: str) -> str:
    """An option as it was given: by its name, or by its variable."""
    option = _option(given, key)
    if given.get_parameter_source(key) is ParameterSource.ENVIRONMENT:
        return str(option.envvar)
    on = given.params[key] is not False
    return option.opts[0] if on else option.secondary_opts[0]


def _option(given: click.Context, key: str) -> click.Option:
    known: dict[str | None, Any] = {one.name: one for one in given.command.params}
    option = known[key]
    assert isinstance(option, click.Option)
    return option


def _typed(given: click.Context) -> list[str]:
    """The options of the command line again, without addresses."""
    words: list[str] = []
    for key, value in given.params.items():
        typed = given.get_parameter_source(key) is ParameterSource.COMMANDLINE
        if not typed or key in ADDRESSES:
            continue
        words.append(_spelling(given, key))
        if not _option(given, key).is_flag:
            words.append(str(value))
    return words
