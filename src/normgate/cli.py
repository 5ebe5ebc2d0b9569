"""The `normgate` command: specs, what they compute, and how two of them differ.

It needs no torch, so it runs on a laptop without a training environment and on a
tracking server. Work on data and models has its own entries in MLproject.
"""

from __future__ import annotations

import sys
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

import click

from normgate.contract import (
    Channel,
    Floor,
    InputType,
    Spec,
    channel_digest,
    contract_for,
    describe_channel,
    describe_step,
    read_contract,
    read_spec,
    spec_digest,
    write,
    write_atomic,
)
from normgate.contract.recipes import percentile_spec, read_percentiles
from normgate.errors import NormgateError, SettingsError
from normgate.transform.compare import compare, explain, plot
from normgate.transform.table import first_value, table

FILE = click.Path(path_type=Path, dir_okay=False)


class _Commands(click.Group):
    """A group that tells a user's error in one sentence and exits with 2."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except NormgateError as error:
            click.echo(f"normgate: {error}", err=True)
            sys.exit(2)


@click.group(cls=_Commands)
@click.version_option(package_name="normgate")
def main() -> None:
    """Image normalization as a contract."""


@main.group()
def spec() -> None:
    """Read, import and tabulate specs."""


@spec.command("show")
@click.argument("path", type=FILE)
def spec_show(path: Path) -> None:
    """Say what a spec does, channel by channel, with digests."""
    document = read_spec(path)
    click.echo(f"spec {spec_digest(document)} -> {document.output}")
    for channel in document.channels:
        click.echo(f"\n{channel.name}  {channel_digest(channel)}")
        click.echo(f"  input {channel.input}")
        for step in channel.steps:
            click.echo(f"  {describe_step(step)}")


@spec.command("digest")
@click.argument("path", type=FILE)
def spec_digest_of(path: Path) -> None:
    """Print a spec's digest alone."""
    click.echo(spec_digest(read_spec(path)))


@spec.command("table")
@click.argument("path", type=FILE)
@click.option("--channel", help="Only this channel.")
@click.option("--at", "values", help="Only these intensities, e.g. 0,963,9016.")
@click.option("--out", type=FILE, help="Write CSV to a file instead.")
def spec_table(
    path: Path, channel: str | None, values: str | None, out: Path | None
) -> None:
    """Print what every intensity becomes, as CSV: channel, intensity, output."""
    lines = ["channel,intensity,output"]
    for item in _chosen(read_spec(path), channel):
        outputs, first = table(item), first_value(item.input)
        lines += [
            f"{item.name},{value},{outputs[value - first]!s}"
            for value in _intensities(values, item)
        ]
    text = "\n".join(lines) + "\n"
    if out is None:
        click.echo(text, nl=False)
    else:
        write_atomic(out, text.encode())


@spec.command("import-percentiles")
@click.argument("path", type=FILE)
@click.option(
    "--input",
    "input_type",
    type=click.Choice(get_args(InputType)),
    default="uint16",
    show_default=True,
    help="The dtype of every channel's images.",
)
@click.option("--imagenet", help="Markers that take ImageNet's constants, in order.")
@click.option("--timepoints", help="Repeat the markers at these ms, e.g. 0,10000.")
@click.option("--out", type=FILE, required=True, help="The spec file to write.")
def spec_import(
    path: Path,
    input_type: InputType,
    imagenet: str | None,
    timepoints: str | None,
    out: Path,
) -> None:
    """Make a spec of an intensity_percentiles.json: clip, rescale, then ImageNet.

    Provenance is written beside the spec, as <name>.provenance.json.
    """
    ranges, provenance = read_percentiles(_bytes(path), str(path))
    document = percentile_spec(
        ranges,
        input_type=input_type,
        imagenet=tuple(_words(imagenet)),
        timepoints_ms=tuple(_integers(timepoints, "--timepoints")),
    )
    write(out, document)
    write(out.with_suffix(".provenance.json"), provenance)
    click.echo(f"{out}: spec {spec_digest(document)}")


@main.command()
@click.argument("a", type=FILE)
@click.argument("b", type=FILE)
@click.option("--png", type=FILE, help="Write a picture of the difference.")
def diff(a: Path, b: Path, png: Path | None) -> None:
    """Say whether two specs are the same, and if not, where and by how much.

    Exit code 0 for the same, 1 for different.
    """
    comparison = compare(read_spec(a), read_spec(b))
    click.echo(explain(comparison))
    if png is not None:
        plot(comparison, png, labels=(a.stem, b.stem))
        click.echo(f"picture: {png}")
    if not comparison.same:
        sys.exit(1)


@main.group()
def contract() -> None:
    """Make contracts and read them."""


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
    click.echo(f"{out}: contract {document.name} version {document.version}")


@contract.command("show")
@click.argument("path", type=FILE)
def contract_show(path: Path) -> None:
    """Say what a contract demands."""
    document = read_contract(path)
    click.echo(f"contract {document.name} version {document.version}")
    for channel in document.channels:
        click.echo(f"{channel.name}  {channel.digest}\n  {describe_channel(channel)}")
    for floor in document.floors:
        click.echo(f"{floor.metric} at least {floor.minimum}")


@contract.command("bind")
@click.argument("model")
@click.argument("path", type=FILE)
@click.option("--reason", required=True, help="Why, for the record.")
def contract_bind(model: str, path: Path, reason: str) -> None:
    """Bind a contract to a registered model of the tracking server."""
    # MLflow takes seconds to import, and only this needs it.
    from mlflow_normgate.registry import bind_contract

    bind_contract(model, read_contract(path), reason=reason)
    click.echo(f"{model}: bound to {path}")


@main.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
def sync(folder: Path) -> None:
    """Send what runs could not send while the tracking server was away."""
    from mlflow_normgate.sync import sync_folder

    waiting = 0
    for result in sync_folder(folder):
        waiting += result.waiting
        problem = f" ({result.problem})" if result.problem else ""
        click.echo(
            f"{result.folder}: {result.sent} sent, {result.waiting} waiting, "
            f"{result.refused} refused{problem}"
        )
    sys.exit(1 if waiting else 0)


def _chosen(document: Spec, name: str | None) -> list[Channel]:
    if name is None:
        return list(document.channels)
    if name not in document.names:
        raise SettingsError(
            f"--channel {name}: the spec has {', '.join(document.names)}"
        )
    return [channel for channel in document.channels if channel.name == name]


def _words(text: str | None) -> list[str]:
    return [word.strip() for word in text.split(",")] if text else []


def _integers(text: str | None, option: str) -> list[int]:
    try:
        return [int(word) for word in _words(text)]
    except ValueError as error:
        raise SettingsError(
            f"{option} {text}: expected whole numbers with commas"
        ) from error


def _intensities(text: str | None, item: Channel) -> list[int]:
    first = first_value(item.input)
    last = first + len(table(item)) - 1
    if text is None:
        return list(range(first, last + 1))
    values = _integers(text, "--at")
    outside = [value for value in values if not first <= value <= last]
    if outside:
        raise SettingsError(f"--at {outside[0]}: {item.input} holds {first} to {last}")
    return values


def _floor(text: str) -> Floor:
    metric, _, minimum = text.partition("=")
    try:
        return Floor(metric=metric, minimum=Decimal(minimum))
    except (ArithmeticError, ValueError) as error:
        raise SettingsError(f"--floor {text}: expected METRIC=NUMBER") from error


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingsError(f"{path}: can't be read ({error.strerror})") from error
