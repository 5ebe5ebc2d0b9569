"""A deployment's side of MLflow: which promoted models it uses, and what it logs.

Predicting is `normgate.deploy`'s work; this module knows no torch.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow.entities import LoggedModelInput
from mlflow.exceptions import MlflowException

from mlflow_normgate import reserved
from mlflow_normgate.datasets import log_table
from mlflow_normgate.registry import models_under_contract, resolve
from normgate.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlflow_normgate.registry import Promoted
    from mlflow_normgate.runs import Run

_logger = logging.getLogger(__name__)
KEPT = Path("work") / "models"
"""Where bundles are kept between runs."""
LOGGED_FILES = ("deploy.json", "quarantine.csv")


def references(models: str, contract: str, alias: str) -> tuple[str, ...]:
    """The promoted models that a user names, each with its alias.

    Args:
        models: Names or `models:/name@alias`, separated by commas; or empty.
        contract: Name of a contract, for all that are promoted under it; or empty.
        alias: The alias of models that are named without one.

    Raises:
        SettingsError: If neither or both are given, or the contract has no such model.
    """
    names = tuple(part.strip() for part in models.split(",") if part.strip())
    if bool(names) == bool(contract):
        raise SettingsError(
            "name the promoted models (models=rescue-0ms,app) or the contract that "
            f"they were promoted under (contract=plate), not {_both(names)}"
        )
    if contract:
        names = models_under_contract(contract, alias)
        if not names:
            raise SettingsError(
                f"no model is promoted to {alias!r} under contract {contract!r}; "
                "promote one, or name the models"
            )
    return tuple(name if "@" in name else f"{name}@{alias}" for name in names)


def resolve_all(wanted: Sequence[str]) -> list[Promoted]:
    """Bring every promoted bundle here, verified; see `registry.resolve`."""
    return [resolve(reference, KEPT.absolute()) for reference in wanted]


def log_inputs(run: Run, promoted: Sequence[Promoted], data: Path) -> None:
    """Record the plate CSV and the versions used, linked to the run as its inputs.

    Raises:
        DataError: If the CSV can't be read.
    """
    log_table(run.tracker, data, "deploy")
    for one in promoted:
        run.tracker.params(
            {
                f"model.{one.name}.version": one.version,
                f"model.{one.name}.alias": one.alias,
                f"model.{one.name}.manifest_digest": one.manifest_digest,
                f"model.{one.name}.spec_digest": one.spec_digest,
            }
        )
    specs = sorted({one.spec_digest for one in promoted})
    run.tracker.tags({"normgate.spec_digest": ",".join(specs)})
    try:
        versions = [run.client.get_model_version(o.name, o.version) for o in promoted]
        inputs = [LoggedModelInput(v.tags[reserved.MODEL_ID]) for v in versions]
        run.client.log_inputs(run.run_id, models=inputs)
    except MlflowException as error:
        _logger.warning("the run is not linked to its models: %s", error.message)


def log_deployment(
    run: Run, out: Path, metrics: Mapping[str, float], sentence: str
) -> None:
    """Record what a deployment did.

    Args:
        run: The run.
        out: The folder of predictions; what is small in it is logged.
        metrics: Counts and rates.
        sentence: The whole in words.
    """
    run.tracker.metrics(metrics, step=0)
    for name in LOGGED_FILES:
        run.tracker.artifact(out / name, "deploy")
    run.tracker.tags({"normgate.predictions": str(out.resolve())})
    run.tracker.note(f"{sentence}\n\nPredictions: `{out.resolve()}`")


def _both(names: tuple[str, ...]) -> str:
    return "both" if names else "neither"
