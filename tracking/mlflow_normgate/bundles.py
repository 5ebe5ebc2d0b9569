"""Bundles into MLflow: one logged model (pyfunc, models from code) and its version.

The bundle is stored untouched under `artifacts/bundle`, beside a copy of `scoring.py`
that serves it; nothing is pickled. Building and reading bundles is the engine's work.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow
from mlflow.environment_variables import MLFLOW_LOG_UV_FILES
from mlflow.exceptions import MlflowException
from mlflow.models import Model

from mlflow_normgate.interfaces import interface_of
from mlflow_normgate.reserved import BUNDLE
from normgate.contract import read_spec, spec_digest
from normgate.errors import BundleError, TrackingError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PYTHON_CACHE = "__pycache__"
SCORING = Path(__file__).with_name("scoring.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """Where a bundle went."""

    name: str
    """The registered model."""
    version: str
    """Its new version."""
    model_id: str
    """The logged model that the version is made of."""


def log_bundle(
    bundle: Path,
    *,
    run_id: str,
    registered_name: str,
    tags: Mapping[str, str] | None = None,
) -> Registered:
    """Log a bundle under a run as a servable model, and register it.

    Args:
        bundle: The closed bundle folder.
        run_id: The run that trained it, of the current tracking server.
        registered_name: The registered model; it is made where it is missing.
        tags: Marks for the logged model and its version.

    Returns:
        The registered model, the new version and the logged model.

    Raises:
        BundleError: If the folder holds no spec or card, or one that can't be served.
        TrackingError: If the tracking server or registry does not take it.
    """
    spec, card = read_spec(bundle / "spec.json"), _card(bundle)
    interface = interface_of(spec, card)
    marks = {**(tags or {}), BUNDLE: "1"}
    try:
        with _named_bundle(bundle) as folder, _no_uv_project():
            model = Model.log(
                artifact_path=None,
                name=registered_name,
                flavor=_WithoutCache,
                flavor_name="pyfunc.ModelFromCode",
                run_id=run_id,
                python_model=str(SCORING),
                artifacts={"bundle": str(folder)},
                signature=interface.signature,
                input_example=interface.example,
                pip_requirements=[f"normgate[train]=={installed_version('normgate')}"],
                metadata={
                    "normgate.spec_digest": spec_digest(spec),
                    "normgate.family": card.get("family", ""),
                },
                tags=dict(marks),
            )
        version = _register(registered_name, model.model_id, run_id, marks)
    except MlflowException as error:
        raise TrackingError(
            f"model {registered_name!r} of run {run_id} could not be logged: "
            f"{error.message}"
        ) from error
    return Registered(name=registered_name, version=version, model_id=model.model_id)


class _WithoutCache:
    """MLflow's own flavor, in whose models Python caches no code.

    Loading a model where it is stored runs its scoring.py, and Python leaves a compiled
    copy in `__pycache__` beside it, which it runs the next time instead of the file
    that was verified. A plain file of that name keeps it from doing so.
    """

    @staticmethod
    def save_model(path: str, **options: Any) -> None:
        mlflow.pyfunc.save_model(path, **options)
        (Path(path) / PYTHON_CACHE).touch()


def _card(bundle: Path) -> dict[str, Any]:
    path = bundle / "card.json"
    try:
        card = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise BundleError(
            f"{path}: no readable card ({error}); write the bundle again"
        ) from error
    if not isinstance(card, dict):
        raise BundleError(f"{path}: the card is no object; write the bundle again")
    return card


@contextlib.contextmanager
def _named_bundle(bundle: Path) -> Iterator[Path]:
    """Give the folder under the name `bundle`, for MLflow keeps a folder's name."""
    if bundle.name == "bundle":
        yield bundle
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "bundle"
        shutil.copytree(bundle, folder, copy_function=_link)
        yield folder


@contextlib.contextmanager
def _no_uv_project() -> Iterator[None]:
    """Keep the uv project of the working folder, if there is one, out of the model."""
    before = MLFLOW_LOG_UV_FILES.get_raw()
    MLFLOW_LOG_UV_FILES.set(False)
    try:
        yield
    finally:
        if before is None:
            MLFLOW_LOG_UV_FILES.unset()
        else:
            MLFLOW_LOG_UV_FILES.set(before)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _register(name: str, model_id: str, run_id: str, tags: Mapping[str, str]) -> str:
    client = mlflow.MlflowClient()
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    version = client.create_model_version(
        name, f"models:/{model_id}", run_id=run_id, tags=dict(tags), model_id=model_id
    )
    return str(version.version)
