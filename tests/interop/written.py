"""Small configurations as files, for the tests of their readers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from normgate.interop import find_configurations

if TYPE_CHECKING:
    from pathlib import Path

    from normgate.interop import Configuration

METADATA = {"type": "image", "format": "magnitude", "modality": "MR",
            "num_channels": 1, "dtype": "float32", "value_range": [0, 1],
            "channel_def": {"0": "image"}}  # fmt: skip
WINDOW = {"_target_": "ScaleIntensityRanged", "keys": "image", "a_min": -57,
          "a_max": 164, "b_min": 0, "b_max": 1, "clip": True}  # fmt: skip
LOAD = {"_target_": "LoadImaged", "keys": ["image", "label"]}


def compose(*transforms: dict[str, Any]) -> dict[str, Any]:
    return {"_target_": "Compose", "transforms": [LOAD, *transforms]}


def bundle(folder: Path, **documents: Any) -> Configuration:
    """A MONAI bundle of some files, read."""
    for name, document in documents.items():
        write(folder / "bundle" / "configs" / f"{name}.json", document)
    (found,) = find_configurations(folder / "bundle").configurations
    return found


def metadata(**changed: Any) -> dict[str, Any]:
    return {"network_data_format": {"inputs": {"image": {**METADATA, **changed}}}}


def write(path: Path, document: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
    return path


def model(folder: Path, *preprocessing: dict[str, Any], **more: Any) -> Configuration:
    """A bioimage.io model of one input, read."""
    one = {"name": "raw", "data_type": "float32", "axes": "bcyx", **more.pop("one", {})}
    document = {"type": "model", "format_version": "0.4.9",
                "inputs": [{**one, "preprocessing": list(preprocessing)}],
                **more}  # fmt: skip
    return find_configurations(write(folder / "rdf.json", document)).configurations[0]
