"""Data, and other tools' configurations, against a spec, before any training.

Collect, decide, act: `pictures` and `cases` read a sample of a table in one pass;
`container`, `raw`, `normalized`, `twins`, `shifts`, `design` decide (pure) for plates,
and `volumes` for heads; `configurations` reads files of other tools, which `declared`
and `promises` decide on by themselves and `against` by a spec; `report` writes what was
found. `run` does it for any kind, `both` holds two specs against each other on one
table.
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
