"""What MLflow is told about a model: whose code is loaded, and in which environment.

A bundle may be whole while the MLmodel beside it leads to other code: to another
loader, to a pickle, to a folder on the import path, to packages of somebody else. So
everything that MLflow acts on must be what `bundles.log_bundle` writes, and whatever
else stands there is a problem. YAML is read as plain text: no tag, no alias, no type.

`scoring.py` must be one that normgate shipped. Their digests are kept as data in
`scoring.json`, so that a server takes what older versions of normgate logged; a changed
`scoring.py` gets a line of its own there.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from mlflow_normgate.untrusted import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlflow_normgate.modelfiles import ModelFile

MLMODEL, SCORING, REQUIREMENTS = "MLmodel", "scoring.py", "requirements.txt"
DIGESTS = Path(__file__).with_name("scoring.json")
ARTIFACTS = "artifacts/"
"""What stands below is the bundle's matter."""
PYTHON_CACHE = "__pycache__"
"""An empty file of that name keeps Python from leaving compiled code beside a model."""
ROOT_FILES = frozenset(
    {
        MLMODEL,
        SCORING,
        REQUIREMENTS,
        PYTHON_CACHE,
        "conda.yaml",
        "environment_variables.txt",
        "input_example.json",
        "python_env.yaml",
        "serving_input_example.json",
    }
)
ANY, NONE = r".*", r"(?!)"
VERSION = r"[0-9][0-9A-Za-z.!+_-]*"
REQUIREMENT = rf"(?:mlflow(?:-skinny|-tracing)?|normgate\[train\])=={VERSION}"
MAX_VALUE = 200

Place = tuple[str, ...]

INFORMATION = frozenset(
    {
        "artifact_path",
        "databricks_runtime",
        "env_vars",
        "metadata",
        "mlflow_version",
        "model_id",
        "model_size_bytes",
        "model_uuid",
        "run_id",
        "signature",
        "utc_time_created",
    }
)
"""Keys of an MLmodel under which anything may stand, for MLflow only shows it."""
PYFUNC = ("flavors", "python_function")
WANTED: dict[str, dict[Place, str]] = {
    MLMODEL: {
        (*PYFUNC, "loader_module"): r"mlflow\.pyfunc\.loaders\.code_model",
        (*PYFUNC, "model_code_path"): r"(?:.*[/\\])?scoring\.py",
        (*PYFUNC, "artifacts", "bundle", "path"): "artifacts/bundle",
    },
}
"""What must be there: place in a document to the pattern of its value."""
ALLOWED: dict[str, dict[Place, str]] = {
    MLMODEL: {
        **WANTED[MLMODEL],
        (*PYFUNC, "artifacts", "bundle", "uri"): ANY,
        (*PYFUNC, "cloudpickle_version"): VERSION,
        (*PYFUNC, "code"): "null",
        (*PYFUNC, "env", "conda"): r"conda\.yaml",
        (*PYFUNC, "env", "virtualenv"): r"python_env\.yaml",
        (*PYFUNC, "python_version"): VERSION,
        (*PYFUNC, "streamable"): "false",
        ("is_signature_from_type_hint",): "false",
        ("prompts",): "null",
        ("saved_input_example_info", "artifact_path"): r"input_example\.json",
        ("saved_input_example_info", "serving_input_path"): (
            r"serving_input_example\.json"
        ),
        ("saved_input_example_info", "type"): ANY,
        ("type_hint_from_example",): "false",
    },
    "conda.yaml": {
        ("channels", "*"): "conda-forge|defaults",
        ("dependencies", "*"): rf"python={VERSION}|pip(?:[<=]={VERSION})?",
        ("dependencies", "*", "pip", "*"): REQUIREMENT,
        ("name",): ANY,
    },
    "python_env.yaml": {
        ("python",): VERSION,
        ("build_dependencies", "*"): rf"(?:pip|setuptools|wheel)(?:=={VERSION})?",
        ("dependencies", "*"): r"-r requirements\.txt",
    },
    REQUIREMENTS: {("*",): REQUIREMENT},
}
"""What may be there; `*` is any place in a list."""


