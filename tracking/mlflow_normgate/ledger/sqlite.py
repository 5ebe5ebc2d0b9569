"""The backstop's triggers on SQLite. What each refuses is told in `backstop`.

Refusals stand in AFTER triggers: what they see is what is stored. (A BEFORE trigger
sees a NULL that `INSERT OR REPLACE` then turns into the column's default.) No table of
MLflow is named but the one that a trigger is on: MLflow's migrations drop and rename
tables, which SQLite refuses while any trigger names a missing one. `INSERT OR REPLACE`
fires no DELETE trigger for the row that it replaces. RAISE takes a constant only
(before SQLite 3.47), so the sentences name no model.
"""

from __future__ import annotations

from mlflow_normgate.ledger import rules
from mlflow_normgate.ledger.rules import (
    SQL_DELETED,
    SQL_OPEN_ALIASES,
    SQL_OPEN_STAGES,
    SQL_PLACEHOLDERS,
    SQL_PROTECTED_STAGES,
)

_HERE = "COALESCE(NULLIF(NEW.storage_location, ''), NEW.source)"
"""Where a version's files are, as MLflow resolves it."""
_IS_PROMPT = f"IFNULL({_HERE} IN {SQL_PLACEHOLDERS}, 0)"
_MOVED = "(NEW.workspace <> OLD.workspace OR NEW.name <> OLD.name OR {} <> {})".format(
    "NEW.version", "OLD.version"
)

_RENAMED = "NEW.workspace <> OLD.workspace OR NEW.name <> OLD.name"


def _of(row: str) -> str:
    """The rows of one version."""
    return (
        f"workspace = {row}.workspace AND name = {row}.name AND version = {row}.version"
    )


def _any(table: str, condition: str) -> str:
    return f"EXISTS (SELECT 1 FROM normgate_{table} WHERE {condition})"


def _refuse(sentence: str, where: str) -> str:
    text = rules.quoted(sentence.format("this version"))
    return f"SELECT RAISE(ABORT, {text})\n  WHERE {where};"


def _trigger(name: str, moment: str, *statements: str, when: str = "") -> str:
    condition = f"\nWHEN {when}" if when else ""
    body = "\n  ".join(statements)
    return f"CREATE TRIGGER normgate_{name} {moment}{condition}\nBEGIN\n  {body}\nEND"


_HELD = _any("promotions", f"{_of('NEW')} AND target = NEW.alias")
_ALIAS_SET = (
    _refuse(rules.STAGE_AS_ALIAS, f"NEW.alias IN {SQL_PROTECTED_STAGES}"),
    # A prompt's row keeps a model from being put under the alias in the prompt's place.
    f"""INSERT INTO normgate_promotions (workspace, name, target, version)
  SELECT NEW.workspace, NEW.name, NEW.alias, NEW.version
  WHERE NEW.alias NOT IN {SQL_OPEN_ALIASES} AND NOT {_HELD}
    AND {_any("prompts", _of("NEW"))} AND NOT {_any("evidence", _of("NEW"))};""",
    _refuse(
        rules.NO_VERDICT_FOR_ALIAS,
        f"NEW.alias NOT IN {SQL_OPEN_ALIASES} AND NOT {_HELD}",
    ),
    """DELETE FROM normgate_promotions
  WHERE workspace = NEW.workspace AND name = NEW.name
    AND target = NEW.alias AND version <> NEW.version;""",
)
_ALIAS_GONE = f"""DELETE FROM normgate_promotions
  WHERE {_of("OLD")} AND target = OLD.alias AND target NOT IN {SQL_PROTECTED_STAGES};"""

_STAGED = _any("promotions", f"{_of('NEW')} AND target = NEW.current_stage")
_VERSION_SET = (
    _refuse(
        rules.NO_VERDICT_FOR_STAGE,
        f"NEW.current_stage NOT IN {SQL_OPEN_STAGES}\n    AND NOT "
        f"(NEW.current_stage IN {SQL_PROTECTED_STAGES} AND {_STAGED})",
    ),
    _refuse(
        rules.PINNED,
        f"NEW.current_stage IS NOT {SQL_DELETED} AND "
        + _any(
            "promotions",
            f"{_of('NEW')} AND location IS NOT {_HERE}\n"
            f"    AND NOT (verdict_id IS NULL AND {_IS_PROMPT})",
        ),
    ),
    _refuse(
        rules.STAYS_PROMPT,
        f"NEW.current_stage IS NOT {SQL_DELETED} AND NOT {_IS_PROMPT}\n"
        f"    AND {_any('prompts', _of('NEW'))}",
    ),
)
_PROMPT_MADE = f"""INSERT INTO normgate_prompts (workspace, name, version)
  SELECT NEW.workspace, NEW.name, NEW.version
  WHERE {_IS_PROMPT} AND NOT {_any("prompts", _of("NEW"))}"""


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
        _trigger("alias_inserted", f"AFTER INSERT ON {aliases}", *_ALIAS_SET),
        _trigger(
            "alias_updated",
            f"AFTER UPDATE ON {aliases}",
            *_ALIAS_SET,
            _ALIAS_GONE,
            when=changed,
        ),
        _trigger("alias_deleted", f"AFTER DELETE ON {aliases}", _ALIAS_GONE),
        _trigger(
            "version_inserted",
            f"AFTER INSERT ON {versions}",
            *_VERSION_SET,
            # Of a row that this one replaced, or of a model that had this name before.
            f"""DELETE FROM normgate_promotions WHERE {_of("NEW")}
    AND target IN {SQL_PROTECTED_STAGES} AND target IS NOT NEW.current_stage;""",
            f"""DELETE FROM normgate_evidence WHERE {_of("NEW")}
    AND {_IS_PROMPT} AND NOT {_any("promotions", _of("NEW"))};""",
            f"{_PROMPT_MADE};",
        ),
        _trigger(
            "version_updated",
            f"AFTER UPDATE ON {versions}",
            *_VERSION_SET,
            f"""DELETE FROM normgate_promotions WHERE {_of("OLD")}
    AND target IN {SQL_PROTECTED_STAGES} AND target IS OLD.current_stage
    AND ({_MOVED} OR NEW.current_stage IS NOT OLD.current_stage);""",
            f"DELETE FROM normgate_prompts WHERE {_of('OLD')} AND {_MOVED};",
            f"{_PROMPT_MADE} AND {_MOVED};",
            when=placed,
        ),
        _trigger(
            "version_deleted",
            f"AFTER DELETE ON {versions}",
            f"""DELETE FROM normgate_promotions
  WHERE {_of("OLD")} AND target IN {SQL_PROTECTED_STAGES};""",
            f"DELETE FROM normgate_prompts WHERE {_of('OLD')};",
        ),
        # Foreign keys rename aliases and versions between these two, in any order.
        _trigger(
            "model_renaming",
            "BEFORE UPDATE ON registered_models",
            """INSERT INTO normgate_prompts (workspace, name, version)
  SELECT NEW.workspace, NEW.name, was.version FROM normgate_prompts AS was
  WHERE was.workspace = OLD.workspace AND was.name = OLD.name
    AND NOT EXISTS (SELECT 1 FROM normgate_prompts AS there
      WHERE there.workspace = NEW.workspace AND there.name = NEW.name
        AND there.version = was.version);""",
            when=_RENAMED,
        ),
        # Where they are off, nothing followed.
        _trigger(
            "model_renamed",
            "AFTER UPDATE ON registered_models",
            """DELETE FROM normgate_prompts
  WHERE workspace = NEW.workspace AND name = NEW.name AND version IN (
    SELECT version FROM normgate_prompts
    WHERE workspace = OLD.workspace AND name = OLD.name);""",
            when=_RENAMED,
        ),
    )


