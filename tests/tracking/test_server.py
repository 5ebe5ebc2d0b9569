"""`normgate server`: what it refuses, and what it serves."""

from __future__ import annotations

import base64
import json
import subprocess
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import mlflow
import psycopg
import pytest
import sqlalchemy as sa
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from tests.tracking.bundle_files import (
    CONTRACT,
    RIGHT,
    WRONG,
    log_folder,
    second_version,
    write_bundle,
)
from tests.tracking.composed import COMPOSE, PASSWORD, Composed
from tests.tracking.conftest import clean_environment
from tests.tracking.serving import NORMGATE, Serving

from mlflow_normgate.readiness import prepare
from mlflow_normgate.registry import bind_contract
from mlflow_normgate.server import ADDRESSES, plan
from mlflow_normgate.storage import local_folder, sealed, shown
from normgate.contract import write
from normgate.errors import ContractError, SettingsError, TrackingError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.postgresql import Postgresql

NAME = "rescue"
WITHOUT_JOBS = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
VARIABLES = (
    "MLFLOW_DEFAULT_ARTIFACT_ROOT",
    "MLFLOW_SERVE_ARTIFACTS",
    "MLFLOW_ARTIFACTS_ONLY",
    "MLFLOW_ENABLE_WORKSPACES",
    *ADDRESSES.values(),
)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment without MLflow's settings, in an empty working folder."""
    for key in VARIABLES:
        monkeypatch.delenv(key, raising=False)
    monkeypatch.chdir(tmp_path)
    return monkeypatch


# What is refused and what is handed on.


def test_by_default_it_serves_the_working_folder(
    settings: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings.delenv("MLFLOW_DISABLE_TELEMETRY", raising=False)
    launch = plan(None, None, ["--workers", "2"])
    assert launch.database == "sqlite:///mlflow.db"
    assert local_folder(launch.artifacts) == tmp_path / "mlartifacts"
    assert launch.options == ("--workers", "2")
    assert launch.environment == {
        "MLFLOW_BACKEND_STORE_URI": "sqlite:///mlflow.db",
        "MLFLOW_REGISTRY_STORE_URI": "normgate+sqlite:///mlflow.db",
        "MLFLOW_ARTIFACTS_DESTINATION": f"normgate+file://{tmp_path}/mlartifacts",
        "MLFLOW_ENABLE_WORKSPACES": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "UVICORN_TIMEOUT_WORKER_HEALTHCHECK": "60",
    }


@pytest.mark.parametrize(
    ("options", "handed"),
    [
        (["--host=0.0.0.0", "-p", "80"], ("--host", "0.0.0.0", "--port", "80")),
        (["--gunicorn-opts", "--timeout 9"], ("--gunicorn-opts", "--timeout 9")),
        (["--enable-workspaces"], ("--enable-workspaces",)),
        (["--serve-artifacts"], ("--serve-artifacts",)),
        (["--static-prefix", "/mlflow"], ("--static-prefix", "/mlflow")),
        (["--registry-store-uri", "normgate+sqlite:///mlflow.db"], ()),
        (
            ["--default-artifact-root", "mlflow-artifacts:/team"],
            ("--default-artifact-root", "mlflow-artifacts:/team"),
        ),
    ],
    ids=lambda words: " ".join(words),
)
def test_mlflows_own_options_are_handed_on(
    settings: pytest.MonkeyPatch, options: Sequence[str], handed: tuple[str, ...]
) -> None:
    assert plan(None, None, options).options == handed


def test_no_password_stands_in_a_command_line(settings: pytest.MonkeyPatch) -> None:
    at = "postgresql://user:s3cret@host/mlflow"
    replica = ["--read-replica-backend-store-uri", at.replace("host", "replica")]
    launch = plan(None, None, ["--backend-store-uri", at, *replica])
    assert launch.options == ()
    assert launch.environment["MLFLOW_REGISTRY_STORE_URI"] == f"normgate+{at}"
    assert "replica" in launch.environment["MLFLOW_READ_REPLICA_BACKEND_STORE_URI"]
    assert shown(launch.database) == "postgresql://user:***@host/mlflow"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--no-serve-artifacts"], "around the seal"),
        (["--artifacts-only"], "which artifacts are sealed"),
        (["--default-artifact-root", "s3://bucket"], "another place than the sealed"),
        (["--default-artifact-root", "/data"], "another place than the sealed"),
        (["--registry-store-uri", "sqlite:///other.db"], "another database"),
        (["--backend-store-uri", "./mlruns"], "is no address of a database"),
        (["--backend-store-uri", "mysql://u:s3cret@h/d"], "can't be in mysql"),
        (["--backend-store-uri", "postgresql://u:s3c@ret@h/d"], "write it as %40"),
        (["--artifacts-destination", "gs://bucket"], "gs:// can't be sealed"),
        (["--nonsense"], "No such option"),
        (["--port", "high"], "is not a valid integer"),
    ],
    ids=lambda words: words if isinstance(words, str) else " ".join(words),
)
def test_a_way_around_the_gate_is_refused(
    settings: pytest.MonkeyPatch, options: Sequence[str], sentence: str
) -> None:
    with pytest.raises(SettingsError, match=sentence) as caught:
        plan(None, None, options)
    assert "s3c" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("MLFLOW_SERVE_ARTIFACTS", "false"),
        ("MLFLOW_ARTIFACTS_ONLY", "true"),
        ("MLFLOW_DEFAULT_ARTIFACT_ROOT", "s3://bucket"),
        ("MLFLOW_REGISTRY_STORE_URI", "sqlite:///other.db"),
        ("MLFLOW_ENABLE_REMOTE_ASSISTANT", "true"),
        ("MLFLOW_SERVER_ENABLE_CUSTOM_SCORERS", "1"),
    ],
)
def test_a_way_around_by_a_variable_is_refused_by_its_name(
    settings: pytest.MonkeyPatch, key: str, value: str
) -> None:
    settings.setenv(key, value)
    with pytest.raises(SettingsError, match=f"^{key} "):
        plan(None, None, [])


