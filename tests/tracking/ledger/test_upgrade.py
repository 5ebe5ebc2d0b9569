"""The ledger comes into a registry's database, is mended there, and goes again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import Iterator

from mlflow_normgate.ledger import upgrade


@pytest.fixture
def engine(database_uri: str) -> Iterator[sa.Engine]:
    engine = sa.create_engine(database_uri)
    yield engine
    engine.dispose()


def test_a_database_is_plain_until_it_is_initialized(engine: sa.Engine) -> None:
    assert not upgrade.is_gated(engine)

    upgrade.initialize(engine)

    assert upgrade.is_gated(engine)
