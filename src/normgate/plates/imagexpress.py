"""Pictures of an ImageXpress (MetaXpress) export.

Well, site and wavelength number come from the file name, timepoint and Z step from the
folders, and what the wavelength is from the MetaMorph XML that each TIFF carries. One
Z a picture is taken: the named projection, or the step that the caller asks for.
"""

from __future__ import annotations

import datetime
import html
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from normgate.errors import DataError, SettingsError
from normgate.plates.inspection import Finding
from normgate.plates.pictures import Picture, marker_name, tiff_files
from normgate.plates.read import read_description
from normgate.plates.wells import Well, parse_well

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

PROJECTION = "projection"
_GUID = r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
_FILE = re.compile(
    r"(?P<prefix>.+?)_(?P<well>[A-Za-z]{1,2}\d{2})(?:_s(?P<site>\d+))?"
    rf"(?:_w(?P<wave>\d{{1,2}}?))?(?:{_GUID})?\.tiff?",
    re.IGNORECASE,
)
_TIME = re.compile(r"TimePoint_(\d+)", re.IGNORECASE)
_STEP = re.compile(r"ZStep_(\d+)", re.IGNORECASE)
_PROPERTY = re.compile(r'<(?:custom-)?prop id="([^"]+)"[^>]*? value="([^"]*)"')
_SECOND = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    """One file, and what name, folders and metadata say of it."""

    path: Path
    plate: str
    well: Well
    site: str
    wave: int
    time: int
    step: int | None
    illumination: str
    image_name: str
    projection: str
    acquired: datetime.datetime | None


def is_imagexpress(folder: Path) -> bool:
    """Whether a folder looks like such an export."""
    files = tiff_files(folder)
    named = [path for path in files if _FILE.fullmatch(path.name)]
    return len(named) == len(files) and "MetaMorph" in read_description(files[0])


def find_pictures(
    folder: Path, z: str = "", timepoints_ms: Sequence[int] = ()
) -> tuple[list[Picture], list[Finding]]:
    """Find the pictures of an export.

    Args:
        folder: The plate's folder, or one above several plates.
        z: `projection` or a Z step's number; empty takes the only Z there is, or the
            projection that the metadata name.
        timepoints_ms: Milliseconds of the timepoints found, in order; empty measures
            them by the times of acquisition, in whole seconds.

    Returns:
        The pictures, and what a person should know of them.

    Raises:
        DataError: A file is not of such an export, or its Z or time is not settled.
        SettingsError: `z` or `timepoints_ms` do not fit what was found.
    """
    frames = [_frame(path) for path in tiff_files(folder)]
    pictures: list[Picture] = []
    findings: list[Finding] = []
    for plate in dict.fromkeys(frame.plate for frame in frames):
        own = [frame for frame in frames if frame.plate == plate]
        own, of_step = _choose_step(own, z)
        names, of_names = _marker_names(own)
        times, of_times = _times(own, timepoints_ms)
        findings += [*of_step, *of_names, *of_times]
        pictures += [_picture(frame, names, times) for frame in own]
    return pictures, findings


def _frame(path: Path) -> _Frame:
    found = _FILE.fullmatch(path.name)
    if found is None:
        msg = f"{path} is not named as an ImageXpress export; give a pattern instead"
        raise DataError(msg)
    values = {
        key: html.unescape(value)
        for key, value in _PROPERTY.findall(read_description(path))
    }
    times, steps = (
        [int(number) for part in path.parts for number in kind.findall(part)]
        for kind in (_TIME, _STEP)
    )
    return _Frame(
        path=path,
        plate=marker_name(_plate_folder(path).name),
        well=parse_well(found["well"]),
        site=found["site"] or "1",
        wave=int(found["wave"] or 1),
        time=times[-1] if times else 1,
        step=steps[-1] if steps else None,
        illumination=values.get("_IllumSetting_", ""),
        image_name=values.get("image-name", ""),
        projection=values.get("Z Projection Method", ""),
        acquired=_moment(values.get("acquisition-time-local", "")),
    )


def _plate_folder(path: Path) -> Path:
    """The nearest folder above those of timepoints and Z steps."""
    folder = path.resolve().parent
    while _TIME.fullmatch(folder.name) or _STEP.fullmatch(folder.name):
        folder = folder.parent
    return folder


def _moment(text: str) -> datetime.datetime | None:
    try:
        return datetime.datetime.strptime(text, "%Y%m%d %H:%M:%S.%f")
    except ValueError:
        return None


def _choose_step(frames: list[_Frame], z: str) -> tuple[list[_Frame], list[Finding]]:
    """One Z for every picture, or a refusal that says which there are."""
    steps = {frame.step for frame in frames}
    if len(steps) == 1 and not z:
        return frames, []
    plate = frames[0].plate
    # The folder of projections is ZStep_0, or none at all beside numbered steps.
    flat = [frame for frame in frames if not frame.step]
    found = ", ".join(str(step) for step in sorted(s or 0 for s in steps))
    if z.isdigit():
        chosen = [frame for frame in frames if (frame.step or 0) == int(z)]
        if not chosen:
            msg = f"plate {plate} has no Z step {z}; it has {found}"
            raise SettingsError(msg)
        return chosen, []
    methods = {frame.projection for frame in flat} - {""}
    if z not in ("", PROJECTION) or not methods:
        msg = (
            f"plate {plate} has Z steps {found}, and z is {z!r}; give z=projection "
            "where there is one, or one step such as z=1"
        )
        raise SettingsError(msg)
    return flat, _projection_findings(flat, plate)


