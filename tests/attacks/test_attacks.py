"""Every attack on the list, against real servers and databases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.attacks import table
from tests.attacks.catalog import ATTACKS, Layer, Stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _pytest.mark import ParameterSet
    from tests.attacks.catalog import Attack
    from tests.attacks.stages import Stages

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*stages:FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


def cases() -> Iterator[ParameterSet]:
    for one in ATTACKS:
        for database in one.databases:
            quick = one.on is Stage.EMBEDDED and database == "sqlite"
            marks = () if quick else (pytest.mark.slow,)
            yield pytest.param(one, database, id=f"{one.slug}-{database}", marks=marks)


@pytest.mark.parametrize(("attack", "database"), list(cases()))
def test_nobody_walks_around_the_gate(
    attack: Attack, database: str, stages: Stages, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in stages.login(attack).items():
        monkeypatch.setenv(key, value)
    scene = stages.scene(attack, database)
    said = attack.deed(scene, attack.slug)
    if attack.stopped_by is not Layer.NOTHING:
        assert scene.breaches(attack.slug) == []
    assert attack.stopped_by.mark.search(said), said
    if database == "sqlite":
        line = table.row(attack, said)
        assert line == table.written().get(attack.title), table.STALE
