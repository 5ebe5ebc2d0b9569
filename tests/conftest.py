"""What every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytest_plugins = ["tests.postgresql", "tests.objectstore"]

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real images, outside the project."""
    folder = Path(os.environ.get("NORMGATE_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real data is absent: {folder} (set NORMGATE_TEST_DATA)")
    return folder
