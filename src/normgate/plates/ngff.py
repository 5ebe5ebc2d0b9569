"""What the metadata of an OME-Zarr plate (0.4 or 0.5) say, read strictly.

Only what is needed to find planes is modelled; other keys are left to other tools. A
value that is modelled must be of its type, and a path may not leave its store.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from normgate.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

VERSIONS = ("0.4", "0.5")
AXES = ("t", "c", "z", "y", "x")
"""Names of the axes, in the order that the format demands."""
UNITS_MS = {"millisecond": 1.0, "second": 1e3, "minute": 6e4, "hour": 3.6e6}
"""Milliseconds of a unit of time."""


def _inside(path: str) -> str:
    parts = path.split("/")
    if not all(parts) or {".", ".."} & set(parts) or set('\\:#?*"<>|') & set(path):
        raise ValueError("is not a path inside the store")
    return path


Inside = Annotated[str, AfterValidator(_inside)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, allow_inf_nan=False)


class _Named(_Model):
    name: Inside


class PlateWell(_Model):
    """One well of a plate, and where its group is."""

    path: Inside
    row: int = Field(alias="rowIndex", ge=0)
    column: int = Field(alias="columnIndex", ge=0)


class PlateGroup(_Model):
    """The metadata of a plate."""

    name: str = ""
    rows: list[_Named]
    columns: list[_Named]
    wells: list[PlateWell] = Field(min_length=1)


class WellImage(_Model):
    """One field of view of a well."""

    path: Inside


class WellGroup(_Model):
    """The metadata of a well."""

    images: list[WellImage] = Field(min_length=1)


class _Axis(_Model):
    name: Literal["t", "c", "z", "y", "x"]
    unit: str = ""


class _Transformation(_Model):
    type: str
    scale: list[float] = []


class _Level(_Model):
    path: Inside
    transformations: list[_Transformation] = Field(
        alias="coordinateTransformations", default=[]
    )


class Pyramid(_Model):
    """One picture at falling resolutions; the first level has every pixel."""

    axes: list[_Axis] = Field(min_length=2)
    levels: list[_Level] = Field(alias="datasets", min_length=1)
    transformations: list[_Transformation] = Field(
        alias="coordinateTransformations", default=[]
    )

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the axes."""
        return tuple(axis.name for axis in self.axes)

    @property
    def step_ms(self) -> float | None:
        """Milliseconds from one timepoint to the next; None where nothing tells."""
        if "t" not in self.names:
            return None
        at = self.names.index("t")
        unit = UNITS_MS.get(self.axes[at].unit)
        steps = [*self.levels[0].transformations, *self.transformations]
        scales = [one.scale for one in steps if one.type == "scale"]
        if unit is None or not scales or any(len(s) != len(self.axes) for s in scales):
            return None
        step = unit
        for scale in scales:
            step *= scale[at]
        return step if step > 0 else None


class _Channel(_Model):
    label: str = ""


class _Omero(_Model):
    channels: list[_Channel]


class ImageGroup(_Model):
    """The metadata of an image or of a label image."""

    multiscales: list[Pyramid] = Field(min_length=1)
    omero: _Omero | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the channels; empty where the image tells none."""
        return tuple(c.label for c in self.omero.channels) if self.omero else ()


Group = TypeVar("Group", bound=_Model)


def is_group(folder: Path) -> bool:
    """Whether a folder is a group or an array of a Zarr store."""
    names = ("zarr.json", ".zgroup", ".zattrs", ".zarray")
    return any((folder / name).is_file() for name in names)


def is_plate(folder: Path) -> bool:
    """Whether a folder is an OME-Zarr plate, of any version."""
    try:
        return "plate" in _attributes(folder)
    except DataError:
        return False


def read_plate(folder: Path) -> PlateGroup:
    """Read the metadata of a plate.

    Raises:
        DataError: The version is not read, a value is not what the format demands,
            or a well's path is not its row and column.
    """
    attributes = _attributes(folder)
    plate = attributes.get("plate", {})
    version = attributes.get("version", plate.get("version", "none"))
    if version not in VERSIONS:
        msg = f"{folder} is an OME-Zarr plate of version {version}; expected "
        raise DataError(msg + f"{' or '.join(VERSIONS)}: convert it with ome-zarr-py")
    found = _checked(PlateGroup, plate, folder)
    for well in found.wells:
        if well.row >= len(found.rows) or well.column >= len(found.columns):
            msg = f"{folder} puts well {well.path} at row {well.row}, column "
            msg += f"{well.column}, of {len(found.rows)} rows and {len(found.columns)}"
            raise DataError(msg + " columns; mend the plate's metadata")
        expected = f"{found.rows[well.row].name}/{found.columns[well.column].name}"
        if well.path != expected:
            msg = f"{folder} says that well {expected} lies at {well.path}"
            raise DataError(msg + "; mend the plate's metadata")
    return found


def read_well(folder: Path) -> WellGroup:
    """Read the metadata of a well; raises as `read_plate`."""
    return _checked(WellGroup, _attributes(folder).get("well", {}), folder)


def read_image_group(folder: Path) -> ImageGroup:
    """Read the metadata of an image or label image.

    Raises:
        DataError: As `read_plate`; or the axes are not in order, or end otherwise
            than in rows and columns.
    """
    found = _checked(ImageGroup, _attributes(folder), folder)
    names = found.multiscales[0].names
    if names != tuple(n for n in AXES if n in names) or names[-2:] != ("y", "x"):
        msg = f"{folder} has axes {', '.join(names)}; expected some of t, c, z, y, x"
        raise DataError(msg + " in this order, ending in y, x")
    return found


def _attributes(folder: Path) -> dict[str, Any]:
    """A group's OME metadata, wherever its format keeps them."""
    for name, keys in (("zarr.json", ("attributes", "ome")), (".zattrs", ())):
        try:
            found = json.loads((folder / name).read_bytes())
        except FileNotFoundError:
            continue
        except (OSError, ValueError, RecursionError) as error:
            msg = f"{folder / name} can't be read ({error}); restore the store"
            raise DataError(msg) from error
        for key in keys:
            found = found.get(key, {}) if isinstance(found, dict) else found
        if isinstance(found, dict):
            return found
        raise DataError(f"{folder / name} holds no object; restore the store")
    raise DataError(f"{folder} has no zarr.json and no .zattrs; restore the store")


def _checked(model: type[Group], values: Any, folder: Path) -> Group:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "its metadata"
        msg = f"{folder}: {where} is not valid OME-Zarr ({first['msg']})"
        raise DataError(f"{msg}; mend the metadata") from error
