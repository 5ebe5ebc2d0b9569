"""Geometry: which windows of a site become units, and at what size.

A unit is the whole site, a tile of a grid, or a window around one cell. Windows are cut
from raw counts, normalized, and then resized: the geometry is part of a model's card
and covered by the applied fingerprint. NumPy only.

`_cyx` arrays are channels of one site; boxes are in pixels from the top left.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, assert_never, get_args

import numpy as np

from normgate.errors import DataError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

Kind = Literal["site", "tile", "cell"]
Border = Literal["drop", "reflect", "zero"]
Order = Literal["normalize-then-resize"]
Method = Literal["triangle-antialias"]
MAX_SIDE = 16384


@dataclass(frozen=True, slots=True)
class Box:
    """A window of a site; it may reach beyond the picture's border.

    `unit` numbers the window among all that the site could give, so that dropping one
    at the border renames no other.
    """

    unit: int
    top: int
    left: int
    height: int
    width: int

    @property
    def center(self) -> tuple[int, int]:
        """The middle pixel (row, column)."""
        return self.top + self.height // 2, self.left + self.width // 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """How sites become units."""

    kind: Kind
    size: int
    """Side of a unit as the model sees it, in pixels."""
    window: int | None = None
    """Side of the window cut from the site, in pixels; None exactly for `site`."""
    border: Border = "drop"
    """What a window beyond the border gets: no unit, mirrored pixels, or counts 0."""
    order: Order = "normalize-then-resize"
    method: Method = "triangle-antialias"

    def __post_init__(self) -> None:
        """Refuse a geometry that can't be followed."""
        for name, allowed in _ALLOWED.items():
            if getattr(self, name) not in allowed:
                msg = f"geometry {name} is {getattr(self, name)!r}; expected one of "
                raise SettingsError(msg + ", ".join(allowed))
        _check_side("size", self.size)
        if (self.kind == "site") != (self.window is None):
            msg = f"geometry {self.kind!r} with window {self.window}: a site has no "
            raise SettingsError(msg + "window, and tiles and cells need one in pixels")
        if self.window is not None:
            _check_side("window", self.window)

    def to_json(self) -> dict[str, Any]:
        """The geometry as plain JSON values, every field present."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Geometry:
        """Read what `to_json` gave.

        Raises:
            SettingsError: A field is missing, unknown or out of range.
        """
        names = {field.name for field in fields(cls)}
        if set(values) != names:
            odd = ", ".join(sorted(set(values) ^ names))
            raise SettingsError(f"geometry has missing or unknown fields: {odd}")
        return cls(**values)

    @property
    def digest(self) -> str:
        """The SHA-256 of the fields, in hex."""
        text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


_ALLOWED: dict[str, tuple[str, ...]] = {
    "kind": get_args(Kind),
    "border": get_args(Border),
    "order": get_args(Order),
    "method": get_args(Method),
}


def boxes(
    geometry: Geometry,
    shape_yx: tuple[int, int],
    centers: Sequence[tuple[int, int, int]] = (),
) -> tuple[Box, ...]:
    """The windows that a site gives.

    Args:
        geometry: Which windows.
        shape_yx: Rows and columns of the site.
        centers: For cells: unit number, row and column of each center.

    Returns:
        The boxes in unit order; with border `drop`, only those inside the site.
    """
    found = _all_boxes(geometry, shape_yx, centers)
    if geometry.border != "drop":
        return found
    return tuple(box for box in found if _inside(box, shape_yx))


def crop(
    planes: Sequence[NDArray[Any]], box: Box, border: Border
) -> list[NDArray[Any]]:
    """Cut one window from each plane.

    Args:
        planes: Planes of one site, each (rows, columns), each of its own type.
        box: The window.
        border: What stands beyond the border.

    Returns:
        One window (height, width) a plane; views where the box lies inside.
    """
    return [_crop(plane, box, border) for plane in planes]


def _all_boxes(
    geometry: Geometry,
    shape_yx: tuple[int, int],
    centers: Sequence[tuple[int, int, int]],
) -> tuple[Box, ...]:
    side = geometry.window or 0
    match geometry.kind:
        case "site":
            return (Box(0, 0, 0, *shape_yx),)
        case "tile":
            across = -(-shape_yx[1] // side)
            down = -(-shape_yx[0] // side)
            return tuple(
                Box(row * across + column, row * side, column * side, side, side)
                for row in range(down)
                for column in range(across)
            )
        case "cell":
            return tuple(
                Box(unit, y - side // 2, x - side // 2, side, side)
                for unit, y, x in centers
            )
        case _:
            assert_never(geometry.kind)


def _inside(box: Box, shape_yx: tuple[int, int]) -> bool:
    return (
        box.top >= 0
        and box.left >= 0
        and box.top + box.height <= shape_yx[0]
        and box.left + box.width <= shape_yx[1]
    )


def _crop(plane_yx: NDArray[Any], box: Box, border: Border) -> NDArray[Any]:
    bottom, right = box.top + box.height, box.left + box.width
    if _inside(box, (plane_yx.shape[0], plane_yx.shape[1])):
        return plane_yx[box.top : bottom, box.left : right]
    rows, y_in = _indices(box.top, bottom, plane_yx.shape[0])
    columns, x_in = _indices(box.left, right, plane_yx.shape[1])
    window: NDArray[Any] = plane_yx[np.ix_(rows, columns)]
    match border:
        case "reflect":
            return window
        case "zero":
            return np.where(np.outer(y_in, x_in), window, window.dtype.type(0))
        case "drop":
            msg = f"the window at row {box.top}, column {box.left} leaves the picture"
            raise DataError(msg)
        case _:
            assert_never(border)


def _indices(
    start: int, stop: int, length: int
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Mirrored positions (the border pixel is not repeated), and which are inside."""
    at = np.arange(start, stop)
    inside = (at >= 0) & (at < length)
    period = max(2 * (length - 1), 1)
    folded = np.abs(at) % period
    return np.minimum(folded, period - folded if length > 1 else 0), inside


def _check_side(name: str, value: object) -> None:
    if type(value) is not int or not 1 <= value <= MAX_SIDE:
        msg = f"geometry {name} is {value!r}; expected pixels from 1 to {MAX_SIDE}"
        raise SettingsError(msg)
