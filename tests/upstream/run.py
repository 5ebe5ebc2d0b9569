"""Run MLflow's own tests of the registry on our store, and compare them with MLflow's.

    python -m tests.upstream.run CHECKOUT [--mode plain --mode ungated ...]

`CHECKOUT` is MLflow's source at the installed version; its tests are not part of this
project. They are copied to a scratch folder and run there against the installed MLflow,
once for each mode: `plain` is MLflow's own store, the others are told in
`path/upstream_store.py`. What differs from `plain` is listed, test by test.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import click
from tests.postgresql import Postgresql
from tests.upstream.outcomes import Outcomes, differences, read_outcomes, table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
MODES = ("plain", "ungated", "open", "allowed", "gated")
GROUP = "mlflow.model_registry_store"
OPTIONS = (
    *("-p", "upstream_swap", "-p", "no:cacheprovider", "-o", "addopts="),
    *("-o", "timeout=300"),
    *("-v", "--tb=short", "--color=no"),
)
ON_ANY_DATABASE = (
    "store/model_registry/test_sqlalchemy_store.py",
    "db/test_tracking_operations.py",
)
"""The files that keep their rows where `MLFLOW_TRACKING_URI` says."""
FILES = (
    *ON_ANY_DATABASE,
    "store/model_registry/test_sqlalchemy_workspace_store.py",
    "store/model_registry/test_read_write_routing.py",
    "store/model_registry/test_abstract_store.py",
    "store/db",
    "store/artifact/test_artifact_repository_registry.py",
    "store/artifact/test_local_artifact_repo.py",
    "store/artifact/test_mlflow_artifact_repo.py",
    "store/artifact/test_models_artifact_repo.py",
    "store/artifact/test_runs_artifact_repo.py",
    "store/artifact/test_s3_artifact_repo.py",
    "db/test_workspace_move.py",
    "genai/prompts",
    "server/test_handlers.py",
    "tracking/_model_registry",
    "tracking/test_client.py",
    "tracking/test_client_webhooks.py",
    "tracking/test_client_workspace.py",
    "tracking/test_mlflow_artifacts.py",
    "tracking/test_model_registry.py",
    "tracking/test_rest_tracking.py",
    "webhooks",
)


@click.command(help=(__doc__ or "").split("\n", maxsplit=1)[0])
@click.argument("checkout", type=click.Path(path_type=Path, exists=True))
@click.option("--mode", "modes", multiple=True, type=click.Choice(MODES))
@click.option("--file", "files", multiple=True, help="Under tests/; all by default.")
@click.option("--postgresql", is_flag=True, help="The store's rows on PostgreSQL.")
@click.option("--out", type=click.Path(path_type=Path), required=True)
def main(
    checkout: Path,
    modes: tuple[str, ...],
    files: tuple[str, ...],
    postgresql: bool,
    out: Path,
) -> None:
    """Run and compare; keep the reports in the folder OUT."""
    click.echo(versions(checkout))
    chosen = files or (ON_ANY_DATABASE if postgresql else FILES)
    runs: dict[str, Outcomes] = {}
    with tempfile.TemporaryDirectory() as scratch, server(wanted=postgresql) as create:
        for mode in modes or MODES:
            start = time.monotonic()
            report = out.absolute() / f"{mode}.xml"
            run(checkout, Path(scratch) / mode, mode, chosen, create(), report)
            runs[mode] = read_outcomes(report)
            click.echo(f"{mode}: {time.monotonic() - start:.0f} s")
    click.echo(table(runs))
    for mode in runs.keys() - {"plain"}:
        found = list(differences(runs.get("plain", {}), runs[mode]))
        click.echo(f"\n{mode}: {len(found)} differences")
        click.echo("\n".join(found))


@contextlib.contextmanager
def server(*, wanted: bool) -> Iterator[Callable[[], str | None]]:
    """A server of PostgreSQL, as what makes a fresh database in it; or none."""
    if not wanted:
        yield lambda: None
        return
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    one = Postgresql(found[-1].parent)
    try:
        yield one.create
    finally:
        one.stop()


def versions(checkout: Path) -> str:
    """Say which MLflow is tested by which tests, for they ought to be the same."""
    source = checkout / "mlflow" / "version.py"
    text = source.read_text() if source.exists() else ""
    found = re.search(r'VERSION = "(.+)"', text)
    tests = found[1] if found else "an unknown version"
    return f"MLflow {importlib.metadata.version('mlflow')}, tests of {tests}"


def run(
    checkout: Path,
    scratch: Path,
    mode: str,
    files: tuple[str, ...],
    database: str | None,
    report: Path,
) -> None:
    """Run the tests in one mode.

    Args:
        checkout: MLflow's source.
        scratch: An absent folder, which is filled.
        mode: One of `MODES`.
        files: Files and folders under `tests/`.
        database: Where the store's tests keep their rows; None for SQLite files.
        report: The JUnit file to write; pytest's own words go beside it.
    """
    shutil.copytree(checkout / "tests", scratch / "tests")
    shutil.copy(checkout / "pyproject.toml", scratch)
    report.parent.mkdir(parents=True, exist_ok=True)
    report.unlink(missing_ok=True)
    path = [distribution(scratch / "path", mode), HERE / "path", scratch]
    path += [ROOT / "src", ROOT / "tracking"]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, path)),
        "NORMGATE_UPSTREAM_MODE": mode,
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    if database:
        environment["MLFLOW_TRACKING_URI"] = database
    command = [sys.executable, "-m", "pytest", *OPTIONS, f"--junitxml={report}"]
    command += [f"tests/{file}" for file in files]
    with report.with_suffix(".log").open("w") as log:
        code = subprocess.run(
            command, cwd=scratch, env=environment, check=False, stdout=log, stderr=log
        ).returncode
    if not report.exists():
        raise click.ClickException(f"{mode} ended early with {code}; see {log.name}")


def distribution(folder: Path, mode: str) -> Path:
    """Write a description of normgate that hides an installed one from MLflow.

    Of several distributions of one name, Python takes the entry points of the first on
    its path: here none, or the project's with the store under test.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = {} if mode == "plain" else dict(project["entry-points"])
    if groups:
        groups[GROUP] = dict.fromkeys(groups[GROUP], "upstream_entry:build")
    lines: list[str] = []
    for group, entries in groups.items():
        lines.append(f"[{group}]")
        lines += [f"{name} = {target}" for name, target in entries.items()]
    info = folder / f"normgate-{project['version']}.dist-info"
    info.mkdir(parents=True)
    head = f"Metadata-Version: 2.3\nName: normgate\nVersion: {project['version']}\n"
    (info / "METADATA").write_text(head)
    (info / "entry_points.txt").write_text("\n".join(lines))
    return folder


if __name__ == "__main__":
    main()
