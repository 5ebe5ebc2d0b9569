"""Statements of SQL that a database under the gate must refuse, as a table.

They run on what `seeding` makes, without MLflow and without normgate.
"""

from __future__ import annotations

from dataclasses import dataclass

from mlflow_normgate.ledger import rules

ALIAS, STAGE = rules.NO_VERDICT_FOR_ALIAS, rules.NO_VERDICT_FOR_STAGE
BOTH, SQLITE, POSTGRESQL = ("sqlite", "postgresql"), ("sqlite",), ("postgresql",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """Statements of which the last one must be refused."""

    name: str
    sql: tuple[str, ...]
    sentence: str | None
    """None where the database's own rules come first, as foreign keys."""
    on: tuple[str, ...]


def attack(
    name: str, *sql: str, says: str | None, on: tuple[str, ...] = BOTH
) -> Attack:
    return Attack(name=name, sql=sql, sentence=says, on=on)


INTO_ALIASES = "INTO registered_model_aliases (workspace, name, alias, version) VALUES"
INTO_VERSIONS = (
    "INTO model_versions (workspace, name, version, current_stage, source, "
    "storage_location) VALUES"
)
SET_ALIAS = "UPDATE registered_model_aliases SET"
SET_VERSION = "UPDATE model_versions SET"
RESCUE = "WHERE name = 'rescue' AND version"
VERDICT = (
    "INTO normgate_verdicts ({}decided_ms, actor, action, workspace, name, "
    "version, target, allowed, channels, refusals) VALUES ({}0, 'me', 'promote', "
    "'default', 'rescue', {}, 'next', {}, '', '')"
)
PROMOTION = (
    "INSERT INTO normgate_promotions (workspace, name, target, version, location, "
    "verdict_id{}) SELECT 'default', 'rescue', '{}', {}, {}, MAX(id){} "
    "FROM normgate_verdicts"
)
CONTRACT = (
    "INTO normgate_contracts (workspace, name, version, text, digest, reason, actor, "
    "added_ms) VALUES ('default', 'plate', 1, 'mine', 'd', 'r', 'a', 0)"
)

ATTACKS = (
    # Aliases.
    attack(
        "alias-set",
        f"INSERT {INTO_ALIASES} ('default', 'rescue', 'next', 1)",
        says=ALIAS,
    ),
    attack(
        "alias-moved", f"{SET_ALIAS} version = 1 WHERE alias = 'champion'", says=ALIAS
    ),
    attack(
        "alias-moved-by-upsert",
        f"INSERT {INTO_ALIASES} ('default', 'rescue', 'champion', 1) ON CONFLICT "
        "(workspace, name, alias) DO UPDATE SET version = excluded.version",
        says=ALIAS,
    ),
    *(
        attack(
            f"alias-insert-or-{how}",
            f"INSERT OR {how} {INTO_ALIASES} ('default', 'rescue', '{alias}', 1)",
            says=ALIAS,
            on=SQLITE,
        )
        for how, alias in (
            ("REPLACE", "champion"),
            ("IGNORE", "next"),
            ("FAIL", "next"),
        )
    ),
    *(
        attack(
            f"alias-update-or-{how}",
            f"UPDATE OR {how} registered_model_aliases SET alias = '{alias}' "
            "WHERE alias = 'candidate'",
            says=ALIAS,
            on=SQLITE,
        )
        for how, alias in (("REPLACE", "champion"), ("IGNORE", "next"))
    ),
    attack(
        "open-alias-renamed",
        f"{SET_ALIAS} alias = 'next' WHERE alias = 'candidate'",
        says=ALIAS,
    ),
    attack("alias-of-another-model", f"{SET_ALIAS} name = 'old'", says=ALIAS),
    attack(
        "alias-before-its-version",
        f"INSERT {INTO_ALIASES} ('default', 'rescue', 'next', 9)",
        says=ALIAS,
    ),
    *(
        attack(
            f"alias-spelled-{alias.strip()!r}",
            f"INSERT {INTO_ALIASES} ('default', 'rescue', '{alias}', 1)",
            says=ALIAS,
        )
        for alias in (
            "Champion",
            "CANDIDATE",
            "candidate ",
            "c\N{CYRILLIC SMALL LETTER A}ndidate",
            "",
        )
    ),
    attack(
        "alias-as-bytes",
        f"INSERT {INTO_ALIASES} ('default', 'rescue', x'6368616D70696F6E', 1)",
        says=ALIAS,
        on=SQLITE,
    ),
    attack(
        "alias-in-another-workspace",
        f"{SET_ALIAS} workspace = 'elsewhere' WHERE alias = 'champion'",
        says=ALIAS,
        on=SQLITE,
    ),
    attack(
        "alias-in-a-workspace-that-is-not",
        f"{SET_ALIAS} workspace = 'elsewhere' WHERE alias = 'champion'",
        says=None,
        on=POSTGRESQL,
    ),
    attack(
        "alias-named-as-a-stage",
        f"INSERT {INTO_ALIASES} ('default', 'rescue', 'Production', 3)",
        says=rules.STAGE_AS_ALIAS,
    ),
    attack(
        "alias-moved-in-a-query",
        "WITH gone AS (DELETE FROM registered_model_aliases WHERE alias = 'champion' "
        f"RETURNING *) INSERT {INTO_ALIASES} ('default', 'rescue', 'next', 1)",
        says=ALIAS,
        on=POSTGRESQL,
    ),
    attack(
        "alias-merged",
        "MERGE INTO registered_model_aliases AS had "
        "USING (VALUES (1)) AS new (version) "
        "ON had.alias = 'champion' WHEN MATCHED THEN UPDATE SET version = new.version",
        says=ALIAS,
        on=POSTGRESQL,
    ),
    attack(
        "promotion-ended-then-alias-set-again",
        "DELETE FROM registered_model_aliases WHERE alias = 'champion'",
        f"INSERT {INTO_ALIASES} ('default', 'rescue', 'champion', 2)",
        says=ALIAS,
    ),
    # Stages.
    attack(
        "stage-set",
        f"{SET_VERSION} current_stage = 'Production' {RESCUE} = 1",
        says=STAGE,
    ),
    attack(
        "stage-other",
        f"{SET_VERSION} current_stage = 'Staging' {RESCUE} = 3",
        says=STAGE,
    ),
    attack(
        "stage-case",
        f"{SET_VERSION} current_stage = 'PRODUCTION' {RESCUE} = 3",
        says=STAGE,
    ),
    attack(
        "stage-with-the-verdict-for-an-alias",
        f"{SET_VERSION} current_stage = 'champion' {RESCUE} = 2",
        says=STAGE,
    ),
    attack(
        "version-made-in-a-stage",
        f"INSERT {INTO_VERSIONS} ('default', 'rescue', 9, 'Staging', 's', 's')",
        says=STAGE,
    ),
    attack(
        "version-upserted-into-a-stage",
        f"INSERT {INTO_VERSIONS} ('default', 'rescue', 1, 'None', 's', 's') "
        "ON CONFLICT (workspace, name, version) "
        "DO UPDATE SET current_stage = 'Production'",
        says=STAGE,
    ),
    attack(
        "stage-left-and-taken-again",
        f"{SET_VERSION} current_stage = 'Archived' {RESCUE} = 3",
        f"{SET_VERSION} current_stage = 'Production' {RESCUE} = 3",
        says=STAGE,
    ),
    attack(
        "version-replaced-in-its-stage",
        f"INSERT OR REPLACE {INTO_VERSIONS} ('default', 'rescue', 3, 'None', 's', "
        "'s3://bucket/staged')",
        f"{SET_VERSION} current_stage = 'Production' {RESCUE} = 3",
        says=STAGE,
        on=SQLITE,
    ),
    # Other files under what is promoted.
    *(
        attack(
            f"{what}-of-version-{version}",
            f"{SET_VERSION} {what} {RESCUE} = {version}",
            says=rules.PINNED,
        )
        for version in (2, 3)
        for what in (
            "storage_location = 's3://bucket/bad'",
            "storage_location = NULL, source = 's3://bucket/bad'",
            "storage_location = '', source = 's3://bucket/bad'",
            "storage_location = 'dummy-source'",
            "source = 'models:/m-0123456789abcdef0123456789abcdef'",
            "source = 'dummy-source'",
        )
    ),
    attack(
        "version-deleted-and-made-elsewhere",
        "DELETE FROM model_versions WHERE name = 'rescue' AND version = 2",
        f"INSERT {INTO_VERSIONS} ('default', 'rescue', 2, 'None', 's', 's3://bad')",
        says=rules.PINNED,
    ),
    attack(
        "version-replaced-elsewhere",
        f"INSERT OR REPLACE {INTO_VERSIONS} ('default', 'rescue', 2, 'None', 's', 's')",
        says=rules.PINNED,
        on=SQLITE,
    ),
    attack(
        "version-replaced-through-the-default-of-a-column",
        f"INSERT OR REPLACE {INTO_VERSIONS} (NULL, 'rescue', 2, 'None', 's', 's')",
        says=rules.PINNED,
        on=SQLITE,
    ),
    attack(
        "another-version-in-its-place",
        f"{SET_VERSION} version = 9 {RESCUE} = 2",
        f"{SET_VERSION} version = 2 {RESCUE} = 1",
        says=rules.PINNED,
    ),
    attack(
        "another-model-in-its-place",
        f"{SET_VERSION} version = 9 {RESCUE} = 2",
        f"{SET_VERSION} name = 'rescue', version = 2 WHERE name = 'old'",
        says=rules.PINNED,
    ),
    attack(
        "deleted-and-brought-back-elsewhere",
        f"{SET_VERSION} current_stage = 'Deleted_Internal', "
        f"storage_location = 's3://b' {RESCUE} = 2",
        f"{SET_VERSION} current_stage = 'None' {RESCUE} = 2",
        says=rules.PINNED,
    ),
    attack(
        "model-renamed-with-its-champion",
        "UPDATE registered_models SET name = 'mine' WHERE name = 'rescue'",
        says="normgate: ",  # Of the alias or of the stage, whichever comes first.
        on=POSTGRESQL,
    ),
    # Prompts as a way in.
    attack(
        "prompt-turned-into-a-model",
        f"{SET_VERSION} storage_location = 's3://bad' "
        "WHERE name = 'ask' AND version = 2",
        says=rules.STAYS_PROMPT,
    ),
    attack(
        "model-in-the-place-of-a-prompt",
        "DELETE FROM model_version_tags WHERE name = 'ask' AND version = 1",
        "DELETE FROM model_versions WHERE name = 'ask' AND version = 1",
        f"INSERT {INTO_VERSIONS} ('default', 'ask', 1, 'None', 's', 's3://bad')",
        says=rules.PINNED,
    ),
    attack(
        "model-declared-a-prompt",
        "INSERT INTO normgate_prompts (workspace, name, version) "
        "VALUES ('default', 'rescue', 1)",
        f"INSERT {INTO_ALIASES} ('default', 'rescue', 'next', 1)",
        says=ALIAS,
    ),
    attack(
        "prompt-renamed-to-a-model",
        "UPDATE registered_models SET name = 'gone' WHERE name = 'old'",
        "UPDATE registered_models SET name = 'old' WHERE name = 'ask'",
        f"INSERT {INTO_ALIASES} ('default', 'old', 'next', 1)",
        says=ALIAS,
        on=SQLITE,  # PostgreSQL's foreign keys rename the versions too.
    ),
    *(
        attack(
            f"prompt-renamed-to-a-model-or-{how}",
            f"UPDATE OR {how} registered_models SET name = 'old' WHERE name = 'ask'",
            f"INSERT {INTO_ALIASES} ('default', 'old', 'next', 1)",
            says=ALIAS,
            on=SQLITE,
        )
        for how in ("IGNORE", "REPLACE")
    ),
    attack(
        "prompt-in-production",
        f"{SET_VERSION} current_stage = 'Production' WHERE name = 'ask'",
        says=STAGE,
    ),
    # The ledger.
    *(
        attack(f"{table}-{verb.split()[0]}", sql, says=rules.APPEND_ONLY)
        for table in ("contracts", "verdicts")
        for verb in ("UPDATE", "DELETE FROM")
        for sql in (
            f"{verb} normgate_{table} {'SET version = 7' if verb == 'UPDATE' else ''}",
        )
    ),
    attack(
        "contract-replaced",
        f"INSERT OR REPLACE {CONTRACT}",
        says=rules.APPEND_ONLY,
        on=SQLITE,
    ),
    attack(
        "contract-upserted",
        f"INSERT {CONTRACT} ON CONFLICT (workspace, name, version) "
        "DO UPDATE SET text = 'mine'",
        says=rules.APPEND_ONLY,
    ),
    attack(
        "verdict-replaced",
        "INSERT OR REPLACE " + VERDICT.format("id, ", "1, ", 1, "TRUE"),
        says=rules.APPEND_ONLY,
        on=SQLITE,
    ),
    attack(
        "verdict-numbered-ahead",
        "INSERT " + VERDICT.format("id, ", "99, ", 1, "TRUE"),
        says=rules.NO_GAPS,
        on=SQLITE,
    ),
    *(
        attack(
            f"{table}-emptied",
            f"TRUNCATE normgate_{table}",
            says=rules.APPEND_ONLY,
            on=POSTGRESQL,
        )
        for table in ("contracts", "bindings", "verdicts", "evidence")
    ),
    attack(
        "promotion-without-a-verdict",
        "INSERT INTO normgate_promotions (workspace, name, target, version, location) "
        "VALUES ('default', 'rescue', 'next', 1, 's3://bucket/bad')",
        says=rules.NOT_ALLOWED,
    ),
    attack(
        "promotion-on-a-refusal",
        "INSERT " + VERDICT.format("", "", 1, "FALSE"),
        PROMOTION.format("", "next", 1, "'s3://bucket/bad'", ""),
        says=rules.NOT_ALLOWED,
    ),
    attack(
        "promotion-on-the-verdict-for-another-version",
        "INSERT " + VERDICT.format("", "", 2, "TRUE"),
        PROMOTION.format("", "next", 1, "'s3://bucket/bad'", ""),
        says=rules.NOT_ALLOWED,
    ),
    attack(
        "promotion-with-other-digests",
        "INSERT " + VERDICT.format("", "", 1, "TRUE"),
        PROMOTION.format(", spec_digest", "next", 1, "'s3://bucket/bad'", ", 'd'"),
        says=rules.NOT_ALLOWED,
    ),
    attack(
        "promotion-without-a-place",
        "INSERT " + VERDICT.format("", "", 1, "TRUE"),
        PROMOTION.format("", "next", 1, "NULL", ""),
        says=rules.LOCATED,
    ),
    attack(
        "promotion-of-another-place",
        "INSERT " + VERDICT.format("", "", 1, "TRUE"),
        PROMOTION.format("", "next", 1, "'s3://elsewhere'", ""),
        says=rules.LOCATED,
        on=POSTGRESQL,
    ),
    attack(
        "promotion-changed",
        "UPDATE normgate_promotions SET location = 's3://bucket/bad'",
        says=rules.UNCHANGED,
    ),
    attack(
        "prompt-changed",
        "UPDATE normgate_prompts SET name = 'rescue'",
        says=rules.UNCHANGED,
    ),
    attack(
        "evidence-changed",
        "UPDATE normgate_evidence SET directory_digest = 'mine' WHERE version = 1",
        says=rules.EVIDENCE,
    ),
    attack(
        "evidence-of-a-promoted-version-deleted",
        "DELETE FROM normgate_evidence WHERE version = 2",
        says=rules.EVIDENCE,
    ),
    attack(
        "evidence-of-another-model-for-a-promoted-version",
        "UPDATE normgate_evidence SET name = 'kept' WHERE version = 2",
        "INSERT INTO normgate_evidence (workspace, name, version, collected_ms) "
        "VALUES ('default', 'rescue', 2, 0)",
        says=rules.EVIDENCE,
    ),
)
