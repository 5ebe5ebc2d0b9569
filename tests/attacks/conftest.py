"""The scenes, each made when the first attack asks for it and then shared."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import mlflow
import pytest
from tests.attacks.stages import Stages

if TYPE_CHECKING:
    from collections.abc import Iterator


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
