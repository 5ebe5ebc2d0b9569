"""The backstop's functions and triggers on MLflow's tables in PostgreSQL.

Every name is written with its schema, and the functions run with their owner's rights:
a table of the same name in an account's own or temporary schema deceives none of them,
and an account needs no right to the ledger to take an alias away. Nobody else may
attach them to a table. Refusals stand in AFTER triggers, behind every trigger that
could still change a row. A sentence holds no percent sign, which the driver would take
for a parameter. What is refused is told in `backstop`.
"""

from __future__ import annotations

from dataclasses import dataclass

from mlflow_normgate.ledger import rules
from mlflow_normgate.ledger.rules import (
    SQL_DELETED,
    SQL_OPEN_ALIASES,
    SQL_OPEN_STAGES,
    SQL_PLACEHOLDERS,
    SQL_PROTECTED_STAGES,
)

CHECK_VIOLATION = "23514"
"""The state that MLflow answers with status 400, as it does on SQLite."""

ROW, BEFORE, INSERT, DELETE, UPDATE, TRUNCATE = (1 << bit for bit in range(6))
"""The bits of `pg_trigger.tgtype`."""
AFTER_ANY = ROW | INSERT | UPDATE | DELETE


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """One trigger: which function runs on which table, and when."""

    name: str
    table: str
    moment: int
    """Bits, as above."""
    function: str

    @property
    def clause(self) -> str:
        """The moment in words, as `AFTER INSERT OR DELETE`."""
        events = {INSERT: "INSERT", UPDATE: "UPDATE", DELETE: "DELETE"}
        named = [word for bit, word in events.items() if self.moment & bit]
        when = "BEFORE" if self.moment & BEFORE else "AFTER"
        return f"{when} {' OR '.join(named or ['TRUNCATE'])}"

    @property
    def level(self) -> str:
        """What it runs for."""
        return "FOR EACH ROW" if self.moment & ROW else "FOR EACH STATEMENT"


def _same_version(row: str) -> str:
    return (
        f"workspace = {row}.workspace AND name = {row}.name AND version = {row}.version"
    )


OF_NEW, OF_OLD = _same_version("NEW"), _same_version("OLD")
"""The rows of the version that was written, and of what it was before."""


def exists(table: str, condition: str) -> str:
    """Whether a table of the ledger has such a row."""
    return f"EXISTS (SELECT FROM LEDGER.normgate_{table} WHERE {condition})"


def refuse(sentence: str) -> str:
    """A refusal; it names the version of the row that was written."""
    label = " || NEW.name || ' version ' || NEW.version || "
    text = label.join(rules.quoted(part) for part in sentence.split("{}"))
    return (
        f"RAISE EXCEPTION USING ERRCODE = '{CHECK_VIOLATION}', MESSAGE =\n    {text};"
    )


def on(table: str, moment: int, function: str, suffix: str = "") -> Trigger:
    """A trigger, named after its table."""
    name = f"normgate_{table.removeprefix(rules.PREFIX)}{suffix}"
    return Trigger(
        name=name, table=table, moment=moment, function=f"normgate_{function}"
    )


_KEY = "ROW({0}.workspace, {0}.name, {0}.version)"
_MOVED = f"{_KEY.format('NEW')} IS DISTINCT FROM {_KEY.format('OLD')}"
_HELD = exists("promotions", f"{OF_NEW} AND target = NEW.alias")

_ALIAS = f"""
BEGIN
  IF TG_OP = 'UPDATE' AND NEW.alias = OLD.alias AND NOT ({_MOVED}) THEN
    RETURN NULL;
  END IF;
  IF TG_OP <> 'DELETE' AND NEW.alias NOT IN {SQL_OPEN_ALIASES} THEN
    IF NEW.alias IN {SQL_PROTECTED_STAGES} THEN
      {refuse(rules.STAGE_AS_ALIAS)}
    END IF;
    -- A prompt's row keeps a model from being put under the alias in its place.
    IF {exists("prompts", OF_NEW)} AND NOT {exists("evidence", OF_NEW)} THEN
      INSERT INTO LEDGER.normgate_promotions (workspace, name, target, version)
      VALUES (NEW.workspace, NEW.name, NEW.alias, NEW.version) ON CONFLICT DO NOTHING;
    ELSIF NOT {_HELD} THEN
      {refuse(rules.NO_VERDICT_FOR_ALIAS)}
    END IF;
    DELETE FROM LEDGER.normgate_promotions
    WHERE workspace = NEW.workspace AND name = NEW.name
      AND target = NEW.alias AND version <> NEW.version;
  END IF;
  IF TG_OP <> 'INSERT' THEN
    DELETE FROM LEDGER.normgate_promotions
    WHERE {OF_OLD} AND target = OLD.alias
      AND target NOT IN {SQL_PROTECTED_STAGES};
  END IF;
  RETURN NULL;
END
"""