def test_one_place_is_not_named_in_two_ways(settings: pytest.MonkeyPatch) -> None:
    settings.setenv("MLFLOW_BACKEND_STORE_URI", "sqlite:///other.db")
    with pytest.raises(SettingsError, match="--store and MLFLOW_BACKEND_STORE_URI"):
        plan("sqlite:///mlflow.db", None, [])
    assert plan("sqlite:///other.db", None, []).database == "sqlite:///other.db"


@pytest.mark.parametrize(
    ("plain", "address"),
    [
        ("/data/a b", "normgate+file:///data/a%20b"),
        ("file:///data/a%20b", "normgate+file:///data/a%20b"),
        ("s3://bucket/folder", "normgate+s3://bucket/folder"),
        ("normgate+s3://bucket/folder", "normgate+s3://bucket/folder"),
    ],
)
def test_an_artifact_store_is_sealed_once(plain: str, address: str) -> None:
    assert sealed(plain) == sealed(address) == address


def test_models_outside_the_sealed_store_are_named(
    settings: pytest.MonkeyPatch, sqlite_uri: str, tmp_path: Path
) -> None:
    launch = plan(sqlite_uri, None, [])
    for key, value in launch.environment.items():
        settings.setenv(key, value)
    client = MlflowClient(sqlite_uri)
    for name, place in (("inside", "mlflow-artifacts:/1"), ("outside", "s3://bucket")):
        client.create_logged_model(client.create_experiment(name, place))
    client.create_experiment("empty", "s3://bucket")
    assert prepare(launch) == ["outside"]
    assert sa.inspect(sa.create_engine(sqlite_uri)).has_table("normgate_gate")


def run(folder: Path, *words: str, **environment: str) -> tuple[int, str]:
    """Run the command, and return its exit code and what it said."""
    done = subprocess.run(
        [NORMGATE, *words],
        cwd=folder,
        env=clean_environment(**environment),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    return done.returncode, done.stdout + done.stderr


def test_tables_of_another_mlflow_are_left_alone(
    settings: pytest.MonkeyPatch, sqlite_uri: str
) -> None:
    for key, value in plan(sqlite_uri, None, []).environment.items():
        settings.setenv(key, value)
    older = "UPDATE alembic_version SET version_num = 'bd07f7e963c5'"
    with sa.create_engine(sqlite_uri).begin() as connection:
        connection.exec_driver_sql("DROP TABLE workspaces")
        connection.exec_driver_sql(older)
    with pytest.raises(TrackingError, match="run `mlflow db upgrade` on it"):
        prepare(plan(sqlite_uri, None, []))
    assert not sa.inspect(sa.create_engine(sqlite_uri)).has_table("workspaces")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "environment", "sentence"),
    [
        pytest.param(
            ("--store", "postgresql://u:s3cret@127.0.0.1:1/d"),
            {},
            "postgresql://u:***@127.0.0.1:1/d can't be opened",
            id="no-database",
        ),
        pytest.param(
            ("--store", "sqlite:///none/mlflow.db"), {}, "can't be opened", id="folder"
        ),
        pytest.param(("--app-name=basic-auth",), {}, "secret key", id="no-key"),
        pytest.param(
            ("--app-name=basic-auth",),
            {"MLFLOW_FLASK_SERVER_SECRET_KEY": "key"},
            "needs a password to create the admin user",
            id="no-password",
        ),
        pytest.param(
            ("--artifacts", "/proc/artifacts"), {}, "/proc/artifacts", id="artifacts"
        ),
    ],
)
def test_what_it_can_not_start_with_is_told_in_one_line(
    tmp_path: Path, words: tuple[str, ...], environment: dict[str, str], sentence: str
) -> None:
    code, said = run(tmp_path, "server", *words, **environment)
    assert code == 2, said
    last = said.splitlines()[-1]
    assert last.startswith("normgate: ")
    assert sentence in last
    assert "Traceback" not in said
    assert "s3cret" not in said


