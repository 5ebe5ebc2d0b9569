"""Reading an acquisition, whatever its format: values exact, every plane named."""

from __future__ import annotations

from typing import TYPE_CHECKING

from normgate.acquisitions import arrays, instrument, tiff
from normgate.acquisitions.panel import read_panel
from normgate.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from normgate.acquisitions.place import Place
    from normgate.acquisitions.stack import Stack
    from normgate.acquisitions.table import Acquisition


def read_stack(place: Place) -> Stack:
    """Read the planes of a place, called as the file itself calls them.

    Raises:
        CorruptImage: The file is missing, cut short or not what its name says.
        DataError: It holds something else than one acquisition's planes.
    """
    match place.format:
        case "mcd":
            return instrument.read_mcd(place.path, place.part)
        case "txt":
            return instrument.read_txt(place.path)
        case "tiff":
            return tiff.read_tiff(place.path)
        case "hdf5":
            return arrays.read_hdf5(place.path, place.part)
        case "zarr":
            return arrays.read_zarr(place.path, place.part)


def read_acquisition(acquisition: Acquisition) -> Stack:
    """Read an acquisition's planes, called as its panel does, scaled as declared.

    Raises:
        CorruptImage: The image or the panel can't be read.
        DataError: Nothing says which marker a plane is, or image and panel disagree.
    """
    panel = None if acquisition.panel is None else read_panel(acquisition.panel)
    return read_stack(acquisition.image).named(panel).scaled(acquisition.scale)


def read_cells(acquisition: Acquisition, stack: Stack) -> NDArray[np.int64]:
    """Read the label image of an acquisition's cells.

    Raises:
        CorruptImage: It can't be read.
        DataError: There is none, or it has another shape than the image.
    """
    if acquisition.mask is None:
        raise DataError(f"{acquisition.name} has no mask; cells need a label image")
    labels_yx = tiff.read_mask(acquisition.mask)
    if labels_yx.shape != stack.shape_yx:
        raise DataError(
            f"mask {acquisition.mask} is {labels_yx.shape}, {stack.place} "
            f"{stack.shape_yx}; give the mask of this image"
        )
    return labels_yx
