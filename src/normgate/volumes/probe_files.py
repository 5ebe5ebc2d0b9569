"""Writing the probe's volumes as the data's own files are laid out.

NIfTI takes any volume; a DICOM series takes whole numbers alone, so the probe of a
float32 channel is NIfTI whatever the data are. Asked for, a volume is stored with a
slope and an intercept: powers of two and whole numbers, so that nothing is rounded.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import nibabel
import numpy as np
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from normgate.errors import DataError
from normgate.volumes.dicom import is_dicom
from normgate.volumes.nifti import SUFFIXES, NiftiFormat, read_format

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

PLAIN = NiftiFormat(
    suffix=".nii.gz", endianness="<", version=1, axes=("L", "P", "S"), sform=True
)
Format = NiftiFormat | Literal["dicom"]
NIFTI_SCALE = (0.25, 3.0)
_SPACING_MM = (1.5, 2.0, 2.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Like:
    """How the data's own files are laid out."""

    mri: Format = PLAIN
    ct: Format = PLAIN


def format_of(path: Path) -> Format:
    """How a file or series is laid out; plain NIfTI for what can't be told."""
    if path.is_dir() or is_dicom(path):
        return "dicom"
    if not path.name.lower().endswith(SUFFIXES):
        return PLAIN
    try:
        return read_format(path)
    except DataError:
        return PLAIN


def write_volume(
    stem: Path, values_zyx: NDArray[Any], form: Format, *, scaled: bool
) -> Path:
    """Write a volume so that its values come back exact.

    Args:
        stem: Where, without a suffix.
        values_zyx: Values of any 16-bit type, of float16, or halves of such.
        form: How; DICOM becomes plain NIfTI for values that are not 16-bit.
        scaled: Whether a slope and an intercept stand in the file.

    Returns:
        The file, or the folder of the series.
    """
    if form == "dicom":
        slope = 0.5 if scaled else 1.0
        steps = values_zyx.astype(np.float64) / slope
        whole = np.array_equal(steps, np.rint(steps))
        if whole and np.ptp(steps) < 1 << 16:
            return _write_series(stem, steps, slope)
        form = PLAIN
    return _write_nifti(stem, values_zyx, form, scaled=scaled)


def _write_nifti(
    stem: Path, values_zyx: NDArray[Any], form: NiftiFormat, *, scaled: bool
) -> Path:
    stored = values_zyx
    if scaled:
        numbers = (values_zyx.astype(np.float64) - NIFTI_SCALE[1]) / NIFTI_SCALE[0]
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
        image.header.set_slope_inter(*NIFTI_SCALE)
    data = image.to_bytes()
    path = stem.with_name(stem.name + form.suffix)
    packed = form.suffix.endswith(".gz")
    path.write_bytes(gzip.compress(data, compresslevel=1) if packed else data)
    return path


def _write_series(folder: Path, steps_zyx: NDArray[np.float64], slope: float) -> Path:
    """A DICOM series of unsigned 16-bit slices, names against their order."""
    folder.mkdir()
    least = float(steps_zyx.min())
    series = generate_uid()
    for z, plane in enumerate((steps_zyx - least).astype(np.uint16)):
        path = folder / f"{len(steps_zyx) - z:05d}.dcm"
        data = _slice(path, plane, z, series)
        data.RescaleSlope, data.RescaleIntercept = slope, least * slope
        data.save_as(path, enforce_file_format=True)
    return folder


def _slice(path: Path, plane: NDArray[np.uint16], z: int, series: str) -> FileDataset:
    """One slice without its rescale."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    data = FileDataset(str(path), {}, file_meta=meta, preamble=bytes(128))
    data.SOPClassUID = CTImageStorage
    data.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    data.SeriesInstanceUID, data.Modality = series, "CT"
    data.Rows, data.Columns = plane.shape
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit, data.PixelRepresentation = 15, 0
    slices, rows, columns = _SPACING_MM
    data.PixelSpacing, data.SliceThickness = [rows, columns], slices
    data.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    data.ImagePositionPatient = [0, 0, z * slices]
    data.PixelData = plane.tobytes()
    return data