# What is served.


@pytest.mark.slow
def test_it_stops_with_every_process_of_it(tmp_path: Path) -> None:
    serving = Serving(tmp_path, [])
    try:
        # MLflow's command, the parent of the workers, two of them, and runners of jobs.
        assert len(serving.processes()) > 4
        assert serving.terminate() == 0
        assert serving.all_ended()
    finally:
        serving.kill()
    assert (tmp_path / "mlflow.db").is_file()
    assert (tmp_path / "mlartifacts").is_dir()


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A server with two workers, and where it stores."""

    serving: Serving
    store: str
    artifacts: Path
    users: bool
    """Whether it asks who one is."""


@pytest.fixture(scope="module")
def sqlite_served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("sqlite")
    served = Served(
        serving=Serving(folder, [], **WITHOUT_JOBS),
        store=f"sqlite:///{folder}/mlflow.db",
        artifacts=folder / "mlartifacts",
        users=False,
    )
    try:
        furnish(served, folder)
        yield served
    finally:
        served.serving.kill()


@pytest.fixture(scope="module")
def composed(
    tmp_path_factory: pytest.TempPathFactory, postgresql: Postgresql
) -> Composed:
    composed = Composed(tmp_path_factory.mktemp("composed"), postgresql)
    composed.migrate()
    return composed


@pytest.fixture(scope="module")
def postgresql_served(composed: Composed) -> Iterator[Served]:
    served = Served(
        serving=composed.serve(),
        store=composed.uri("normgate_server"),
        artifacts=composed.folder / "artifacts",
        users=True,
    )
    try:
        furnish(served, composed.folder)
        yield served
    finally:
        served.serving.kill()


def furnish(served: Served, folder: Path) -> None:
    """Register a model whose version 1 is champion and whose version 2 may not be."""
    with asking(served) as client:
        bind_contract(NAME, CONTRACT, "first of its kind")
        for number, spec in enumerate((RIGHT, WRONG), start=1):
            bundle = write_bundle(folder / f"{number}" / "bundle", spec)
            logged = log_folder(client, bundle)
            client.create_model_version(
                NAME, logged.source, logged.run_id, model_id=logged.model_id
            )
        client.set_registered_model_alias(NAME, "champion", "1")


@contextmanager
def asking(
    served: Served, user: str = "admin", password: str = PASSWORD
) -> Iterator[MlflowClient]:
    """A client of the server, by default its administrator's."""
    before = mlflow.get_tracking_uri()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_USERNAME", user)
        patch.setenv("MLFLOW_TRACKING_PASSWORD", password)
        mlflow.set_tracking_uri(served.serving.uri)
        yield MlflowClient()
    mlflow.set_tracking_uri(before)


@pytest.fixture(params=["sqlite", "postgresql"])
def served(request: pytest.FixtureRequest) -> Served:
    """Each server in turn."""
    found = request.getfixturevalue(f"{request.param}_served")
    assert isinstance(found, Served)
    return found


def ask(served: Served, method: str, path: str, body: bytes) -> tuple[int, str]:
    """Ask the server as curl would, and return its status and answer."""
    request = urllib.request.Request(f"{served.serving.uri}{path}", body, method=method)
    request.add_header("Content-Type", "application/json")
    credentials = base64.b64encode(f"admin:{PASSWORD}".encode()).decode()
    request.add_header("Authorization", f"Basic {credentials}")
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.mark.slow
@pytest.mark.parametrize("prefix", ["api", "ajax-api"])
def test_a_refusal_is_status_403(served: Served, prefix: str) -> None:
    body = json.dumps({"name": NAME, "alias": "champion", "version": "2"}).encode()
    path = f"/{prefix}/2.0/mlflow/registered-models/alias"
    status, answer = ask(served, "POST", path, body)
    assert status == 403
    found = json.loads(answer)
    assert found["error_code"] == "PERMISSION_DENIED"
    start = f"Promotion of {NAME} version 2 to champion refused: Channel RFP1"
    assert found["message"].startswith(start)
    with asking(served) as client:
        assert client.get_model_version_by_alias(NAME, "champion").version == "1"