def _projection_findings(frames: list[_Frame], plate: str) -> list[Finding]:
    """Say which projection each wavelength has."""
    by_wave: dict[str, set[str]] = defaultdict(set)
    for frame in frames:
        by_wave[f"w{frame.wave}"].add(frame.projection or "a single Z step")
    said = ", ".join(
        f"{wave} {'/'.join(sorted(by_wave[wave]))}" for wave in sorted(by_wave)
    )
    text = f"plate {plate}: the projections in place of Z steps are taken ({said})"
    return [Finding("metadata", plate, text)]


def _marker_names(frames: list[_Frame]) -> tuple[dict[int, str], list[Finding]]:
    """A marker for each wavelength: the illumination, or the image's own name."""
    waves: dict[int, list[_Frame]] = defaultdict(list)
    for frame in frames:
        waves[frame.wave].append(frame)
    plate = frames[0].plate
    lights = {wave: _one_light(plate, own) for wave, own in sorted(waves.items())}
    shared = {light for light, count in Counter(lights.values()).items() if count > 1}
    markers = {
        wave: marker_name(
            lights[wave]
            if lights[wave] and lights[wave] not in shared
            else _own_name(waves[wave])
        )
        for wave in lights
    }
    if len(set(markers.values())) < len(markers):
        markers = {wave: f"{name}_w{wave}" for wave, name in markers.items()}
    return markers, [_one_dye(plate, light, waves) for light in sorted(shared - {""})]


def _one_light(plate: str, frames: list[_Frame]) -> str:
    """The illumination of one wavelength, which must be one."""
    found = sorted({frame.illumination for frame in frames})
    if len(found) > 1:
        msg = (
            f"plate {plate}: w{frames[0].wave} is {' and '.join(found)} in different "
            "files; one wavelength number must be one channel"
        )
        raise DataError(msg)
    return found[0]


def _own_name(frames: list[_Frame]) -> str:
    """The image's own name where all files of a wavelength agree, else its number."""
    found = {frame.image_name for frame in frames}
    name = next(iter(found)) if len(found) == 1 else ""
    return name or f"w{frames[0].wave}"


def _one_dye(plate: str, light: str, waves: Mapping[int, list[_Frame]]) -> Finding:
    """Say that several wavelengths are one dye, and how they were projected."""
    said = ", ".join(
        f"w{wave} {'/'.join(sorted({f.projection or 'none' for f in own}))}"
        for wave, own in sorted(waves.items())
        if own[0].illumination == light
    )
    text = f"plate {plate}: one dye, {light}, in several channels: {said}"
    return Finding("metadata", plate, text)


def _times(
    frames: list[_Frame], given: Sequence[int]
) -> tuple[dict[int, int], list[Finding]]:
    """Milliseconds of each timepoint."""
    numbers = sorted({frame.time for frame in frames})
    plate = frames[0].plate
    if given and len(given) != len(numbers):
        msg = f"plate {plate} has {len(numbers)} timepoints; {len(given)} were given"
        raise SettingsError(msg)
    if given:
        return dict(zip(numbers, given, strict=True)), _stale(frames)
    if len(numbers) == 1:
        return {numbers[0]: 0}, []
    starts: dict[int, datetime.datetime] = {}
    seen: set[tuple[object, ...]] = set()
    for number in numbers:
        own = {_taken(f) for f in frames if f.time == number and f.acquired} - seen
        if not own:
            msg = (
                f"plate {plate}: TimePoint_{number} has no time of acquisition of its "
                "own; give timepoints in milliseconds, such as 0,10000"
            )
            raise DataError(msg)
        seen |= own
        starts[number] = min(moment for *_, moment in own)
    first = starts[numbers[0]]
    times = {n: _rounded(starts[n] - first) for n in numbers}
    text = f"plate {plate}: timepoints by time of acquisition: "
    text += ", ".join(f"TimePoint_{n} {times[n]} ms" for n in numbers)
    return times, [Finding("metadata", plate, text), *_stale(frames)]


def _taken(frame: _Frame) -> tuple[Well, str, int, datetime.datetime]:
    if frame.acquired is None:
        raise DataError(f"{frame.path} tells no time of acquisition")
    return frame.well, frame.site, frame.wave, frame.acquired


def _rounded(elapsed: datetime.timedelta) -> int:
    return round(elapsed.total_seconds()) * _SECOND


def _stale(frames: list[_Frame]) -> list[Finding]:
    """Wavelengths whose later picture is the earlier one, copied by the instrument."""
    first: dict[tuple[object, ...], _Frame] = {}
    copies: dict[tuple[int, int], int] = defaultdict(int)
    for frame in sorted(frames, key=lambda f: f.time):
        if frame.acquired is None:
            continue
        if first.setdefault(_taken(frame), frame).time != frame.time:
            copies[frame.wave, frame.time] += 1
    plate = frames[0].plate
    return [
        Finding(
            "metadata",
            plate,
            f"plate {plate}: w{wave} of TimePoint_{time} was not taken again; "
            f"{count} picture(s) are copies of an earlier timepoint",
        )
        for (wave, time), count in sorted(copies.items())
    ]


def _picture(
    frame: _Frame, names: Mapping[int, str], times: Mapping[int, int]
) -> Picture:
    return Picture(
        plate=frame.plate,
        well=frame.well,
        site=frame.site,
        timepoint_ms=times[frame.time],
        marker=names[frame.wave],
        path=frame.path,
    )
