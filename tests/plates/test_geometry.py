"""Windows: what is cut where, and what stands beyond the border."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from normgate.errors import DataError, SettingsError
from normgate.plates.geometry import Box, Geometry, boxes, crop

TILE = Geometry(kind="tile", window=10, size=8)
CELL = Geometry(kind="cell", window=7, size=8)
PLANE = np.arange(23 * 31).reshape(23, 31).astype(np.uint16)


def test_tiles_cover_the_site_row_by_row() -> None:
    found = boxes(TILE, (23, 31))
    assert [(b.unit, b.top, b.left) for b in found] == [
        (0, 0, 0), (1, 0, 10), (2, 0, 20), (4, 10, 0), (5, 10, 10), (6, 10, 20),
    ]  # fmt: skip
    assert found[0].center == (5, 5)
    assert len(boxes(replace(TILE, border="reflect"), (23, 31))) == 12


def test_a_site_is_one_window_of_any_shape() -> None:
    (box,) = boxes(Geometry(kind="site", size=8), (23, 31))
    assert (box.height, box.width) == (23, 31)


def test_a_cell_at_the_border_is_dropped_without_renaming_others() -> None:
    centers = [(5, 1, 1), (6, 11, 15), (9, 22, 30)]
    assert [box.unit for box in boxes(CELL, (23, 31), centers)] == [6]
    kept = boxes(replace(CELL, border="zero"), (23, 31), centers)
    assert [box.unit for box in kept] == [5, 6, 9]
    assert kept[1].center == (11, 15)


@given(
    top=st.integers(-30, 40),
    left=st.integers(-30, 40),
    height=st.integers(1, 30),
    width=st.integers(1, 30),
)
def test_borders_are_as_numpy_pads_them(
    top: int, left: int, height: int, width: int
) -> None:
    box = Box(0, top, left, height, width)
    for border, mode in (("reflect", "reflect"), ("zero", "constant")):
        padded = np.pad(PLANE, 80, mode=mode)  # type: ignore[call-overload]
        wanted = padded[top + 80 : top + 80 + height, left + 80 : left + 80 + width]
        (found,) = crop([PLANE], box, border)  # type: ignore[arg-type]
        assert found.dtype == PLANE.dtype
        np.testing.assert_array_equal(found, wanted)


def test_cutting_beyond_the_border_needs_a_rule() -> None:
    with pytest.raises(DataError, match="leaves the picture"):
        crop([PLANE], Box(0, -1, 0, 5, 5), "drop")


def test_a_plane_of_one_pixel_reflects_itself() -> None:
    (found,) = crop([np.full((1, 1), 7)], Box(0, -2, -2, 4, 4), "reflect")
    assert (found == 7).all()


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"kind": "circle"}, "kind"),
        ({"border": "wrap"}, "border"),
        ({"order": "resize-then-normalize"}, "order"),
        ({"method": "nearest"}, "method"),
        ({"size": 0}, "size"),
        ({"size": 8.0}, "size"),
        ({"window": None}, "window"),
        ({"window": -3}, "window"),
        ({"kind": "site"}, "window"),
    ],
)
def test_what_can_not_be_followed_is_refused(change: dict[str, Any], word: str) -> None:
    with pytest.raises(SettingsError, match=word):
        replace(TILE, **change)


def test_json_keeps_the_geometry_and_its_digest() -> None:
    for geometry in (TILE, CELL, Geometry(kind="site", size=224)):
        again = Geometry.from_json(geometry.to_json())
        assert again == geometry
        assert again.digest == geometry.digest
    assert TILE.digest != replace(TILE, border="zero").digest
    with pytest.raises(SettingsError, match="method"):
        Geometry.from_json({k: v for k, v in TILE.to_json().items() if k != "method"})
    with pytest.raises(SettingsError, match="stride"):
        Geometry.from_json({**TILE.to_json(), "stride": 4})
