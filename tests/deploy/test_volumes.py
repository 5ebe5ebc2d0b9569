"""Deployment over cases: fused on the source's grid, stamped, resumed, quarantined."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
from typing import TYPE_CHECKING

import nibabel
import numpy as np
import pytest
from tests.families.fusion import bundles
from tests.families.fusion.simulated import HEADS, rows

from normgate.deploy import DeploySettings
from normgate.deploy import volumes as deployed
from normgate.deploy.prepare import family_of
from normgate.deploy.volumes import deploy_cases, prepare_cases
from normgate.errors import BundleError, DigestMismatch, SettingsError
from normgate.volumes.demo import write_demo

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from normgate.deploy.case_report import CaseReport

MODEL = "fusion-stroke"


@pytest.fixture(scope="module")
def promoted(tmp_path_factory: pytest.TempPathFactory) -> bundles.Promoted:
    return bundles.write(tmp_path_factory.mktemp("bundle") / "bundle", members=1)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Four small heads; the first MRI lies with other axes than the others."""
    from dataclasses import replace

    csv = write_demo(tmp_path / "heads", replace(HEADS, cases=4))
    first = rows(csv)[0]
    for path in first.files.values():
        image = nibabel.load(path)
        turned = image.as_reoriented([[1, 1], [0, -1], [2, 1]])
        nibabel.save(turned, path)
    return csv


def run(table: Path, promoted: bundles.Promoted, out: Path) -> CaseReport:
    models, cases = prepare_cases([promoted], table, "cpu")
    return deploy_cases(models, cases, DeploySettings(data=table, out=out))


def files(out: Path) -> dict[str, bytes]:
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name != ".deploy.lock"
    }


def test_volumes_lie_on_their_source_and_say_what_made_them(
    table: Path, promoted: bundles.Promoted, tmp_path: Path
) -> None:
    report = run(table, promoted, tmp_path / "out")
    assert (report.cases, report.fused, report.resumed) == (4, 4, 0)
    for case in rows(table):
        folder = tmp_path / "out" / MODEL / case.case
        source, fused = nibabel.load(case.mri), nibabel.load(folder / "fused.nii.gz")
        lesion = nibabel.load(folder / "lesion.nii.gz")
        assert np.array_equal(fused.affine, source.affine)
        assert fused.shape == lesion.shape == source.shape
        assert fused.get_data_dtype() == np.float32
        assert set(np.unique(lesion.dataobj)) <= {0, 1}
        stamp = json.loads((folder / "case.json").read_bytes())
        assert stamp["input_digest"] == case.input_digest()
        assert stamp["manifest_digest"] == promoted.manifest_digest
        (comment,) = fused.header.extensions
        assert json.loads(comment.get_content())["spec_digest"] == stamp["spec_digest"]
        for name, digest in stamp["sha256"].items():
            found = hashlib.sha256((folder / name).read_bytes()).hexdigest()
            assert found == digest


def test_a_stopped_deployment_goes_on_to_the_same_bytes(
    table: Path,
    promoted: bundles.Promoted,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run(table, promoted, tmp_path / "whole")
    calls = count_writes(monkeypatch, stop_at=3)
    with pytest.raises(KeyboardInterrupt):
        run(table, promoted, tmp_path / "cut")
    next(calls, None)
    monkeypatch.undo()
    leftover = tmp_path / "cut" / MODEL / "case-0003" / ".fused.nii.gz.x.tmp"
    leftover.parent.mkdir(parents=True, exist_ok=True)
    leftover.write_bytes(b"half")
    report = run(table, promoted, tmp_path / "cut")
    assert (report.resumed, report.fused) == (2, 2)
    assert files(tmp_path / "cut") == files(tmp_path / "whole")
    assert run(table, promoted, tmp_path / "cut").fused == 0


def count_writes(monkeypatch: pytest.MonkeyPatch, stop_at: int) -> Iterator[int]:
    """Stop as a signal would before a case is written."""
    write, seen = deployed._write_case, []

    def stopping(*arguments: object) -> None:
        seen.append(1)
        if len(seen) == stop_at:
            raise KeyboardInterrupt
        write(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(deployed, "_write_case", stopping)
    return iter(seen)


def test_a_mended_file_is_fused_again_and_a_broken_one_is_told(
    table: Path, promoted: bundles.Promoted, tmp_path: Path
) -> None:
    one, two = rows(table)[1:3]
    kept = one.ct.read_bytes()
    one.ct.write_bytes(b"no volume")
    values = nibabel.load(two.ct)
    normalized = (values.get_fdata() / 3000).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(normalized, values.affine), two.ct)
    report = run(table, promoted, tmp_path / "out")
    assert (report.fused, report.quarantined) == (2, 2)
    told = (tmp_path / "out" / "quarantine.csv").read_text()
    assert str(one.ct) in told
    assert "is not in HU" in told
    one.ct.write_bytes(kept)
    again = run(table, promoted, tmp_path / "out")
    assert (again.fused, again.resumed, again.quarantined) == (1, 2, 1)
    assert "1 quarantined" in again.sentence()


def test_another_table_is_another_deployment(
    table: Path, promoted: bundles.Promoted, tmp_path: Path
) -> None:
    run(table, promoted, tmp_path / "out")
    table.write_text(table.read_text().replace("patient-0002", "someone"))
    with pytest.raises(DigestMismatch, match=r"data\.sha256 was"):
        run(table, promoted, tmp_path / "out")


def test_a_case_that_can_not_be_a_folder_is_named(
    table: Path, promoted: bundles.Promoted
) -> None:
    table.write_text(table.read_text().replace("case-0002,", "../case,", 1))
    with pytest.raises(SettingsError, match=r"case '\.\./case' can't name a folder"):
        prepare_cases([promoted], table, "cpu")


def test_families_are_not_mixed_in_one_deployment(
    promoted: bundles.Promoted, tmp_path: Path
) -> None:
    assert family_of([promoted], ("plate", "fusion")) == "fusion"
    other = tmp_path / "other"
    shutil.copytree(promoted.bundle, other)
    card = json.loads((other / "card.json").read_bytes()) | {"family": "plate"}
    (other / "card.json").write_text(json.dumps(card))
    mixed = bundles.Promoted(
        name="x", version="1", bundle=other, manifest_digest=promoted.manifest_digest
    )
    with pytest.raises(BundleError, match="of family fusion and plate"):
        family_of([promoted, mixed], ("plate", "fusion"))
    with pytest.raises(BundleError, match="of family fusion"):
        family_of([promoted], ("plate",))


def test_a_volume_is_written_to_the_same_bytes_each_time(
    table: Path, promoted: bundles.Promoted, tmp_path: Path
) -> None:
    run(table, promoted, tmp_path / "a")
    run(table, promoted, tmp_path / "b")
    assert files(tmp_path / "a") == files(tmp_path / "b")
    packed = (tmp_path / "a" / MODEL / "case-0001" / "fused.nii.gz").read_bytes()
    assert gzip.decompress(packed)[:4] == (348).to_bytes(4, "little")
