"""MLflow's runs as normgate marks them: found by identity, created, opened again.

An identity is a digest of a run's settings in a reserved tag. Everything here talks
to the server at once and raises MLflow's own errors; `mlflow_normgate.runs` and
`mlflow_normgate.replay` decide what an absent server means.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mlflow.entities import Run, RunTag, ViewType
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from mlflow_normgate.process import HOST_TAG, PROCESS_TAG, own_stamp

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow import MlflowClient

    from mlflow_normgate.spool import Header

IDENTITY_TAG = "normgate.identity"
ERROR_TAG = "normgate.error"
STOPPED_TAG = "normgate.stopped"
REAPED_TAG = "normgate.reaped"
SUPERSEDED_TAG = "normgate.superseded_by"
REUSES_TAG = "normgate.reuses_children_of"
_STALE = (ERROR_TAG, STOPPED_TAG, REAPED_TAG)
_REFUSALS = {"INVALID_PARAMETER_VALUE", "BAD_REQUEST", "MALFORMED_REQUEST"}
_GENERATED_NAME = re.compile(r"[a-z]+-[a-z]+-\d{1,3}")


def is_refusal(error: BaseException) -> bool:
    """Whether the server understood and will say no again, as against being away."""
    return isinstance(error, MlflowException) and error.error_code in _REFUSALS


def find_runs(client: MlflowClient, experiment_id: str, identity: str) -> list[Run]:
    """Every run of an experiment with this identity, newest first."""
    return list(
        client.search_runs(
            [experiment_id],
            filter_string=f"tags.`{IDENTITY_TAG}` = '{identity}'",
            run_view_type=ViewType.ACTIVE_ONLY,
            order_by=["attributes.start_time DESC"],
        )
    )


def stamp_tags() -> dict[str, str]:
    """The tags that tell which process runs a run."""
    stamp = own_stamp()
    return {PROCESS_TAG: stamp.to_json(), HOST_TAG: stamp.host}


def create(client: MlflowClient, header: Header, tags: Mapping[str, str]) -> Run:
    """Create the run that a spool's header describes."""
    return client.create_run(
        header.experiment_id,
        start_time=header.start_ms,
        tags={**header.tags, **tags},
        run_name=header.name,
    )


def reopen(client: MlflowClient, run: Run, tags: Mapping[str, str]) -> None:
    """Set a run RUNNING under this process, and forget how it ended before."""
    run_id = run.info.run_id
    client.update_run(run_id, status="RUNNING")
    for key in _STALE:
        if key in run.data.tags:
            client.delete_tag(run_id, key)
    client.log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])


def has_generated_name(run: Run) -> bool:
    """Whether nobody named the run: MLflow's names are like `bold-fox-123`."""
    return _GENERATED_NAME.fullmatch(run.info.run_name or "") is not None


def resolve(client: MlflowClient, header: Header) -> str:
    """The run id of a header that was written while the server was away."""
    found = [
        run
        for run in find_runs(client, header.experiment_id, header.identity)
        if run.info.status != "FINISHED"
    ]
    if found:
        return str(found[0].info.run_id)
    tags: dict[str, str] = {}
    if header.parent_identity is not None:
        parents = find_runs(client, header.experiment_id, header.parent_identity)
        if parents:
            tags[MLFLOW_PARENT_RUN_ID] = parents[0].info.run_id
    return str(create(client, header, tags).info.run_id)
