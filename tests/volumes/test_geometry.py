"""Patches cover a volume, whatever its size, and a geometry is strict."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from normgate.errors import SettingsError
from normgate.volumes.geometry import Box, VolumeGeometry, boxes, crop, stitch

SLICES = VolumeGeometry(dims=2, patch=(4, 6))
sides = st.integers(1, 9)
shapes = st.tuples(st.integers(1, 20), st.integers(1, 20), st.integers(1, 20))


@given(shape=shapes, patch=st.tuples(sides, sides, sides))
def test_patches_cover_every_voxel_and_hold_the_right_ones(
    shape: tuple[int, int, int], patch: tuple[int, int, int]
) -> None:
    geometry = VolumeGeometry(dims=3, patch=patch)
    volume = np.arange(1, np.prod(shape) + 1, dtype=np.float32).reshape(shape)
    seen: set[float] = set()
    for box in boxes(geometry, shape):
        cut = crop(volume, box, geometry, fill=0)
        assert cut.shape == patch
        inside = np.argwhere(cut > 0)
        assert len(inside) == np.prod(np.minimum(shape, patch))
        first = inside[0]
        z, y, x = first + box[1:]
        assert cut[tuple(first)] == volume[z, y, x]
        seen |= set(cut[cut > 0].tolist())
    assert len(seen) == volume.size


@given(shape=shapes, side=sides)
def test_slices_are_patches_of_one_slice(
    shape: tuple[int, int, int], side: int
) -> None:
    geometry = VolumeGeometry(dims=2, patch=(side, side))
    found = boxes(geometry, shape)
    assert {box.z for box in found} == set(range(shape[0]))
    assert [box.unit for box in found] == list(range(len(found)))
    volume = np.zeros(shape, np.float32)
    assert crop(volume, found[0], geometry, fill=0).shape == (side, side)


def test_a_short_axis_is_filled_evenly_and_a_long_one_ends_with_the_volume() -> None:
    found = boxes(SLICES, (1, 9, 3))
    assert found == (Box(0, 0, 0, -1), Box(1, 0, 4, -1), Box(2, 0, 5, -1))
    volume = np.ones((1, 9, 3), np.float32)
    cut = crop(volume, found[0], SLICES, fill=-7)
    assert cut[0].tolist() == [-7, 1, 1, 1, -7, -7]


def test_a_patch_may_begin_anywhere() -> None:
    volume = np.ones((2, 4, 4), np.float32)
    outside = crop(volume, Box(0, 5, 9, -20), SLICES, fill=3)
    assert (outside == 3).all()


def test_a_geometry_comes_back_from_json_and_is_told_apart() -> None:
    patches = VolumeGeometry(dims=3, patch=(24, 96, 96))
    assert VolumeGeometry.from_json(patches.to_json()) == patches
    assert patches.to_json()["patch"] == [24, 96, 96]
    assert len({g.digest for g in (patches, SLICES)}) == 2
    assert SLICES.patch_zyx == (1, 4, 6)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param({"dims": 4}, "dims is 4", id="dims"),
        pytest.param({"dims": True}, "dims is True", id="bool"),
        pytest.param({"dims": 2.0}, "dims is 2.0", id="float"),
        pytest.param({"patch": (4,)}, "expected 2 numbers", id="few"),
        pytest.param({"patch": (4, 0)}, "from 1 to 4096", id="zero"),
        pytest.param({"patch": (4, 2.5)}, r"patch is \(4, 2.5\)", id="fraction"),
        pytest.param({"patch": (4, 5000)}, "from 1 to 4096", id="side"),
        pytest.param({"dims": 3, "patch": (300, 300, 300)}, "at most", id="huge"),
        pytest.param({"plane": "sagittal"}, "plane is 'sagittal'", id="plane"),
        pytest.param({"statistics": "slice"}, "statistics is 'slice'", id="slice"),
        pytest.param({"order": "crop-then-normalize"}, "order is", id="order"),
    ],
)
def test_a_geometry_that_can_not_be_followed_is_refused(
    changes: dict[str, object], said: str
) -> None:
    with pytest.raises(SettingsError, match=said):
        VolumeGeometry(**{"dims": 2, "patch": (4, 6), **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param({"size": 3}, "unknown fields: size", id="unknown"),
        pytest.param({"patch": "4,6"}, "not a list", id="text"),
        pytest.param({"dims": None}, "dims is None", id="null"),
    ],
)
def test_a_card_with_an_odd_geometry_is_refused(
    changes: dict[str, object], said: str
) -> None:
    with pytest.raises(SettingsError, match=said):
        VolumeGeometry.from_json(SLICES.to_json() | changes)
    with pytest.raises(SettingsError, match="missing"):
        VolumeGeometry.from_json({"dims": 2})


@given(
    st.tuples(*[st.integers(1, 9)] * 3),
    st.tuples(*[st.integers(1, 6)] * 3),
    st.booleans(),
)
def test_what_is_cut_is_put_together_again(
    shape: tuple[int, int, int], patch: tuple[int, int, int], flat: bool
) -> None:
    geometry = (
        VolumeGeometry(dims=2, patch=patch[1:])
        if flat
        else VolumeGeometry(dims=3, patch=patch)
    )
    volume = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    found = boxes(geometry, shape)
    patches = np.stack([crop(volume, box, geometry, -1.0) for box in found])
    assert np.array_equal(stitch(patches, found, geometry, shape), volume)
