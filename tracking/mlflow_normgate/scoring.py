"""Models from code: MLflow copies this file beside a bundle and serves by it.

`mlflow.pyfunc.load_model` and `mlflow models serve` run it where normgate[train] is
installed. It takes raw input only, for normalization is inside; the bundle's family
refuses what looks normalized, because MLflow's JSON scoring casts 1.5 to 1 without a
word.
"""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc.model import PythonModel, PythonModelContext
from numpy.typing import NDArray  # noqa: TC002 - MLflow evaluates annotations

from normgate.errors import NormgateError

if TYPE_CHECKING:
    from collections.abc import Iterator


class BundleModel(PythonModel):
    """A bundle behind MLflow's prediction interface.

    MLflow reads the annotations of `predict` at run time, and says so aloud where it
    finds none that it knows; a plain `ndarray` is one.
    """

    def load_context(self, context: PythonModelContext) -> None:
        """Verify the bundle's files and its normalization, then build its members."""
        # Logging a model runs this file too, and should not wait for torch.
        from normgate.families import open_bundle

        with _told():
            self.bundle = open_bundle(Path(context.artifacts["bundle"]))

    def predict(
        self,
        context: PythonModelContext,
        model_input: np.ndarray,
        params: dict[str, Any] | None = None,
    ) -> dict[str, NDArray[Any]]:
        """Predict from raw input.

        Args:
            context: Unused, MLflow's.
            model_input: As the model's signature says, channels in the spec's order.
            params: Unused, MLflow's.

        Returns:
            What the signature names, each as an array.

        Raises:
            MlflowException: With status 400, for anything but raw input.
        """
        with _told():
            return self.bundle.predict(np.asarray(model_input))


@contextmanager
def _told() -> Iterator[None]:
    """Turn a refusal into a status of 400 with its sentence."""
    try:
        yield
    except NormgateError as error:
        raise MlflowException(str(error), error_code=INVALID_PARAMETER_VALUE) from error


set_model(BundleModel())
