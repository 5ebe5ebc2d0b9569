"""Random sequences of what clients do to a registry, held against a simple model of it.

Whatever they do, through the gated store, through MLflow's own or by SQL: nothing
protected stands that the model does not know to be right, and what is refused is
refused for a reason. Set $NORMGATE_EXAMPLES and $NORMGATE_STEPS for a longer search.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from mlflow.entities.model_registry import ModelVersionTag, RegisteredModelTag
from mlflow.exceptions import MlflowException
from mlflow.prompt.constants import IS_PROMPT_TAG_KEY
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore
from tests.tracking.bundle_files import (
    CONTRACT,
    FLUORESCENCE,
    RIGHT,
    WRONG,
    Logged,
    log_folder,
    second_version,
    write_bundle,
)
from tests.tracking.expected import (
    FULFILLED,
    OPEN,
    PROMPT,
    PROTECTED,
    STAGES,
    Expected,
    Model,
)
from tests.tracking.invariant import problems
from tests.tracking.registering import FOLDERS, Registry, opened, stored

from mlflow_normgate.audit import standings, verify
from mlflow_normgate.ledger.tables import BINDINGS, CONTRACTS, VERDICTS
from mlflow_normgate.store import GatedStore
from normgate.contract import to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sqlalchemy.engine import Connection
    from tests.postgresql import Postgresql

pytestmark = pytest.mark.filterwarnings("ignore:.*stages:FutureWarning")

LONG = "NORMGATE_EXAMPLES" in os.environ
SEARCH = settings(
    max_examples=int(os.environ.get("NORMGATE_EXAMPLES", "8")),
    stateful_step_count=int(os.environ.get("NORMGATE_STEPS", "40")),
    derandomize=not LONG,
    database=None,
    deadline=None,
    print_blob=True,
    phases=[Phase.generate] if LONG else [Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)

CONTRACTS_BY_LABEL = {
    "plate version 1": CONTRACT,
    "plate version 2": second_version(),
    "fluorescence version 1": FLUORESCENCE,
}
EXAMPLES = count()


@dataclass(frozen=True, slots=True)
class World:
    """A registry in which examples take place, each under names of its own."""

    registry: Registry
    stores: tuple[GatedStore, GatedStore]
    """As two servers have them."""
    plain: SqlAlchemyStore
    """MLflow's own, as a process without normgate has it."""
    bundles: dict[str, Logged]

    @property
    def fulfilled(self) -> dict[str, set[str]]:
        """By location, as `problems` wants it."""
        return {self.bundles[kind].location: FULFILLED[kind] for kind in self.bundles}

    def source(self, kind: str) -> str:
        """What a version is made of."""
        return self.bundles[kind].source if kind in self.bundles else "s3://bucket/m"


def done(work: Callable[[], Any]) -> bool:
    """Whether something was done; that a server fails is no answer."""
    try:
        work()
    except MlflowException as error:
        if error.get_http_status_code() >= 500:
            raise
        return False
    return True


letters = st.sampled_from("aabbcp")
numbers = st.sampled_from([1, 1, 2, 2, 3, 4])
kinds = st.sampled_from([*FULFILLED, "right"])
aliases = st.sampled_from([*OPEN, *PROTECTED, "champion", "Production"])
stages = st.sampled_from([*STAGES, "None", "Archived"])
gates = st.sampled_from([0, 0, 1, None])
"""Through which store: one of two that are gated, or MLflow's own."""
labels = st.sampled_from([*CONTRACTS_BY_LABEL, "plate version 1", None])


def log_bundles(registry: Registry) -> dict[str, Logged]:
    """Log one of each kind."""

    def place() -> Path:
        return registry.folder / f"bundle-{next(FOLDERS)}" / "bundle"

    broken = write_bundle(place())
    (broken / "card.json").write_text("{}")
    return {
        "right": registry.logged(),
        "another": registry.logged(),
        "poor": registry.logged(auroc=0.5),
        "wrong": registry.logged(WRONG),
        "broken": log_folder(registry.client, broken),
        "unready": log_folder(registry.client, write_bundle(place()), ready=False),
    }


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("invariant")
    if request.param == "sqlite":
        shutil.copyfile(request.getfixturevalue("empty_database"), folder / "mlflow.db")
        uri = f"sqlite:///{folder}/mlflow.db"
    else:
        server: Postgresql = request.getfixturevalue("postgresql")
        uri = server.create()
    with opened(uri, folder) as registry:
        registry.model("first")
        stores = (GatedStore(uri), GatedStore(uri))
        yield World(registry, stores, SqlAlchemyStore(uri), log_bundles(registry))
    if request.param == "postgresql":
        server.drop(uri)


