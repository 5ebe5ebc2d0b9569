"""The Markdown note on a version's page: the last verdict, and what the model computes.

People read it in MLflow's UI, beside what they wrote there themselves; nothing ever
reads it back. MLflow renders with Showdown in its GitHub flavour: it hides HTML
comments, takes other HTML, shows pictures of any host and makes links of `@name` and
bare addresses, so whatever came from outside is escaped. Storing is the store's work.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from normgate.contract import channel_digest, describe_channel, short_digest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from normgate.contract import Channel, Contract, ContractChannel, Spec

MAX_DESCRIPTION = 5000
"""Characters that MLflow's column for a version's description holds."""
MAX_NOTE = 4500
MAX_TEXT = 1500
"""Characters of one refusal; the ledger holds all of it."""
MAX_WORDS = 80
"""Characters of a name."""
MAX_EARLIER = 4
"""Verdicts before the last one that are told."""
BEGIN = "<!-- normgate wrote this line, and what follows to its end mark -->"
"""Ends the first line: lists of versions show how a description begins, unrendered."""
END = "<!-- end of normgate's note -->"
CUT = "*Cut short for want of room; `normgate ledger list` tells all.*"

_SECTION = re.compile(
    rf"^[^\n]*{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL | re.MULTILINE
)
_GAP = "&emsp;"
"""Between columns: MLflow's tables have neither lines nor padding."""
_HEAD = (
    f"| channel{_GAP} | computes | digest{_GAP} | contract demands |\n|---|---|---|---|"
)
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "&#64;", ":": "&#58;"}
_SPECIAL = re.compile(
    r"[&<>@\\`*{}\[\]#!~|]"  # what HTML and Markdown always read
    r"|(?<![^\W_])_|_(?![^\W_])"  # not within a word, as in plate_3ch
    r"|:(?=\S)|(?<=www)\.",  # what makes a bare address a link, or `:word:` a picture
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One verdict as it is told on a page."""

    target: str
    """The alias or stage that was asked for."""
    allowed: bool
    text: str = ""
    """The refusal; empty where it was allowed."""
    contract: str = ""
    """Under which contract (`plate_3ch version 1`); empty where none was bound."""
    when_ms: int
    """Milliseconds since 1970, UTC."""
    actor: str
    """Who asked."""


def version_note(
    spec: Spec | None,
    *,
    spec_digest: str | None,
    manifest_digest: str | None,
    contract: Contract | None,
    verdicts: Sequence[Said],
    problems: Sequence[str] = (),
) -> str:
    """Compose the note of one version.

    Args:
        spec: The spec that was found in the version's bytes, if any.
        spec_digest: Its digest.
        manifest_digest: The digest of the bundle's manifest.
        contract: The contract in force for the registered model, if any.
        verdicts: What was decided on this version, the newest first.
        problems: What is missing or broken in its bytes, one sentence each.
    """
    parts = [*_last(verdicts, contract)]
    if not verdicts and problems:
        parts.append(_quote(" ".join(problems)))
    parts.append(f"Spec {_code(spec_digest)}, bundle {_code(manifest_digest)}.")
    parts += _earlier(verdicts)
    room = MAX_NOTE - len("\n\n".join((*parts, "")))
    return "\n\n".join((*parts, *_table(_rows(spec, contract), room)))


def with_note(description: str | None, note: str) -> str:
    """Put a note into a description, in the place of the one that it held.

    What a person wrote is kept; where that leaves too little room, the note is cut.
    """
    before, *rest = _SECTION.split(description or "")
    own = _own(before), _own("\n\n".join(rest))
    note = _cut(note, MAX_DESCRIPTION - len(_joined(own, _section(""))))
    return _joined(own, _section(note) if note else "")


def escaped(text: str) -> str:
    """Any text on one line, which Markdown then shows as it is written."""
    line = "".join(c for c in " ".join(text.split()) if c.isprintable())
    return _SPECIAL.sub(lambda c: _ENTITIES.get(c[0], f"\\{c[0]}"), line)


def _last(verdicts: Sequence[Said], contract: Contract | None) -> Iterator[str]:
    if not verdicts:
        label = f"{contract.name} version {contract.version}" if contract else "none"
        yield f"No verdict yet, contract in force: {_told(label)}."
        return
    last = verdicts[0]
    outcome = "Allowed" if last.allowed else "Refused"
    under = f" under contract {_told(last.contract)}" if last.contract else ""
    yield (
        f"{outcome}: {_told(last.target)}{under}, {_time(last)}; who asked: "
        f"{_told(last.actor)}."
    )
    if last.text:
        yield _quote(last.text)


def _earlier(verdicts: Sequence[Said]) -> Iterator[str]:
    told = verdicts[1 : MAX_EARLIER + 1]
    lines = [
        f"- {_time(said)}: {_told(said.target)} "
        f"{'allowed' if said.allowed else 'refused'}; who asked: {_told(said.actor)}"
        for said in told
    ]
    if lines:
        yield "Before that:\n\n" + "\n".join(lines)


def _rows(spec: Spec | None, contract: Contract | None) -> list[tuple[str, bool]]:
    """Lines of the table, each with whether it is as the contract demands."""
    found = {channel.name: channel for channel in spec.channels} if spec else {}
    demanded = {c.name: c for c in contract.channels} if contract else {}
    return [
        _row(name, found.get(name), demanded.get(name), bound=contract is not None)
        for name in dict.fromkeys((*found, *demanded))
    ]


def _row(
    name: str,
    found: Channel | None,
    demanded: ContractChannel | None,
    *,
    bound: bool,
) -> tuple[str, bool]:
    digest = None if found is None else channel_digest(found)
    same = demanded is not None and demanded.digest == digest
    if demanded is None:
        says = "**no such channel**" if bound else "none in force"
    else:
        wanted = f"{escaped(describe_channel(demanded))} {_code(demanded.digest)}"
        says = "the same" if same else f"**differs**: {wanted}"
    computes = "**missing**" if found is None else escaped(describe_channel(found))
    line = (
        f"| {escaped(name)}{_GAP} | {computes}{_GAP} | {_code(digest)}{_GAP} | {says} |"
    )
    return line, same or not bound


def _table(rows: Sequence[tuple[str, bool]], room: int) -> list[str]:
    """As many rows as there is room for; those that differ come before the others."""
    room -= len(_HEAD) + len("| and 1024 more channels | | | 1024 of them differ |")
    kept: set[int] = set()
    for number in sorted(range(len(rows)), key=lambda n: rows[n][1]):
        room -= len(rows[number][0]) + 1
        if room < 0:
            break
        kept.add(number)
    lines = [line for number, (line, _) in enumerate(rows) if number in kept]
    left = [same for number, (_, same) in enumerate(rows) if number not in kept]
    if left:
        differ = f"{left.count(False)} of them differ"
        lines.append(f"| and {len(left)} more channels | | | {differ} |")
    return ["\n".join((_HEAD, *lines))] if lines else []


def _time(said: Said) -> str:
    when = datetime.fromtimestamp(said.when_ms // 1000, UTC)
    return f"{when:%Y-%m-%d %H:%M:%S} UTC"


def _quote(text: str) -> str:
    return f"> {_told(text, MAX_TEXT)}"


def _told(text: str, most: int = MAX_WORDS) -> str:
    safe = escaped(text)
    return safe if len(safe) <= most else safe[:most].rstrip("\\") + " ..."


def _code(digest: str | None) -> str:
    return "none" if digest is None else f"`{short_digest(digest)}`"


def _own(text: str) -> str:
    """What a person wrote, without marks that lost their fellow."""
    while BEGIN in text or END in text:
        text = text.replace(BEGIN, "").replace(END, "")
    return text.strip()


def _section(note: str) -> str:
    first, line, rest = note.partition("\n")
    return f"{first} {BEGIN}{line}{rest}\n\n{END}"


def _joined(own: tuple[str, str], section: str) -> str:
    return "\n\n".join(part for part in (own[0], section, own[1]) if part)


def _cut(note: str, room: int) -> str:
    """The first lines of a note that fit, and that it was cut; or nothing."""
    if len(note) <= room:
        return note
    lines = note.splitlines()
    while lines and len("\n".join(lines)) + len("\n\n" + CUT) > room:
        lines.pop()
    return "\n".join((*lines, "", CUT)) if lines else ""
