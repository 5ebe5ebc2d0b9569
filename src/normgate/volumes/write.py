"""Writing volumes as NIfTI beside the source they were made from, the same each time.

A volume in memory is turned to left, posterior, superior; what is written is turned
back, so that it lies voxel by voxel on the source's own file. A source that is no NIfTI
has its grid kept in the order of DICOM. What made the volume stands in a comment in the
header.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel
import numpy as np
from nibabel.nifti1 import Nifti1Extension
from nibabel.orientations import io_orientation, ornt_transform

from normgate.volumes.nifti import SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from normgate.volumes.volume import Volume


def nifti_bytes(
    array_zyx: NDArray[Any], source: Volume, stamps: Mapping[str, str]
) -> bytes:
    """A packed NIfTI-1 file on the grid of a source.

    Args:
        array_zyx: float32 or uint8, of the source's shape in memory.
        source: What it lies on.
        stamps: What made it, for the header's comment.
    """
    image = nibabel.Nifti1Image(array_zyx.T, source.affine)
    if source.path.endswith(SUFFIXES) and Path(source.path).is_file():
        own = nibabel.load(source.path).affine
        turn = ornt_transform(io_orientation(source.affine), io_orientation(own))
        turned = image.as_reoriented(turn)
        image = nibabel.Nifti1Image(np.asarray(turned.dataobj), own)
    image.header.set_xyzt_units("mm")
    image.set_sform(image.affine, 1)
    image.set_qform(image.affine, 1)
    comment = json.dumps(dict(stamps), sort_keys=True).encode()
    image.header.extensions.append(Nifti1Extension("comment", comment))
    return gzip.compress(image.to_bytes(), compresslevel=6, mtime=0)
