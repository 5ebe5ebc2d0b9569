"""`normgate contract`: make contracts, read them, and bind models to them.

Contracts are files until they are added to the ledger of a registry, and from then on
never rewritten.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from normgate.cli.place import (
    administration,
    artifacts_option,
    json_option,
    moment,
    reason_option,
    store_option,
    workspace_option,
)
from normgate.contract import (
    Contract,
    Floor,
    contract_for,
    describe_channel,
    read_contract,
    read_spec,
    write,
)
from normgate.errors import ContractError, SettingsError

if TYPE_CHECKING:
    from mlflow_normgate.admin import Administration

FILE = click.Path(path_type=Path, dir_okay=False)


@click.group()
def contract() -> None:
    """Make contracts, and bind them to registered models."""


@contract.command("make")
@click.argument("path", type=FILE)
@click.option("--name", required=True, help="The contract's name.")
@click.option("--version", type=int, default=1, show_default=True)
@click.option("--description", default="", help="What the target is.")
@click.option("--floor", "floors", multiple=True, help="METRIC=MINIMUM, repeatable.")
@click.option("--out", type=FILE, required=True, help="The contract file to write.")
def contract_make(
    path: Path,
    name: str,
    version: int,
    description: str,
    floors: tuple[str, ...],
    out: Path,
) -> None:
    """Make the contract that a spec fulfils."""
    document = contract_for(
        read_spec(path),
        name=name,
        version=version,
        description=description,
        floors=tuple(_floor(text) for text in floors),
    )
    write(out, document)
    click.echo(f"{out}: contract {_label(document)}")


@contract.command("show")
@click.argument("which", metavar="FILE|NAME[@VERSION]")
@store_option
@workspace_option
def contract_show(which: str, store: str | None, workspace: str | None) -> None:
    """Say what a contract demands: one in a file, or one in the ledger."""
    document = _read(which, store, workspace)
    click.echo(f"contract {_label(document)}")
    for channel in document.channels:
        click.echo(f"{channel.name}  {channel.digest}\n  {describe_channel(channel)}")
    for floor in document.floors:
        click.echo(f"{floor.metric} at least {floor.minimum}")


@contract.command("add")
@click.argument("path", type=FILE)
@reason_option
@store_option
@workspace_option
def contract_add(
    path: Path, reason: str, store: str | None, workspace: str | None
) -> None:
    """Add a contract to the ledger without binding it to a model."""
    document = read_contract(path)
    administration(store, workspace=workspace).add(document, reason)
    click.echo(f"contract {_label(document)} is in the ledger")


@contract.command("bind")
@click.argument("model", metavar="MODEL|PATTERN")
@click.argument("which", metavar="FILE|NAME[@VERSION]")
@reason_option
@store_option
@artifacts_option
@workspace_option
def contract_bind(
    model: str,
    which: str,
    reason: str,
    store: str | None,
    artifacts: str | None,
    workspace: str | None,
) -> None:
    """Bind a contract to a registered model, or to all whose names fit a pattern.

    In a pattern * and ? stand for other characters. Without --store the tracking
    server is asked, which takes a file and an exact name.
    """
    if _is_asked_for(store, workspace, model) and _is_file(which):
        # Also where the registry is a server, which lets its administrators only.
        from mlflow_normgate.registry import bind_contract

        document = read_contract(Path(which))
        bind_contract(model, document, reason=reason)
    else:
        document = _read(which, store, workspace)
        administration(store, artifacts, workspace).bind(model, document, reason)
    click.echo(f"{model}: bound to contract {_label(document)}")


@contract.command("release")
@click.argument("model", metavar="MODEL|PATTERN")
@reason_option
@store_option
@artifacts_option
@workspace_option
def contract_release(
    model: str,
    reason: str,
    store: str | None,
    artifacts: str | None,
    workspace: str | None,
) -> None:
    """Take the contract from a registered model, or from a pattern."""
    if _is_asked_for(store, workspace, model):
        from mlflow_normgate.registry import bind_contract

        bind_contract(model, None, reason=reason)
    else:
        administration(store, artifacts, workspace).bind(model, None, reason)
    click.echo(f"{model}: released")


@contract.command("list")
@json_option
@store_option
@workspace_option
def contract_list(as_json: bool, store: str | None, workspace: str | None) -> None:
    """List the contracts in the ledger, and what is bound to what."""
    ledger = administration(store, workspace=workspace)
    if as_json:
        click.echo(json.dumps(_listed(ledger), indent=2))
        return
    for stated in ledger.contracts():
        click.echo(
            f"contract {_label(stated.contract)}  {stated.digest[:12]}  added "
            f"{moment(stated.added_ms)} by {stated.actor}: {stated.reason}"
        )
    for bound in ledger.bindings():
        click.echo(
            f"{bound.pattern}: bound to {bound.contract_name} version "
            f"{bound.contract_version} {moment(bound.bound_ms)} by {bound.actor}: "
            f"{bound.reason}"
        )


def _listed(ledger: Administration) -> dict[str, list[dict[str, object]]]:
    contracts = [
        {
            "name": stated.contract.name,
            "version": stated.contract.version,
            "digest": stated.digest,
            "reason": stated.reason,
            "actor": stated.actor,
            "added_ms": stated.added_ms,
        }
        for stated in ledger.contracts()
    ]
    return {"contracts": contracts, "bindings": [asdict(b) for b in ledger.bindings()]}


def _label(document: Contract) -> str:
    return f"{document.name} version {document.version}"


def _is_asked_for(store: str | None, workspace: str | None, model: str) -> bool:
    """Whether the tracking server can be asked, for it takes exact names only."""
    return store is None and workspace is None and not set(model) & set("*?")


def _is_file(which: str) -> bool:
    """Whether a contract is named by its file; a contract's name has no slash."""
    return which.endswith(".json") or "/" in which or Path(which).is_file()


def _read(which: str, store: str | None, workspace: str | None) -> Contract:
    """The contract in a file, or the one in the ledger that has this name."""
    if _is_file(which):
        return read_contract(Path(which))
    name, _, version = which.partition("@")
    ledger = administration(store, workspace=workspace)
    known = [one.contract for one in ledger.contracts()]
    found = [one for one in known if one.name == name]
    if version:
        found = [one for one in found if str(one.version) == version]
    if not found:
        stated = ", ".join(f"{one.name}@{one.version}" for one in known) or "none"
        raise ContractError(
            f"{which} is no file, and the ledger has no such contract; it has {stated}"
        )
    return max(found, key=lambda one: one.version)


def _floor(text: str) -> Floor:
    metric, _, minimum = text.partition("=")
    try:
        return Floor(metric=metric, minimum=Decimal(minimum))
    except (ArithmeticError, ValueError) as error:
        raise SettingsError(f"--floor {text}: expected METRIC=NUMBER") from error
