"""Writing small volumes in the formats that are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import nibabel
import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

if TYPE_CHECKING:
    from pathlib import Path

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""The affine of an array whose axes already rise to left, posterior, superior."""


def write_nifti(
    path: Path,
    stored_zyx: np.ndarray,
    *,
    affine: np.ndarray = LPS,
    slope: float | None = None,
    intercept: float = 0.0,
    endianness: str = "<",
    version: int = 1,
    sform: int = 1,
    qform: int = 0,
) -> Path:
    """Write stored numbers as they are, with a slope and intercept in the header."""
    kind = nibabel.Nifti1Image if version == 1 else nibabel.Nifti2Image
    header = kind.header_class(endianness=endianness)
    header.set_data_dtype(stored_zyx.dtype)
    header.set_xyzt_units("mm")
    image = kind(stored_zyx.T, affine, header)
    image.set_sform(affine, sform)
    image.set_qform(affine, qform)
    # With a slope in the header nibabel writes the numbers as they are.
    if slope is not None:
        image.header.set_slope_inter(slope, intercept)
    image.to_filename(path)
    return path


def write_series(
    folder: Path,
    hu_zyx: np.ndarray,
    *,
    slope: float = 1,
    intercept: float = -1024,
    spacing: tuple[float, float, float] = (2.0, 0.5, 0.75),
    **tags: Any,
) -> list[Path]:
    """Write a CT series, slice names in no order; `tags` override those of all."""
    folder.mkdir(parents=True, exist_ok=True)
    uid = generate_uid()
    paths = []
    for z, plane in enumerate(hu_zyx):
        stored = ((plane.astype(np.float64) - intercept) / slope).astype(np.int16)
        data = _slice(uid, stored, z, spacing)
        data.RescaleSlope, data.RescaleIntercept = slope, intercept
        for name, value in tags.items():
            setattr(data, name, value)
        path = folder / f"{(z * 7) % 11:02d}_{z}.dcm"
        data.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def change(path: Path, **tags: Any) -> None:
    """Set tags of a DICOM file; None removes one."""
    data = pydicom.dcmread(path)
    for name, value in tags.items():
        if value is None:
            delattr(data, name)
        else:
            setattr(data, name, value)
    data.save_as(path)


def _slice(
    uid: str, stored: np.ndarray, z: int, spacing: tuple[float, float, float]
) -> Dataset:
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = CTImageStorage
    data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    data.SOPClassUID = CTImageStorage
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID
    data.SeriesInstanceUID, data.Modality = uid, "CT"
    data.Rows, data.Columns = stored.shape
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit, data.PixelRepresentation = 15, 1
    data.PixelSpacing = [spacing[1], spacing[2]]
    data.SliceThickness = spacing[0]
    data.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    data.ImagePositionPatient = [-10.0, -20.0, 5.0 + z * spacing[0]]
    data.PixelData = stored.tobytes()
    return data
