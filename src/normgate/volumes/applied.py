"""What a loader really applies, measured on the probe and held against its spec.

The probe's volumes are written as the data's own NIfTI files are (byte order, packing,
version, order of axes) and go through the loader's reading, normalizing and cutting.
Its second part is stored with a slope and an intercept, and its CT with a declared
rescale besides, so that a reader that forgets one of them is found whatever the data
are like. NRRD and DICOM have tests of their own; data in them are probed as NIfTI. What
a difference means is said by `mismatch`.
"""

from __future__ import annotations

import gzip
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel
import numpy as np
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

from normgate.contract.ct import CT, MRI
from normgate.errors import DataError, FingerprintMismatch
from normgate.volumes.cases import Case
from normgate.volumes.geometry import boxes
from normgate.volumes.mismatch import explain
from normgate.volumes.nifti import SUFFIXES, NiftiFormat, read_format
from normgate.volumes.probe import (
    FULL_SHAPE,
    Output,
    expected_output,
    probe_shape,
    probe_volumes,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from normgate.volumes.load import Loader

PLAIN = NiftiFormat(
    suffix=".nii.gz", endianness="<", version=1, axes=("L", "P", "S"), sform=True
)
STORED_SLOPE, STORED_INTERCEPT = 0.25, 3.0
"""In the header of the second part; powers of two and whole, so nothing is rounded."""
CT_RESCALE = (2.0, -1024.0)
"""Declared in the row of the second part."""
_SPACING_MM = (1.5, 2.0, 2.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Like:
    """How the data's own files are laid out."""

    mri: NiftiFormat = PLAIN
    ct: NiftiFormat = PLAIN


def like_of(case: Case) -> Like:
    """How a case's files are laid out; plain NIfTI for what is none."""
    return Like(mri=_format(case.mri), ct=_format(case.ct))


def measure(loader: Loader, like: Like | None = None) -> Output:
    """Send the probe through a loader.

    Args:
        loader: The loader in use.
        like: How the data's files are laid out; plain NIfTI without it.

    Returns:
        What came out.
    """
    like = like or Like()
    shape = probe_shape(loader.geometry)
    full = _through(loader, FULL_SHAPE, like, scaled=False)
    cut = _through(loader, shape, like, scaled=True)
    return Output(
        full_czyx=full,
        patches=loader.cut(cut),
        boxes=boxes(loader.geometry, (cut.shape[1], cut.shape[2], cut.shape[3])),
    )


def applied_fingerprint(loader: Loader, like: Like | None = None) -> str:
    """The fingerprint of what a loader really applies; see `measure`."""
    return measure(loader, like).fingerprint


def verify(loader: Loader, like: Like | None = None) -> str:
    """Stop unless a loader applies what its spec and geometry declare.

    Args:
        loader: The loader in use.
        like: As in `measure`.

    Returns:
        The fingerprint, 64 hex digits.

    Raises:
        FingerprintMismatch: With the channel, an intensity, found and expected.
    """
    expected = expected_output(loader.spec, loader.geometry)
    try:
        found = measure(loader, like)
    except DataError as error:
        raise FingerprintMismatch(
            "the loader can't take volumes of every intensity, as where a slope and "
            f"intercept in the file or a declared rescale is not followed: {error}"
        ) from error
    if found.fingerprint != expected.fingerprint:
        raise FingerprintMismatch(explain(loader.spec, found, expected))
    return found.fingerprint


def _through(
    loader: Loader, shape_zyx: tuple[int, int, int], like: Like, *, scaled: bool
) -> NDArray[np.float32]:
    """Write the probe as one case of files, and load it."""
    volumes = probe_volumes(loader.spec, shape_zyx)
    with tempfile.TemporaryDirectory(prefix="normgate-probe-") as name:
        folder = Path(name)
        case = Case(
            patient="probe",
            case="probe",
            split_group="probe",
            mri=_write(folder / "mri", volumes[MRI], like.mri, scaled=scaled),
            ct=_write(
                folder / "ct", _undeclared(volumes[CT], scaled), like.ct, scaled=scaled
            ),
            brain=None,
            bone=None,
            lesion=None,
            ct_rescale=CT_RESCALE if scaled else None,
        )
        return loader.normalized(loader.read(case))


def _undeclared(ct_zyx: NDArray[Any], scaled: bool) -> NDArray[Any]:
    """What the CT's file holds, so that the row's rescale makes the probe of it."""
    if not scaled:
        return ct_zyx
    slope, intercept = CT_RESCALE
    result: NDArray[Any] = (ct_zyx.astype(np.float64) - intercept) / slope
    return result


def _write(
    stem: Path, values_zyx: NDArray[Any], form: NiftiFormat, *, scaled: bool
) -> Path:
    """Write a volume as another file is laid out, values exact."""
    stored = values_zyx
    if scaled:
        numbers = (values_zyx.astype(np.float64) - STORED_INTERCEPT) / STORED_SLOPE
        whole = np.array_equal(numbers, np.rint(numbers))
        stored = numbers.astype(np.int32 if whole else np.float64)
    kind = nibabel.Nifti2Image if form.version == 2 else nibabel.Nifti1Image
    z, y, x = _SPACING_MM
    affine = np.diag([-x, -y, z, 1.0])
    header = kind.header_class(endianness=form.endianness)
    header.set_data_dtype(stored.dtype.newbyteorder("="))
    image = kind(stored.T, affine, header).as_reoriented(
        ornt_transform(io_orientation(affine), axcodes2ornt(form.axes))
    )
    # Setting one changes what the image takes for its affine.
    turned = image.affine.copy()
    image.set_sform(turned, 1 if form.sform else 0)
    image.set_qform(turned, 0 if form.sform else 1)
    if scaled:
        image.header.set_slope_inter(STORED_SLOPE, STORED_INTERCEPT)
    data = image.to_bytes()
    path = stem.with_name(stem.name + form.suffix)
    packed = form.suffix.endswith(".gz")
    path.write_bytes(gzip.compress(data, compresslevel=1) if packed else data)
    return path


def _format(path: Path) -> NiftiFormat:
    if not path.name.lower().endswith(SUFFIXES):
        return PLAIN
    try:
        return read_format(path)
    except DataError:
        return PLAIN
