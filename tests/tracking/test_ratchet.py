"""Nothing in MLflow's registry is unknown to the gate; its seams are as we use them.

What a new release of MLflow adds or moves fails here before anything else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from flask import Flask
from mlflow.entities.model_registry import ModelVersionTag
from mlflow.exceptions import MlflowException
from mlflow.protos.model_registry_pb2 import ModelRegistryService
from mlflow.protos.webhooks_pb2 import WebhookService
from mlflow.server import handlers
from mlflow.store.model_registry.abstract_store import AbstractStore
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore
from mlflow.store.model_registry.sqlalchemy_workspace_store import (
    WorkspaceAwareSqlAlchemyStore,
)
from tests.tracking.bundle_files import WRONG, database
from tests.tracking.registering import Registry, opened

from mlflow_normgate.store import GatedStore, GatedWorkspaceStore
from mlflow_normgate.writes import GATED, HARMLESS, READS, VERIFIED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sqlalchemy.orm import Session

pytestmark = pytest.mark.filterwarnings("ignore:.*stages:FutureWarning")

LISTED = (GATED, VERIFIED, HARMLESS, READS)
SERVICES = (ModelRegistryService, WebhookService)
PLAIN = (AbstractStore, SqlAlchemyStore, WorkspaceAwareSqlAlchemyStore)


def public(cls: type) -> set[str]:
    """The names of a class's methods and properties that others may use."""
    names = {name for name in dir(cls) if not name.startswith("_")}
    kinds = (int, float, str, dict, tuple)
    return {name for name in names if not isinstance(getattr(cls, name), kinds)}


# The lists and the store.


def test_every_method_of_mlflows_store_is_listed_once() -> None:
    installed = set().union(*(public(cls) for cls in PLAIN))
    listed = [name for names in LISTED for name in names]
    assert sorted(listed) == sorted(installed)


@pytest.mark.parametrize("cls", [GatedStore, GatedWorkspaceStore])
def test_what_is_gated_is_our_own_and_nothing_else(cls: type) -> None:
    theirs = WorkspaceAwareSqlAlchemyStore
    own = {
        name
        for name in public(theirs)
        if getattr(cls, name) is not getattr(theirs, name)
    }
    own -= {"supports_workspaces"}  # A property of the kind of store.
    assert own == {*GATED, *VERIFIED}
    modules = {name: getattr(cls, name).__module__ for name in own}
    assert modules == {
        **dict.fromkeys(GATED, "mlflow_normgate.store"),
        **dict.fromkeys(VERIFIED, "mlflow_normgate.reading"),
    }


@pytest.mark.parametrize("name", sorted(GATED))
def test_a_gated_write_takes_what_mlflow_gives(name: str) -> None:
    def parameters(cls: type) -> list[str]:
        code = getattr(cls, name).__code__
        return list(code.co_varnames[: code.co_argcount])

    assert parameters(GatedStore) == parameters(SqlAlchemyStore)


def test_reasons_are_given() -> None:
    for name, reason in {**GATED, **VERIFIED, **HARMLESS}.items():
        assert len(reason) > 15, name


@pytest.mark.parametrize(
    "name", [name for name, reason in HARMLESS.items() if reason.startswith("asks for")]
)
def test_what_asks_for_it_by_a_gated_write_has_no_other_way(name: str) -> None:
    by = HARMLESS[name].removeprefix("asks for it by ")
    assert by in GATED
    assert getattr(SqlAlchemyStore, name) is getattr(AbstractStore, name)
    assert by in getattr(AbstractStore, name).__code__.co_names


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    folder = tmp_path_factory.mktemp("ratchet")
    with database(folder) as client:
        found = Registry(client, folder)
        found.champion("model")
        found.register("model", found.logged(WRONG))
        yield found


@pytest.mark.parametrize(
    ("write", "said"),
    [
        pytest.param(
            lambda store: store.set_prompt_alias("model", "champion", 2),
            "Promotion of model version 2 to champion refused",
            id="set_prompt_alias",
        ),
        pytest.param(
            lambda store: store.set_prompt_tag("model", "normgate.contract", "x"),
            "is reserved",
            id="set_prompt_tag",
        ),
        pytest.param(
            lambda store: store.delete_prompt_tag("model", "normgate.contract"),
            "is reserved",
            id="delete_prompt_tag",
        ),
        pytest.param(
            lambda store: store.set_prompt_version_tag("model", 1, "normgate.a", "x"),
            "is reserved",
            id="set_prompt_version_tag",
        ),
        pytest.param(
            lambda store: store.delete_prompt_version_tag("model", 1, "normgate.a"),
            "is reserved",
            id="delete_prompt_version_tag",
        ),
        pytest.param(
            lambda store: store.create_prompt("new", tags={"normgate.contract": "x"}),
            "is reserved",
            id="create_prompt",
        ),
    ],
)
def test_a_prompts_spelling_of_a_write_is_gated_too(
    registry: Registry, write: Callable[[GatedStore], None], said: str
) -> None:
    with pytest.raises(MlflowException, match=said):
        write(registry.store)
    assert registry.aliases("model") == {"champion": "1"}