def _kept(table: str, same: str) -> tuple[str, ...]:
    """The triggers of a table that only grows."""
    refusal = rules.quoted(rules.APPEND_ONLY)
    return (
        *(
            _trigger(
                f"{table}_{moment.lower()}",
                f"BEFORE {moment} ON normgate_{table}",
                f"SELECT RAISE(ABORT, {refusal});",
            )
            for moment in ("UPDATE", "DELETE")
        ),
        # INSERT OR REPLACE would put another row in the place of this one.
        _trigger(
            f"{table}_replace",
            f"BEFORE INSERT ON normgate_{table}",
            _refuse(rules.APPEND_ONLY, _any(table, same)),
        ),
    )


def _numbered(table: str) -> str:
    newest = f"(SELECT MAX(id) FROM normgate_{table} WHERE id <> NEW.id)"
    return _trigger(
        f"{table}_numbered",
        f"AFTER INSERT ON normgate_{table}",
        _refuse(rules.NO_GAPS, f"NEW.id <> 1 + IFNULL({newest}, 0)"),
    )


def _ledger() -> tuple[str, ...]:
    """The triggers on the ledger's own tables."""
    judged = " AND ".join(f"{column} IS NEW.{column}" for column in rules.JUDGED)
    allowed = f"id = NEW.verdict_id AND allowed AND {judged}"
    promoted = _any("promotions", _of("NEW"))
    rewritten = " OR ".join(
        f"NEW.{column} IS NOT OLD.{column}" for column in rules.FOUND
    )
    prompt = (
        "NEW.verdict_id IS NULL AND NEW.location IS NULL\n"
        f"    AND {_any('prompts', _of('NEW'))}"
    )
    return (
        *_kept(
            "contracts",
            "workspace = NEW.workspace AND name = NEW.name AND version = NEW.version",
        ),
        *_kept("bindings", "id = NEW.id"),
        _numbered("bindings"),
        *_kept("verdicts", "id = NEW.id"),
        _numbered("verdicts"),
        _trigger(
            "promotions_insert",
            "AFTER INSERT ON normgate_promotions",
            _refuse(
                rules.NOT_ALLOWED,
                f"NOT ({prompt})\n    AND NOT {_any('verdicts', allowed)}",
            ),
            _refuse(rules.LOCATED, f"NEW.location IS NULL AND NOT ({prompt})"),
        ),
        _trigger(
            "promotions_update",
            "BEFORE UPDATE ON normgate_promotions",
            f"SELECT RAISE(ABORT, {rules.quoted(rules.UNCHANGED)});",
        ),
        _trigger(
            "prompts_update",
            "BEFORE UPDATE ON normgate_prompts",
            f"SELECT RAISE(ABORT, {rules.quoted(rules.UNCHANGED)});",
        ),
        _trigger(
            "evidence_insert",
            "BEFORE INSERT ON normgate_evidence",
            _refuse(rules.EVIDENCE, promoted),
        ),
        _trigger(
            "evidence_update",
            "BEFORE UPDATE ON normgate_evidence",
            _refuse(
                rules.EVIDENCE,
                f"{rewritten}\n    OR {promoted} AND NOT "
                + _any("promotions", _of("OLD")),
            ),
        ),
        _trigger(
            "evidence_delete",
            "BEFORE DELETE ON normgate_evidence",
            _refuse(rules.EVIDENCE, _any("promotions", _of("OLD"))),
        ),
    )


TRIGGERS: dict[str, str] = {
    statement.split()[2]: statement for statement in (*_registry(), *_ledger())
}
"""Each trigger's name and statement, as SQLite keeps it."""
