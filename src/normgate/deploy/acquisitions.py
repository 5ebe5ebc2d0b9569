"""A deployment over acquisitions: latents and reconstructions, resumable, stamped.

    deploy.json  quarantine.csv              what the job is of, what can't be used
    <model>/latents.csv                      all acquisitions, a row for each unit
    <model>/<acquisition>/latents.csv        its rows, stamped
    <model>/<acquisition>/reconstruction.h5  normalized units, stamped
    <model>/<acquisition>/acquisition.json   written last: stamps and digests

An acquisition is done when its `acquisition.json` stands there and its input files are
those of then; so a rerun after a kill does what is left, and a mended file is seen to
again. Channels are bound by marker, so a panel in another order gives the same rows.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from normgate.acquisitions.applied import like_of, verify
from normgate.acquisitions.load import Loader
from normgate.acquisitions.table import Acquisition, acquisitions, read_acquisition_csv
from normgate.contract.files import write_atomic
from normgate.deploy.agreement import check_names
from normgate.deploy.folders import Kind, Ready, see_to_all, write_files
from normgate.deploy.job import locked
from normgate.deploy.latents import images, table, units_of
from normgate.deploy.prepare import applied_by, check_applied, opened
from normgate.engine.device import resolve_device
from normgate.families.imc.assemble import FAMILY
from normgate.families.imc.bundled import ImcBundles, geometry_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from normgate.deploy.latents import Units
    from normgate.deploy.models import Promoted
    from normgate.deploy.settings import DeploySettings

FORMAT = "normgate.latents/1"
LATENTS, IMAGES = "latents.csv", "reconstruction.h5"
KIND = Kind(done="encoded", row="acquisition", stamp="acquisition.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class AcquisitionReport:
    """The end of a deployment, in which every acquisition was seen to."""

    acquisitions: int
    """Rows of the CSV."""
    resumed: int
    """What an earlier run had finished, of all models."""
    encoded: int
    """What this run encoded."""
    quarantined: int
    seconds: float

    def metrics(self) -> dict[str, float]:
        """The numbers as a tracker takes them."""
        return {
            "acquisitions": self.acquisitions,
            "resumed_acquisitions": self.resumed,
            "encoded_acquisitions": self.encoded,
            "quarantined": self.quarantined,
            "seconds": self.seconds,
        }

    def sentence(self) -> str:
        """The whole in words."""
        before = f" ({self.resumed} were finished before)" if self.resumed else ""
        bad = f"; {self.quarantined} quarantined, see quarantine.csv"
        return (
            f"{self.acquisitions} acquisitions{before}, {self.encoded} encoded in "
            f"{self.seconds:.1f} s{bad if self.quarantined else ''}"
        )


def prepare_acquisitions(
    promoted: Sequence[Promoted], data: Path, device: str
) -> tuple[list[Ready[Loader]], tuple[Acquisition, ...]]:
    """Read the acquisition CSV, verify every model; see `prepare.prepare`.

    Raises:
        BundleError: A bundle was altered or computes otherwise here.
        FingerprintMismatch: A model's acquisitions would be normalized otherwise than
            its training's were.
        DataError: The CSV is not valid.
        SettingsError: A name can't be a folder's, or there is no such device.
    """
    check_names([one.name for one in promoted])
    path = data.resolve()
    rows = acquisitions(read_acquisition_csv(path), path)
    check_names([one.acquisition for one in rows], "acquisition")
    where, like = resolve_device(device), like_of(rows[0])
    models = []
    for one in promoted:
        bundle = opened(one, FAMILY, ImcBundles(), where)
        loader = Loader(bundle.spec, geometry_of(bundle.card))
        check_applied(one, bundle, applied_by(one.name, partial(verify, loader, like)))
        models.append(Ready(promoted=one, bundle=bundle, loader=loader))
    return models, rows


def deploy_acquisitions(
    models: Sequence[Ready[Loader]],
    rows: Sequence[Acquisition],
    settings: DeploySettings,
) -> AcquisitionReport:
    """Encode every acquisition with every model, resuming what an earlier run left.

    Raises:
        DataError: Too many acquisitions can't be used.
        DigestMismatch: The folder holds another deployment.
        SettingsError: Another process deploys into the folder.
    """
    began = time.monotonic()
    named = {row.acquisition: row for row in rows}
    with locked(settings.out):
        encode = partial(_encode, settings.out)
        tally = see_to_all(models, named, settings, KIND, encode)
        for model in models:
            _join(settings.out / model.promoted.name, rows, tally.bad)
    return AcquisitionReport(
        acquisitions=len(rows),
        resumed=tally.resumed,
        encoded=tally.made,
        quarantined=len(tally.bad),
        seconds=time.monotonic() - began,
    )


def _encode(
    out: Path, models: Sequence[Ready[Loader]], row: Acquisition, input_digest: str
) -> None:
    """Encode an acquisition with every model.

    Raises:
        DataError: A file can't be read or used.
    """
    for model in models:
        units = units_of(model.loader, model.loader.load(row))
        found = model.bundle.ensemble.predict(units.raw_cyx[None])
        stamps = {**model.stamps, "input_digest": input_digest}
        folder = out / model.promoted.name / row.acquisition
        _write(folder, row, units, found, model.bundle.spec.names, stamps)


def _write(
    folder: Path,
    row: Acquisition,
    units: Units,
    found: dict[str, NDArray[Any]],
    channels: Sequence[str],
    stamps: dict[str, str],
) -> None:
    files = {
        LATENTS: table(row, units, found["latent"], stamps),
        IMAGES: images(units, found["reconstruction"], channels, stamps),
    }
    record = {
        "format": FORMAT,
        **stamps,
        "acquisition": row.acquisition,
        "slide": row.slide,
        "patient": row.patient,
        "units": len(found["latent"]),
    }
    write_files(folder, files, KIND.stamp, record)


def _join(folder: Path, rows: Sequence[Acquisition], bad: Mapping[str, str]) -> None:
    """All latents of a model in one file, in the table's order."""
    text = bytearray()
    for row in rows:
        if row.acquisition in bad:
            continue
        lines = (folder / row.acquisition / LATENTS).read_bytes().splitlines(True)
        text += b"".join(lines if not text else lines[1:])
    write_atomic(folder / LATENTS, bytes(text))