def test_nothing_unallowed_stands_whatever_clients_do(world: World) -> None:
    run_state_machine_as_test(lambda: Clients(world), settings=SEARCH)


class Clients(RuleBasedStateMachine):
    """Everything that clients do, and what they are expected to be told."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.beginning = f"e{next(EXAMPLES)}-"
        self.known = Expected()
        self.original: dict[str, bytes] = {}
        self.ledger: dict[str, list[Any]] = {}

    def name(self, letter: str) -> str:
        return self.beginning + letter

    def store(self, gate: int | None) -> SqlAlchemyStore:
        return self.world.plain if gate is None else self.world.stores[gate]

    # What clients do.

    @initialize()
    def begin(self) -> None:
        self.bind("*", "plate version 1", 0)
        for letter in "ab":
            self.create(letter, 0)
            for kind in ("right", "wrong"):
                self.register(letter, kind, 0)
        self.set_alias("a", "champion", 1, 0)
        self.change_stage("b", 1, "Production", False, 0)
        self.create_prompt("p", 0)
        self.set_alias("p", "best", 1, 0)

    @rule(letter=letters, gate=gates)
    def create(self, letter: str, gate: int | None) -> None:
        name = self.name(letter)
        expected = name not in self.known.models
        assert done(lambda: self.store(gate).create_registered_model(name)) == expected
        if expected:
            self.known.models[name] = Model()

    @rule(letter=letters, gate=gates)
    def create_prompt(self, letter: str, gate: int | None) -> None:
        name, store = self.name(letter), self.store(gate)
        expected = name not in self.known.models
        assert done(lambda: store.create_prompt(name)) == expected
        if expected:
            self.known.models[name] = Model(prompt=True)
        if self.known.models[name].prompt:
            assert done(lambda: store.create_prompt_version(name, "Say {{word}}."))
            self.known.add(name, PROMPT, gated=gate is not None)

    @rule(letter=letters, kind=kinds, gate=gates)
    def register(self, letter: str, kind: str, gate: int | None) -> None:
        name, source = self.name(letter), self.world.source(kind)
        made = done(lambda: self.store(gate).create_model_version(name, source))
        assert made == (name in self.known.models)
        if made:
            self.known.add(name, kind, gated=gate is not None)

    @rule(letter=letters, number=numbers, other=letters, gate=st.sampled_from([0, 1]))
    def copy(self, letter: str, number: int, other: str, gate: int) -> None:
        name, new, store = self.name(letter), self.name(other), self.store(gate)
        version = self.known.version(name, number)
        if version is None or version.kind == PROMPT:
            return
        found, source = (
            store.get_model_version(name, number),
            f"models:/{name}/{number}",
        )
        tags = [ModelVersionTag(*tag) for tag in found.tags.items()]
        if new not in self.known.models:
            self.create(other, gate)
        copied = done(lambda: store.create_model_version(new, source, tags=tags))
        assert copied == (not self.known.drifted(name, number))
        if copied:
            self.known.add(new, version.kind, gated=True)

    @rule(letter=letters, alias=aliases, number=numbers, gate=gates)
    def set_alias(self, letter: str, alias: str, number: int, gate: int | None) -> None:
        name, store = self.name(letter), self.store(gate)
        held = done(lambda: store.set_registered_model_alias(name, alias, str(number)))
        gated = gate is not None
        assert held == self.known.may_have(name, alias, number, gated=gated)
        if held:
            self.known.models[name].aliases[alias] = number

    @rule(letter=letters, alias=aliases, gate=gates)
    def delete_alias(self, letter: str, alias: str, gate: int | None) -> None:
        name, store = self.name(letter), self.store(gate)
        deleted = done(lambda: store.delete_registered_model_alias(name, alias))
        assert deleted == (name in self.known.models)
        if deleted:
            self.known.models[name].aliases.pop(alias, None)

    @rule(
        letter=letters, number=numbers, stage=stages, archive=st.booleans(), gate=gates
    )
    def change_stage(
        self, letter: str, number: int, stage: str, archive: bool, gate: int | None
    ) -> None:
        archive = archive and stage in STAGES  # MLflow answers 500 otherwise.
        name, given = self.name(letter), (str(number), stage, archive)
        store, gated = self.store(gate), gate is not None
        moved = done(lambda: store.transition_model_version_stage(name, *given))
        assert moved == self.known.may_be_in(name, number, stage, gated=gated)
        if moved:
            self.known.move(name, number, stage, archive=archive)

    @rule(letter=letters, number=numbers, gate=gates)
    def delete_version(self, letter: str, number: int, gate: int | None) -> None:
        name, store = self.name(letter), self.store(gate)
        deleted = done(lambda: store.delete_model_version(name, str(number)))
        assert deleted == (self.known.version(name, number) is not None)
        if deleted:
            self.known.delete_version(name, number)

    @rule(letter=letters, gate=gates)
    def delete_model(self, letter: str, gate: int | None) -> None:
        name, store = self.name(letter), self.store(gate)
        deleted = done(lambda: store.delete_registered_model(name))
        assert deleted == (name in self.known.models)
        self.known.models.pop(name, None)

    @rule(letter=letters, other=letters, gate=gates)
    def rename(self, letter: str, other: str, gate: int | None) -> None:
        name, new, store = self.name(letter), self.name(other), self.store(gate)
        after = self.known.copy()
        expected = after.rename(name, new, gated=gate is not None)
        assert done(lambda: store.rename_registered_model(name, new)) == expected
        self.known = after if expected else self.known

    @rule(
        end=st.sampled_from(["a", "b", "c", "*", "?"]),
        label=labels,
        gate=st.sampled_from([0, 1]),
    )
    def bind(self, end: str, label: str | None, gate: int) -> None:
        pattern, store = self.name(end), self.world.stores[gate]
        contract = None if label is None else CONTRACTS_BY_LABEL[label]
        after = self.known.copy()
        expected = after.bind(pattern, label)
        bound = done(lambda: store.bind_contract(pattern, contract, "for a test"))
        assert bound == expected
        self.known = after if expected else self.known

    @rule(letter=letters, gate=gates)
    def turn_into_a_prompt(self, letter: str, gate: int | None) -> None:
        name, tag = self.name(letter), RegisteredModelTag(IS_PROMPT_TAG_KEY, "true")
        model = self.known.models.get(name)
        turned = done(lambda: self.store(gate).set_registered_model_tag(name, tag))
        assert turned == (model is not None and (gate is None or model.prompt))
        if model and turned:
            model.prompt = True

    @rule(letter=letters, gate=gates)
    def turn_into_a_model(self, letter: str, gate: int | None) -> None:
        name, key = self.name(letter), IS_PROMPT_TAG_KEY
        done(lambda: self.store(gate).delete_registered_model_tag(name, key))
        if name in self.known.models:
            self.known.models[name].prompt = False

    @rule(
        letter=letters,
        number=numbers,
        key=st.sampled_from(["normgate.verdict", "normgate.contract", "mine"]),
        gate=gates,
    )
    def forge_a_tag(self, letter: str, number: int, key: str, gate: int | None) -> None:
        name, store = self.name(letter), self.store(gate)
        allowed = gate is None or key == "mine"
        there = self.known.version(name, number) is not None
        tag = ModelVersionTag(key, "plate version 2")
        forged = done(lambda: store.set_model_version_tag(name, str(number), tag))
        assert forged == (allowed and there)
        tag = RegisteredModelTag(key, "plate version 2")
        forged = done(lambda: store.set_registered_model_tag(name, tag))
        assert forged == (allowed and name in self.known.models)

    @rule(kind=st.sampled_from(["right", "right", "another", "wrong"]))
    def swap(self, kind: str) -> None:
        """Change a bundle on the disk, or change it back."""
        spec = stored(self.world.bundles[kind]) / "artifacts" / "bundle" / "spec.json"
        self.known.swapped ^= {kind}
        if kind in self.known.swapped:
            self.original[kind] = spec.read_bytes()
            spec.write_bytes(to_json(RIGHT if kind == "wrong" else WRONG))
        else:
            spec.write_bytes(self.original[kind])

    @rule(letter=letters, alias=st.sampled_from([*OPEN, *PROTECTED]), gate=gates)
    def resolve(self, letter: str, alias: str, gate: int | None) -> None:
        name, store = self.name(letter), self.store(gate)
        resolved = done(lambda: store.get_model_version_by_alias(name, alias))
        assert resolved == self.known.resolved(name, alias, gated=gate is not None)

    @rule(demote=st.booleans())
    def audit(self, demote: bool) -> None:
        store = self.world.stores[0]
        held = [s for s in standings(store) if s.name.startswith(self.beginning)]
        for one in verify(store, held, demote=demote):
            name, version = one.standing.name, one.standing.version
            right = self.known.right(name, version)
            assert (one.problem is None) == right
            assert one.demoted == (demote and not right)
            if one.demoted and one.standing.is_alias:
                del self.known.models[name].aliases[one.standing.target]
            elif one.demoted:
                self.known.models[name].versions[version].stage = "Archived"

    @rule(letter=letters, alias=st.sampled_from(PROTECTED), number=numbers)
    def write_by_sql(self, letter: str, alias: str, number: int) -> None:
        """Try what an account of the database may write, which must be refused."""
        row = {"name": self.name(letter), "version": number, "alias": alias}
        version = self.known.version(row["name"], number)
        if version is None or version.kind == PROMPT:
            return
        held = self.known.models[row["name"]].aliases
        if alias not in held:
            self.refused_by_sql(
                "INSERT INTO registered_model_aliases (workspace, name, alias, version)"
                " VALUES ('default', :name, :alias, :version)",
                row,
            )
        elif held[alias] != number:
            self.refused_by_sql(
                "UPDATE registered_model_aliases SET version = :version"
                " WHERE name = :name AND alias = :alias",
                row,
            )
        change = (
            "UPDATE model_versions SET {} WHERE name = :name AND version = :version"
        )
        if version.stage != "Production":
            self.refused_by_sql(change.format("current_stage = 'Production'"), row)
        if number in self.known.promoted(row["name"]):
            self.refused_by_sql(change.format("storage_location = 's3://mine'"), row)

    @rule(letter=letters, number=numbers)
    def rewrite_the_ledger(self, letter: str, number: int) -> None:
        row = {"name": self.name(letter), "version": number}
        with self.world.plain.engine.connect() as connection:
            query = sa.select(VERDICTS.c.id).where(
                VERDICTS.c.name == row["name"], VERDICTS.c.version == number
            )
            row["id"] = connection.scalar(query)
        if row["id"] is None:
            return
        for statement in (
            "UPDATE normgate_verdicts SET allowed = true WHERE id = :id",
            "DELETE FROM normgate_verdicts WHERE id = :id",
            "INSERT INTO normgate_promotions"
            " (workspace, name, target, version, location, verdict_id)"
            " VALUES ('default', :name, 'forged', :version, 's3://mine', :id)",
        ):
            self.refused_by_sql(statement, row)

    def refused_by_sql(self, statement: str, row: dict[str, Any]) -> None:
        with (
            pytest.raises(sa.exc.IntegrityError, match="normgate: "),
            self.world.plain.engine.begin() as connection,
        ):
            connection.execute(sa.text(statement), row)

    # What must hold.

    @invariant()
    def nothing_unallowed_stands(self) -> None:
        found = problems(
            self.world.stores[1],
            self.world.fulfilled,
            beginning=self.beginning,
            demanded=lambda _, name: self.known.demanded(name),
        )
        assert found == []

    @invariant()
    def the_registry_is_what_the_model_says(self) -> None:
        held: dict[str, tuple[dict[str, int], dict[int, str]]] = {}
        with self.world.plain.ManagedSessionMaker() as session:
            like = {"name": self.beginning + "%"}
            for name in session.scalars(
                sa.text("SELECT name FROM registered_models WHERE name LIKE :name"),
                like,
            ):
                held[name] = ({}, {})
            for name, alias, number in session.execute(
                sa.text(
                    "SELECT name, alias, version FROM registered_model_aliases"
                    " WHERE name LIKE :name"
                ),
                like,
            ):
                held[name][0][alias] = number
            for name, number, stage in session.execute(
                sa.text(
                    "SELECT name, version, current_stage FROM model_versions"
                    " WHERE name LIKE :name"
                ),
                like,
            ):
                held[name][1][number] = stage
        assert held == {
            name: (model.aliases, {n: one.stage for n, one in model.versions.items()})
            for name, model in self.known.models.items()
        }

    @invariant()
    def the_ledger_only_grows(self) -> None:
        with self.world.plain.engine.connect() as connection:
            now = {
                table.name: self.rows(connection, table)
                for table in (CONTRACTS, BINDINGS, VERDICTS)
            }
        for name, rows in self.ledger.items():
            assert now[name][: len(rows)] == rows
        self.ledger = now

    def rows(self, connection: Connection, table: sa.Table) -> list[Any]:
        """A table's rows of this example, in the order in which they were written."""
        name = table.c.get("pattern", table.c.name if "target" in table.c else None)
        query = sa.select(table)
        if name is None:
            return connection.execute(query.order_by(table.c.added_ms)).all()[:3]
        query = query.where(name.like(self.beginning + "%")).order_by(table.c.id)
        return list(connection.execute(query))

    def teardown(self) -> None:
        for kind in list(self.known.swapped):
            self.swap(kind)
