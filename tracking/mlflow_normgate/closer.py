"""Keeps a stopped run KILLED after `mlflow run` has written FAILED over it.

When an entry exits with a code, `mlflow run` (3.17) sets its run FINISHED or FAILED
whatever the entry itself had set. So an entry that was stopped leaves a small process
behind that waits for the launcher to end, or to overwrite the status, and sets it
right; it gives up after a minute.
"""

from __future__ import annotations

import subprocess
import sys
import time

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from mlflow_normgate.process import start_time

_PATIENCE_S = 60.0
_POLL_S = 0.25


def leave_closer(tracking_uri: str, run_id: str, launcher: int) -> None:
    """Start the process that outlives this one; nothing if the launcher is gone.

    Args:
        tracking_uri: Where the run is.
        run_id: The stopped run.
        launcher: Process number of the `mlflow run` that may write over its status.
    """
    started = start_time(launcher)
    if started is None:
        return
    command = [sys.executable, "-m", "mlflow_normgate.closer"]
    subprocess.Popen(
        [*command, tracking_uri, run_id, str(launcher), started],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def keep_killed(tracking_uri: str, run_id: str, launcher: int, started: str) -> None:
    """Wait until the launcher can't write any more, or has, and set KILLED again.

    A run that somebody opened again meanwhile is left alone.
    """
    client = MlflowClient(tracking_uri)
    ends = time.monotonic() + _PATIENCE_S
    while time.monotonic() < ends:
        gone = start_time(launcher) != started
        info = client.get_run(run_id).info
        if info.status == "FAILED":
            client.set_terminated(run_id, "KILLED", info.end_time)
        if gone or info.status != "KILLED":
            return
        time.sleep(_POLL_S)


if __name__ == "__main__":
    try:
        keep_killed(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])
    except MlflowException:
        sys.exit(1)
