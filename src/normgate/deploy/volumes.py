"""A deployment over cases: fused volumes and lesion masks, resumable, all stamped.

    deploy.json  quarantine.csv     what the job is of, and what could not be used
    <model>/<case>/fused.nii.gz     normalized units, on the grid of the MRI
    <model>/<case>/lesion.nii.gz    1 where the probability is 0.5 or more
    <model>/<case>/case.json        written last: stamps and digests of the files

A case is done when its `case.json` stands there and its input files are those of then;
so a rerun after a kill does what is left, and a mended file is fused again. The same
input gives the same bytes.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from normgate.deploy.agreement import check_names
from normgate.deploy.case_report import CaseReport
from normgate.deploy.folders import Kind, Ready, see_to_all, write_files
from normgate.deploy.job import locked
from normgate.deploy.prepare import applied_by, check_applied, opened
from normgate.engine.device import resolve_device
from normgate.families.fusion.assemble import FAMILY
from normgate.families.fusion.bundled import FusionBundles
from normgate.families.fusion.metrics import LESION_FROM
from normgate.volumes.applied import readable_like, verify
from normgate.volumes.cases import Case, cases, read_case_csv
from normgate.volumes.geometry import VolumeGeometry
from normgate.volumes.load import Loader
from normgate.volumes.pairing import check_pair
from normgate.volumes.write import nifti_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from normgate.deploy.models import Promoted
    from normgate.deploy.settings import DeploySettings
    from normgate.volumes.pairing import Pair

FORMAT = "normgate.fused/1"
FUSED, LESION = "fused.nii.gz", "lesion.nii.gz"
KIND = Kind(done="fused", row="case", stamp="case.json")


def prepare_cases(
    promoted: Sequence[Promoted], data: Path, device: str
) -> tuple[list[Ready[Loader]], tuple[Case, ...]]:
    """Read the case CSV, verify every model for its files; see `prepare.prepare`.

    Raises:
        BundleError: A bundle was altered or computes otherwise here.
        FingerprintMismatch: A model's volumes would be normalized otherwise than its
            training's were.
        DataError: The CSV is not valid, or no case can be read.
        SettingsError: A name can't be a folder's, or there is no such device.
    """
    check_names([one.name for one in promoted])
    path = data.resolve()
    rows = cases(read_case_csv(path), path)
    check_names([case.case for case in rows], "case")
    like, where = readable_like(rows), resolve_device(device)
    models = []
    for one in promoted:
        bundle = opened(one, FAMILY, FusionBundles(), where)
        geometry = VolumeGeometry.from_json(bundle.card.geometry)
        loader = Loader(bundle.spec, geometry)
        applied = applied_by(one.name, partial(verify, loader, like))
        check_applied(one, bundle, applied)
        models.append(Ready(promoted=one, bundle=bundle, loader=loader))
    return models, rows


def deploy_cases(
    models: Sequence[Ready[Loader]], rows: Sequence[Case], settings: DeploySettings
) -> CaseReport:
    """Fuse every case with every model, resuming what an earlier run left.

    Raises:
        DataError: Too many cases can't be used.
        DigestMismatch: The folder holds another deployment.
        SettingsError: Another process deploys into the folder.
    """
    began = time.monotonic()
    named = {case.case: case for case in rows}
    with locked(settings.out):
        fuse = partial(_fuse, settings.out)
        tally = see_to_all(models, named, settings, KIND, fuse)
    return CaseReport(
        cases=len(rows),
        resumed=tally.resumed,
        fused=tally.made,
        quarantined=len(tally.bad),
        seconds=time.monotonic() - began,
    )


def _fuse(
    out: Path, models: Sequence[Ready[Loader]], case: Case, input_digest: str
) -> None:
    """Fuse a case with every model.

    Raises:
        DataError: A file can't be read or used.
    """
    pair = check_pair(models[0].loader.read(case))
    for model in models:
        raw = np.stack([x.astype(np.float32) for x in model.loader.planes(pair)])
        found = model.bundle.ensemble.predict(raw[None])
        stamps = {**model.stamps, "case": case.case, "input_digest": input_digest}
        _write_case(out / model.promoted.name / case.case, pair, found, stamps)


def _write_case(
    folder: Path,
    pair: Pair,
    found: dict[str, NDArray[Any]],
    stamps: dict[str, str],
) -> None:
    lesion = found["lesion_probability"][0] >= LESION_FROM
    files = {
        FUSED: nifti_bytes(found["fused"][0].astype(np.float32), pair.mri, stamps),
        LESION: nifti_bytes(lesion.astype(np.uint8), pair.mri, stamps),
    }
    record = {
        "format": FORMAT,
        **stamps,
        "patient": pair.case.patient,
        "notes": list(pair.notes),
        "lesion_voxels": int(lesion.sum()),
    }
    write_files(folder, files, KIND.stamp, record)
