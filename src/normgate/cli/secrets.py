"""Secrets from files: a folder in which each file is named as the variable it holds.

That is how containers and services are handed secrets, so that none stands in a command
line or in a file of settings.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from normgate.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")


def load(folder: Path) -> None:
    """Set a variable of the environment from each file that is named like one.

    Raises:
        SettingsError: If there is no such folder, or a file can't be read.
    """
    try:
        files = [path for path in folder.iterdir() if VARIABLE.fullmatch(path.name)]
        found = {path.name: path.read_text().rstrip("\r\n") for path in files}
        os.environ.update(found)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not plain text"
        raise SettingsError(f"{folder}: secrets can't be read ({reason})") from error
