"""The backstop's triggers on MLflow's tables in SQLite; see `backstop`.

Refusals stand in AFTER triggers: what they see is what is stored. (A BEFORE trigger
sees a NULL that `INSERT OR REPLACE` then turns into the column's default.) No table of
MLflow is named but the one that a trigger is on: MLflow's migrations drop and rename
tables, which SQLite refuses while any trigger names a missing one. `INSERT OR REPLACE`
fires no DELETE trigger for the row that it replaces. RAISE takes a constant only
(before SQLite 3.47), so the sentences name no model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlflow_normgate.ledger import rules
from mlflow_normgate.ledger.rules import (
    SQL_DELETED,
    SQL_OPEN_ALIASES,
    SQL_OPEN_STAGES,
    SQL_PLACEHOLDERS,
    SQL_PROTECTED_STAGES,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

_HERE = "COALESCE(NULLIF(NEW.storage_location, ''), NEW.source)"
"""Where a version's files are, as MLflow resolves it."""
_IS_PROMPT = f"IFNULL({_HERE} IN {SQL_PLACEHOLDERS}, 0)"
_RENAMED = "NEW.workspace <> OLD.workspace OR NEW.name <> OLD.name"
_MOVED = f"({_RENAMED} OR NEW.version <> OLD.version)"


def _same_version(row: str) -> str:
    return (
        f"workspace = {row}.workspace AND name = {row}.name AND version = {row}.version"
    )


OF_NEW, OF_OLD = _same_version("NEW"), _same_version("OLD")
"""The rows of the version that was written, and of what it was before."""


def exists(table: str, condition: str) -> str:
    """Whether a table of the ledger has such a row."""
    return f"EXISTS (SELECT 1 FROM normgate_{table} WHERE {condition})"


def refuse(sentence: str, where: str) -> str:
    """A refusal, under a condition."""
    text = rules.quoted(sentence.format("this version"))
    return f"SELECT RAISE(ABORT, {text})\n  WHERE {where};"


def trigger(name: str, moment: str, *statements: str, when: str = "") -> str:
    """A trigger, as SQLite keeps it."""
    condition = f"\nWHEN {when}" if when else ""
    body = "\n  ".join(statements)
    return f"CREATE TRIGGER normgate_{name} {moment}{condition}\nBEGIN\n  {body}\nEND"


_HELD = exists("promotions", f"{OF_NEW} AND target = NEW.alias")
_ALIAS_SET = (
    refuse(rules.STAGE_AS_ALIAS, f"NEW.alias IN {SQL_PROTECTED_STAGES}"),
    # A prompt's row keeps a model from being put under the alias in the prompt's place.
    f"""INSERT INTO normgate_promotions (workspace, name, target, version)
  SELECT NEW.workspace, NEW.name, NEW.alias, NEW.version
  WHERE NEW.alias NOT IN {SQL_OPEN_ALIASES} AND NOT {_HELD}
    AND {exists("prompts", OF_NEW)} AND NOT {exists("evidence", OF_NEW)};""",
    refuse(
        rules.NO_VERDICT_FOR_ALIAS,
        f"NEW.alias NOT IN {SQL_OPEN_ALIASES} AND NOT {_HELD}",
    ),
    """DELETE FROM normgate_promotions
  WHERE workspace = NEW.workspace AND name = NEW.name
    AND target = NEW.alias AND version <> NEW.version;""",
)
_ALIAS_GONE = f"""DELETE FROM normgate_promotions
  WHERE {OF_OLD} AND target = OLD.alias AND target NOT IN {SQL_PROTECTED_STAGES};"""

_STAGED = exists("promotions", f"{OF_NEW} AND target = NEW.current_stage")
_VERSION_SET = (
    refuse(
        rules.NO_VERDICT_FOR_STAGE,
        f"NEW.current_stage NOT IN {SQL_OPEN_STAGES}\n    AND NOT "
        f"(NEW.current_stage IN {SQL_PROTECTED_STAGES} AND {_STAGED})",
    ),
    refuse(
        rules.PINNED,
        f"NEW.current_stage IS NOT {SQL_DELETED} AND "
        + exists(
            "promotions",
            f"{OF_NEW} AND location IS NOT {_HERE}\n"
            f"    AND NOT (verdict_id IS NULL AND {_IS_PROMPT})",
        ),
    ),
    refuse(
        rules.STAYS_PROMPT,
        f"NEW.current_stage IS NOT {SQL_DELETED} AND NOT {_IS_PROMPT}\n"
        f"    AND {exists('prompts', OF_NEW)}",
    ),
)
_PROMPT_MADE = f"""INSERT INTO normgate_prompts (workspace, name, version)
  SELECT NEW.workspace, NEW.name, NEW.version
  WHERE {_IS_PROMPT} AND NOT {exists("prompts", OF_NEW)}"""


