"""What the triggers of both databases go by: what is open, and what is said.

The lists are the gate's own, written as SQL. A sentence is read by a person in MLflow's
UI, behind MLflow's own wording; one that holds `{}` names the model on PostgreSQL,
where a trigger can say it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlflow.entities.model_registry.model_version_stages import (
    ALL_STAGES,
    STAGE_DELETED_INTERNAL,
)
from mlflow.prompt.constants import _PROMPT_SOURCE_PLACEHOLDERS

from normgate.gate import OPEN_ALIASES, OPEN_STAGES

if TYPE_CHECKING:
    from collections.abc import Iterable

PREFIX = "normgate_"
"""Every trigger, function and table of the ledger begins with it."""

DELETED = STAGE_DELETED_INTERNAL
"""MLflow keeps a deleted version's row under this stage and never serves it."""
PROTECTED_STAGES = tuple(stage for stage in ALL_STAGES if stage not in OPEN_STAGES)
PLACEHOLDERS = tuple(sorted(_PROMPT_SOURCE_PLACEHOLDERS))
"""What MLflow writes for the location of a prompt, which has no files."""

JUDGED = (
    "workspace",
    "name",
    "version",
    "target",
    "directory_digest",
    "manifest_digest",
    "spec_digest",
    "contract_name",
    "contract_version",
)
"""What a promotion and the verdict that allowed it must agree on."""
FOUND = (
    "workspace",
    "version",
    "location",
    "model_id",
    "directory_digest",
    "manifest_digest",
    "spec_digest",
    "collected_ms",
)
"""What is never rewritten in a version's evidence: all but its model's name."""

_ASK = "ask the gate for it where normgate is installed"
_OPEN_ALIASES = " or ".join(sorted(OPEN_ALIASES))
_OPEN_STAGES = " or ".join(sorted(OPEN_STAGES, reverse=True))
_STAGES = " and ".join(PROTECTED_STAGES)

NO_VERDICT_FOR_ALIAS = (
    f"normgate: {{}} has no allowing verdict for this alias; {_ASK}, or use an open "
    f"alias, {_OPEN_ALIASES}."
)
NO_VERDICT_FOR_STAGE = (
    f"normgate: {{}} has no allowing verdict for this stage; {_ASK}, or use an open "
    f"stage, {_OPEN_STAGES}."
)
STAGE_AS_ALIAS = (
    f"normgate: {_STAGES} are legacy stages and can be no aliases; choose another "
    "alias, such as champion."
)
PINNED = (
    "normgate: {} is promoted, so it must stay where its files were verified; take its "
    "protected aliases and stage away first."
)
STAYS_PROMPT = (
    "normgate: {} is a prompt's version and can hold no model; register the model "
    "under another name."
)
APPEND_ONLY = (
    "normgate: contracts, bindings and verdicts are only ever added; a row that is "
    "there can't be changed, replaced or deleted."
)
NO_GAPS = "normgate: rows of the ledger are numbered one after the other."
NOT_ALLOWED = (
    "normgate: a promotion needs an allowing verdict on the same version, target, "
    "digests and contract; ask the gate for it where normgate is installed."
)
UNCHANGED = "normgate: a row of this table can't be changed; delete it and add another."
EVIDENCE = (
    "normgate: what was found in a version when it was registered can't be changed; "
    "only its model's name may follow a renaming, and while the version is promoted "
    "it can't be replaced or deleted."
)
LOCATED = (
    "normgate: a promotion must name the place where the version's files are; ask the "
    "gate for it where normgate is installed."
)


def quoted(text: str) -> str:
    """A constant of SQL."""
    return "'" + text.replace("'", "''") + "'"


def constants(values: Iterable[str]) -> str:
    """A list for SQL's IN."""
    return "(" + ", ".join(quoted(value) for value in sorted(values)) + ")"


SQL_OPEN_ALIASES = constants(OPEN_ALIASES)
SQL_OPEN_STAGES = constants({*OPEN_STAGES, DELETED})
SQL_PROTECTED_STAGES = constants(PROTECTED_STAGES)
SQL_PLACEHOLDERS = constants(PLACEHOLDERS)
SQL_DELETED = quoted(DELETED)
