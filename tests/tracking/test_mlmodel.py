"""Attacks on what stands beside a bundle, each with the word that names it."""

from __future__ import annotations

import hashlib
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

import mlflow
import pytest
import yaml
from tests.tracking.bundle_files import database, trained_bundle, write_model

from mlflow_normgate.bundles import SCORING, log_bundle
from mlflow_normgate.mlmodel import known_scoring, model_problems
from mlflow_normgate.modelfiles import SMALL_HEAD_BYTES, model_files

if TYPE_CHECKING:
    from collections.abc import Callable

ID = f"m-{'0' * 32}"
CODE = "    code: null"
LOADER = "    loader_module: mlflow.pyfunc.loaders.code_model"
SCORED = "    model_code_path: /site-packages/mlflow_normgate/scoring.py"


def problems(model: Path) -> list[str]:
    return list(model_problems(model_files(str(model))))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "card.json").write_text("{}")
    return write_model(tmp_path / "model", tmp_path / "bundle", ID)


def test_what_normgate_writes_is_no_problem(model: Path) -> None:
    assert problems(model) == []


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning:mlflow")
@pytest.mark.filterwarnings("ignore::FutureWarning:mlflow")
def test_what_is_really_logged_is_no_problem_and_like_the_one_made_by_hand(
    model: Path, tmp_path: Path
) -> None:
    with database(tmp_path) as client:
        mlflow.set_experiment("bundles")
        run = mlflow.start_run().info.run_id
        bundle = trained_bundle(tmp_path / "rescue-0ms")
        made = log_bundle(bundle, run_id=run, registered_name="rescue-0ms")
        mlflow.end_run()
        location = client.get_logged_model(made.model_id).artifact_location
    logged = Path(str(location).removeprefix("file://"))
    assert problems(logged) == []
    assert _names(logged) == _names(model)
    for name in ("MLmodel", "conda.yaml", "python_env.yaml"):
        assert _shape(logged / name) == _shape(model / name)


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"__pycache__"}


def _shape(path: Path) -> object:
    def shape(value: object) -> object:
        if isinstance(value, dict):
            return {key: shape(item) for key, item in value.items()}
        return type(value)

    return shape(yaml.safe_load(path.read_text()))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        pytest.param(
            LOADER,
            "    loader_module: evil",
            "MLmodel says 'flavors/python_function/loader_module: evil', which norm",
            id="loader",
        ),
        pytest.param(LOADER, "", "does not say flavors/.*/loader_module", id="none"),
        pytest.param(SCORED, "    model_code_path: x.py", "x.py', which", id="code"),
        pytest.param(
            SCORED, "    python_model: python_model.pkl", "python_model", id="pickle"
        ),
        pytest.param(CODE, "    code: artifacts", "code: artifacts'", id="code-path"),
        pytest.param(CODE, "    data: /etc", "data: /etc'", id="data"),
        pytest.param(
            CODE, "    predict_fn: other", "predict_fn: other'", id="predict-fn"
        ),
        pytest.param("conda.yaml", "other.yaml", "conda: other.yaml'", id="conda"),
        pytest.param(
            "artifacts/bundle", "../../x", r"path: \.\./\.\./x'", id="traversal"
        ),
        pytest.param(
            "flavors:\n", "flavors:\n  sklearn:\n    a: b\n", "sklearn/a", id="flavor"
        ),
        pytest.param(
            CODE, f"{CODE}\n{LOADER}", "stands more than once", id="repeated-key"
        ),
        pytest.param(CODE, f"{CODE}\n    <<: {{a: b}}", "<</a: b", id="merge-key"),
        pytest.param(
            "code: null", "code: &a null\n    b: *a", "by an alias", id="alias"
        ),
        pytest.param(
            LOADER,
            "    loader_module: !!binary ZXZpbA==",
            "has the tag tag:yaml.org,2002:binary",
            id="binary",
        ),
        pytest.param(
            "metadata:\n",
            "metadata: !!python/object/apply:os.system ['touch /tmp/owned']\nx:\n",
            "has the tag",
            id="python-object",
        ),
        pytest.param(
            "prompts: null", "resources: {a: b}", "resources/a: b'", id="unknown-key"
        ),
        pytest.param("flavors:", "---\nflavors:", "can't be read", id="two-documents"),
        pytest.param(
            "artifact_path: ", "artifact_path: |\x00", "can't be read", id="zero-byte"
        ),
        pytest.param(
            "input_example.json",
            "../../secrets.json",
            "secrets.json', which",
            id="example-elsewhere",
        ),
    ],
)
def test_an_mlmodel_that_leads_elsewhere_is_a_problem(
    model: Path, old: str, new: str, words: str
) -> None:
    text = (model / "MLmodel").read_text()
    assert old in text
    (model / "MLmodel").write_text(text.replace(old, new, 1))
    assert re.search(words, " ".join(problems(model)))


