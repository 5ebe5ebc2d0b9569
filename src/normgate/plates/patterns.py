r"""Pictures by a named pattern: a regular expression whose groups say what is what.

Groups: `well` (or `row` and `column`), `channel`, and where they apply `site`,
`timepoint_ms`, `plate`. For example, for `P1_B02_s1_0ms_HALO.tif`:

    (?P<plate>P\d+)_(?P<well>[A-P]\d+)_s(?P<site>\d+)_(?P<timepoint_ms>\d+)ms_
    (?P<channel>\w+)\.tif    (on one line)

A pattern with a slash is matched against the path below the folder, else against the
file's name. Without a `channel` group each file must be a multi-page or OME-TIFF, whose
pages are its channels.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from normgate.errors import DataError, SettingsError
from normgate.plates.pictures import (
    MASK,
    Picture,
    default_plate,
    marker_name,
    tiff_files,
)
from normgate.plates.read import read_description, read_header
from normgate.plates.wells import parse_well

if TYPE_CHECKING:
    from pathlib import Path

    from normgate.plates.wells import Well

GROUPS = frozenset(
    {"plate", "well", "row", "column", "site", "timepoint_ms", "channel"}
)
NF1 = r"(?P<well>[A-H]\d{1,2})_\d+_\d+_(?P<site>\d+)_(?P<channel>[A-Za-z0-9]+)_\d+\.tif"
"""`well_01_channelnumber_site_stain_001.tif`."""
NF1_MASKS = (
    r"(?P<well>[A-H]\d{1,2})_\d+_\d+_(?P<site>\d+)_[A-Za-z0-9]+_\d+_MaskNuclei\.tiff"
)


def compile_pattern(text: str) -> re.Pattern[str]:
    """Check a pattern and its groups.

    Raises:
        SettingsError: It is no regular expression, or lacks or misnames a group.
    """
    try:
        pattern = re.compile(text)
    except re.error as error:
        msg = f"pattern {text!r} is no regular expression ({error})"
        raise SettingsError(msg) from error
    names = set(pattern.groupindex)
    unknown = sorted(names - GROUPS)
    if unknown:
        msg = (
            f"pattern has a group {unknown[0]!r}; known are {', '.join(sorted(GROUPS))}"
        )
        raise SettingsError(msg)
    if "well" not in names and not {"row", "column"} <= names:
        raise SettingsError("pattern names no well; add (?P<well>[A-P][0-9]+)")
    return pattern


def find_pictures(
    folder: Path, pattern: str, masks: str = "", plate: str = ""
) -> tuple[list[Picture], list[Path]]:
    """Find the pictures that a pattern names.

    Args:
        folder: Where to look, at any depth.
        pattern: What pictures are called.
        masks: What mask files are called; empty for none.
        plate: The plate's name where the pattern has no such group.

    Returns:
        The pictures (masks under the marker `MASK`), and TIFF files that match nothing.

    Raises:
        DataError: No file matches, or a name says no well.
        SettingsError: A pattern is malformed.
    """
    wanted = compile_pattern(pattern)
    of_masks = compile_pattern(masks) if masks else None
    plate = plate or default_plate(folder)
    found: list[Picture] = []
    others: list[Path] = []
    for path in tiff_files(folder):
        match = _match(wanted, path, folder)
        mask = _match(of_masks, path, folder) if of_masks and not match else None
        if match:
            found += _pictures(match, path, plate)
        elif mask:
            found.append(_picture(mask, path, plate, MASK))
        else:
            others.append(path)
    if not any(picture.marker != MASK for picture in found):
        msg = f"no file below {folder} matches {pattern!r}; the first is {others[0]}"
        raise DataError(msg)
    return found, others


def _match(pattern: re.Pattern[str], path: Path, folder: Path) -> re.Match[str] | None:
    whole = "/" in pattern.pattern
    return pattern.fullmatch(
        path.relative_to(folder).as_posix() if whole else path.name
    )


def _pictures(match: re.Match[str], path: Path, plate: str) -> list[Picture]:
    """One picture, or one a page where the name tells no channel."""
    name = match.groupdict().get("channel")
    if name is not None:
        return [_picture(match, path, plate, marker_name(name))]
    pages = read_header(path).pages
    names = _ome_channels(path)
    if len(names) != pages:
        msg = (
            f"{path} has {pages} page(s) and names {len(names)} channel(s); add a "
            "channel group to the pattern, or export OME-TIFF with channel names"
        )
        raise DataError(msg)
    return [
        _picture(match, path.with_name(f"{path.name}#page={page}"), plate, channel)
        for page, channel in enumerate(names)
    ]


def _picture(match: re.Match[str], path: Path, plate: str, marker: str) -> Picture:
    parts = match.groupdict()
    time = parts.get("timepoint_ms") or "0"
    if not time.isdigit():
        raise DataError(f"{path}: timepoint_ms is {time!r}, not milliseconds")
    return Picture(
        plate=parts.get("plate") or plate,
        well=_well(parts, path),
        site=parts.get("site") or "1",
        timepoint_ms=int(time),
        marker=marker,
        path=path,
    )


def _well(parts: dict[str, str | None], path: Path) -> Well:
    text = parts.get("well") or f"{parts.get('row')}{parts.get('column')}"
    try:
        return parse_well(text)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def _ome_channels(path: Path) -> list[str]:
    """Channel names of an OME-TIFF, in order; empty where there are none."""
    text = read_description(path)
    if "<OME" not in text:
        return []
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise DataError(f"{path}: its OME-XML can't be read ({error})") from error
    image = root.find(".//{*}Image")
    channels = [] if image is None else image.findall(".//{*}Channel")
    names = [channel.get("Name") for channel in channels]
    return [marker_name(name) for name in names if name]
