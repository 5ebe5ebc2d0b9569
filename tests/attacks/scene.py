"""Where attacks take place: a registry, what was logged in it, and ways to reach it.

A scene knows the bytes that the gate may allow, because it logged them itself. It says
what a protected alias or stage of a model leads to in the end, and whether that is one
of them; it asks no table of normgate's about it.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import re
import shutil
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa
from mlflow.exceptions import MlflowException
from tests.tracking.bundle_files import (
    CONTRACT,
    RIGHT,
    WRONG,
    Logged,
    log_folder,
    write_bundle,
)
from tests.tracking.registering import FOLDERS, Registry

from normgate.gate import protected_alias, protected_stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from normgate.contract import Spec

JSON = {"Content-Type": "application/json"}
API, AJAX = "/api/2.0/mlflow", "/ajax-api/2.0/mlflow"
FILES = "/api/2.0/mlflow-artifacts/artifacts"
NO_BYTES = "dummy-source"
"""Where MLflow says that a prompt's version is."""
CLIENT_PREFIX = ": "


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered."""

    status: int
    text: str

    @property
    def sentence(self) -> str:
        """The message, or the text where there is none."""
        try:
            return str(json.loads(self.text)["message"])
        except (KeyError, TypeError, ValueError):
            found = re.search("<title>(.*)</title>", self.text)
            return found[1] if found else f"{self.status} {self.text[:200]}".strip()


@dataclass(frozen=True, slots=True)
class Scene(Registry):
    """A gated registry with its database and artifacts, and what may be promoted."""

    uri: str
    """Of the server, or of the database where there is none."""
    database: str
    artifacts: Path
    """The folder of artifacts."""
    engine: sa.Engine
    """On the database, without MLflow and without normgate."""
    without: Callable[[], str]
    """Starts MLflow's server without normgate on the same database, and says where."""
    allowed: dict[str, str] = field(default_factory=dict)
    """Location, to a digest of the bytes that were logged there and are right."""
    _shared: dict[str, Logged] = field(default_factory=dict)

    def log(self, spec: Spec = RIGHT, *, bundle: Path | None = None) -> Logged:
        """Log a bundle; one of the right spec may be promoted from now on."""
        if bundle is None:
            place = self.folder / f"bundle-{next(FOLDERS)}" / "bundle"
            bundle = write_bundle(place, spec)
        logged = log_folder(self.client, bundle)
        if spec is RIGHT:
            self.allowed[logged.location] = self.bytes_at(logged.location)
        return logged

    def right(self) -> Logged:
        """What the plate contract allows: one model that nobody tampers with."""
        return self._shared.get("right") or self._keep("right", RIGHT)

    def wrong(self) -> Logged:
        """What it does not allow: one model, too."""
        return self._shared.get("wrong") or self._keep("wrong", WRONG)

    def _keep(self, key: str, spec: Spec) -> Logged:
        self._shared[key] = logged = self.log(spec)
        return logged

    def register(self, name: str, logged: Logged, **more: Any) -> str:
        """Register what was logged, and return the version's number."""
        known = {"run_id": logged.run_id, "model_id": logged.model_id, **more}
        made = self.client.create_model_version(name, logged.source, **known)
        return str(made.version)

    def rescue(self, name: str) -> str:
        """A model with a good champion, version 1, and a wrong version 2."""
        self.model(name, CONTRACT)
        self.register(name, self.right())
        self.client.set_registered_model_alias(name, "champion", "1")
        self.register(name, self.wrong())
        return name

    def stored(self, location: str) -> Path:
        """The folder on the disk that a location stands for."""
        path = urlsplit(location).path
        if urlsplit(location).scheme == "mlflow-artifacts":
            return self.artifacts / path.lstrip("/")
        return Path(path)

    def bytes_at(self, location: str) -> str:
        """A digest of everything below a location, as it is now on the disk."""
        root, total = self.stored(location), hashlib.sha256()
        for path in sorted(root.rglob("*")):
            name = path.relative_to(root).as_posix()
            held = b"folder" if path.is_dir() else path.read_bytes()
            total.update(repr((name, hashlib.sha256(held).hexdigest())).encode())
        return total.hexdigest()

    def empty(self, name: str) -> str:
        """A database of SQLite with MLflow's tables, and nothing of normgate."""
        path = self.folder / name / "mlflow.db"
        path.parent.mkdir()
        shutil.copyfile(self.folder.parent / "empty.db", path)
        return f"sqlite:///{path}"

    # Asking.

    def ask(
        self,
        path: str,
        body: Any = None,
        *,
        method: str = "POST",
        headers: Mapping[str, str] = JSON,
        at: str | None = None,
    ) -> Answer:
        """Send a request whose path nobody puts in order first."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        place = urlsplit(at or self.uri)
        with closing(
            http.client.HTTPConnection(str(place.hostname), place.port, timeout=60)
        ) as connection:
            connection.request(method, path, None if body is None else data, headers)
            answer = connection.getresponse()
            return Answer(answer.status, answer.read().decode(errors="replace"))

    def set_alias(self, name: str, version: Any = "2", alias: Any = "champion") -> str:
        """Ask for an alias as the UI does, and return what it is told."""
        body = {"name": name, "alias": alias, "version": version}
        return refused(self.ask(f"{AJAX}/registered-models/alias", body))

    def refusal(self, name: str, version: str = "2", alias: str = "champion") -> str:
        """Ask for an alias by the Python client."""
        return told(
            lambda: self.client.set_registered_model_alias(name, alias, version)
        )

    def sql(self, *statements: str) -> str:
        """Run statements by hand, the last of which must be refused."""
        with self.engine.connect() as connection:
            for statement in statements[:-1]:
                connection.exec_driver_sql(statement)
            with pytest.raises(sa.exc.DBAPIError) as caught:
                connection.exec_driver_sql(statements[-1])
        return str(caught.value.orig).splitlines()[0]

    def run_sql(self, *statements: str) -> None:
        """Run statements by hand, all of which are let through."""
        with self.engine.begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)

    # What came of it.

    def served(self, name: str, target: str) -> tuple[str, str]:
        """Where a protected alias or stage leads a plain client: version, location.

        Raises:
            MlflowException: If it leads nowhere.
        """
        # MLflow's client hides prompts and what looks like one; its store does not.
        store = self.client._get_registry_client().store
        if target in {"Production", "Staging"}:
            (found,) = store.get_latest_versions(name, [target])
        else:
            found = store.get_model_version_by_alias(name, target)
        version = str(found.version)
        return version, str(store.get_model_version_download_uri(name, version))

    def breaches(self, beginning: str) -> list[str]:
        """What a protected alias or stage leads to that nobody allowed."""
        wrong = []
        for name, target in self._standing(beginning):
            try:
                version, location = self.served(name, target)
            except MlflowException:
                continue
            if location == NO_BYTES:
                continue
            if location not in self.allowed:
                wrong.append(f"{name}@{target} leads to version {version}, {location}")
            elif self.bytes_at(location) != self.allowed[location]:
                wrong.append(f"{name}@{target} leads to files that were changed")
        return wrong

    def champion_of(self, name: str) -> str:
        """The version that is champion, by a look into the database."""
        query = (
            "SELECT version FROM registered_model_aliases "
            f"WHERE name = '{name}' AND alias = 'champion'"
        )
        with self.engine.connect() as connection:
            return str(connection.exec_driver_sql(query).scalar())

    def _standing(self, beginning: str) -> Iterator[tuple[str, str]]:
        aliases = "SELECT name, alias FROM registered_model_aliases"
        stages = "SELECT name, current_stage FROM model_versions"
        with self.engine.connect() as connection:
            rows = [
                *((n, a) for n, a in _rows(connection, aliases) if protected_alias(a)),
                *(
                    (n, s)
                    for n, s in _rows(connection, stages)
                    if protected_stage(s) and s != "Deleted_Internal"
                ),
            ]
        return (row for row in rows if row[0].startswith(beginning))


def _rows(connection: sa.Connection, query: str) -> list[Any]:
    return list(connection.exec_driver_sql(query))


def told(deed: Callable[[], object]) -> str:
    """What MLflow's client is told; it must be an error that is no server's fault."""
    with pytest.raises(MlflowException) as caught:
        deed()
    assert caught.value.get_http_status_code() < 500, caught.value
    code = str(caught.value.error_code)
    return str(caught.value.message).removeprefix(f"{code}{CLIENT_PREFIX}")


def refused(answer: Answer) -> str:
    """The sentence of a refusal over HTTP: status 4xx, never 5xx."""
    assert 400 <= answer.status < 500, answer
    return answer.sentence
