from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tests.cli.command import run

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_files_named_as_variables_are_read_before_anything_else(
    tmp_path: Path, sqlite_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", "another")
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "NORMGATE_STORE").write_text(f"{sqlite_uri}\n")
    (folder / "PGPASSWORD").write_text(" it's a p@ss:/%40word \r\n")
    (folder / "no-variable").write_text("left alone")
    (folder / "..data").mkdir()
    assert run("--secrets", str(folder), "contract", "list").exit_code == 0
    assert os.environ["PGPASSWORD"] == " it's a p@ss:/%40word "
    assert "no-variable" not in os.environ


def test_secrets_that_can_not_be_read_are_not_repeated(tmp_path: Path) -> None:
    (tmp_path / "PGPASSWORD").write_bytes(b"s3cret\xff")
    result = run("--secrets", str(tmp_path), "contract", "list")
    assert result.exit_code == 2
    assert "secrets can't be read (not plain text)" in result.stderr
    assert "s3cret" not in result.output
    result = run("--secrets", str(tmp_path / "none"), "contract", "list")
    assert "No such file or directory" in result.stderr
