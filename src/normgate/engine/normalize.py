"""Raw counts to normalized units inside a model: the tables, then the resize.

`TableNormalize` gathers from the very tables of `transform.table`, so a model gives
the floats that training saw, to the bit. `RawInput` is what stands before a network:
it takes raw windows of any size.

Axes: n units, c channels, h rows, w columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from normgate.contract import normal_form
from normgate.errors import DataError, SpecError
from normgate.transform.apply import Normalizer
from normgate.transform.resize import resize
from normgate.transform.table import first_value, fixed_table

if TYPE_CHECKING:
    from normgate.contract import Channel, Spec


class TableNormalize(nn.Module):
    """A fixed spec on integer counts, as one table for each channel.

    Args:
        spec: Channels of integer input, with fixed steps only.

    Raises:
        SpecError: A channel has float32 input or steps measured on each sample.
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.names = spec.names
        self.firsts: list[int] = []
        for index, channel in enumerate(spec.channels):
            values = torch.from_numpy(_table(channel).copy())
            self.register_buffer(f"table_{index}", values)
            self.firsts.append(first_value(channel.input))

    def forward(self, raw_nchw: Tensor) -> Tensor:
        """Normalize raw counts.

        Args:
            raw_nchw: uint8, uint16, int16 or a wider integer type, (n, c, h, w).

        Returns:
            Float32 of the same shape, equal to the tables bit for bit.

        Raises:
            DataError: The channels are not the spec's, or a value is outside a
                channel's input type.
        """
        if raw_nchw.ndim != 4 or raw_nchw.shape[1] != len(self.names):
            raise DataError(
                f"raw counts of shape {tuple(raw_nchw.shape)}; expected (n, "
                f"{len(self.names)}, h, w) with channels {', '.join(self.names)}"
            )
        if raw_nchw.is_floating_point() or raw_nchw.dtype == torch.bool:
            raise DataError(f"{raw_nchw.dtype} pixels; give raw counts as integers")
        planes = [self._channel(raw_nchw[:, c], c) for c in range(len(self.names))]
        return torch.stack(planes, dim=1)

    def _channel(self, raw_nhw: Tensor, index: int) -> Tensor:
        table: Tensor = self.get_buffer(f"table_{index}")
        at = raw_nhw.to(torch.int64) - self.firsts[index]
        if at.numel() and not 0 <= int(at.min()) <= int(at.max()) < len(table):
            first = self.firsts[index]
            raise DataError(
                f"channel {self.names[index]} holds {int(at.min()) + first} to "
                f"{int(at.max()) + first}; its input type has {first} to "
                f"{first + len(table) - 1}, so give its own raw counts"
            )
        return table[at]


class RawInput(nn.Module):
    """Raw windows to what a network takes: normalized, then resized.

    Args:
        spec: Any spec; without fixed integer channels NumPy does the work.
        size: Side of a unit as the network sees it, in pixels.
    """

    def __init__(self, spec: Spec, size: int) -> None:
        super().__init__()
        self.size = size
        self.spec = spec
        self.tables = TableNormalize(spec) if has_tables(spec) else None

    def forward(self, raw_nchw: Tensor) -> Tensor:
        """Normalize and resize raw windows.

        Args:
            raw_nchw: Raw counts (n, c, h, w) of any size.

        Returns:
            Float32 (n, c, size, size) on the device of the input.

        Raises:
            DataError: The input is not raw counts of this spec's channels.
        """
        tables = self.tables
        normalized = self._by_numpy(raw_nchw) if tables is None else tables(raw_nchw)
        n, c, h, w = normalized.shape
        if (h, w) == (self.size, self.size):
            return normalized
        flat = normalized.reshape(n * c, h, w).cpu().numpy()
        resized = torch.from_numpy(resize(flat, (self.size, self.size)))
        return resized.reshape(n, c, self.size, self.size).to(normalized.device)

    def _by_numpy(self, raw_nchw: Tensor) -> Tensor:
        normalizer = Normalizer(self.spec)
        samples = [normalizer(self._planes(raw)) for raw in raw_nchw.cpu().numpy()]
        return torch.from_numpy(np.stack(samples)).to(raw_nchw.device)

    def _planes(self, raw_chw: np.ndarray) -> list[np.ndarray]:
        if len(raw_chw) != len(self.spec.channels):
            names = ", ".join(self.spec.names)
            raise DataError(f"{len(raw_chw)} channels of counts; the spec has {names}")
        planes = []
        for channel, plane in zip(self.spec.channels, raw_chw, strict=True):
            counts = plane.astype(channel.input)
            if not np.array_equal(counts, plane):
                raise DataError(
                    f"channel {channel.name} holds values that {channel.input} can't; "
                    "give its own raw counts"
                )
            planes.append(counts)
        return planes


def has_tables(spec: Spec) -> bool:
    """Whether every channel of a spec is a table: integer input, fixed steps."""
    return all(
        channel.input != "float32" and normal_form(channel).fixed
        for channel in spec.channels
    )


def _table(channel: Channel) -> np.ndarray:
    form = normal_form(channel)
    if channel.input == "float32" or not form.fixed:
        raise SpecError(
            f"channel {channel.name!r} has no table: it takes {channel.input} or is "
            "measured on each sample"
        )
    return fixed_table(form)
