"""An .npy file that is written unit by unit, its number of units known at the end."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


class GrowingArray:
    """Writes an array that grows along its first axis; a context.

    Args:
        path: The .npy file; complete when the context ends without an error.
        dtype: Of its values, in little-endian order.
    """

    def __init__(self, path: Path, dtype: str = "<f4") -> None:
        self._path = path
        self._dtype = np.dtype(dtype)
        self.shape: tuple[int, ...] = (0,)

    def __enter__(self) -> GrowingArray:
        """Open the file."""
        self._file = self._path.open("wb+")
        return self

    def add(self, units: NDArray[Any]) -> None:
        """Append units (n, ...), all of one shape."""
        if len(self.shape) == 1:
            self.shape = (0, *units.shape[1:])
            self._header()
        self._file.write(np.ascontiguousarray(units, dtype=self._dtype).data)
        self.shape = (self.shape[0] + len(units), *self.shape[1:])

    def _header(self) -> None:
        # NumPy pads a header so that the first axis may grow in place.
        descr = np.lib.format.dtype_to_descr(self._dtype)
        header = {"descr": descr, "fortran_order": False, "shape": self.shape}
        np.lib.format.write_array_header_1_0(self._file, header)

    def __exit__(self, kind: object, *_: object) -> None:
        """Write the shape, where all went well, and close the file."""
        if kind is None:
            self._file.seek(0)
            self._header()
            self._file.flush()
            os.fsync(self._file.fileno())
        self._file.close()