@pytest.mark.parametrize(
    ("name", "line", "words"),
    [
        pytest.param("requirements.txt", "evil==1.0", "evil==1.0", id="package"),
        pytest.param(
            "requirements.txt", "--index-url ../wheels", "index-url", id="index"
        ),
        pytest.param(
            "requirements.txt", "mlflow @ http://evil/m.whl", "http://evil", id="url"
        ),
        pytest.param("requirements.txt", "-r ../x", "-r ../x", id="included"),
        pytest.param("conda.yaml", "channels: [evil]", "more than once", id="twice"),
        pytest.param("conda.yaml", "prefix: /evil", "prefix: /evil", id="prefix"),
        pytest.param("python_env.yaml", "- evil", "dependencies/*: evil", id="env"),
        pytest.param("scoring.py", "import evil", "is none that this", id="scoring"),
        pytest.param("evil.py", "", "evil.py stands in the model", id="file"),
        pytest.param("code/evil.py", "", "code/evil.py stands in", id="code"),
        pytest.param("uv.lock", "", "uv.lock stands in the model", id="uv"),
    ],
)
def test_a_foreign_environment_or_code_is_a_problem(
    model: Path, name: str, line: str, words: str
) -> None:
    file = model / name
    file.parent.mkdir(exist_ok=True)
    with file.open("a") as text:
        text.write(f"\n{line}\n")
    (found,) = problems(model)
    assert words in found


@pytest.mark.parametrize(
    "name",
    ["MLmodel", "conda.yaml", "python_env.yaml", "requirements.txt", "scoring.py"],
)
def test_what_is_missing_is_a_problem(model: Path, name: str) -> None:
    (model / name).unlink()
    (found,) = problems(model)
    assert f"has no {name}" in found


BOMB = "a0: &a0 [x, x]\n" + "".join(
    f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 60)
)


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(lambda size: "[" * size, id="nested"),
        pytest.param(lambda size: "- " * (size // 2), id="nested-in-blocks"),
        pytest.param(lambda size: "{a: " * (size // 4), id="nested-mappings"),
        pytest.param(lambda size: BOMB[:size], id="aliases"),
        pytest.param(lambda size: "a\n" * (size // 2), id="one-long-text"),
        pytest.param(lambda size: "- a\n" * (size // 4), id="many-items"),
        pytest.param(
            lambda size: "".join(f"k{n}: v\n" for n in range(size // 9)), id="many-keys"
        ),
        pytest.param(lambda size: "1" * size, id="a-long-number"),
        pytest.param(lambda size: ":" * size, id="colons"),
        pytest.param(lambda size: "\t" * size, id="tabs"),
        pytest.param(lambda size: "%" * size, id="directives"),
        pytest.param(lambda size: "x" * (size + 1), id="too-large"),
    ],
)
def test_a_hostile_mlmodel_costs_little(
    model: Path, write: Callable[[int], str]
) -> None:
    (model / "MLmodel").write_text(write(SMALL_HEAD_BYTES))
    begun = time.process_time()
    assert problems(model)
    assert time.process_time() - begun < 2


def test_every_scoring_that_was_shipped_is_known() -> None:
    digest = hashlib.sha256(SCORING.read_bytes()).hexdigest()
    assert digest in known_scoring(), f"add {digest} to {SCORING.parent}/scoring.json"


def test_an_older_scoring_is_still_taken(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = SCORING.read_bytes() + b"# as an older normgate had it\n"
    (model / "scoring.py").write_bytes(older)
    assert len(problems(model)) == 1
    known = {*known_scoring(), hashlib.sha256(older).hexdigest()}
    monkeypatch.setattr("mlflow_normgate.mlmodel.known_scoring", lambda: known)
    assert problems(model) == []
