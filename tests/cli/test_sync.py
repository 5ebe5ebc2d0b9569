from __future__ import annotations

from typing import TYPE_CHECKING

from tests.cli.command import run

if TYPE_CHECKING:
    from pathlib import Path


def test_sync_of_no_folder_is_refused(tmp_path: Path) -> None:
    result = run("sync", str(tmp_path / "nothing"))
    assert result.exit_code == 2
    assert "is not a folder" in result.stderr
