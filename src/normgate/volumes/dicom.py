"""Reading one DICOM series of CT or MRI: numbers, padding, and where each slice lies.

Slices are put in order by their position, never by their file names. What is not one
whole stack of equal slices (two series, a gap, a slice that is missing or there twice)
is refused. A multi-frame file is better converted to NIfTI first.
"""

from __future__ import annotations

import threading
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
from pydicom.errors import InvalidDicomError

from normgate.errors import DataError
from normgate.volumes.volume import (
    Rescale,
    Volume,
    check_size,
    corrupt,
    oriented,
    scaled,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from pydicom.dataset import Dataset

KIND = "DICOM"
CT_PADDING_HU = -1024
"""What a padded voxel of a CT becomes: air, and the least that a scanner gives."""
SAME_PLACE_MM = 1e-3
UNEVEN = 0.02
"""Distances of slices may differ by this share."""
_LOSSY = {
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.51",
    "1.2.840.10008.1.2.4.81",
}
# Filters of warnings are the process's own, and threads read at once.
_QUIET = threading.Lock()
_CONVERT = "convert the series to NIfTI (dcm2niix)"


@dataclass(frozen=True, slots=True)
class _Slice:
    """One file of a series: its header, and where it lies along the stack."""

    path: Path
    data: Dataset
    position: NDArray[np.float64]
    along: float


def is_dicom(path: Path) -> bool:
    """Whether a file begins as DICOM does."""
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def read_dicom(path: Path, declared: Rescale | None = None) -> Volume:
    """Read one DICOM file, or the series of a folder.

    Rescale slope and intercept are applied slice by slice; a padded voxel becomes -1024
    HU in a CT, and the lowest value that is not padding in anything else.

    Args:
        path: The file or folder.
        declared: A slope and intercept to apply after the files' own.

    Raises:
        CorruptImage: A file is missing, cut short or can't be decoded.
        DataError: The files are not one whole stack of equal gray slices.
    """
    files, notes = _files(path)
    headers = [_header(file) for file in files]
    _check_alike(path, files, headers)
    slices = _ordered(files, headers)
    affine = _affine(path, slices)
    check_size((len(slices), int(headers[0].Rows), int(headers[0].Columns)), path)
    values, padded = _values(path, slices, declared)
    if padded:
        notes += (f"{padded} padded voxels",)
    excess = sum(_excess(data) for data in headers)
    if excess:
        notes += (f"{excess} bytes beyond the last pixel, not read",)
    if headers[0].get("Modality") == "CT" and "RescaleIntercept" not in headers[0]:
        notes += ("no RescaleIntercept: its numbers may not be HU",)
    array_zyx, turned, odd = oriented(values.transpose(2, 1, 0), affine, path)
    return Volume(
        array_zyx=array_zyx, affine=turned, path=str(path), notes=(*notes, *odd)
    )


def _files(path: Path) -> tuple[list[Path], tuple[str, ...]]:
    if not path.is_dir():
        return [path], ()
    present = sorted(file for file in path.iterdir() if file.is_file())
    named = {file for file in present if file.suffix.lower() in (".dcm", ".ima")}
    found = [
        file
        for file in present
        if (file in named or is_dicom(file)) and file.name.upper() != "DICOMDIR"
    ]
    if not found:
        raise DataError(f"{path} holds no DICOM file; name the folder of one series")
    others = len(present) - len(found)
    return found, ((f"{others} other files beside the series",) if others else ())


def _header(path: Path) -> Dataset:
    try:
        with _quiet():
            data = pydicom.dcmread(path)
            _ = [data.get(name) for name in _EQUAL]
    except FileNotFoundError as error:
        raise corrupt(path, KIND, "the file is missing") from error
    except (InvalidDicomError, Exception) as error:
        raise corrupt(path, KIND, error) from error
    _check_slice(path, data)
    return data


def _check_slice(path: Path, data: Dataset) -> None:
    """Refuse what is not one gray slice with a place, losslessly stored."""
    missing = [name for name in _NEEDED if name not in data]
    if missing:
        raise DataError(
            f"{path} has no {', '.join(missing)}, so it is no slice with a place in "
            f"the patient; leave it out, or {_CONVERT}"
        )
    if int(data.get("NumberOfFrames") or 1) > 1:
        raise DataError(f"{path} holds {data.NumberOfFrames} frames; {_CONVERT}")
    gray = (data.get("SamplesPerPixel"), data.get("PhotometricInterpretation"))
    if gray != (1, "MONOCHROME2"):
        raise DataError(
            f"{path} holds {gray[0]} samples a pixel as {gray[1]}, expected 1 as "
            "MONOCHROME2; export the series anew"
        )
    syntax = str(data.file_meta.get("TransferSyntaxUID", ""))
    if syntax in _LOSSY or str(data.get("LossyImageCompression", "")) == "01":
        raise DataError(
            f"{path} was compressed with loss; its numbers are gone, so export the "
            "series without compression"
        )


_NEEDED = (
    "Rows",
    "Columns",
    "PixelSpacing",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelData",
)
_EQUAL = (
    "SeriesInstanceUID",
    "Modality",
    "Rows",
    "Columns",
    "PixelSpacing",
    "ImageOrientationPatient",
)


def _check_alike(path: Path, files: Sequence[Path], headers: Sequence[Dataset]) -> None:
    """Refuse a folder of more than one series, or of slices that differ."""
    for name in _EQUAL:
        first = headers[0].get(name)
        for file, data in zip(files, headers, strict=True):
            own = data.get(name)
            if own == first or (
                name in _EQUAL[4:] and np.allclose(own, first, atol=1e-4)
            ):
                continue
            if name == "SeriesInstanceUID":
                count = len({str(data.get(name)) for data in headers})
                raise DataError(
                    f"{path} holds files of {count} series ({files[0].name} and "
                    f"{file.name} differ); give each series a folder of its own"
                )
            raise DataError(
                f"{path}: {name} is {first} in {files[0].name} and {own} in "
                f"{file.name}; slices of one series must agree; leave out localizers"
            )


def _ordered(files: Sequence[Path], headers: Sequence[Dataset]) -> list[_Slice]:
    row, column = _directions(headers[0])
    normal = np.cross(row, column)
    slices = []
    for file, data in zip(files, headers, strict=True):
        position = np.asarray(data.ImagePositionPatient, dtype=np.float64)
        slices.append(_Slice(file, data, position, float(position @ normal)))
    return sorted(slices, key=lambda one: one.along)


def _directions(data: Dataset) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Unit vectors along a row (x rises) and along a column (y rises), in LPS."""
    values = np.asarray(data.ImageOrientationPatient, dtype=np.float64)
    return values[:3], values[3:]


def _affine(path: Path, slices: Sequence[_Slice]) -> NDArray[np.float64]:
    """From (column, row, slice) to mm towards right, anterior, superior."""
    first = slices[0]
    row, column = _directions(first.data)
    between_rows, between_columns = (float(mm) for mm in first.data.PixelSpacing)
    affine = np.eye(4)
    affine[:3, 0] = row * between_columns
    affine[:3, 1] = column * between_rows
    affine[:3, 2] = _step(path, slices)
    affine[:3, 3] = first.position
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine


def _step(path: Path, slices: Sequence[_Slice]) -> NDArray[np.float64]:
    """From one slice to the next; refuses slices that are twice there or missing."""
    if len(slices) == 1:
        return _thickness(path, slices[0])
    gaps = np.diff([one.along for one in slices])
    usual = float(np.median(gaps))
    for at, gap in enumerate(gaps):
        one, other = slices[at].path.name, slices[at + 1].path.name
        if gap < SAME_PLACE_MM:
            raise DataError(
                f"{path}: {one} and {other} lie at one place; leave out the copy, or "
                "give each echo or time a folder of its own"
            )
        if abs(gap - usual) > UNEVEN * usual:
            raise DataError(
                f"{path}: {one} and {other} lie {gap:.3f} mm apart and other slices "
                f"{usual:.3f} mm; a slice is missing or the stack is uneven; restore "
                "it, or resample the series"
            )
    last = slices[-1].position - slices[0].position
    result: NDArray[np.float64] = last / (len(slices) - 1)
    return result


def _thickness(path: Path, only: _Slice) -> NDArray[np.float64]:
    spacing = only.data.get("SpacingBetweenSlices") or only.data.get("SliceThickness")
    if not spacing or not float(spacing) > 0:
        raise DataError(f"{path} is one slice and tells no SliceThickness; add it")
    result: NDArray[np.float64] = np.cross(*_directions(only.data)) * float(spacing)
    return result


def _values(
    path: Path, slices: Sequence[_Slice], declared: Rescale | None
) -> tuple[NDArray[Any], int]:
    """All slices after their own rescale (slices, rows, columns), and padded voxels."""
    planes, holes = [], []
    for one in slices:
        stored = _pixels(one)
        slope = float(one.data.get("RescaleSlope", 1) or 1)
        intercept = float(one.data.get("RescaleIntercept", 0) or 0)
        planes.append(scaled(stored[None], (slope, intercept), declared, one.path)[0])
        holes.append(_padding(one.data, stored))
    common = np.result_type(*planes)
    values, padded = np.stack(planes).astype(common, copy=False), np.stack(holes)
    count = int(np.count_nonzero(padded))
    if count == values.size:
        raise DataError(f"{path} holds nothing but padding; leave it out")
    if count:
        is_ct = slices[0].data.get("Modality") == "CT"
        values[padded] = CT_PADDING_HU if is_ct else values[~padded].min()
    return values, count


def _pixels(one: _Slice) -> NDArray[Any]:
    try:
        with _quiet():
            pixels = np.asarray(one.data.pixel_array)
    except Exception as error:
        raise corrupt(one.path, KIND, error) from error
    return pixels


def _excess(data: Dataset) -> int:
    """Bytes that uncompressed pixels don't fill; one makes an even number of them."""
    if data.file_meta.TransferSyntaxUID.is_encapsulated:
        return 0
    needed = int(data.Rows) * int(data.Columns) * int(data.BitsAllocated) // 8
    return max(len(data.PixelData) - needed - needed % 2, 0)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without pydicom's warnings on the looks of a header; one thread at a time."""
    with _QUIET, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _padding(data: Dataset, stored: NDArray[Any]) -> NDArray[np.bool_]:
    """Which stored values are padding: one value, or a range of them."""
    value = data.get("PixelPaddingValue")
    if value is None:
        return np.zeros(stored.shape, dtype=np.bool_)
    limit = data.get("PixelPaddingRangeLimit", value)
    low, high = sorted((int(value), int(limit)))
    inside: NDArray[np.bool_] = (stored >= low) & (stored <= high)
    return inside