def model_problems(files: Mapping[str, ModelFile]) -> Iterator[str]:
    """Say what would make MLflow load something else than the bundle.

    Args:
        files: Path inside the model, to what was read there.
    """
    for path in sorted(files):
        if not (path in ROOT_FILES or path.startswith(ARTIFACTS)):
            yield f"{shown(path)} stands in the model, where normgate writes nothing."
    if PYTHON_CACHE in files and files[PYTHON_CACHE].size:
        yield f"{PYTHON_CACHE} is not empty, as normgate writes it."
    if SCORING not in files:
        yield f"The model has no {SCORING}, by which it is served."
    elif files[SCORING].sha256 not in known_scoring():
        yield (
            f"{SCORING} is none that this server's normgate knows: it was changed, or "
            "a newer normgate wrote it, and then the server needs that version."
        )
    for name in ALLOWED:
        if name not in files:
            yield f"The model has no {name}."
            continue
        try:
            yield from _document_problems(name, _text(files[name]))
        except (ValueError, RecursionError, yaml.YAMLError) as error:
            yield f"{name} can't be read ({shown(str(error), MAX_VALUE)})."


@cache
def known_scoring() -> frozenset[str]:
    """The SHA-256 of every scoring.py that normgate shipped."""
    return frozenset(json.loads(DIGESTS.read_bytes())["sha256"])


def _text(file: ModelFile) -> str:
    if file.size > len(file.head):
        raise ValueError(f"{file.size} bytes, expected at most {len(file.head)}")
    return file.head.decode("utf-8")


def _document_problems(name: str, text: str) -> Iterator[str]:
    leaves = list(_leaves(_lines(text) if name == REQUIREMENTS else _plain(text)))
    for place, value in leaves:
        free = name == MLMODEL and place and place[0] in INFORMATION
        if not free and not re.fullmatch(ALLOWED[name].get(place, NONE), value):
            said = shown(f"{'/'.join(place)}: {value}", MAX_VALUE)
            yield f"{name} says {said!r}, which normgate never writes."
    for missing in sorted(set(WANTED.get(name, ())) - {place for place, _ in leaves}):
        yield f"{name} does not say {'/'.join(missing)}."


def _lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]


class _PlainLoader(yaml.BaseLoader):
    """YAML without aliases: with them a short text can be a very long one."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise ValueError("it repeats a part of itself by an alias")
        return super().compose_node(parent, index)


def _plain(text: str) -> Any:
    """Read YAML of text, lists and mappings in which every key stands once."""
    loader = _PlainLoader(text)
    try:
        return _value(loader.get_single_node())
    finally:
        loader.dispose()


def _value(node: yaml.Node | None) -> Any:
    if node is None:
        raise ValueError("it is empty")
    if node.tag != _TAGS[type(node)]:
        raise ValueError(f"it has the tag {node.tag}")
    if isinstance(node, yaml.ScalarNode):
        return node.value
    if isinstance(node, yaml.SequenceNode):
        return [_value(item) for item in node.value]
    found: dict[str, Any] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode) or _value(key) in found:
            raise ValueError("a key is no text or stands more than once")
        found[key.value] = _value(value)
    return found


_TAGS = {
    yaml.ScalarNode: yaml.resolver.BaseResolver.DEFAULT_SCALAR_TAG,
    yaml.SequenceNode: yaml.resolver.BaseResolver.DEFAULT_SEQUENCE_TAG,
    yaml.MappingNode: yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG,
}


def _leaves(value: Any, place: Place = ()) -> Iterator[tuple[Place, str]]:
    """Every text in a document with its place; what is empty counts as one."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _leaves(item, (*place, key))
    elif isinstance(value, list) and value:
        for item in value:
            yield from _leaves(item, (*place, "*"))
    else:
        yield place, value if isinstance(value, str) else str(value)
