"""Masks of bone and brain derived from the CT, where a case has none.

Bone: voxels of 300 HU or more; of their connected pieces (26 neighbours) the largest,
and every other of at least a tenth of it, so that a mandible stays and specks of
calcium, wires and the edge of a headrest go.

Brain: voxels of -20 to 100 HU that are not bone, single gaps within a slice closed; of
those further than 4 mm from anything else the largest piece, which thus lets go of the
scalp; grown back by 4 mm within them, holes of each slice filled. A piece that has less
than 8% of bone in the 8 mm around it is no brain.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from normgate.errors import DataError
from normgate.volumes.pairing import BONE_HU, BRAIN_HU

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from normgate.volumes.pairing import Pair

REQUIRED = ("brain", "bone")
"""Masks without which there is nothing to fuse."""
PIECE = 0.1
"""Pieces of bone of this share of the largest stay."""
APART_MM = 4.0
SHELL_MM = 8.0
SHELL_BONE = 0.08
_AROUND = np.ones((3, 3, 3), dtype=np.bool_)
_IN_SLICE = np.zeros((3, 3, 3), dtype=np.bool_)
_IN_SLICE[1] = ndimage.generate_binary_structure(2, 1)


def complete(pair: Pair, required: Sequence[str] = REQUIRED) -> Pair:
    """A pair with masks of brain and bone, derived where it has none.

    Args:
        pair: A pair whose CT is in HU.
        required: The masks that must not be empty.

    Returns:
        The pair with both masks, and a note for each that was derived.

    Raises:
        DataError: A required mask is empty.
    """
    notes = []
    bone, brain = pair.bone_zyx, pair.brain_zyx
    if bone is None:
        bone = derived_bone(pair.ct.array_zyx)
        notes.append(f"bone derived from the CT: {int(bone.sum())} voxels")
    if brain is None:
        brain = derived_brain(pair.ct.array_zyx, bone, pair.ct.spacing_mm)
        notes.append(f"brain derived from the CT: {int(brain.sum())} voxels")
    made = replace(pair, bone_zyx=bone, brain_zyx=brain).with_notes(*notes)
    for name in required:
        _refuse_empty(made, name)
    return made


def derived_bone(ct_zyx: NDArray[Any]) -> NDArray[np.bool_]:
    """Bone of a CT in HU, by the rule above."""
    return _pieces(ct_zyx >= BONE_HU, PIECE)


def derived_brain(
    ct_zyx: NDArray[Any],
    bone_zyx: NDArray[np.bool_],
    spacing_mm: tuple[float, float, float],
) -> NDArray[np.bool_]:
    """Brain of a CT in HU within its bone, by the rule above."""
    brain = np.zeros_like(bone_zyx)
    box = _box(bone_zyx)
    if box is None:
        return brain
    hu, bone = ct_zyx[box], bone_zyx[box]
    low, high = BRAIN_HU
    soft = ndimage.binary_closing((hu >= low) & (hu <= high), _IN_SLICE) & ~bone
    core = _pieces(_away_from(~soft, spacing_mm) > APART_MM, 1.0)
    if not core.any():
        return brain
    grown = soft & (_away_from(core, spacing_mm) <= APART_MM)
    filled = np.stack([ndimage.binary_fill_holes(plane) for plane in grown]) & ~bone
    away = _away_from(filled, spacing_mm)
    if bone[(away > 0) & (away <= SHELL_MM)].mean() >= SHELL_BONE:
        brain[box] = filled
    return brain


def _box(mask: NDArray[np.bool_]) -> tuple[slice, slice, slice] | None:
    """The smallest box that holds a mask; None where it is empty."""
    found: list[tuple[slice, slice, slice] | None] = ndimage.find_objects(
        mask.astype(np.int8)
    )
    return found[0] if found else None


def _away_from(
    mask: NDArray[np.bool_], spacing_mm: tuple[float, float, float]
) -> NDArray[np.float64]:
    """How far each voxel lies from a mask, in mm; the first and last slice go on."""
    wider = np.pad(mask, ((1, 1), (0, 0), (0, 0)), mode="edge")
    if not wider.any():
        return np.full(mask.shape, np.inf)
    away: NDArray[np.float64] = ndimage.distance_transform_edt(
        ~wider, sampling=spacing_mm
    )
    return away[1:-1]


def _pieces(mask: NDArray[np.bool_], share: float) -> NDArray[np.bool_]:
    """The largest connected piece, and others of at least a share of it."""
    labels, count = ndimage.label(mask, _AROUND)
    if count == 0:
        return mask
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    kept = sizes >= max(share * sizes.max(), 1)
    result: NDArray[np.bool_] = kept[labels]
    return result


def _refuse_empty(pair: Pair, name: str) -> None:
    mask: NDArray[np.bool_] | None = getattr(pair, f"{name}_zyx")
    if mask is not None and mask.any():
        return
    path = getattr(pair.case, name)
    if path is not None:
        raise DataError(
            f"{path} holds an empty mask of the {name} of {pair.case.name}; draw it, "
            "or leave out the case"
        )
    raise DataError(
        f"{pair.case.name} has no mask of the {name}, and none was found in "
        f"{pair.case.ct}; give a file in column {name}, or leave out the case"
    )
