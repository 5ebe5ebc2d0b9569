"""Reading a volume or a mask, whatever its format: NIfTI, DICOM or NRRD.

A path is a `.nii`, `.nii.gz`, `.nrrd` or `.nhdr` file, one DICOM file, or the folder of
one DICOM series.
"""

from __future__ import annotations

from pathlib import Path

from normgate.errors import DataError
from normgate.volumes import dicom, nifti, nrrd
from normgate.volumes.volume import Rescale, Volume, corrupt, mask_of


def read_volume(path: Path | str, declared: Rescale | None = None) -> Volume:
    """Read a volume: values exact, axes turned to left, posterior, superior.

    Args:
        path: A file, or the folder of a DICOM series.
        declared: A slope and intercept to apply after the file's own, such as make HU
            of what is none; everything is rounded once.

    Raises:
        CorruptImage: The file is missing, cut short or not what its name says.
        DataError: It is of a kind that is not read, or no volume of real numbers with a
            place in the patient.
    """
    file = Path(path)
    name = file.name.lower()
    if name.endswith(nifti.SUFFIXES):
        return nifti.read_nifti(file, declared)
    if name.endswith(nrrd.SUFFIXES):
        return nrrd.read_nrrd(file, declared)
    if file.is_dir() or dicom.is_dicom(file):
        return dicom.read_dicom(file, declared)
    if not file.exists():
        raise corrupt(file, "a volume", "the file is missing")
    raise DataError(
        f"{file} is neither NIfTI, NRRD nor DICOM by its name or its first bytes; "
        "convert it, or name the folder of a DICOM series"
    )


def read_mask(path: Path | str) -> Volume:
    """Read a mask or label image: true where it is not 0.

    Raises:
        CorruptImage: As `read_volume`.
        DataError: As `read_volume`, or it holds fractions or negative numbers.
    """
    return mask_of(read_volume(path))
