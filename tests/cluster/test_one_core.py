"""With one core there is one worker, and nothing waits for another one for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.cluster.test_engine import bytes_of, deployed
from tests.deploy.fakes import write_plates

from normgate.cluster.engine import opened

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow


def test_one_core_deploys_the_same(tmp_path: Path) -> None:
    data = write_plates(tmp_path / "plates", wells=12)
    deployed(data, tmp_path / "here")
    with opened("ray", cpus=1) as spread:
        deployed(data, tmp_path / "ray", spread)
    assert bytes_of(tmp_path / "ray") == bytes_of(tmp_path / "here")
