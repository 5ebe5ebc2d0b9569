"""The layouts that images come in: which one a folder has, and its pictures."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Literal, assert_never

from normgate.errors import DataError
from normgate.plates import demo, htd, imagexpress, omezarr, operetta, patterns
from normgate.plates.inspection import Finding
from normgate.plates.pictures import Picture, tiff_files

if TYPE_CHECKING:
    from normgate.plates.index import IndexSettings

Layout = Literal[
    "auto", "pattern", "imagexpress", "operetta", "ome-zarr", "nf1", "demo"
]


def find_layout(settings: IndexSettings) -> Layout:
    """The layout, found out where it is `auto`.

    Raises:
        DataError: There is no image, or no known layout.
    """
    if settings.layout != "auto":
        return settings.layout
    if settings.pattern:
        return "pattern"
    if (settings.images / demo.SETTINGS_NAME).is_file():
        return "demo"
    if omezarr.plate_folders(settings.images):
        return "ome-zarr"
    if operetta.index_files(settings.images):
        return "operetta"
    files = tiff_files(settings.images)
    if imagexpress.is_imagexpress(settings.images):
        return "imagexpress"
    nf1 = patterns.compile_pattern(patterns.NF1)
    if any(nf1.fullmatch(path.name) for path in files):
        return "nf1"
    msg = (
        f"{settings.images} follows no known layout (the first file is "
        f"{files[0].name}); give layout=pattern and a pattern with named groups well "
        "and channel"
    )
    raise DataError(msg)


def find_pictures(
    layout: Layout, settings: IndexSettings
) -> tuple[list[Picture], list[Finding]]:
    """The pictures of a layout, and what a person should know of them.

    Raises:
        DataError: A file is not as the layout has it.
        SettingsError: The settings do not fit what was found.
    """
    folder = settings.images
    match layout:
        case "imagexpress":
            return _imagexpress(settings)
        case "operetta":
            return operetta.find_pictures(folder, settings.z, settings.timepoints_ms)
        case "ome-zarr":
            own = omezarr.OmeZarrSettings(
                z=settings.z,
                timepoints_ms=settings.timepoints_ms,
                channels=settings.channels,
                cells=settings.masks,
            )
            return omezarr.find_pictures(folder, own), []
        case "nf1":
            found, _ = patterns.find_pictures(
                folder, patterns.NF1, patterns.NF1_MASKS, settings.plate
            )
            return found, []
        case "pattern":
            found, others = patterns.find_pictures(
                folder, settings.pattern, settings.masks, settings.plate
            )
            text = f"{len(others)} TIFF file(s) match no pattern"
            odd = [Finding("metadata", str(others[0]), text)] if others else []
            return found, odd
        case "demo" | "auto":
            raise AssertionError(layout)
        case _:
            assert_never(layout)


def _imagexpress(settings: IndexSettings) -> tuple[list[Picture], list[Finding]]:
    pictures, findings = imagexpress.find_pictures(
        settings.images, settings.z, settings.timepoints_ms
    )
    by_plate: dict[str, list[Picture]] = defaultdict(list)
    for picture in pictures:
        by_plate[picture.plate].append(picture)
    for path in sorted(settings.images.resolve().rglob("*.HTD")):
        own = by_plate.pop(path.parent.name, None)
        findings += htd.compare(path, own) if own else []
    return pictures, findings
