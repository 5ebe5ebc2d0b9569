"""Pictures of an Operetta or Phenix measurement (Harmony), by its index.

`Index.idx.xml` (Harmony 4 and 5) or `Index.xml` (6 and later) beside the TIFF files
tells of each its well, field, plane, timepoint and channel. Channel names stand at each
image, or once for all in the maps. One plane a picture is taken: the only one there is,
or the one that the caller asks for.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from normgate.errors import DataError, SettingsError
from normgate.plates.inspection import Finding
from normgate.plates.pictures import Picture, marker_name
from normgate.plates.wells import Well, parse_well

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

INDEXES = ("Index.idx.xml", "Index.xml")
_NUMBERS = ("Row", "Col", "FieldID", "PlaneID", "TimepointID", "ChannelID")
_FILE = re.compile(r"[^/\\:]+\.tiff?", re.IGNORECASE)
_SECOND = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Image:
    """One file, and what the index says of it."""

    path: Path
    well: Well
    site: str
    plane: int
    time: int
    channel: int
    name: str
    """Empty where the channel's name stands in the maps."""
    offset_s: float | None
    """Seconds since the measurement began."""
    ok: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Index:
    """One measurement."""

    path: Path
    plate: str
    wells: frozenset[Well]
    """Wells that were to be measured."""
    names: Mapping[int, str]
    """Channel names of the maps."""
    images: tuple[_Image, ...]


def index_files(folder: Path) -> list[Path]:
    """The indexes below a folder, sorted.

    Raises:
        DataError: There is no such folder.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; name the one that holds the images")
    return sorted(path for name in INDEXES for path in folder.rglob(name))


def find_pictures(
    folder: Path, z: str = "", timepoints_ms: Sequence[int] = ()
) -> tuple[list[Picture], list[Finding]]:
    """Find the pictures of all measurements below a folder.

    Args:
        folder: A measurement's folder, or one above several.
        z: The plane's number; empty where there is but one.
        timepoints_ms: Milliseconds of the timepoints, in order; empty takes the time
            offsets of the index, in whole seconds.

    Returns:
        The pictures, and what a person should know of them.

    Raises:
        DataError: There is no index, or one can't be read or lacks something.
        SettingsError: `z` or `timepoints_ms` do not fit what was found.
    """
    files = index_files(folder)
    if not files:
        raise DataError(f"{folder} holds no {' or '.join(INDEXES)}; export it again")
    pictures: list[Picture] = []
    findings: list[Finding] = []
    for path in files:
        index = _read(path)
        images = _one_plane(index, z)
        names = {image.channel: _name(image, index) for image in images}
        times = _times(index, images, timepoints_ms)
        findings += _findings(index, images, times)
        pictures += [
            Picture(
                plate=index.plate,
                well=image.well,
                site=image.site,
                timepoint_ms=times[image.time],
                marker=names[image.channel],
                path=image.path,
            )
            for image in images
        ]
    return pictures, findings


def _read(path: Path) -> _Index:
    """Read an index; only its images and channels are kept, so that large ones fit."""
    plate, wells = "", set()
    names: dict[int, str] = {}
    images = []
    for kind, values in _elements(path):
        if kind == "Plate":
            plate = values.get("Name") or values.get("PlateID") or plate
        elif kind == "Well":
            name = values.get("@id") or values.get("id", "")
            wells.add(_well(name[:2], name[2:], path))
        elif kind == "Entry" and values.get("ChannelName"):
            names[_whole(values, "@ChannelID", path)] = values["ChannelName"]
        elif kind == "Image" and "URL" in values:
            images.append(_image(values, path))
    if not images:
        raise DataError(f"{path} names no image; export the measurement again")
    return _Index(
        path=path,
        plate=marker_name(plate or path.parent.name),
        wells=frozenset(wells),
        names=names,
        images=tuple(images),
    )


def _elements(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Plates, wells, map entries and images, each as the texts of its children."""
    root = None
    try:
        for event, element in ElementTree.iterparse(path, events=("start", "end")):
            kind = element.tag.rpartition("}")[2]
            if root is None:
                root = element
                if kind != "EvaluationInputData":
                    msg = f"{path} is no Harmony index (its root is {kind})"
                    raise DataError(f"{msg}; export the measurement again")
            if event == "end" and kind in ("Plate", "Well", "Entry", "Image"):
                children = {
                    child.tag.rpartition("}")[2]: (child.text or "").strip()
                    for child in element
                }
                attributes = {f"@{key}": value for key, value in element.items()}
                yield kind, children | attributes
                if kind in ("Image", "Entry"):
                    element.clear()
    except (OSError, ElementTree.ParseError) as error:
        msg = f"{path} can't be read as an index ({error}); export it again"
        raise DataError(msg) from error