def named(statements: Iterable[str]) -> dict[str, str]:
    """Each trigger's name, to its statement as SQLite keeps it."""
    return {statement.split()[2]: statement for statement in statements}


def _registry() -> tuple[str, ...]:
    """The triggers on MLflow's tables."""
    aliases, versions = "registered_model_aliases", "model_versions"
    changed = f"{_MOVED} OR NEW.alias <> OLD.alias"
    placed = (
        f"{_MOVED} OR NEW.current_stage IS NOT OLD.current_stage\n"
        "  OR NEW.storage_location IS NOT OLD.storage_location\n"
        "  OR NEW.source IS NOT OLD.source"
    )
    return (
        trigger("alias_inserted", f"AFTER INSERT ON {aliases}", *_ALIAS_SET),
        trigger(
            "alias_updated",
            f"AFTER UPDATE ON {aliases}",
            *_ALIAS_SET,
            _ALIAS_GONE,
            when=changed,
        ),
        trigger("alias_deleted", f"AFTER DELETE ON {aliases}", _ALIAS_GONE),
        trigger(
            "version_inserted",
            f"AFTER INSERT ON {versions}",
            *_VERSION_SET,
            # Of a row that this one replaced, or of a model that had this name before.
            f"""DELETE FROM normgate_promotions WHERE {OF_NEW}
    AND target IN {SQL_PROTECTED_STAGES} AND target IS NOT NEW.current_stage;""",
            f"""DELETE FROM normgate_evidence WHERE {OF_NEW}
    AND {_IS_PROMPT} AND NOT {exists("promotions", OF_NEW)};""",
            f"{_PROMPT_MADE};",
        ),
        trigger(
            "version_updated",
            f"AFTER UPDATE ON {versions}",
            *_VERSION_SET,
            refuse(
                rules.PINNED,
                f"NEW.current_stage IS NOT {SQL_DELETED} AND NEW.source IS NOT "
                f"OLD.source\n    AND {exists('promotions', OF_NEW)}",
            ),
            f"""DELETE FROM normgate_promotions WHERE {OF_OLD}
    AND target IN {SQL_PROTECTED_STAGES} AND target IS OLD.current_stage
    AND ({_MOVED} OR NEW.current_stage IS NOT OLD.current_stage);""",
            f"DELETE FROM normgate_prompts WHERE {OF_OLD} AND {_MOVED};",
            f"{_PROMPT_MADE} AND {_MOVED};",
            when=placed,
        ),
        trigger(
            "version_deleted",
            f"AFTER DELETE ON {versions}",
            f"""DELETE FROM normgate_promotions
  WHERE {OF_OLD} AND target IN {SQL_PROTECTED_STAGES};""",
            f"DELETE FROM normgate_prompts WHERE {OF_OLD};",
        ),
        # Foreign keys rename aliases and versions between these two, in any order.
        # Where the name is taken, `UPDATE OR IGNORE` would end between them.
        trigger(
            "model_renaming",
            "BEFORE UPDATE ON registered_models",
            """INSERT INTO normgate_prompts (workspace, name, version)
  SELECT NEW.workspace, NEW.name, was.version FROM normgate_prompts AS was
  WHERE was.workspace = OLD.workspace AND was.name = OLD.name
    AND NOT EXISTS (SELECT 1 FROM registered_models AS taken
      WHERE taken.workspace = NEW.workspace AND taken.name = NEW.name)
    AND NOT EXISTS (SELECT 1 FROM normgate_prompts AS there
      WHERE there.workspace = NEW.workspace AND there.name = NEW.name
        AND there.version = was.version);""",
            when=_RENAMED,
        ),
        # Where they are off, nothing followed.
        trigger(
            "model_renamed",
            "AFTER UPDATE ON registered_models",
            """DELETE FROM normgate_prompts
  WHERE workspace = NEW.workspace AND name = NEW.name AND version IN (
    SELECT version FROM normgate_prompts
    WHERE workspace = OLD.workspace AND name = OLD.name);""",
            when=_RENAMED,
        ),
    )


TRIGGERS = named(_registry())
