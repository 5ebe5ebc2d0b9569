"""Writing stacks as the formats that are read; .mcd alone is written by instruments.

The demonstration and the probe write by these functions, whole or not at all.
"""

from __future__ import annotations

import io
import re
import shutil
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import tifffile
import zarr

from normgate.acquisitions.arrays import CHANNELS
from normgate.contract.files import write_atomic
from normgate.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from normgate.acquisitions.panel import Marker

_TXT_METAL = re.compile(r"[A-Za-z]+\d+")


def write_panel(path: Path, markers: Sequence[Marker]) -> None:
    """Write a panel of steinbock's form, a line for each plane in their order."""
    lines = [f'{one.tag},"{one.target or one.tag}",1' for one in markers]
    write_atomic(path, "\n".join(["channel,name,keep", *lines, ""]).encode())


def write_tiff(
    path: Path, array_cyx: NDArray[Any], names: Sequence[str] | None = None
) -> None:
    """Write planes as an OME-TIFF if they have names, else as an ImageJ stack.

    ImageJ stacks hold uint8, uint16 and float32; of other types pages are plain.
    """
    buffer = io.BytesIO()
    if names is not None:
        metadata: dict[str, Any] = {"axes": "CYX", "Channel": {"Name": list(names)}}
        tifffile.imwrite(buffer, array_cyx, ome=True, metadata=metadata)
    elif array_cyx.dtype == np.int16:
        tifffile.imwrite(buffer, array_cyx, photometric="minisblack", metadata=None)
    else:
        tifffile.imwrite(buffer, array_cyx, imagej=True, metadata={"axes": "CYX"})
    write_atomic(path, buffer.getvalue())


def write_mask(path: Path, labels_yx: NDArray[Any]) -> None:
    """Write a label image of cells."""
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, labels_yx, compression="zlib")
    write_atomic(path, buffer.getvalue())


def write_txt(
    path: Path, array_cyx: NDArray[Any], markers: Sequence[Marker], digits: int = 9
) -> None:
    """Write the instrument's table: a line for each pixel, a column for each channel.

    Args:
        path: Where.
        array_cyx: Values.
        markers: Their tags must be a metal and a mass.
        digits: Significant digits; 9 keep every float32.

    Raises:
        DataError: A tag is not of the form `Pr141`.
    """
    heads = ["Start_push", "End_push", "Pushes_duration", "X", "Y", "Z"]
    for marker in markers:
        if not _TXT_METAL.fullmatch(marker.tag):
            raise DataError(f"{marker} has no metal, so {path} can't name it")
        heads.append(f"{marker.target or marker.tag}({marker.tag}Di)")
    _, rows, columns = array_cyx.shape
    y, x = (axis.ravel() for axis in np.indices((rows, columns)))
    pixels = np.arange(rows * columns)
    pushes = np.stack([pixels * 384, pixels * 384 + 383, np.full_like(pixels, 384)], 1)
    text = io.StringIO()
    text.write("\t".join(heads) + "\n")
    whole = np.concatenate([pushes, x[:, None], y[:, None], pixels[:, None]], axis=1)
    table = np.concatenate([whole, array_cyx.reshape(len(array_cyx), -1).T], axis=1)
    form = ["%d"] * 6 + [f"%.{digits}g"] * len(array_cyx)
    np.savetxt(text, table, fmt=form, delimiter="\t")
    write_atomic(path, text.getvalue().encode())


def write_hdf5(
    path: Path, stacks: Mapping[str, tuple[NDArray[Any], Sequence[str] | None]]
) -> None:
    """Write arrays of one HDF5 file, by their names inside, with those of channels."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for part, (array_cyx, names) in stacks.items():
            own = file.create_dataset(part, data=array_cyx)
            if names is not None:
                own.attrs[CHANNELS] = list(names)
    write_atomic(path, buffer.getvalue())


def write_zarr(
    path: Path, stacks: Mapping[str, tuple[NDArray[Any], Sequence[str] | None]]
) -> None:
    """Write arrays of one zarr folder; it takes its name when it is whole."""
    rough = path.with_name(f".{path.name}.part")
    shutil.rmtree(rough, ignore_errors=True)
    root = zarr.open_group(str(rough), mode="w")
    for part, (array_cyx, names) in stacks.items():
        own = root.create_array(part, data=np.ascontiguousarray(array_cyx))
        if names is not None:
            own.attrs[CHANNELS] = list(names)
    shutil.rmtree(path, ignore_errors=True)
    rough.rename(path)