# The lists and REST.


def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def calls() -> list[tuple[str, str]]:
    """Each call of the registry's REST services, and its HTTP method."""
    return [
        (call.name, endpoint[2][0])
        for service in SERVICES
        for call in service.DESCRIPTOR.methods
        for endpoint in [endpoint_of(service, call)]
    ]


def endpoint_of(service: Any, call: Any) -> tuple[str, Any, list[str]]:
    wanted = service().GetRequestClass(call)
    for endpoint in handlers.get_service_endpoints(service, lambda request: request):
        if endpoint[1] is wanted:
            return endpoint
    raise LookupError(call.name)


def test_every_call_over_rest_is_a_method_that_is_listed() -> None:
    called = {snake(name) for name, _ in calls()}
    assert called <= set().union(*LISTED)
    # Prompts have no calls of their own, and a copy is made by the client.
    rest = {*GATED, *VERIFIED, *HARMLESS, *READS} - called
    assert all("prompt" in name or name in NOT_OVER_REST for name in rest), rest


NOT_OVER_REST = {
    "copy_model_version",
    "list_webhooks_by_event",
    "supports_workspaces",
}


class Watched(GatedStore):
    """A gated store that says which of its methods were asked for."""

    asked: set[str]

    def __getattribute__(self, name: str) -> Any:
        if name in GATED or name in HARMLESS or name in READS or name in VERIFIED:
            super().__getattribute__("asked").add(name)
        return super().__getattribute__(name)


EVERYTHING = {
    "name": "over-rest",
    "new_name": "over-rest",
    "version": "1",
    "source": "s3://bucket/model",
    "stage": "Archived",
    "archive_existing_versions": False,
    "alias": "candidate",
    "key": "mine",
    "value": "1",
    "description": "",
}
"""What any call needs; each takes what it knows."""