def _image(values: Mapping[str, str], path: Path) -> _Image:
    row, column, field, plane, time, channel = (
        _whole(values, name, path) for name in _NUMBERS
    )
    if _FILE.fullmatch(values["URL"]) is None:
        msg = f"{path} names {values['URL']!r}, which is no TIFF beside it"
        raise DataError(f"{msg}; export the measurement with its images")
    offset = values.get("MeasurementTimeOffset", "")
    try:
        seconds = float(offset) if offset else None
    except ValueError as error:
        msg = f"{path}: {values['URL']} has time offset {offset!r}, not a number"
        raise DataError(msg) from error
    return _Image(
        path=path.parent / values["URL"],
        well=_well(str(row), str(column), path),
        site=str(field),
        plane=plane,
        time=time,
        channel=channel,
        name=values.get("ChannelName", ""),
        offset_s=seconds,
        ok=values.get("State", "Ok") == "Ok",
    )


def _whole(values: Mapping[str, str], name: str, path: Path) -> int:
    text = values.get(name, "")
    if not (text.isdigit() and text.isascii()):
        msg = f"{path}: {values.get('URL', 'an entry')} has {name} {text!r}"
        raise DataError(f"{msg}, not a whole number; export the measurement again")
    return int(text)


def _well(row: str, column: str, path: Path) -> Well:
    try:
        well = Well(int(row), int(column))
        return parse_well(well.name) if well.row > 0 else parse_well("")
    except (ValueError, DataError) as error:
        msg = f"{path} names row {row!r}, column {column!r}, which is no well"
        raise DataError(f"{msg}; export the measurement again") from error


def _name(image: _Image, index: _Index) -> str:
    name = image.name or index.names.get(image.channel, "")
    if not name:
        msg = f"{index.path} gives channel {image.channel} no name"
        raise DataError(f"{msg}; name it in Harmony and export again")
    return marker_name(name)


def _one_plane(index: _Index, z: str) -> list[_Image]:
    """One plane for every picture, or a refusal that says which there are."""
    planes = sorted({image.plane for image in index.images})
    if not z and len(planes) == 1:
        return list(index.images)
    if not z.isdigit() or int(z) not in planes:
        found = ", ".join(map(str, planes))
        msg = f"z is {z!r}, and {index.path} has planes {found}; name one, such as "
        raise SettingsError(msg + f"z={planes[0]}")
    return [image for image in index.images if image.plane == int(z)]


def _times(
    index: _Index, images: Iterable[_Image], given: Sequence[int]
) -> dict[int, int]:
    """Milliseconds by timepoint: as given, or by the earliest offset of each."""
    starts: dict[int, list[float]] = defaultdict(list)
    for image in images:
        starts[image.time] += [] if image.offset_s is None else [image.offset_s]
    numbers = sorted(starts)
    if given and len(given) != len(numbers):
        msg = f"{index.path} has {len(numbers)} timepoints; {len(given)} were given"
        raise SettingsError(msg)
    if given:
        return dict(zip(numbers, given, strict=True))
    if len(numbers) == 1:
        return {numbers[0]: 0}
    if not all(starts.values()):
        msg = f"{index.path} tells no time of some timepoints; give them in "
        raise DataError(msg + "milliseconds, such as 0,10000")
    first = min(starts[numbers[0]])
    times = {n: round(min(starts[n]) - first) * _SECOND for n in numbers}
    if len(set(times.values())) < len(times) or min(times.values()) < 0:
        msg = f"{index.path}: timepoints {numbers} lie at {list(times.values())} ms"
        raise DataError(f"{msg}; give them in milliseconds, such as 0,10000")
    return times


def _findings(
    index: _Index, images: Sequence[_Image], times: Mapping[int, int]
) -> list[Finding]:
    texts = []
    missing = sorted(index.wells - {image.well for image in images})
    if missing:
        texts.append(f"{index.path.name} names well {missing[0].name}, of which there "
                     f"is no image ({len(missing)} well(s))")  # fmt: skip
    bad = [image for image in images if not image.ok]
    if bad:
        texts.append(f"{len(bad)} image(s) are not Ok by the index, such as "
                     f"{bad[0].path.name}")  # fmt: skip
    if len(times) > 1:
        found = ", ".join(f"{number} at {ms} ms" for number, ms in times.items())
        texts.append(f"timepoints by {index.path.name}: {found}")
    where = f"plate {index.plate}"
    return [Finding("metadata", index.plate, f"{where}: {text}") for text in texts]
