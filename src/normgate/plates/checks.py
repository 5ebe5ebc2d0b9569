"""Checks of the pictures that a layout found: complete, readable, of one type, sound.

What can't be a table is refused by name; what a person should know is a finding.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from normgate.errors import CorruptImage, DataError
from normgate.plates.inspection import Finding, inspect
from normgate.plates.pictures import MASK, Picture
from normgate.plates.read import read_header

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

INSPECTED = 24
"""Pictures of each marker whose pixels are looked at for traps."""


def completeness(pictures: Sequence[Picture]) -> list[Finding]:
    """Refuse a site without one of the channels; tell of sites that wells lack."""
    names = dict.fromkeys(p.marker for p in pictures)
    places: dict[tuple[str, str, str, int], set[str]] = defaultdict(set)
    for picture in pictures:
        places[picture.place].add(picture.marker)
    for (plate, well, site, time), have in places.items():
        for marker in names:
            if marker not in have:
                what = "mask" if marker == MASK else f"picture of {marker}"
                count = sum(marker not in other for other in places.values())
                msg = (
                    f"plate {plate} well {well} site {site} at {time} ms has no {what} "
                    f"({count} of {len(places)} lack it); add it, or index a folder "
                    "without it"
                )
                raise DataError(msg)
    return _missing_sites(places)


def _missing_sites(
    places: dict[tuple[str, str, str, int], set[str]],
) -> list[Finding]:
    wells: dict[tuple[str, str], set[str]] = defaultdict(set)
    plates: dict[str, set[str]] = defaultdict(set)
    for plate, well, site, _ in places:
        wells[plate, well].add(site)
        plates[plate].add(site)
    findings = []
    for plate, sites in plates.items():
        lack = {
            well: ", ".join(sorted(sites - have))
            for (other, well), have in wells.items()
            if other == plate and sites - have
        }
        if lack:
            well, missing = next(iter(lack.items()))
            text = (
                f"plate {plate}: {len(lack)} well(s) lack a site that other wells "
                f"have, such as well {well} site {missing}"
            )
            findings.append(Finding("missing-site", plate, text))
    return findings


def check_files(
    pictures: Sequence[Picture], progress: Callable[[int, int], None] | None
) -> None:
    """Read every header: unreadable files and mixed types are refused by name."""
    first: dict[str, tuple[str, Path]] = {}
    shapes: dict[tuple[str, str, str, int], tuple[tuple[int, int], Path]] = {}
    unreadable: list[str] = []
    for done, picture in enumerate(pictures, start=1):
        if progress is not None:
            progress(done, len(pictures))
        try:
            header = read_header(picture.path, mask=picture.marker == MASK)
        except CorruptImage as error:
            unreadable.append(str(error))
            continue
        dtype, path = first.setdefault(picture.marker, (header.dtype, picture.path))
        if dtype != header.dtype and picture.marker != MASK:
            msg = (
                f"{picture.marker} has mixed bit depth: {path} is {dtype}, "
                f"{picture.path} is {header.dtype}; export every file alike"
            )
            raise DataError(msg)
        shape, path = shapes.setdefault(picture.place, (header.shape_yx, picture.path))
        if shape != header.shape_yx:
            msg = f"one site has two shapes: {path} {shape}, {picture.path} "
            raise DataError(msg + f"{header.shape_yx}; export the channels alike")
    if unreadable:
        more = f" ({len(unreadable) - 1} more)" if len(unreadable) > 1 else ""
        raise DataError(unreadable[0] + more)


def inspected(pictures: Sequence[Picture]) -> list[Finding]:
    """Look at the pixels of some pictures of each marker, evenly spread."""
    found: list[Finding] = []
    for marker in dict.fromkeys(p.marker for p in pictures if p.marker != MASK):
        own = [p for p in pictures if p.marker == marker]
        step = max(len(own) // INSPECTED, 1)
        looked = own[::step]
        each = [finding for p in looked for finding in inspect(p.path)]
        for kind, count in Counter(f.kind for f in each).items():
            example = next(f for f in each if f.kind == kind)
            text = (
                f"{marker}: {count} of {len(looked)} pictures looked at, such as "
                f"{Path(example.where).name}: {example.sentence}"
            )
            found.append(Finding(kind, example.where, text))
    return found
