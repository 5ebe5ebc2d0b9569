"""The ledger's tables, in the registry's own database.

`CONTRACTS`, `BINDINGS` and `VERDICTS` only ever grow. `EVIDENCE` holds what was found
when a version was registered, `PROMOTIONS` what the gate allows now: one row for each
protected alias or stage that is held. The database's triggers read `PROMOTIONS` and
`PROMPTS`. How the tables come to be is told in `migrations`.
"""

from __future__ import annotations

import sqlalchemy as sa

METADATA = sa.MetaData()

NAME = sa.String(256)
"""As wide as MLflow's own columns for the names of models and aliases."""
DIGEST = sa.String(64)
LOCATION = sa.String(500)


def _workspace() -> sa.Column[str]:
    return sa.Column("workspace", sa.String(63), nullable=False)


GATE = sa.Table(
    "normgate_gate",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("since_ms", sa.BigInteger, nullable=False),
)
"""One row: since when this database is normgate's. It is also the ledger's lock."""

CONTRACTS = sa.Table(
    "normgate_contracts",
    METADATA,
    _workspace(),
    sa.Column("name", sa.String(64), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("digest", DIGEST, nullable=False),
    sa.Column("reason", sa.String(1000), nullable=False),
    sa.Column("actor", NAME, nullable=False),
    sa.Column("added_ms", sa.BigInteger, nullable=False),
    sa.PrimaryKeyConstraint("workspace", "name", "version"),
)
"""Contracts as canonical JSON; the digest is SHA-256 of the text."""

BINDINGS = sa.Table(
    "normgate_bindings",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    _workspace(),
    sa.Column("pattern", NAME, nullable=False),
    sa.Column("contract_name", sa.String(64)),
    sa.Column("contract_version", sa.Integer),
    sa.Column("reason", sa.String(1000), nullable=False),
    sa.Column("actor", NAME, nullable=False),
    sa.Column("bound_ms", sa.BigInteger, nullable=False),
)
"""Which contract a model's name stands under; of each pattern the newest row holds.

Without a contract's name the pattern was released.
"""

EVIDENCE = sa.Table(
    "normgate_evidence",
    METADATA,
    _workspace(),
    sa.Column("name", NAME, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("location", LOCATION),
    sa.Column("model_id", sa.String(64)),
    sa.Column("directory_digest", DIGEST),
    sa.Column("manifest_digest", DIGEST),
    sa.Column("spec_digest", DIGEST),
    sa.Column("collected_ms", sa.BigInteger, nullable=False),
    sa.PrimaryKeyConstraint("workspace", "name", "version"),
)
"""What was found in the bytes of a version when it was registered."""

PROMOTIONS = sa.Table(
    "normgate_promotions",
    METADATA,
    _workspace(),
    sa.Column("name", NAME, nullable=False),
    sa.Column("target", NAME, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("location", LOCATION),
    sa.Column("directory_digest", DIGEST),
    sa.Column("manifest_digest", DIGEST),
    sa.Column("spec_digest", DIGEST),
    sa.Column("contract_name", sa.String(64)),
    sa.Column("contract_version", sa.Integer),
    sa.Column("verdict_id", sa.Integer),
    sa.Column("since_ms", sa.BigInteger),
    sa.PrimaryKeyConstraint("workspace", "name", "target", "version"),
)
"""What is promoted, with the digests that were frozen. A prompt's row has none."""

VERDICTS = sa.Table(
    "normgate_verdicts",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("decided_ms", sa.BigInteger, nullable=False),
    sa.Column("actor", NAME, nullable=False),
    sa.Column("action", sa.String(20), nullable=False),
    _workspace(),
    sa.Column("name", NAME, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("target", NAME, nullable=False),
    sa.Column("allowed", sa.Boolean, nullable=False),
    sa.Column("contract_name", sa.String(64)),
    sa.Column("contract_version", sa.Integer),
    sa.Column("contract_digest", DIGEST),
    sa.Column("directory_digest", DIGEST),
    sa.Column("registered_digest", DIGEST),
    sa.Column("manifest_digest", DIGEST),
    sa.Column("spec_digest", DIGEST),
    sa.Column("channels", sa.Text, nullable=False),
    sa.Column("refusals", sa.Text, nullable=False),
)
"""Every verdict. `channels` is JSON: channel to its digest, found and expected;
`refusals` is JSON: every refusal of the gate, none where it was allowed.
"""

PROMPTS = sa.Table(
    "normgate_prompts",
    METADATA,
    _workspace(),
    sa.Column("name", NAME, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.PrimaryKeyConstraint("workspace", "name", "version"),
)
"""Versions that are prompts, which hold no artifacts; kept by the triggers."""
