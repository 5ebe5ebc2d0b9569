"""Pictures of OME-Zarr plates (0.4 and 0.5), read where they are.

Each field of view is a site. Channels are known by the labels that the images carry,
never by their position alone; where images carry none, the caller names them. One Z a
picture is taken: the only one there is, or the step that the caller asks for. A label
image may say where the cells are.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from normgate.errors import DataError, SettingsError
from normgate.plates.ngff import (
    Pyramid,
    is_group,
    is_plate,
    read_image_group,
    read_plate,
    read_well,
)
from normgate.plates.pictures import MASK, Picture, marker_name
from normgate.plates.wells import Well, parse_well
from normgate.plates.zarr_array import plane_name, read_layout

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class OmeZarrSettings:
    """What the plates themselves can't tell."""

    z: str = ""
    """The Z step to take, counted from 1; empty where there is but one."""
    timepoints_ms: tuple[int, ...] = ()
    """Milliseconds of the timepoints; empty takes the time axis's own scale."""
    channels: tuple[str, ...] = ()
    """Names of the channels in order, for images that carry none."""
    cells: str = ""
    """The label image that says where the cells are; empty for none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Field:
    """One field of view."""

    plate: str
    well: Well
    site: str
    folder: Path


def plate_folders(folder: Path) -> list[Path]:
    """The OME-Zarr plates that a folder is or holds, sorted; stores are not searched.

    Raises:
        DataError: There is no such folder.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; name the one that holds the plates")
    found = []
    for place, names, _ in os.walk(folder):
        names.sort()
        if is_group(Path(place)):
            names.clear()
            if is_plate(Path(place)):
                found.append(Path(place))
    return sorted(found)


def find_pictures(folder: Path, settings: OmeZarrSettings) -> list[Picture]:
    """Find the pictures of all plates below a folder.

    Args:
        folder: A plate's store, or a folder of several.
        settings: What the plates can't tell.

    Raises:
        CorruptImage: An array's metadata can't be read.
        DataError: There is no plate, or one is not what the format demands.
        SettingsError: `settings` do not fit what was found.
    """
    plates = plate_folders(folder)
    if not plates:
        msg = f"{folder} holds no OME-Zarr plate (a store with plate metadata)"
        raise DataError(msg + "; name the store, such as plate.zarr")
    return [
        picture
        for plate in plates
        for field in _fields(plate)
        for picture in _pictures(field, settings)
    ]


def _fields(folder: Path) -> Iterator[_Field]:
    plate = read_plate(folder)
    plain = folder.resolve().name.removesuffix(".zarr").removesuffix(".ome")
    for well in plate.wells:
        for image in read_well(folder / well.path).images:
            yield _Field(
                plate=marker_name(plate.name or plain),
                well=parse_well(well.path.replace("/", "")),
                site=image.path,
                folder=folder / well.path / image.path,
            )


def _pictures(field: _Field, settings: OmeZarrSettings) -> Iterator[Picture]:
    group = read_image_group(field.folder)
    pyramid = group.multiscales[0]
    array = field.folder / pyramid.levels[0].path
    sides = _sides(array, pyramid)
    step = _step(sides.get("z", 1), settings.z, field.folder)
    times = _times(sides.get("t", 1), pyramid, settings, field.folder)
    names = _channels(sides.get("c", 1), group.labels, settings, field.folder)
    for moment, time in enumerate(times):
        place = {"t": moment, "z": step}
        for channel, name in enumerate(names):
            index = _index(pyramid, {**place, "c": channel})
            yield _picture(field, time, name, plane_name(array, index))
        if settings.cells:
            path = _cells(field.folder, settings.cells, place)
            yield _picture(field, time, MASK, path)


def _picture(field: _Field, time: int, marker: str, path: Path) -> Picture:
    return Picture(
        plate=field.plate,
        well=field.well,
        site=field.site,
        timepoint_ms=time,
        marker=marker,
        path=path,
    )


def _sides(array: Path, pyramid: Pyramid) -> dict[str, int]:
    """Planes on each axis; the array must have the axes that the image declares."""
    shape = read_layout(array).shape
    if len(shape) != len(pyramid.axes):
        msg = f"{array} has shape {shape} for axes {', '.join(pyramid.names)}"
        raise DataError(msg + "; mend the image's metadata")
    return dict(zip(pyramid.names, shape, strict=True))


def _index(pyramid: Pyramid, place: dict[str, int]) -> list[int]:
    return [place[name] for name in pyramid.names if name not in ("y", "x")]


def _step(steps: int, z: str, image: Path) -> int:
    """The Z step to take, from 0."""
    if not z and steps == 1:
        return 0
    if not z:
        msg = f"{image} has {steps} Z steps; say which one, such as z=1"
        raise SettingsError(msg)
    if not z.isdigit() or not 1 <= int(z) <= steps:
        msg = f"z is {z!r}, and {image} has Z steps 1 to {steps}; name one of them"
        raise SettingsError(msg)
    return int(z) - 1


def _times(
    count: int, pyramid: Pyramid, settings: OmeZarrSettings, image: Path
) -> Sequence[int]:
    """Milliseconds of the timepoints: as given, or by the scale of the time axis."""
    given = settings.timepoints_ms
    if given and len(given) != count:
        msg = f"{image} has {count} timepoints; {len(given)} were given"
        raise SettingsError(msg)
    if given:
        return given
    if count == 1:
        return (0,)
    step = pyramid.step_ms
    if step is None:
        msg = f"{image} has {count} timepoints and tells no time between them; give "
        raise DataError(msg + "timepoints in milliseconds, such as 0,10000")
    return [round(index * step) for index in range(count)]


def _channels(
    count: int, labels: tuple[str, ...], settings: OmeZarrSettings, image: Path
) -> list[str]:
    """The channels' names: the image's own, or the caller's where it has none."""
    own = all(labels) and bool(labels)
    if own and settings.channels:
        msg = f"{image} names its channels {', '.join(labels)}; give no channels"
        raise SettingsError(msg)
    names = labels if own else settings.channels
    if not names:
        msg = f"{image} names no channels (omero.channels.label); give channels="
        raise DataError(msg + "NAME,NAME in the order of its channels")
    if len(names) != count or len(set(map(marker_name, names))) != count:
        msg = f"{image} has {count} channels, named {', '.join(names)}"
        raise DataError(msg + "; give each a name of its own")
    return [marker_name(name) for name in names]


def _cells(image: Path, name: str, place: dict[str, int]) -> Path:
    """The plane of a label image beside an image's plane."""
    folder = image / "labels" / name
    pyramid = read_image_group(folder).multiscales[0]
    array = folder / pyramid.levels[0].path
    sides = _sides(array, pyramid)
    here = {key: at if sides.get(key, 1) > 1 else 0 for key, at in place.items()}
    return plane_name(array, _index(pyramid, {"c": 0, **here}))
