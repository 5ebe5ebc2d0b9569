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

import hashlib
import json
import logging
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from normgate.contract.files import write_atomic
from normgate.deploy.agreement import check_names
from normgate.deploy.case_report import CaseReport, refuse_ruin, write_case_quarantine
from normgate.deploy.job import file_sha256, locked, open_job
from normgate.deploy.prepare import applied_by, check_applied, opened
from normgate.engine.device import resolve_device
from normgate.errors import DataError
from normgate.families.fusion.assemble import FAMILY
from normgate.families.fusion.bundled import FusionBundles
from normgate.families.fusion.metrics import LESION_FROM
from normgate.plates.progress import LoggedProgress
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
    from normgate.engine.bundle import Bundle
    from normgate.volumes.pairing import Pair

logger = logging.getLogger(__name__)
FORMAT = "normgate.fused/1"
STAMP, FUSED, LESION = "case.json", "fused.nii.gz", "lesion.nii.gz"


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseModel:
    """One verified model, ready to fuse."""

    promoted: Promoted
    bundle: Bundle
    loader: Loader

    @property
    def stamps(self) -> dict[str, str]:
        """What made a volume."""
        return {
            "model": self.promoted.name,
            "version": self.promoted.version,
            "spec_digest": self.bundle.card.spec_digest,
            "manifest_digest": self.bundle.manifest_digest,
        }


def prepare_cases(
    promoted: Sequence[Promoted], data: Path, device: str
) -> tuple[list[CaseModel], tuple[Case, ...]]:
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
        models.append(CaseModel(promoted=one, bundle=bundle, loader=loader))
    return models, rows


def deploy_cases(
    models: Sequence[CaseModel], rows: Sequence[Case], settings: DeploySettings
) -> CaseReport:
    """Fuse every case with every model, resuming what an earlier run left.

    Raises:
        DataError: Too many cases can't be used.
        DigestMismatch: The folder holds another deployment.
        SettingsError: Another process deploys into the folder.
    """
    began, progress = time.monotonic(), LoggedProgress("fused", "cases")
    resumed = made = 0
    bad: dict[str, str] = {}
    with locked(settings.out):
        if open_job(settings.out, _pins(models, rows, settings)):
            logger.info("resuming the deployment in %s", settings.out)
        for done, case in enumerate(rows, start=1):
            try:
                before, now = _one_case(models, case, settings.out)
            except DataError as error:
                logger.warning("quarantined: %s", error)
                bad[case.case] = str(error)
                write_case_quarantine(settings.out, bad)
                refuse_ruin(bad, len(rows), settings)
            else:
                resumed, made = resumed + before, made + now
            progress(done, len(rows))
        write_case_quarantine(settings.out, bad)
    return CaseReport(
        cases=len(rows),
        resumed=resumed,
        fused=made,
        quarantined=len(bad),
        seconds=time.monotonic() - began,
    )


def _pins(
    models: Sequence[CaseModel], rows: Sequence[Case], settings: DeploySettings
) -> dict[str, Any]:
    return {
        "data": {"sha256": file_sha256(settings.data), "cases": len(rows)},
        "models": {model.promoted.name: model.stamps for model in models},
        "settings": {"device": resolve_device(settings.device).type},
    }


def _one_case(models: Sequence[CaseModel], case: Case, out: Path) -> tuple[int, int]:
    """Fuse a case with every model; how many were there before, and how many made.

    Raises:
        DataError: A file can't be read or used.
    """
    digest = case.input_digest()
    todo = [model for model in models if not _finished(model, case, out, digest)]
    if not todo:
        return len(models), 0
    pair = check_pair(todo[0].loader.read(case))
    for model in todo:
        raw = np.stack([x.astype(np.float32) for x in model.loader.planes(pair)])
        found = model.bundle.ensemble.predict(raw[None])
        stamps = {**model.stamps, "case": case.case, "input_digest": digest}
        _write_case(out / model.promoted.name / case.case, pair, found, stamps)
    return len(models) - len(todo), len(todo)


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
    for name, data in files.items():
        write_atomic(folder / name, data)
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    record = {
        "format": FORMAT,
        **stamps,
        "patient": pair.case.patient,
        "notes": list(pair.notes),
        "lesion_voxels": int(lesion.sum()),
        "sha256": digests,
    }
    text = json.dumps(record, indent=2, sort_keys=True) + "\n"
    write_atomic(folder / STAMP, text.encode())


def _finished(model: CaseModel, case: Case, out: Path, digest: str) -> bool:
    path = out / model.promoted.name / case.case / STAMP
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return False
    expected = {**model.stamps, "input_digest": digest}
    return all(found.get(key) == value for key, value in expected.items())
