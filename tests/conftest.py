"""What every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

pytest_plugins = ["tests.postgresql", "tests.objectstore"]
# Time is measured in bench/: a busy machine must not fail a law.
settings.register_profile("normgate", deadline=None)
settings.load_profile("normgate")

MOST_PROCESSES = 4
"""Each may hold servers of MLflow and PostgreSQL, some 2 GB in all."""
ROOT = Path(__file__).resolve().parent.parent


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Run the whole suite in some processes, and what somebody chose in this one.

    Much of the suite waits for servers. Each file stays in one process, with servers of
    that process's own, which a few chosen files would wait for longer than they gain.
    """
    if config.args_source is not pytest.Config.ArgsSource.TESTPATHS:
        return 0
    return max(2, min(len(os.sched_getaffinity(0)), MOST_PROCESSES))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real images, outside the project."""
    folder = Path(os.environ.get("NORMGATE_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real data is absent: {folder} (set NORMGATE_TEST_DATA)")
    return folder
