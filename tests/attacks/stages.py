"""The stages of attacks: servers and databases, started when they are first needed."""

from __future__ import annotations

import shutil
from functools import cache
from typing import TYPE_CHECKING

import mlflow
import sqlalchemy as sa
from mlflow import MlflowClient
from mlflow.store.db.utils import _initialize_tables
from tests.attacks import servers
from tests.attacks.catalog import Stage
from tests.attacks.scene import Scene
from tests.tracking.bundle_files import EXPERIMENT

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack
    from pathlib import Path

    from tests.attacks.catalog import Attack


class Stages:
    """What attacks stand on.

    Args:
        folder: For databases, bundles and artifacts.
        stack: Ends what was started.
        postgresql: Makes a fresh database on PostgreSQL with MLflow's tables.
    """

    def __init__(
        self, folder: Path, stack: ExitStack, postgresql: Callable[[], str]
    ) -> None:
        self._folder, self._stack, self._postgresql = folder, stack, postgresql
        self._scenes: dict[tuple[Stage, str], Scene] = {}

    def scene(self, attack: Attack, database: str) -> Scene:
        """The scene of an attack, which this process then speaks to."""
        key = attack.on, database
        if key not in self._scenes:
            self._scenes[key] = self._make(*key)
        scene = self._scenes[key]
        mlflow.set_tracking_uri(scene.uri)
        return scene

    def login(self, attack: Attack) -> dict[str, str]:
        """What this process says of itself to the stage of an attack."""
        return servers.ADMINISTRATOR if attack.on is Stage.ACCOUNTS else {}

    def _make(self, on: Stage, database: str) -> Scene:
        folder = self._folder / f"{on.name}-{database}".lower()
        (folder / "artifacts").mkdir(parents=True)
        uri = self._database(database, folder)
        if on is Stage.EMBEDDED:
            mlflow.set_tracking_uri(uri)
            client = MlflowClient(uri, f"normgate+{uri}")
            client.create_experiment(EXPERIMENT, (folder / "artifacts").as_uri())
        else:
            accounts = on is Stage.ACCOUNTS
            server = self._started(servers.gated(uri, folder, accounts=accounts))
            client = MlflowClient(server)
        return Scene(
            client=client,
            folder=folder,
            uri=client.tracking_uri,
            database=uri,
            artifacts=folder / "artifacts",
            engine=self._engine(uri),
            without=cache(lambda: self._started(servers.plain(uri, folder))),
        )

    def _started(self, server: servers.Running) -> str:
        self._stack.callback(server.stop)
        return server.wait().uri

    def _database(self, kind: str, folder: Path) -> str:
        if kind == "postgresql":
            return self._postgresql()
        empty = self._folder / "empty.db"
        if not empty.exists():
            engine = sa.create_engine(f"sqlite:///{empty}", poolclass=sa.NullPool)
            _initialize_tables(engine)
        shutil.copyfile(empty, folder / "mlflow.db")
        return f"sqlite:///{folder}/mlflow.db"

    def _engine(self, uri: str) -> sa.Engine:
        plain = uri.replace("postgresql://", "postgresql+psycopg://")
        engine = sa.create_engine(plain, poolclass=sa.NullPool)
        self._stack.callback(engine.dispose)
        return engine
