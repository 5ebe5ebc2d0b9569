"""`normgate check`: data against a spec, before any GPU time.

It reads images, so it needs what the base install has not; without it the command says
so in a sentence.
"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

import click

from normgate.cli.place import json_option
from normgate.contract import provenance_beside, read_spec
from normgate.errors import SettingsError

FILE = click.Path(path_type=Path, dir_okay=False)
NEEDS = (
    "this reads images, and {name} is not installed here; install what it needs with "
    "pip install 'normgate[train]'"
)


@click.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--spec", "spec_path", type=FILE, help="What is to normalize the data.")
@click.option("--out", type=click.Path(path_type=Path), help="Write reports here.")
@click.option("--sample", default="200", show_default=True, help="Rows, or all.")
@click.option("--groups", type=FILE, help="The training groups or cases, a line each.")
@click.option("--workers", default=2, show_default=True, help="Threads that read.")
@json_option
def check(
    data: Path,
    spec_path: Path | None,
    out: Path | None,
    sample: str,
    groups: Path | None,
    workers: int,
    as_json: bool,
) -> None:
    """Say what a table's data give away, and what a spec makes of them.

    DATA is a plate, case or acquisition CSV; or a configuration of MONAI, bioimage.io,
    nnU-Net, timm or StarDist, or a folder of such.

    Exit code 0 if nothing is red, 3 if something is, 2 if the input is refused.
    """
    # Readers take a second to import, and the base install has none.
    try:
        from normgate.check import CheckSettings, write_report
        from normgate.check import check as check_table
        from normgate.check.report import text_table
        from normgate.check.settings import sample_size
        from normgate.plates.parameters import names_in_file
        from normgate.plates.progress import LoggedProgress
    except ModuleNotFoundError as error:
        raise SettingsError(NEEDS.format(name=error.name)) from error

    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
    found = check_table(
        data,
        None if spec_path is None else read_spec(spec_path),
        CheckSettings(
            sample=sample_size(sample),
            workers=workers,
            training=names_in_file("groups", groups),
        ),
        provenance=None if spec_path is None else provenance_beside(spec_path),
        progress=LoggedProgress("checked", "rows"),
    )
    if as_json:
        click.echo(json.dumps(found.record(), indent=2, allow_nan=False))
    else:
        click.echo(text_table(found))
    if out is not None:
        click.echo(f"report: {write_report(found, out).page}", err=as_json)
    sys.exit(found.exit_code)
