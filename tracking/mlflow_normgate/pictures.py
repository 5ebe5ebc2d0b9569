"""Pictures as MLflow's image grid finds them, under names that a replay repeats.

`MlflowClient.log_image` makes a new name at each call, so that sending twice would
show a picture twice. Here the name is made once, when the picture is logged.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import PIL.Image
from mlflow.tracking.multimedia import compress_image_size
from mlflow.utils.mlflow_tags import MLFLOW_LOGGED_IMAGES

if TYPE_CHECKING:
    from pathlib import Path

    from mlflow import MlflowClient

FOLDER = "images"


def picture_name(key: str, step: int, time_ms: int) -> str:
    """The file name that MLflow's UI reads key, step and time from."""
    key = key.replace("/", "~")
    return f"{key}+step+{step}+timestamp+{time_ms}+{uuid.uuid4()}.png"


def upload_picture(client: MlflowClient, run_id: str, path: Path) -> None:
    """Store a picture, and the small copy that the image grid shows first."""
    small = path.with_name(f"{path.stem}+compressed.webp")
    if not small.exists():
        with PIL.Image.open(path) as picture:
            compress_image_size(picture).save(small)
    client.log_artifact(run_id, str(path), FOLDER)
    client.log_artifact(run_id, str(small), FOLDER)
    client.set_tag(run_id, MLFLOW_LOGGED_IMAGES, "True")
