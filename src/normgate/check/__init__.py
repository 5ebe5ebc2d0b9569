"""Data against a spec, before any training.

Collect, decide, act: `plates` and `cases` collect facts in one pass over a table,
`container`, `normalized`, `twins`, `shifts`, `design` and `volumes` decide (pure), and
`report` writes what was found. `run` does all three for any kind of table.
"""

from normgate.check.checked import BLOCKED, Checked
from normgate.check.report import write_report
from normgate.check.run import check
from normgate.check.settings import CheckSettings

__all__ = [
    "BLOCKED",
    "CheckSettings",
    "Checked",
    "check",
    "write_report",
]
