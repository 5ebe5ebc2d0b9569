"""Hides normgate from a process, as if it had never been installed there."""

from __future__ import annotations

import importlib.metadata
import sys
from typing import Any

HIDDEN = ("normgate", "mlflow_normgate")

_entry_points = importlib.metadata.entry_points


def _others(**wanted: Any) -> Any:
    found = _entry_points(**wanted)
    return type(found)(one for one in found if not one.value.startswith(HIDDEN))


class _Absent:
    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.partition(".")[0] in HIDDEN:
            raise ModuleNotFoundError(f"No module named {name!r}")


importlib.metadata.entry_points = _others
sys.meta_path.insert(0, _Absent())
