"""Stacks in HDF5 and zarr: an array (channels, rows, columns) with names beside it.

An array names its channels in its attribute `channels`, a list of text; without it a
panel must tell their order.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import zarr

from normgate.acquisitions.panel import marker_of
from normgate.acquisitions.stack import corrupt, stack_of
from normgate.errors import CorruptImage, DataError

if TYPE_CHECKING:
    from pathlib import Path

    from normgate.acquisitions.stack import Stack

CHANNELS = "channels"
"""The attribute that names channels."""


def read_hdf5(path: Path, part: str = "") -> Stack:
    """Read an array of an HDF5 file.

    Args:
        path: The file.
        part: The array's name inside; empty where there is one.

    Raises:
        CorruptImage: The file is missing, cut short or no HDF5.
        DataError: There is no such array, or several and none is named.
    """
    try:
        with h5py.File(path, "r") as file:
            name = part or _only(_hdf5_names(file), path)
            found = file.get(name)
            if not isinstance(found, h5py.Dataset):
                raise _absent(path, name, _hdf5_names(file))
            names = found.attrs.get(CHANNELS)
            return _stack(found[()], names, path, name)
    except (DataError, CorruptImage):
        raise
    except Exception as error:
        raise corrupt(path, "an HDF5 file", error) from error


def read_zarr(path: Path, part: str = "") -> Stack:
    """Read an array of a zarr folder, or the folder that is one.

    Raises:
        CorruptImage: It is missing, cut short or no zarr.
        DataError: As `read_hdf5`.
    """
    try:
        root = zarr.open(str(path), mode="r")
        if isinstance(root, zarr.Array):
            return _stack(np.asarray(root[...]), root.attrs.get(CHANNELS), path, "")
        own = [key for key, _ in root.arrays()]
        name = part or _only(own, path)
        found = root.get(name)
        if not isinstance(found, zarr.Array):
            raise _absent(path, name, own)
        return _stack(np.asarray(found[...]), found.attrs.get(CHANNELS), path, name)
    except (DataError, CorruptImage):
        raise
    except Exception as error:
        raise corrupt(path, "a zarr folder", error) from error


def _stack(values: Any, names: Any, path: Path, part: str) -> Stack:
    place = f"{path}#dataset={part}" if part else str(path)
    markers = None if names is None else [marker_of(text) for text in _texts(names)]
    return stack_of(np.asarray(values), markers, place)


def _texts(names: Any) -> list[str]:
    """Names as text: HDF5 has them as bytes, or as JSON where they are many."""
    listed = json.loads(names) if isinstance(names, str) else list(names)
    return [one.decode() if isinstance(one, bytes) else str(one) for one in listed]


def _hdf5_names(file: h5py.File) -> list[str]:
    found: list[str] = []

    def keep(name: str, node: object) -> None:
        if isinstance(node, h5py.Dataset):
            found.append(name)

    file.visititems(keep)
    return found


def _only(names: list[str], path: Path) -> str:
    if len(names) != 1:
        raise _absent(path, "", names)
    return names[0]


def _absent(path: Path, name: str, names: list[str]) -> DataError:
    some = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    asked = f"no array {name!r}" if name else f"{len(names)} arrays"
    return DataError(
        f"{path} has {asked} (there is {some or 'none'}); name one, as "
        f"{path.name}#dataset={names[0] if names else 'x'}"
    )