@pytest.mark.slow
def test_what_is_promoted_is_sealed(served: Served) -> None:
    with asking(served) as client:
        location = client.get_model_version_download_uri(NAME, "1")
    path = location.removeprefix("mlflow-artifacts:/") + "/artifacts/bundle/card.json"
    url = f"/api/2.0/mlflow-artifacts/artifacts/{path}"
    assert ask(served, "PUT", url, b"{}")[0] == 403
    assert ask(served, "DELETE", url, b"")[0] == 403
    assert (served.artifacts / path).read_bytes() != b"{}"


@pytest.mark.slow
def test_an_administrator_looks_after_it_beside_the_server(
    served: Served, tmp_path: Path
) -> None:
    at = {"NORMGATE_STORE": served.store}
    code, said = run(tmp_path, "verify", **at)
    assert code == 2, said
    assert said.splitlines()[-1].endswith("name it with --artifacts")
    at["NORMGATE_ARTIFACTS"] = str(served.artifacts)
    code, said = run(tmp_path, "verify", **at)
    assert (code, said) == (0, f"{NAME} version 1 is champion: as it was allowed\n")
    contract = tmp_path / "contract.json"
    write(contract, second_version())
    words = ("contract", "bind", f"{NAME}*", str(contract), "--reason", "measured anew")
    assert run(tmp_path, *words, **at)[0] == 0
    code, said = run(tmp_path, "ledger", "list", "--model", NAME, "--json", **at)
    first = json.loads(said)[-1]
    assert first["actor"].endswith("user admin" if served.users else "at 127.0.0.1")


@pytest.mark.slow
def test_nothing_secret_is_seen_from_outside(served: Served) -> None:
    shown = served.serving.log.read_text() + "".join(served.serving.command_lines())
    assert "the registry is" in shown
    assert PASSWORD not in shown
    assert served.store not in "".join(served.serving.command_lines())


@pytest.mark.slow
def test_a_user_who_is_no_administrator_changes_no_contract(
    postgresql_served: Served,
) -> None:
    word = "a word of her own"
    user = json.dumps({"username": "scientist", "password": word}).encode()
    path = "/api/2.0/mlflow/users/create"
    assert ask(postgresql_served, "POST", path, user)[0] == 200
    with asking(postgresql_served, "scientist", word) as client:
        client.create_registered_model("hers")
        with pytest.raises(ContractError, match="Only an administrator of this server"):
            bind_contract("hers", CONTRACT, "mine")
    with (
        asking(postgresql_served, "scientist", "another") as client,
        pytest.raises(MlflowException, match="401"),
    ):
        client.get_registered_model("hers")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("role", "statement", "refusal"),
    [
        (
            "normgate_server",
            "UPDATE registered_model_aliases SET version = 2",
            "normgate:",
        ),
        ("normgate_server", "DELETE FROM normgate_verdicts", "normgate:"),
        ("normgate_server", "DROP TABLE normgate_verdicts", "must be owner"),
        (
            "normgate_server",
            "ALTER TABLE registered_model_aliases DISABLE TRIGGER ALL",
            "must be owner",
        ),
        ("normgate_server", "CREATE TABLE mine (id int)", "permission denied"),
        ("normgate_server", "SET session_replication_role = replica", "permission"),
        (
            "normgate_reader",
            "DELETE FROM registered_model_aliases",
            "permission denied",
        ),
        (
            "normgate_reader",
            "INSERT INTO normgate_gate VALUES (2, 0)",
            "permission denied",
        ),
    ],
)
@pytest.mark.usefixtures("postgresql_served")
def test_the_servers_account_changes_no_table_and_no_verdict(
    composed: Composed, role: str, statement: str, refusal: str
) -> None:
    with psycopg.connect(composed.uri(role)) as connection:
        assert connection.execute("SELECT FROM normgate_verdicts").rowcount > 0
        with pytest.raises(psycopg.Error, match=refusal):
            connection.execute(statement)


def test_only_the_server_and_its_migrations_hold_credentials() -> None:
    services = COMPOSE["services"]
    holders = {
        name: {one["target"] for one in service["secrets"] if isinstance(one, dict)}
        for name, service in services.items()
    }
    assert holders == {
        "database": set(),
        "migrate": {"PGPASSWORD"},
        "server": {
            "PGPASSWORD",
            "MLFLOW_FLASK_SERVER_SECRET_KEY",
            "MLFLOW_AUTH_ADMIN_PASSWORD",
        },
    }
    assert not {"PGPASSWORD", "MLFLOW_AUTH_ADMIN_PASSWORD"} & {
        key for service in services.values() for key in service["environment"]
    }
    assert "ports" not in services["database"]
    assert services["database"]["networks"] == ["inside"]
    assert COMPOSE["networks"]["inside"] == {"internal": True}
