"""`normgate spec` and `normgate diff`: what specs compute, and how two differ."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import get_args

import click

from normgate.cli.cost import Asked, cost
from normgate.contract import (
    Channel,
    InputType,
    Spec,
    channel_digest,
    describe_step,
    read_spec,
    spec_digest,
    write,
    write_atomic,
)
from normgate.contract.recipes import percentile_spec, read_percentiles
from normgate.errors import SettingsError
from normgate.transform.compare import compare, explain, plot
from normgate.transform.table import first_value, table

FILE = click.Path(path_type=Path, dir_okay=False)


@click.group()
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


@click.command()
@click.argument("a", type=FILE)
@click.argument("b", type=FILE)
@click.option("--png", type=FILE, help="Write a picture of the difference.")
@click.option("--data", type=FILE, help="A plate CSV: what each makes of its images.")
@click.option("--model", default="", help="models:/NAME@ALIAS: how it would answer.")
@click.option("--sample", default="200", show_default=True, help="Rows, or all.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="A folder of figure, JSON."
)
def diff(
    a: Path,
    b: Path,
    png: Path | None,
    data: Path | None,
    model: str,
    sample: str,
    out: Path | None,
) -> None:
    """Say whether two specs are the same, and if not, where and by how much.

    With --data also what each makes of real images, and with --model how a promoted
    model's predictions would change: what a mismatch costs before it costs.

    Exit code 0 for the same, 1 for different.
    """
    first, second = read_spec(a), read_spec(b)
    labels = (a.stem, b.stem)
    comparison = compare(first, second)
    click.echo(explain(comparison))
    if png is not None:
        plot(comparison, png, labels=labels)
        click.echo(f"picture: {png}")
    if data is not None:
        asked = Asked(
            first=first,
            second=second,
            labels=labels,
            data=data,
            model=model,
            sample=sample,
            out=out,
        )
        click.echo("\n".join(cost(asked)))
    elif model or out is not None:
        raise SettingsError("--model and --out need --data, a plate CSV of real images")
    if not comparison.same:
        sys.exit(1)


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


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingsError(f"{path}: can't be read ({error.strerror})") from error