_STAGED = exists("promotions", f"{OF_NEW} AND target = NEW.current_stage")
_PINNED = exists(
    "promotions",
    f"{OF_NEW}\n      AND location IS DISTINCT FROM here "
    "AND NOT (verdict_id IS NULL AND prompt)",
)

_VERSION = f"""
DECLARE
  moved boolean := TG_OP <> 'UPDATE';
  here text;
  prompt boolean;
BEGIN
  IF TG_OP = 'UPDATE' THEN
    moved := {_MOVED};
    IF NOT moved AND NEW.current_stage IS NOT DISTINCT FROM OLD.current_stage
      AND NEW.storage_location IS NOT DISTINCT FROM OLD.storage_location
      AND NEW.source IS NOT DISTINCT FROM OLD.source
    THEN
      RETURN NULL;
    END IF;
  END IF;
  IF TG_OP <> 'DELETE' THEN
    -- Where its files are, as MLflow resolves it.
    here := COALESCE(NULLIF(NEW.storage_location, ''), NEW.source);
    prompt := COALESCE(here IN {SQL_PLACEHOLDERS}, false);
    IF NEW.current_stage NOT IN {SQL_OPEN_STAGES}
      AND NOT (NEW.current_stage IN {SQL_PROTECTED_STAGES} AND {_STAGED})
    THEN
      {refuse(rules.NO_VERDICT_FOR_STAGE)}
    END IF;
    IF NEW.current_stage IS DISTINCT FROM {SQL_DELETED} THEN
      IF {_PINNED} THEN
        {refuse(rules.PINNED)}
      END IF;
      IF TG_OP = 'UPDATE' THEN
        IF NEW.source IS DISTINCT FROM OLD.source AND {exists("promotions", OF_NEW)}
        THEN
          {refuse(rules.PINNED)}
        END IF;
      END IF;
      IF NOT prompt AND {exists("prompts", OF_NEW)} THEN
        {refuse(rules.STAYS_PROMPT)}
      END IF;
    END IF;
  END IF;
  IF TG_OP <> 'INSERT' THEN
    IF moved OR NEW.current_stage IS DISTINCT FROM OLD.current_stage THEN
      DELETE FROM LEDGER.normgate_promotions
      WHERE {OF_OLD} AND target IN {SQL_PROTECTED_STAGES}
        AND (TG_OP = 'DELETE' OR target = OLD.current_stage);
    END IF;
    IF moved THEN
      DELETE FROM LEDGER.normgate_prompts WHERE {OF_OLD};
    END IF;
  END IF;
  IF prompt AND moved THEN
    IF TG_OP = 'INSERT' AND NOT {exists("promotions", OF_NEW)} THEN
      -- Of a model that had this name before.
      DELETE FROM LEDGER.normgate_evidence WHERE {OF_NEW};
    END IF;
    INSERT INTO LEDGER.normgate_prompts (workspace, name, version)
    VALUES (NEW.workspace, NEW.name, NEW.version) ON CONFLICT DO NOTHING;
  END IF;
  RETURN NULL;
END
"""

_MODEL = """
BEGIN
  IF NEW.workspace <> OLD.workspace OR NEW.name <> OLD.name THEN
    INSERT INTO LEDGER.normgate_prompts (workspace, name, version)
    SELECT NEW.workspace, NEW.name, version FROM LEDGER.normgate_prompts
    WHERE workspace = OLD.workspace AND name = OLD.name ON CONFLICT DO NOTHING;
  END IF;
  RETURN NULL;
END
"""

_EMPTIED = f"""
BEGIN
  IF TG_TABLE_NAME = 'model_versions' THEN
    DELETE FROM LEDGER.normgate_prompts;
    DELETE FROM LEDGER.normgate_promotions WHERE target IN {SQL_PROTECTED_STAGES};
  ELSE
    DELETE FROM LEDGER.normgate_promotions WHERE target NOT IN {SQL_PROTECTED_STAGES};
  END IF;
  RETURN NULL;
END
"""

FUNCTIONS: dict[str, str] = {
    "normgate_alias": _ALIAS,
    "normgate_version": _VERSION,
    "normgate_model": _MODEL,
    "normgate_emptied": _EMPTIED,
}
"""Each function's name and body; LEDGER and REGISTRY stand for schemas."""

TRIGGERS: tuple[Trigger, ...] = (
    on("registered_model_aliases", AFTER_ANY, "alias"),
    on("registered_model_aliases", TRUNCATE, "emptied", "_emptied"),
    on("model_versions", AFTER_ANY, "version"),
    on("model_versions", TRUNCATE, "emptied", "_emptied"),
    # Triggers run in the order of their names, and those of foreign keys, which rename
    # aliases and versions in any order, are called RI_ConstraintTrigger.
    Trigger(
        name="NORMGATE_registered_models",
        table="registered_models",
        moment=ROW | UPDATE,
        function="normgate_model",
    ),
)
