"""What became of MLflow's tests: read from JUnit files, counted and compared."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

KINDS = {"failure": "failed", "error": "failed", "skipped": "skipped"}
GOOD = ("passed", "skipped")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one test: passed, failed or skipped, and the reason."""

    kind: str
    reason: str = ""


Outcomes = dict[tuple[str, str], Outcome]
"""Of each test, by its module and its name with parameters."""


def read_outcomes(path: Path) -> Outcomes:
    """Read a JUnit file; a test that failed in any phase failed."""
    found: Outcomes = {}
    for case in ET.parse(path).iter("testcase"):
        key = (case.get("classname", ""), case.get("name", ""))
        outcome = _outcome(case)
        if key not in found or found[key].kind != "failed":
            found[key] = outcome
    return found


def table(runs: Mapping[str, Outcomes]) -> str:
    """Write a Markdown table: of each module and mode passed / failed / skipped."""
    modules = sorted({module for run in runs.values() for module, _ in run})
    lines = [f"| module | {' | '.join(runs)} |", "|---" * (len(runs) + 1) + "|"]
    for module in modules:
        cells = (_cell(run, module) for run in runs.values())
        lines.append(f"| {module.removeprefix('tests.')} | {' | '.join(cells)} |")
    cells = (_cell(run, "") for run in runs.values())
    lines.append(f"| all | {' | '.join(cells)} |")
    return "\n".join(lines)


def differences(plain: Outcomes, ours: Outcomes) -> Iterator[str]:
    """Tell every test that ends otherwise than on MLflow's own store."""
    for key in sorted(plain.keys() | ours.keys()):
        before, after = plain.get(key), ours.get(key)
        if before is None or after is None:
            yield f"{'::'.join(key)}: {'only ours' if after else 'not run on ours'}"
        elif before.kind != after.kind:
            reason = after.reason or before.reason
            yield f"{'::'.join(key)}: {before.kind} -> {after.kind}: {reason}"


def _outcome(case: ET.Element) -> Outcome:
    for child in case:
        if child.tag in KINDS:
            lines = (child.get("message") or child.text or "").strip().splitlines()
            return Outcome(KINDS[child.tag], lines[0] if lines else "")
    return Outcome("passed")


def _cell(run: Outcomes, module: str) -> str:
    kinds = Counter(
        outcome.kind for (one, _), outcome in run.items() if one == module or not module
    )
    return " / ".join(str(kinds[kind]) for kind in ("passed", "failed", "skipped"))
