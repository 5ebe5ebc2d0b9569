"""What an ImageXpress plate file (.HTD) promises, held against what is there."""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING

from normgate.errors import DataError
from normgate.plates.inspection import Finding
from normgate.plates.wells import Well

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from normgate.plates.pictures import Picture

_ROW = re.compile(r"WellsSelection(\d+)")


def read_htd(path: Path) -> dict[str, list[str]]:
    """The lines of a plate file, each a name and its values.

    Raises:
        DataError: The file can't be read.
    """
    try:
        text = path.read_bytes().decode("latin-1")
    except OSError as error:
        raise DataError(f"{path} can't be read ({error.strerror})") from error
    rows = csv.reader(text.splitlines(), skipinitialspace=True)
    return {row[0]: row[1:] for row in rows if row}


def compare(htd: Path, pictures: Sequence[Picture]) -> list[Finding]:
    """Say what a plate file promises and the pictures lack.

    Args:
        htd: The plate file.
        pictures: The pictures of its plate.
    """
    lines = read_htd(htd)
    plate = pictures[0].plate
    missing = [
        *_missing_wells(lines, {p.well for p in pictures}),
        *_missing_times(lines, {p.timepoint_ms for p in pictures}),
        *_missing_waves(lines, {p.marker for p in pictures}),
    ]
    return [
        Finding("metadata", plate, f"plate {plate}: {htd.name} names {what}")
        for what in missing
    ]


def _missing_wells(lines: Mapping[str, list[str]], found: set[Well]) -> list[str]:
    wanted = {
        Well(int(match[1]), column)
        for name, values in lines.items()
        if (match := _ROW.fullmatch(name))
        for column, value in enumerate(values, start=1)
        if value.strip().upper() == "TRUE"
    }
    return [
        f"well {well.name}, of which there is none" for well in sorted(wanted - found)
    ]


def _missing_times(lines: Mapping[str, list[str]], found: set[int]) -> list[str]:
    promised = int(lines["TimePoints"][0]) if lines.get("TimePoints") else 0
    if promised <= len(found):
        return []
    return [f"{promised} timepoints, of which {len(found)} are there"]


def _missing_waves(lines: Mapping[str, list[str]], found: set[str]) -> list[str]:
    number = int(lines["NWavelengths"][0]) if lines.get("NWavelengths") else 0
    names = [lines.get(f"WaveName{n}", [""])[0] for n in range(1, number + 1)]
    if number <= len(found):
        return []
    return [
        f"{number} wavelengths ({', '.join(names)}), of which {len(found)} are there"
    ]
