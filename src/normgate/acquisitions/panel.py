"""Panels: which marker each plane of an image is, and which plane a spec means.

A marker has a tag (a metal such as `Pr141`, or a channel's id) and a target (such as
`Cytokeratin 5`). Planes are bound by these names and never by where they stand, with
one exception: an image that names no channels needs a panel that states their order,
as steinbock's does (columns channel, name, keep). A panel of the columns Metal Tag and
Target tells names and no order.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from normgate.contract.imc import channel_name
from normgate.errors import CorruptImage, DataError, SpecError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

_TAGS = ("channel", "metal tag", "metal")
_TARGETS = ("name", "target", "marker")
_KEPT = ("keep", "full")
_ORDERED = {"channel", "name"}
"""Columns of a panel whose rows stand in the order of the image's planes."""
_YES, _NO = {"1", "1.0", "true", "yes"}, {"", "0", "0.0", "false", "no"}
# The elements whose isotopes mass cytometers see; Ki67 and CD45 are none of them.
_ELEMENTS = (
    "Y|Zr|Ru|Rh|Pd|Ag|Cd|In|Sn|Sb|Te|I|Xe|Cs|Ba|La|Ce|Pr|Nd|Sm|Eu|Gd|Tb|Dy|Ho|Er|Tm|"
    "Yb|Lu|Hf|Ta|W|Re|Os|Ir|Pt|Au|Hg|Tl|Pb|Bi|Ar"
)
_MASS = r"[89]\d|1\d\d|2[0-3]\d"
_METAL = rf"(?:(?P<e>{_ELEMENTS})(?P<m>{_MASS})|(?P<m2>{_MASS})(?P<e2>{_ELEMENTS}))"
_ALONE = re.compile(rf"{_METAL}(?:Di)?")
_FIRST = re.compile(rf"{_METAL}(?:Di)?[_\- ](?P<rest>.+)")
_LAST = re.compile(rf"(?P<rest>.+?)[_\- (]*{_METAL}(?:Di)?\)?")


@dataclass(frozen=True, slots=True)
class Marker:
    """What one plane shows."""

    tag: str
    """A metal in the form `Pr141`, another id of the channel, or empty."""
    target: str
    """What it is bound to; empty where that is unknown."""

    @property
    def names(self) -> frozenset[str]:
        """All that a spec may call it: `Pr141`, `141Pr`, `CD3`, `141Pr_CD3`, ..."""
        tags, found = [self.tag] if self.tag else [], _ALONE.fullmatch(self.tag)
        if found:
            tags.append(f"{found['m']}{found['e']}")
        targets = [self.target] if self.target else []
        pairs = [(tag, target) for tag in tags for target in targets]
        both = [f"{a}_{b}" for pair in pairs for a, b in (pair, pair[::-1])]
        return frozenset(map(channel_name, (*tags, *targets, *both)))

    def __str__(self) -> str:
        return f"{self.target} ({self.tag})" if self.target else self.tag


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """The markers that a study lists."""

    markers: tuple[Marker, ...]
    """Those that are kept, in the file's order."""
    ordered: bool
    """Whether that is the order of an image's planes, too."""
    source: str


def marker_of(label: str, tag: str = "") -> Marker:
    """Tell tag and target of a channel's label apart.

    Args:
        label: Such as `CD3`, `Pr141`, `141Pr_CD3`, or `CD3_1841((3532))Pr141`.
        tag: The tag, where the file tells it by itself.
    """
    label, tag = label.strip(), tag.strip()
    known = _ALONE.fullmatch(tag)
    tag = _metal(known) if known else tag
    for pattern in (_ALONE, _FIRST, _LAST):
        found = pattern.fullmatch(label)
        if found and tag in ("", _metal(found)):
            return Marker(_metal(found), found.groupdict().get("rest") or "")
    return Marker(tag, "" if label == tag else label)


