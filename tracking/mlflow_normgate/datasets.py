"""Tables of plates and cases as MLflow data sets, under their whole SHA-256.

MLflow keeps 36 characters of a digest: its field has the beginning, tag
`normgate.sha256` of the input the whole, and so has a tag of the run.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from mlflow_normgate.tracker import MlflowTracker
from normgate.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from normgate.tracker import Tracker

SHA256_TAG = "normgate.sha256"
CONTEXT_TAG = "mlflow.data.context"
_DIGEST_LENGTH = 36


def file_digest(path: Path) -> str:
    """The SHA-256 of a file's bytes, as 64 hex digits.

    Raises:
        DataError: The file can't be read.
    """
    try:
        with path.open("rb") as data:
            return hashlib.file_digest(data, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path} can't be read: {error}") from error


def log_table(tracker: Tracker, path: Path, context: str) -> str:
    """Log a table of plates or cases as an input of a run.

    Args:
        tracker: The run's tracker; only MLflow's keeps data sets.
        path: The CSV.
        context: What the run uses it for: `training`, `deploy`, ...

    Returns:
        The SHA-256 of the file.

    Raises:
        DataError: The file can't be read.
    """
    digest = file_digest(path)
    tracker.tags({f"normgate.dataset.{context}": digest})
    if not isinstance(tracker, MlflowTracker):
        return digest
    with path.open("rb") as lines:
        rows = max(sum(1 for line in lines if line.strip()) - 1, 0)
    tracker.dataset(
        {
            "name": path.stem[:500],
            "digest": digest[:_DIGEST_LENGTH],
            "source_type": "local",
            "source": json.dumps({"uri": str(path.resolve())}),
            "profile": json.dumps({"rows": rows, "sha256": digest}),
        },
        {CONTEXT_TAG: context, SHA256_TAG: digest},
    )
    return digest
