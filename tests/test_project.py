"""Ratchets: what stands in two places of the project must agree."""

from __future__ import annotations

import ast
import configparser
import importlib.metadata
import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
MLPROJECT = yaml.safe_load((ROOT / "MLproject").read_text())
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CONDA = yaml.safe_load((ROOT / "conda.yaml").read_text())
README = (ROOT / "README.md").read_text()
ENTRIES: dict[str, Any] = MLPROJECT["entry_points"]
SCRIPTS = sorted(
    path.stem
    for path in (ROOT / "entrypoints").glob("*.py")
    if not path.stem.startswith("_")
)
MLFLOW_TYPES = {"string", "float", "path", "uri"}
PYTHON_PATH = "PYTHONPATH=$PWD/src:$PWD/tracking"


@pytest.fixture
def command(request: pytest.FixtureRequest, monkeypatch: Any) -> click.Command:
    """The click command of one script, imported but not run."""
    path = ROOT / "entrypoints" / f"{request.param}.py"
    monkeypatch.syspath_prepend(str(path.parent))
    spec = importlib.util.spec_from_file_location(f"entry_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = module.main
    assert isinstance(found, click.Command)
    return found


def options(command: click.Command) -> dict[str, click.Parameter]:
    """The options of a click command by their name on the command line."""
    return {
        parameter.opts[0].removeprefix("--"): parameter for parameter in command.params
    }


def written(block: str) -> list[str]:
    """The lines of the fenced block below a mark in the README."""
    text = README.split(f"<!-- {block} -->\n", 1)[1]
    return text.split("```")[1].strip("\n").splitlines()


def test_every_entry_has_one_script_of_its_name() -> None:
    assert sorted(ENTRIES) == SCRIPTS


@pytest.mark.parametrize("name", SCRIPTS)
def test_an_entry_runs_the_checkouts_own_code(name: str) -> None:
    start = f"{PYTHON_PATH} python entrypoints/{name}.py"
    assert ENTRIES[name]["command"].startswith(start)


@pytest.mark.parametrize(
    ("command", "name"), [(name, name) for name in SCRIPTS], indirect=["command"]
)
def test_an_entrys_parameters_are_its_scripts_options(
    command: click.Command, name: str
) -> None:
    parameters = ENTRIES[name].get("parameters", {})
    known = options(command)

    assert list(parameters) == [option.replace("-", "_") for option in known]
    passed = re.findall(r"--(\S+) \{(\w+)\}", ENTRIES[name]["command"])
    assert passed == [(option, option.replace("-", "_")) for option in known]


@pytest.mark.parametrize(
    ("command", "name"), [(name, name) for name in SCRIPTS], indirect=["command"]
)
def test_an_entrys_defaults_are_its_scripts_defaults(
    command: click.Command, name: str
) -> None:
    parameters = ENTRIES[name].get("parameters", {})
    for option, parameter in options(command).items():
        declared = parameters[option.replace("-", "_")]
        assert declared["type"] in MLFLOW_TYPES, option
        assert ("default" not in declared) == parameter.required, option
        if not parameter.required:
            expected = parameter.default
            shown = "" if expected is None else str(expected)
            assert str(declared["default"]) == shown, option


def test_the_environment_is_the_base_install_and_train_of_pyproject() -> None:
    project = PYPROJECT["project"]
    pip = CONDA["dependencies"][-1]["pip"]
    extra = project["optional-dependencies"]["train"]
    assert pip == [".", *project["dependencies"], *extra]


def test_the_environments_python_is_a_full_version_that_pyproject_allows() -> None:
    pinned = CONDA["dependencies"][0].removeprefix("python=")
    assert re.fullmatch(r"3\.\d+\.\d+", pinned)
    low, high = re.findall(r"3\.(\d+)", PYPROJECT["project"]["requires-python"])
    assert int(low) <= int(pinned.split(".")[1]) < int(high)
    assert PYPROJECT["tool"]["mypy"]["python_version"] == pinned.rpartition(".")[0]


def test_the_installed_plugin_is_the_one_that_pyproject_declares() -> None:
    group = "mlflow.model_registry_store"
    declared = PYPROJECT["project"]["entry-points"][group]
    distribution = importlib.metadata.distribution("normgate")
    installed = distribution.entry_points.select(group=group)
    assert {point.name: point.value for point in installed} == declared


WITHOUT_TRAIN = """
import importlib, pkgutil, sys
absent, modules = (set(words.split(",")) for words in sys.argv[1:])

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name in absent:
            raise ModuleNotFoundError(f"{name} is not part of the base install")

sys.meta_path.insert(0, Absent())
for name in sorted(modules):
    module = importlib.import_module(name)
    for found in pkgutil.iter_modules(getattr(module, "__path__", ())):
        if f"{name}.{found.name}" != "mlflow_normgate.scoring":
            importlib.import_module(f"{name}.{found.name}")
"""
"""Imports modules, and those in them, where some packages can't be imported."""


@pytest.mark.slow
def test_the_base_install_is_enough_for_servers_and_spec_tools() -> None:
    rules = configparser.ConfigParser()
    rules.read(ROOT / ".importlinter")
    base = rules["importlinter:contract:base"]
    lists = (base[key].split() for key in ("forbidden_modules", "source_modules"))
    arguments = [",".join(words) for words in lists]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TRAIN, *arguments],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_the_readmes_table_names_every_entry() -> None:
    section = README.split("| entry | does |", 1)[1].split("\n\n", 1)[0]
    named = re.findall(
        r"`(\w+)`", "\n".join(re.findall(r"^\|([^|]*)\|", section, re.M))
    )
    assert sorted(named) == SCRIPTS


