"""Tensors as safetensors bytes that are the same each time they are written.

The library writes metadata in an order that changes from one process to the next, so
the header is written anew here, with its keys sorted.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from safetensors.torch import save

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

_ALIGNMENT = 8


def weights_bytes(tensors: Mapping[str, Tensor], about: Mapping[str, str]) -> bytes:
    """Write tensors and metadata as a safetensors file.

    Args:
        tensors: By name, on any device.
        about: The metadata.

    Returns:
        The file's bytes, which follow from the arguments alone.
    """
    plain = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
    data = bytes(save(plain, metadata=dict(about)))
    length = int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8 : 8 + length]), sort_keys=True).encode()
    header += b" " * (-len(header) % _ALIGNMENT)
    return len(header).to_bytes(8, "little") + header + data[8 + length :]
