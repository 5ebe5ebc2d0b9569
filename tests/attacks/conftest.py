"""The scenes, each made when the first attack asks for it and then shared; arenas."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from typing import TYPE_CHECKING

import mlflow
import pytest
from tests.attacks.arena import DYE, PLATE, Arena
from tests.attacks.stages import Stages
from tests.tracking.bundle_files import WRONG
from tests.tracking.racing import Race, Racer, racers
from tests.tracking.registering import opened

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.postgresql import Postgresql


@pytest.fixture(scope="session")
def stages(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stages]:
    """What every attack stands on."""
    before = mlflow.get_tracking_uri()
    with ExitStack() as stack:
        yield Stages(
            tmp_path_factory.mktemp("attacks"),
            stack,
            lambda: request.getfixturevalue("postgresql").create(),
        )
    mlflow.set_tracking_uri(before)


@pytest.fixture(scope="module")
def processes() -> Iterator[list[Racer]]:
    with racers(4) as found:
        yield found


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def arena(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    processes: list[Racer],
) -> Iterator[Arena]:
    folder = tmp_path_factory.mktemp("races")
    if request.param == "sqlite":
        shutil.copyfile(request.getfixturevalue("empty_database"), folder / "mlflow.db")
        uri = f"sqlite:///{folder}/mlflow.db"
    else:
        server: Postgresql = request.getfixturevalue("postgresql")
        uri = server.create()
    with opened(uri, folder) as registry:
        right = tuple(registry.logged() for _ in range(2))
        wrong = (registry.logged(WRONG),)
        fulfilled = {one.location: PLATE for one in right}
        fulfilled |= {one.location: DYE for one in wrong}
        yield Arena(registry, Race(uri, processes), right, wrong, fulfilled)
    if request.param == "postgresql":
        server.drop(uri)
