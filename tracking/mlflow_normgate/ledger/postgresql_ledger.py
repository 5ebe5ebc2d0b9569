"""The backstop's functions and triggers on the ledger's own tables in PostgreSQL.

What they refuse is told in `backstop`, how they are written in `postgresql`.
"""

from __future__ import annotations

from mlflow_normgate.ledger import rules
from mlflow_normgate.ledger.postgresql import (
    AFTER_ANY,
    BEFORE,
    DELETE,
    INSERT,
    OF_NEW,
    OF_OLD,
    ROW,
    TRUNCATE,
    UPDATE,
    Trigger,
    exists,
    on,
    refuse,
)

_JUDGED = " AND ".join(
    f"{column} IS NOT DISTINCT FROM NEW.{column}" for column in rules.JUDGED
)
_PROMOTION = f"""
DECLARE
  here text;
BEGIN
  IF TG_OP = 'UPDATE' THEN
    {refuse(rules.UNCHANGED)}
  ELSIF NEW.verdict_id IS NULL AND NEW.location IS NULL
    AND {exists("prompts", OF_NEW)}
  THEN
    RETURN NULL;
  ELSIF NOT {exists("verdicts", f"id = NEW.verdict_id AND allowed AND {_JUDGED}")} THEN
    {refuse(rules.NOT_ALLOWED)}
  END IF;
  -- Held until the end, so that the version is not moved meanwhile. One that is being
  -- renamed has no row of its new name yet, and is looked at when it has.
  SELECT COALESCE(NULLIF(storage_location, ''), source) INTO here
  FROM REGISTRY.model_versions WHERE {OF_NEW} FOR SHARE;
  IF NEW.location IS NULL OR FOUND AND here IS DISTINCT FROM NEW.location THEN
    {refuse(rules.LOCATED)}
  END IF;
  RETURN NULL;
END
"""

_REWRITTEN = " OR ".join(
    f"NEW.{column} IS DISTINCT FROM OLD.{column}" for column in rules.FOUND
)
_EVIDENCE = f"""
BEGIN
  IF TG_OP = 'INSERT' THEN
    IF {exists("promotions", OF_NEW)} THEN
      {refuse(rules.EVIDENCE)}
    END IF;
  ELSIF TG_OP = 'DELETE' THEN
    IF {exists("promotions", OF_OLD)} THEN
      {refuse(rules.EVIDENCE)}
    END IF;
  ELSIF {_REWRITTEN}
    OR {exists("promotions", OF_NEW)} AND NOT {exists("promotions", OF_OLD)}
  THEN
    {refuse(rules.EVIDENCE)}
  END IF;
  RETURN NULL;
END
"""


def _refusal(sentence: str) -> str:
    return f"\nBEGIN\n  {refuse(sentence)}\nEND\n"


FUNCTIONS: dict[str, str] = {
    "normgate_promotion": _PROMOTION,
    "normgate_evidence": _EVIDENCE,
    "normgate_append_only": _refusal(rules.APPEND_ONLY),
    "normgate_unchanged": _refusal(rules.UNCHANGED),
}
"""Each function's name and body; LEDGER and REGISTRY stand for schemas."""

TRIGGERS: tuple[Trigger, ...] = (
    on("normgate_promotions", ROW | INSERT | UPDATE, "promotion"),
    on("normgate_prompts", ROW | UPDATE, "unchanged"),
    on("normgate_evidence", AFTER_ANY, "evidence"),
    *(
        on(f"normgate_{table}", ROW | UPDATE | DELETE, "append_only")
        for table in ("contracts", "bindings", "verdicts")
    ),
    *(
        on(f"normgate_{table}", BEFORE | TRUNCATE, "append_only", "_emptied")
        for table in ("contracts", "bindings", "verdicts", "evidence")
    ),
)
