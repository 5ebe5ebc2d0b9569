"""The backstop's triggers on the ledger's own tables in SQLite; see `backstop`."""

from __future__ import annotations

from mlflow_normgate.ledger import rules
from mlflow_normgate.ledger.sqlite import (
    OF_NEW,
    OF_OLD,
    exists,
    named,
    refuse,
    trigger,
)


def _kept(table: str, same: str) -> tuple[str, ...]:
    """The triggers of a table that only grows."""
    refusal = rules.quoted(rules.APPEND_ONLY)
    return (
        *(
            trigger(
                f"{table}_{moment.lower()}",
                f"BEFORE {moment} ON normgate_{table}",
                f"SELECT RAISE(ABORT, {refusal});",
            )
            for moment in ("UPDATE", "DELETE")
        ),
        # INSERT OR REPLACE would put another row in the place of this one.
        trigger(
            f"{table}_replace",
            f"BEFORE INSERT ON normgate_{table}",
            refuse(rules.APPEND_ONLY, exists(table, same)),
        ),
    )


def _numbered(table: str) -> str:
    newest = f"(SELECT MAX(id) FROM normgate_{table} WHERE id <> NEW.id)"
    return trigger(
        f"{table}_numbered",
        f"AFTER INSERT ON normgate_{table}",
        refuse(rules.NO_GAPS, f"NEW.id <> 1 + IFNULL({newest}, 0)"),
    )


def _ledger() -> tuple[str, ...]:
    """The triggers on the ledger's own tables."""
    judged = " AND ".join(f"{column} IS NEW.{column}" for column in rules.JUDGED)
    allowed = f"id = NEW.verdict_id AND allowed AND {judged}"
    promoted = exists("promotions", OF_NEW)
    rewritten = " OR ".join(
        f"NEW.{column} IS NOT OLD.{column}" for column in rules.FOUND
    )
    prompt = (
        "NEW.verdict_id IS NULL AND NEW.location IS NULL\n"
        f"    AND {exists('prompts', OF_NEW)}"
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
        trigger(
            "promotions_insert",
            "AFTER INSERT ON normgate_promotions",
            refuse(
                rules.NOT_ALLOWED,
                f"NOT ({prompt})\n    AND NOT {exists('verdicts', allowed)}",
            ),
            refuse(rules.LOCATED, f"NEW.location IS NULL AND NOT ({prompt})"),
        ),
        trigger(
            "promotions_update",
            "BEFORE UPDATE ON normgate_promotions",
            f"SELECT RAISE(ABORT, {rules.quoted(rules.UNCHANGED)});",
        ),
        trigger(
            "prompts_update",
            "BEFORE UPDATE ON normgate_prompts",
            f"SELECT RAISE(ABORT, {rules.quoted(rules.UNCHANGED)});",
        ),
        trigger(
            "evidence_insert",
            "BEFORE INSERT ON normgate_evidence",
            refuse(rules.EVIDENCE, promoted),
        ),
        trigger(
            "evidence_update",
            "BEFORE UPDATE ON normgate_evidence",
            refuse(
                rules.EVIDENCE,
                f"{rewritten}\n    OR {promoted} AND NOT "
                + exists("promotions", OF_OLD),
            ),
        ),
        trigger(
            "evidence_delete",
            "BEFORE DELETE ON normgate_evidence",
            refuse(rules.EVIDENCE, exists("promotions", OF_OLD)),
        ),
    )


TRIGGERS = named(_ledger())
