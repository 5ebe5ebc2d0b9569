"""StarDist's `config.json`: network and training, and no word of normalization.

A StarDist model takes what it is given; its examples rescale percentiles 1 and 99.8 of
each picture first, as csbdeep's `normalize` does, and nothing keeps that with a model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from normgate.interop.declared import Configuration, Pipeline

if TYPE_CHECKING:
    from collections.abc import Mapping


def is_config(document: Mapping[str, Any]) -> bool:
    """Whether it is such a file."""
    return {"n_rays", "grid", "n_channel_in"} <= document.keys()


def read(name: str, file: str) -> Configuration:
    """Read one model's configuration."""
    pipeline = Pipeline(stage="preprocessing", input="image", operations=())
    return Configuration(
        name=name, tool="StarDist", files=(file,), pipelines=(pipeline,)
    )
