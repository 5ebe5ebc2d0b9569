"""`normgate ledger` and `normgate verify`: what was decided, and does it still hold?

They need the registry's database, so they run where the server runs.
"""

from __future__ import annotations

import csv
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from normgate.cli.place import (
    administration,
    artifacts_option,
    json_option,
    moment,
    store_option,
    workspace_option,
)
from normgate.contract.files import replacing
from normgate.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mlflow_normgate.ledger.verdicts import Decided

SHOWN = 20
FIELDS = (
    "id",
    "decided",
    "actor",
    "action",
    "workspace",
    "name",
    "version",
    "target",
    "allowed",
    "contract_name",
    "contract_version",
    "contract_digest",
    "directory_digest",
    "registered_digest",
    "manifest_digest",
    "spec_digest",
    "channels",
    "refusals",
)
"""The columns of an export, in this order."""


@click.group()
def ledger() -> None:
    """Read every verdict of the gate, and keep its tables up to date."""


@ledger.command("list")
@click.option("--model", help="Only verdicts on this registered model.")
@click.option("--refused", is_flag=True, help="Only refusals.")
@click.option("--limit", type=click.IntRange(1), default=SHOWN, show_default=True)
@json_option
@store_option
@workspace_option
def ledger_list(
    model: str | None,
    refused: bool,
    limit: int,
    as_json: bool,
    store: str | None,
    workspace: str | None,
) -> None:
    """List verdicts, the newest first."""
    ledger = administration(store, workspace=workspace)
    found = ledger.verdicts(model, refused=refused, limit=limit)
    if as_json:
        click.echo(json.dumps([_record(one) for one in found], indent=2))
        return
    for one in found:
        _show(one)


@ledger.command("export")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="The file to write, .jsonl or .csv.",
)
@store_option
def ledger_export(out: Path, store: str | None) -> None:
    """Write every verdict of every workspace to a file, whole or not at all."""
    from mlflow_normgate.storage import registry, workspaces

    write = {".jsonl": _write_jsonl, ".csv": _write_csv}.get(out.suffix)
    if write is None:
        raise SettingsError(f"--out {out}: expected a name that ends in .jsonl or .csv")
    verdicts = (
        one
        for workspace in workspaces(registry(store))
        for one in administration(store, workspace=workspace).verdicts()
    )
    with replacing(out) as file:
        count = write(file, verdicts)
    click.echo(f"{out}: {count} verdicts")


@ledger.command("upgrade")
@store_option
def ledger_upgrade(store: str | None) -> None:
    """Bring the ledger's tables and the database's triggers up to date.

    A server does so itself when it starts, if its account may change tables. The
    tables of MLflow are brought up to date by `mlflow db upgrade`, before this.
    """
    from mlflow_normgate.ledger.upgrade import initialize
    from mlflow_normgate.storage import engine, registry

    initialize(engine(registry(store)))
    click.echo("the ledger is up to date")


@ledger.command("downgrade")
@click.option("--yes", is_flag=True, help="I have a copy, or need none.")
@store_option
def ledger_downgrade(yes: bool, store: str | None) -> None:
    """Take everything of normgate out of a database: contracts, verdicts, triggers.

    From then on anything can be promoted.
    """
    if not yes:
        raise SettingsError(
            "this removes every contract and verdict, and lets anything be promoted; "
            "export the ledger first, then say --yes"
        )
    from mlflow_normgate.ledger.upgrade import downgrade
    from mlflow_normgate.storage import engine, registry

    downgrade(engine(registry(store)))
    click.echo("the ledger is gone, and nothing is gated")


@click.command()
@click.option("--demote", is_flag=True, help="Take away what is not as it was allowed.")
@json_option
@store_option
@artifacts_option
def verify(
    demote: bool, as_json: bool, store: str | None, artifacts: str | None
) -> None:
    """Hash again all that is promoted, in every workspace, and say what has changed.

    Exit code 0 if all is as it was allowed, 1 if not. What can't be read is never
    demoted, for the artifact store may only be away.
    """
    drifted, records = False, []
    for one in administration(store, artifacts).verify(demote=demote):
        drifted |= one.problem is not None
        held = one.standing
        if as_json:
            found = {"problem": one.problem, "demoted": one.demoted}
            records.append(asdict(held) | found)
            continue
        end = " It was demoted." if one.demoted else " It was not demoted."
        told = one.problem and f"{one.problem}{end if demote else ''}"
        says = told or "as it was allowed"
        where = "" if held.workspace == "default" else f"{held.workspace}: "
        click.echo(
            f"{where}{held.name} version {held.version} is {held.target}: {says}"
        )
    if as_json:
        click.echo(json.dumps(records, indent=2))
    sys.exit(1 if drifted else 0)


def _show(one: Decided) -> None:
    verdict = "allowed" if one.allowed else "refused"
    under = "no contract"
    if one.contract_name is not None:
        under = f"contract {one.contract_name} version {one.contract_version}"
    click.echo(
        f"#{one.id} {moment(one.decided_ms)} {verdict}: {one.action} {one.name} "
        f"version {one.version} to {one.target}, {under}, by {one.actor}"
    )
    for refusal in one.verdict.refusals:
        click.echo(f"    {refusal.sentence}")


def _record(one: Decided) -> dict[str, Any]:
    """A verdict as it is exported: every field and every refusal."""
    found = asdict(one)
    found["decided"] = moment(one.decided_ms)
    found["refusals"] = found.pop("verdict")["refusals"]
    return {field: found[field] for field in FIELDS}


def _write_jsonl(file: TextIO, verdicts: Iterable[Decided]) -> int:
    count = 0
    for one in verdicts:
        file.write(json.dumps(_record(one)) + "\n")
        count += 1
    return count


def _write_csv(file: TextIO, verdicts: Iterable[Decided]) -> int:
    table, count = csv.DictWriter(file, FIELDS, lineterminator="\n"), 0
    table.writeheader()
    for one in verdicts:
        found = _record(one)
        nested = {key: json.dumps(found[key]) for key in ("channels", "refusals")}
        table.writerow(found | nested)
        count += 1
    return count