def read_panel(path: Path) -> Panel:
    """Read a panel of either kind.

    Raises:
        CorruptImage: The file is missing or no text.
        DataError: It has no column of tags or targets, a row says neither, or one tag
            stands twice.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        msg = f"{path} can't be read as a panel ({error}); restore the file"
        raise CorruptImage(msg) from error
    columns = {name.strip().lower(): name for name in (rows[0] if rows else {}) if name}
    tag, target = _first(_TAGS, columns), _first(_TARGETS, columns)
    if tag is None and target is None:
        raise DataError(
            f"{path} is no panel: it has no rows, or no column of "
            f"{', '.join((*_TAGS, *_TARGETS))}; name the panel's CSV"
        )
    kept = _first(_KEPT, columns)
    markers = tuple(
        _marker(row, tag, target, f"{path} line {line}")
        for line, row in enumerate(rows, start=2)
        if kept is None or _is_kept(row[kept], f"{path} line {line}: {kept}")
    )
    _check_distinct(markers, str(path))
    return Panel(markers=markers, ordered=set(columns) >= _ORDERED, source=str(path))


def named(
    own: Sequence[Marker] | None, panel: Panel | None, planes: int, image: str
) -> tuple[Marker, ...]:
    """The marker of each plane, by the image's own names and the study's panel.

    Args:
        own: What the image says; None where it names no channels.
        panel: The study's panel, whose targets count before the image's own.
        planes: How many planes the image has.
        image: What to call it in a refusal.

    Raises:
        DataError: Nothing says which marker a plane is, or image and panel disagree.
    """
    if own is None:
        return _by_order(panel, planes, image)
    _check_distinct(own, image)
    if panel is None:
        return tuple(own)
    found = list(own)
    for marker in panel.markers:
        at = _places(marker, own)
        if len(at) != 1:
            have = ", ".join(map(str, own))
            raise DataError(
                f"{panel.source} lists {marker}, which {image} has "
                f"{'more than once' if at else 'not'} (it has {have}); mend the panel, "
                "or do not keep that row"
            )
        found[at[0]] = Marker(marker.tag or own[at[0]].tag, marker.target)
    return tuple(found)


def bind(
    names: Iterable[str], markers: Sequence[Marker], image: str
) -> tuple[int, ...]:
    """The plane of each of a spec's channels.

    Args:
        names: What the spec calls them: by target, by tag, or as `139La_CD3`.
        markers: The marker of each plane.
        image: What to call the image in a refusal.

    Raises:
        DataError: A marker is missing, or two planes are called so.
    """
    called: dict[str, list[int]] = {}
    for at, marker in enumerate(markers):
        for name in marker.names:
            called.setdefault(name, []).append(at)
    return tuple(_place(name, called, markers, image) for name in names)


def _place(
    name: str,
    called: Mapping[str, Sequence[int]],
    markers: Sequence[Marker],
    image: str,
) -> int:
    at = called.get(name, ())
    if len(at) == 1:
        return at[0]
    if at:
        both = " and ".join(str(markers[place]) for place in at)
        raise DataError(
            f"{image}: marker {name} is duplicated, {both}; call the channel by its "
            "tag in the spec, or rename one in the panel"
        )
    have = ", ".join(map(str, markers))
    raise DataError(
        f"{image}: marker {name} is missing; there is {have}. Add it to the panel, or "
        "use a spec of this study's markers"
    )


def _by_order(panel: Panel | None, planes: int, image: str) -> tuple[Marker, ...]:
    if panel is None:
        raise DataError(
            f"{image} does not name its channels; give the row a panel with a line "
            "for each plane, in their order (columns channel, name)"
        )
    if not panel.ordered:
        raise DataError(
            f"{image} does not name its channels, and {panel.source} does not tell "
            "their order; give a panel of steinbock's form (columns channel, name, "
            "keep), or the .mcd or .txt file, which names them"
        )
    if len(panel.markers) != planes:
        raise DataError(
            f"{image} has {planes} planes, but {panel.source} keeps "
            f"{len(panel.markers)} markers; give the panel that the image was made by"
        )
    return panel.markers


def _places(marker: Marker, own: Sequence[Marker]) -> list[int]:
    """Where an image has a panel's marker: by tag if both tell it, else by target."""
    at = [i for i, one in enumerate(own) if marker.tag and one.tag == marker.tag]
    return at or [
        i
        for i, one in enumerate(own)
        if not (marker.tag and one.tag) and marker.names & one.names
    ]


def _marker(
    row: Mapping[str, str], tag: str | None, target: str | None, place: str
) -> Marker:
    cells = [(row[column] or "").strip() if column else "" for column in (tag, target)]
    if not any(cells):
        raise DataError(f"{place} names neither tag nor target; fill it in")
    marker = marker_of(cells[1] or cells[0], cells[0])
    marker = Marker(marker.tag, cells[1] if cells[1] else marker.target)
    try:
        _ = marker.names
    except SpecError as error:
        raise DataError(f"{place}: {error}") from error
    return marker


def _check_distinct(markers: Sequence[Marker], source: str) -> None:
    """Refuse two markers that no name tells apart."""
    seen: set[str] = set()
    for marker in markers:
        key = channel_name(marker.tag or marker.target)
        if key in seen:
            raise DataError(
                f"{source}: {marker} is duplicated; give each channel a tag or target "
                "of its own"
            )
        seen.add(key)


def _is_kept(text: str | None, place: str) -> bool:
    value = (text or "").strip().lower()
    if value not in _YES | _NO:
        raise DataError(f"{place} is {text!r}, expected 1 or 0")
    return value in _YES


def _first(names: Sequence[str], columns: Mapping[str, str]) -> str | None:
    return next((columns[name] for name in names if name in columns), None)


def _metal(found: re.Match[str]) -> str:
    return f"{found['e'] or found['e2']}{found['m'] or found['m2']}"