def tree() -> Iterator[Path]:
    """The paths of the README's tree, relative to the root."""
    parent = Path()
    for line in written("tree"):
        name = line.split()[0]
        indented = line.startswith(" ")
        yield parent / name if indented else Path(name)
        parent = parent if indented else Path(name)


def test_the_readmes_tree_is_what_lies_on_disk() -> None:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.splitlines()
    files = [Path(name) for name in listed if not name.startswith(".")]
    expected = {Path(file.parts[0]) for file in files} - {Path("README.md")}
    expected = (expected - {Path("src"), Path("tracking")}) | {
        Path("src/normgate"),
        Path("tracking/mlflow_normgate"),
    }
    for file in files:
        inside = file.is_relative_to("src/normgate")
        if inside and file.name not in {"__init__.py", "py.typed"}:
            expected.add(Path(*file.parts[:3]))
    assert set(tree()) == expected


@pytest.mark.parametrize("block", ["main job", "tests"])
def test_each_of_the_readmes_two_commands_is_one_line(block: str) -> None:
    (line,) = written(block)
    assert line.startswith("python3.11 -m venv ")


@pytest.mark.parametrize("name", ["rescue", "fusion", "imc"])
def test_an_incident_ends_with_the_check_that_stops_it(name: str) -> None:
    story = (ROOT / "docs" / "incidents" / f"{name}.md").read_text()
    headings = re.findall(r"^## (.*)$", story, re.M)
    assert headings == [
        "What happened",
        "What was claimed",
        "What is true",
        "The check that stops it now",
    ]


def test_the_decisions_are_listed() -> None:
    folder = ROOT / "docs" / "adr"
    linked = re.findall(r"\]\((\d{4}-[\w-]+\.md)\)", (folder / "README.md").read_text())
    assert linked == sorted(path.name for path in folder.glob("0*.md"))


def settings() -> Iterator[tuple[str, ast.ClassDef]]:
    """Every class of settings in the packages."""
    for folder in ("src", "tracking"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.parse(path.read_text()).body:
                if isinstance(node, ast.ClassDef) and node.name.endswith("Settings"):
                    yield f"{path.stem}.{node.name}", node


@pytest.mark.parametrize(
    "node", [pytest.param(node, id=name) for name, node in settings()]
)
def test_every_setting_is_explained_below_its_line(node: ast.ClassDef) -> None:
    for line, following in zip(node.body, [*node.body[1:], None], strict=True):
        if isinstance(line, ast.AnnAssign):
            explained = isinstance(following, ast.Expr) and isinstance(
                following.value, ast.Constant
            )
            assert explained, f"{node.name}.{ast.unparse(line.target)}"
