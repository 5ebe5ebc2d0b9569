"""The table of attacks in the documentation: `python -m tests.attacks.table`.

It runs every attack on SQLite and writes down what each was told, so the table is what
was seen. The tests hold each attack to its line, and the document to the list.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import warnings
from collections import Counter
from contextlib import ExitStack
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from tests.attacks import (
    accounts,
    aliases,
    artifacts,
    bundles,
    cards,
    contracts,
    database,
    disk,
    execution,
    models,
    owners,
    packaging,
    plain_mlflow,
    promotions,
    registering,
    remains,
    remains_of_bytes,
)
from tests.attacks.catalog import ATTACKS, Layer
from tests.attacks.stages import Stages
from tests.tracking.ledger import sql_attacks

from mlflow_normgate.untrusted import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from tests.attacks.catalog import Attack

MODULES = (
    promotions,
    aliases,
    registering,
    models,
    contracts,
    bundles,
    cards,
    packaging,
    artifacts,
    disk,
    plain_mlflow,
    database,
    owners,
    execution,
    accounts,
    remains,
    remains_of_bytes,
)
"""In the order of the document."""
ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "attacks.md"
STALE = "docs/attacks.md says otherwise; run python -m tests.attacks.table"
MOST = 220
"""Characters of a sentence that are shown."""
_NORMAL = (
    (re.compile(r"\s*\[SQL: .*", re.DOTALL), ""),
    (re.compile(r"^(Promotion) of \S+ version \d+ to \w+ (refused:)"), r"\1 \2"),
    (re.compile(r"\bm-[0-9a-f]{32}\b"), "m-…"),
    (re.compile(r"\b([0-9a-f]{64}|[0-9a-f]{32}|[0-9a-f]{12})\b"), "…"),
    (re.compile(r"(file://)?/[\w./-]*/(served|embedded|accounts)-\w+"), "/folder"),
    (re.compile(r"127\.0\.0\.1:\d+"), "server"),
)
_ESCAPED = (("\\", "\\\\"), ("|", "\\|"), ("*", "\\*"), ("<", "&lt;"))

HEAD = """\
# Attacks on the gate

Every line is a test that does what it says, to a real server or database, and then
follows every protected alias and stage of the models it touched to the bytes it leads
to. `python -m tests.attacks.table` runs them all and writes this page; the tests fail
where it says otherwise. Names of models are those of the tests, and … stands for
identifiers and digests.

Attacks on the user interface are in `tests/browser`, races in
`tests/attacks/test_races.py` and killed servers in `test_kills.py` beside it, more on
sealed artifacts in a folder and in S3 in `tests/tracking/test_sealed_servers.py`, and
random sequences of SQL in `tests/tracking/ledger/test_raw_sql.py`.
"""
STOPPED = (
    "| attack | the attacker holds | stopped by | what is said |\n|---|---|---|---|"
)
REMAINS = """\
## What remains

These still work, and the tests fail as soon as one does not. [The threat
model](threat-model.md) says for whom the gate is built.

| attack | the attacker holds | what one can do about it | what comes of it |
|---|---|---|---|"""
SQL = """\
## Statements of SQL by hand

Each runs on what `tests/tracking/ledger/seeding.py` makes, without MLflow and without
normgate, and is refused by the database itself (`test_backstop.py` beside it).

| attack | SQLite | PostgreSQL | what is said |
|---|---|---|---|"""


def row(attack: Attack, said: str) -> str:
    """One line of the table."""
    end = attack.instead or attack.stopped_by.title
    return _line(attack.title, attack.holds, end, _escaped(sentence(said)))


def sentence(said: str) -> str:
    """What was said, without what changes from run to run, and not too long."""
    line = shown(" ".join(said.split()), 10_000)
    for pattern, instead in _NORMAL:
        line = pattern.sub(instead, line)
    return line if len(line) <= MOST else line[:MOST].rpartition(" ")[0] + " …"


def document(said: Mapping[str, str]) -> str:
    """The whole page.

    Args:
        said: Each attack's title, to its line.
    """
    stopped = [one for one in ATTACKS if one.stopped_by is not Layer.NOTHING]
    rest = [said[one.title] for one in ATTACKS if one.stopped_by is Layer.NOTHING]
    parts = [HEAD, _counted(stopped, len(rest))]
    for module in MODULES:
        own = [one for one in stopped if one.deed.__module__ == module.__name__]
        if own:
            title = str(module.__doc__).partition("\n")[0].rstrip(".")
            lines = (said[one.title] for one in own)
            parts.append("\n".join((f"## {title}\n", STOPPED, *lines)) + "\n")
    parts.append("\n".join((REMAINS, *rest)) + "\n")
    parts.append("\n".join((SQL, *_statements())) + "\n")
    return "\n".join(parts)


@cache
def written() -> Mapping[str, str]:
    """The lines of the document as it is, by the titles of their attacks."""
    lines = DOCUMENT.read_text().splitlines() if DOCUMENT.exists() else []
    titles = {_line(one.title).removesuffix(" |"): one.title for one in ATTACKS}
    return {
        title: line
        for line in lines
        for start, title in titles.items()
        if line.startswith(f"{start} | ")
    }


def _counted(stopped: list[Attack], rest: int) -> str:
    layers = Counter(one.stopped_by for one in stopped)
    lines = [
        f"| {layer.title} | {layers[layer]} |" for layer in Layer if layer in layers
    ]
    by_hand = len(sql_attacks.ATTACKS)
    lines.append(f"| {Layer.TRIGGER.title}, of SQL by hand | {by_hand} |")
    lines.append(f"| nothing: [what remains](#what-remains) | {rest} |")
    return "\n".join(("| stopped by | attacks |\n|---|---|", *lines)) + "\n"


def _statements() -> Iterator[str]:
    for one in sql_attacks.ATTACKS:
        told = one.sentence or "the database's own rules"
        on = ("yes" if kind in one.on else "" for kind in ("sqlite", "postgresql"))
        words = one.name.replace("-", " ")
        yield _line(words, *on, _escaped(sentence(told.format("this version"))))


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _escaped(text: str) -> str:
    for letter, instead in _ESCAPED:
        text = text.replace(letter, instead)
    return text


def _run(attacks: Iterable[Attack], tell: Callable[[str], object]) -> dict[str, str]:
    """Run attacks on SQLite, and give their lines."""
    said = {}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        stages = Stages(Path(folder), stack, _no_postgresql)
        for _, group in groupby(attacks, key=lambda one: one.on):
            for one in group:
                os.environ.update(stages.login(one))
                scene = stages.scene(one, "sqlite")
                tell(f"{one.slug}\n")
                said[one.title] = row(one, one.deed(scene, one.slug))
    return said


def _no_postgresql() -> str:
    raise RuntimeError("the document is written of SQLite alone")


def main() -> None:
    """Run all attacks and write the document."""
    warnings.simplefilter("ignore")
    os.environ |= {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    }
    said = _run(sorted(ATTACKS, key=lambda one: one.on.name), sys.stderr.write)
    DOCUMENT.write_text(document(said))


if __name__ == "__main__":
    main()