@pytest.mark.parametrize(
    "name", [call.name for call in ModelRegistryService.DESCRIPTOR.methods]
)
def test_every_call_over_rest_arrives_at_its_method(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    store = Watched(registry.store.db_uri)
    monkeypatch.setattr(handlers, "_model_registry_store", store, raising=True)
    server = Flask(name)
    service = ModelRegistryService
    for path, handler, methods in handlers.get_service_endpoints(
        service, handlers.get_handler
    ):
        server.add_url_rule(path, f"{methods} {path}", handler, methods=methods)
    call = service.DESCRIPTOR.methods_by_name[name]
    wanted = service().GetRequestClass(call)
    fields = {key: EVERYTHING[key] for key in EVERYTHING if hasattr(wanted(), key)}
    arrived = 0
    for path, request, methods in handlers.get_service_endpoints(
        service, lambda one: one
    ):
        if request is wanted:
            store.asked = set()
            given = "query_string" if methods == ["GET"] else "json"
            options: Any = {"method": methods[0], given: fields}
            server.test_client().open(path, **options)
            assert snake(name) in store.asked, path
            arrived += 1
    assert arrived >= 2  # Both prefixes: for clients and for the UI.


def test_a_versions_number_is_taken_as_rest_sends_it(
    database_uri: str, tmp_path: Path
) -> None:
    with opened(database_uri, tmp_path) as registry:
        registry.register(registry.model("model"), registry.logged())
        registry.register("model", registry.logged())
        store, first, second = registry.store, ("model", "1"), ("model", "2")
        store.set_model_version_tag(*first, ModelVersionTag("mine", "1"))
        store.delete_model_version_tag(*first, "mine")
        store.update_model_version(*first, "mine")
        store.transition_model_version_stage(*first, "Production", False)
        store.transition_model_version_stage(*second, "Production", True)
        stages = [
            store.get_model_version(*one).current_stage for one in (first, second)
        ]
        assert stages == ["Archived", "Production"]
        assert registry.promoted("model") == [("Production", 2)]
        store.set_registered_model_alias("model", "champion", "1")
        store.set_registered_model_alias("model", "candidate", "2")
        assert store.get_model_version_download_uri(*first)
        store.delete_model_version(*first)
        assert registry.aliases("model") == {"candidate": "2"}


# The seams that `locking` uses: what MLflow calls first in the session that writes.


@dataclass(frozen=True, slots=True)
class Event:
    """A seam that was reached, or a statement that wrote."""

    kind: str
    connection: Any


class Traced(SqlAlchemyStore):
    """MLflow's own store, whose seams are watched as ours uses them."""

    events: list[Event]
    hook: Callable[[str, Session], None] | None = None

    def _get_sql_model_version(
        self, session: Session, name: str, version: str, eager: bool = False
    ) -> Any:
        self._reached("version", session)
        return super()._get_sql_model_version(session, name, version, eager)

    def _get_registered_model(
        self, session: Session, name: str, eager: bool = False
    ) -> Any:
        self._reached("model", session)
        return super()._get_registered_model(session, name, eager)

    def _reached(self, kind: str, session: Session) -> None:
        with session.no_autoflush:
            connection = session.connection().connection.dbapi_connection
        self.events.append(Event(kind, connection))
        if self.hook is not None:
            self.hook(kind, session)


@pytest.fixture
def traced(sqlite_uri: str) -> Iterator[Traced]:
    store = Traced(sqlite_uri)
    store.events = []
    store.create_registered_model("model")
    for _ in range(3):
        store.create_model_version("model", "s3://bucket/model")
    store.set_registered_model_alias("model", "old", "1")
    store.transition_model_version_stage("model", "3", "Production", False)

    def wrote(_: Any, cursor: Any, statement: str, *__: Any) -> None:
        if statement.split()[0] in {"INSERT", "UPDATE", "DELETE"}:
            store.events.append(Event("write", cursor.connection))

    sa.event.listen(store.engine, "before_cursor_execute", wrote)
    store.events = []
    yield store
    sa.event.remove(store.engine, "before_cursor_execute", wrote)
    store._dispose_engine()


@pytest.mark.parametrize(
    ("seam", "method", "given"),
    [
        ("version", "set_registered_model_alias", ("model", "champion", "1")),
        ("version", "set_registered_model_alias", ("model", "old", "2")),
        (
            "version",
            "transition_model_version_stage",
            ("model", "1", "Production", False),
        ),
        (
            "version",
            "transition_model_version_stage",
            ("model", "1", "Production", True),
        ),
        ("version", "delete_model_version", ("model", "1")),
        ("model", "rename_registered_model", ("model", "new")),
        ("model", "create_model_version", ("model", "s3://bucket/model")),
        ("model", "delete_registered_model_alias", ("model", "old")),
        ("model", "delete_registered_model", ("model",)),
    ],
)
def test_a_write_reaches_its_seam_first_and_in_its_own_transaction(
    traced: Traced, seam: str, method: str, given: tuple[Any, ...]
) -> None:
    getattr(traced, method)(*given)
    kinds = [event.kind for event in traced.events]
    first = kinds.index(seam)
    assert "write" in kinds
    assert "write" not in kinds[:first]
    writing = {one.connection for one in traced.events if one.kind == "write"}
    assert writing == {traced.events[first].connection}
    assert kinds[: kinds.index("write")].count(seam) == 1


@pytest.mark.parametrize("seam", ["version", "model"])
def test_what_is_refused_at_a_seam_undoes_the_whole_write(
    traced: Traced, seam: str
) -> None:
    def refuse(kind: str, _: Session) -> None:
        if kind == seam:
            raise MlflowException("refused for a test")

    def stages() -> list[str]:
        found = traced.search_model_versions("")
        return [one.current_stage for one in found]

    before = stages()
    traced.hook = refuse
    with pytest.raises(MlflowException, match="refused for a test"):
        traced.transition_model_version_stage("model", "1", "Production", True)
    traced.hook = None
    assert stages() == before


def test_a_version_that_is_being_made_is_in_its_session_when_it_is_flushed(
    traced: Traced,
) -> None:
    made: list[tuple[str, int, str]] = []

    def flushed(session: Session, _: object) -> None:
        made.extend(
            (row.name, row.version, row.storage_location) for row in session.new
        )

    def listen(_: str, session: Session) -> None:
        sa.event.listen(session, "after_flush", flushed)

    traced.hook = listen
    traced.create_model_version("model", "s3://bucket/new")
    assert ("model", 4, "s3://bucket/new") in made
