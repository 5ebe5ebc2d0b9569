"""Models from code: MLflow copies this file beside a bundle and serves by it.

`mlflow.pyfunc.load_model` and `mlflow models serve` run it where normgate[train] is
installed. It takes raw counts only, for normalization is inside; it refuses what looks
normalized, because MLflow's JSON scoring casts 1.5 to 1 without a word.
"""

from __future__ import annotations

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
    from collections.abc import Sequence

NORMALIZED_MAXIMUM = 16
"""Counts: no camera gives a whole batch this dark, and normalized values stay below."""


class BundleModel(PythonModel):
    """A bundle behind MLflow's prediction interface.

    MLflow reads the annotations of `predict` at run time, and says so aloud where it
    finds none that it knows; a plain `ndarray` is one.
    """

    def load_context(self, context: PythonModelContext) -> None:
        """Verify the bundle's files and its normalization, then build its members."""
        # Logging a model runs this file too, and should not wait for torch.
        from normgate.families import open_bundle

        try:
            bundle = open_bundle(Path(context.artifacts["bundle"]))
        except NormgateError as error:
            raise _refusal(str(error)) from error
        self.score = bundle.ensemble.score
        self.channels = bundle.spec.names

    def predict(
        self,
        context: PythonModelContext,
        model_input: np.ndarray,
        params: dict[str, Any] | None = None,
    ) -> dict[str, NDArray[Any]]:
        """Predict from raw counts.

        Args:
            context: Unused, MLflow's.
            model_input: uint16 (N, C, H, W), channels in the spec's order.
            params: Unused, MLflow's.

        Returns:
            `logits`, float32 (N, K): the mean over members; `probabilities`, float64
            (N, K): temperature applied. K runs over the card's classes in order.

        Raises:
            MlflowException: With status 400, for anything but raw counts.
        """
        raw_nchw = raw_counts(model_input, self.channels)
        logits, probabilities = self.score(raw_nchw)
        return {"logits": logits, "probabilities": probabilities}


def raw_counts(model_input: Any, channels: Sequence[str]) -> NDArray[np.uint16]:
    """Return the batch if it is raw counts, and refuse everything else.

    Args:
        model_input: What came in.
        channels: The model's channels in order.

    Raises:
        MlflowException: With status 400 and what is wrong.
    """
    batch = np.asarray(model_input)
    raw = batch.dtype == np.uint16 and batch.ndim == 4 and batch.size > 0
    if not raw or batch.shape[1] != len(channels):
        raise _refusal(
            f"expected raw counts as uint16 (N, {len(channels)}, H, W) with channels "
            f"{', '.join(channels)}, found {batch.dtype} of shape {batch.shape}; send "
            "the images as the microscope wrote them"
        )
    largest = int(batch.max())
    if largest <= NORMALIZED_MAXIMUM:
        raise _refusal(
            f"the largest value of the batch is {largest}, so it looks normalized "
            "already; send the raw counts, for the model normalizes by itself"
        )
    return batch


def _refusal(sentence: str) -> MlflowException:
    return MlflowException(sentence, error_code=INVALID_PARAMETER_VALUE)


set_model(BundleModel())
