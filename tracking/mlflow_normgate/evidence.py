"""Collecting evidence on one model version: from artifact bytes, never from tags.

The tracking store says which logged model stands behind a location and which run made
it; everything else is read from the files, by `bundlefiles`. The policy that judges it
is in `normgate.gate`.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from mlflow import MlflowClient
from mlflow.entities import LoggedModelStatus
from mlflow.exceptions import MlflowException

from mlflow_normgate.bundlefiles import read_bundle
from mlflow_normgate.modelfiles import (
    directory_digest,
    directory_digest_of,
    misplaced,
    model_files,
)
from mlflow_normgate.untrusted import some
from normgate.errors import TrackingError
from normgate.gate import Evidence

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel

LOCATION = re.compile(r"/models/(m-[0-9a-f]{32})/artifacts/?$")


def collect(location: str) -> Evidence:
    """Collect the evidence on the model that is stored at a location.

    Nothing is raised for a model that is broken or is none: what is wrong stands in
    the evidence.

    Args:
        location: Where the version's artifacts are, as the registry resolved it.
    """
    model = logged_model(location)
    if model is None:
        return Evidence(model_id=None, ready=False, source_run=None)
    found = Evidence(
        model_id=model.model_id,
        ready=model.status == LoggedModelStatus.READY,
        source_run=_existing_run(model.source_run_id),
    )
    elsewhere = misplaced(location)
    if elsewhere is not None:
        return replace(found, problems=some([elsewhere]))
    try:
        files = model_files(location)
    except TrackingError as error:
        return replace(found, problems=some([str(error)]))
    found = replace(found, directory_digest=directory_digest(files))
    return read_bundle(found, files)


def location_of(model_id: str) -> str | None:
    """Where a logged model is stored; None if this tracking store has no such model."""
    try:
        return str(MlflowClient().get_logged_model(model_id).artifact_location)
    except MlflowException:
        return None


def logged_model(location: str) -> LoggedModel | None:
    """The logged model of this tracking store that owns a location, if any."""
    match = LOCATION.search(location)
    if match is None:
        return None
    try:
        model = MlflowClient().get_logged_model(match[1])
    except MlflowException:
        return None
    same = model.artifact_location.rstrip("/") == location.rstrip("/")
    return model if same else None


def served_digest(location: str) -> str | None:
    """The directory digest of what is stored at a location now; None if unreadable.

    What has not changed is not hashed again; see `modelfiles.directory_digest_of`.
    """
    try:
        return directory_digest_of(location, trusted_cache=True)
    except TrackingError:
        return None


def _existing_run(run_id: str | None) -> str | None:
    if not run_id:
        return None
    try:
        return str(MlflowClient().get_run(run_id).info.run_id)
    except MlflowException:
        return None
