"""A real PostgreSQL server of the tests' own, and fresh databases in it.

Fixtures for every test (this module is a plugin, see `tests/conftest.py`):

* `database_uri`: a URI of a fresh database with MLflow's tables, once on SQLite and
  once on PostgreSQL. Most tests of stores want this one and nothing else.
* `postgresql_uri`: the same, on PostgreSQL only.
* `sqlite_uri`: the same, on SQLite only.
* `postgresql`: the server, to make databases without tables (`create(bare=True)`) or
  to connect as another account (`as_role`).

The server is Debian's, from /usr/lib/postgresql/*/bin, started when the first test
asks for it and killed at the end; it keeps nothing and syncs nothing. Started by root
it runs as the user `postgres`. Where it is not installed its tests are skipped, unless
$NORMGATE_REQUIRE names postgresql, as in CI: then they fail.

MLflow is imported where it is used: every test imports this module, few of them MLflow.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import Iterator

_START_S = 30.0
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "log_min_messages": "fatal",
}
_MIGRATED = "migrated"


class Postgresql:
    """A server in a folder of its own, on a free port of this machine."""

    def __init__(self, binaries: Path) -> None:
        self._numbers = itertools.count(1)
        self._folder = Path(tempfile.mkdtemp(prefix="normgate-postgresql-"))
        self._account: dict[str, Any] = {}
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root.
            account = pwd.getpwnam("postgres")
            os.chown(self._folder, account.pw_uid, account.pw_gid)
            self._account = {
                "user": account.pw_uid,
                "group": account.pw_gid,
                "extra_groups": (),
            }
        data = self._folder / "data"
        self._run(
            [binaries / "initdb", "-D", data, "-U", "owner", "-A", "trust", "-N",
             "--encoding=UTF8", "--locale=C.UTF-8"]
        )  # fmt: skip
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        settings = _SETTINGS | {
            "port": str(self.port),
            "unix_socket_directories": str(self._folder),
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        self._log = (self._folder / "log").open("wb")
        self._process = subprocess.Popen(
            [binaries / "postgres", "-D", data, *options],
            cwd=self._folder,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            preexec_fn=partial(die_with_parent, signal.SIGQUIT),
            **self._account,
        )
        self._wait()

    def create(self, *, bare: bool = False) -> str:
        """Make a database; with MLflow's tables, unless it shall be bare."""
        name = f"test{next(self._numbers)}"
        template = "template1" if bare else self._migrated()
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.uri(name)

    def drop(self, uri: str) -> None:
        """Drop a database, whoever is still connected to it."""
        name = sa.make_url(uri).database
        _forget_engines(f":{self.port}/{name}")
        self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def as_role(self, uri: str, role: str) -> str:
        """The URI for another account of the server, which is made if it is new."""
        with psycopg.connect(self.uri("postgres"), autocommit=True) as connection:
            known = "SELECT FROM pg_roles WHERE rolname = %s"
            if connection.execute(known, [role]).fetchone() is None:
                connection.execute(f"CREATE ROLE {role} LOGIN")
        return uri.replace("owner@", f"{role}@")

    def uri(self, database: str) -> str:
        return f"postgresql://owner@127.0.0.1:{self.port}/{database}"

    def execute(self, statement: str) -> None:
        """Run one statement that no transaction may hold."""
        with psycopg.connect(self.uri("postgres"), autocommit=True) as connection:
            connection.execute(statement)

    def stop(self) -> None:
        """Kill the server, and leave nothing behind."""
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(_START_S)
        self._log.close()
        shutil.rmtree(self._folder)

    def _migrated(self) -> str:
        """A database with MLflow's tables, made once: migrations take seconds."""
        with psycopg.connect(self.uri("postgres")) as connection:
            known = "SELECT FROM pg_database WHERE datname = %s"
            if connection.execute(known, [_MIGRATED]).fetchone() is not None:
                return _MIGRATED
        from mlflow.store.db.utils import _initialize_tables

        self.execute(f"CREATE DATABASE {_MIGRATED}")
        engine = sa.create_engine(self.uri(_MIGRATED), poolclass=sa.NullPool)
        _initialize_tables(engine)
        return _MIGRATED

    def _run(self, command: list[Any]) -> None:
        subprocess.run(
            command, cwd=self._folder, check=True, capture_output=True, **self._account
        )

    def _wait(self) -> None:
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(psycopg.OperationalError):
                psycopg.connect(self.uri("postgres")).close()
                return
            time.sleep(0.05)
        raise RuntimeError((self._folder / "log").read_text())


def die_with_parent(number: int = signal.SIGTERM) -> None:
    """Let a server end when the tests are killed; called in its own process."""
    set_death_signal = 1  # PR_SET_PDEATHSIG, see prctl(2)
    ctypes.CDLL(None).prctl(set_death_signal, number)


def _forget_engines(place: str) -> None:
    """Close what MLflow's stores keep open for as long as the process lives."""
    from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore as Registry
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore as Tracking

    for engines in (Registry._engine_map, Tracking._engine_map):
        for uri in [uri for uri in engines if place in uri]:
            engines.pop(uri).dispose()


def required(part: str) -> bool:
    """Whether tests must fail, not skip, where a part of the system is absent."""
    return part in os.environ.get("NORMGATE_REQUIRE", "").split(",")


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Postgresql]:
    """The server, which is started when it is first asked for."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if not found:
        absent = "PostgreSQL is absent: apt-get install postgresql"
        if required("postgresql"):
            pytest.fail(f"{absent} (demanded by $NORMGATE_REQUIRE)")
        pytest.skip(absent)
    server = Postgresql(found[-1].parent)
    yield server
    server.stop()


@pytest.fixture
def postgresql_uri(postgresql: Postgresql) -> Iterator[str]:
    """A fresh database on PostgreSQL with MLflow's tables."""
    uri = postgresql.create()
    yield uri
    postgresql.drop(uri)


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of SQLite with MLflow's tables, made once: migrations take a second."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("database") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def sqlite_uri(tmp_path: Path, empty_database: Path) -> str:
    """A fresh database on SQLite with MLflow's tables."""
    path = tmp_path / "mlflow.db"
    shutil.copyfile(empty_database, path)
    return f"sqlite:///{path}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_uri(request: pytest.FixtureRequest) -> str:
    """A fresh database with MLflow's tables, of each kind in turn."""
    return str(request.getfixturevalue(f"{request.param}_uri"))
