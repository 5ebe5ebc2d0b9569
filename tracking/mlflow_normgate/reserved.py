"""The names that normgate reserves in a registry, and what it records under them.

Every tag under `normgate.` is written by the gated store alone, except the contract
and its reason, which a client may set on a registered model and the store validates.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, PERMISSION_DENIED

from normgate.contract import parse_contract, to_json
from normgate.errors import ContractError

if TYPE_CHECKING:
    from normgate.contract import Contract
    from normgate.gate import Evidence

RESERVED = "normgate."
CONTRACT = "normgate.contract"
REASON = "normgate.contract_reason"
BUNDLE = "normgate.bundle"
"""Sent by a client that registers a bundle; never stored."""
DIRECTORY_DIGEST = "normgate.directory_digest"
MANIFEST_DIGEST = "normgate.manifest_digest"
SPEC_DIGEST = "normgate.spec_digest"
MODEL_ID = "normgate.model_id"
EVIDENCE = "normgate.evidence"

MAX_CONTRACT = 5000
"""Characters: the width of the column that holds a registered model's tag."""
MAX_EVIDENCE = 4000
REFUSED = re.compile(r"(?:[A-Z_]+: )?(Promotion of .+? refused: .*)", re.DOTALL)


def record(evidence: Evidence) -> dict[str, str]:
    """What is recorded on a version when it is created."""
    told = " ".join((*evidence.problems, *evidence.manifest_problems))
    found = {
        MODEL_ID: evidence.model_id,
        SPEC_DIGEST: evidence.spec_digest,
        MANIFEST_DIGEST: evidence.manifest_digest,
        DIRECTORY_DIGEST: evidence.directory_digest,
        EVIDENCE: told[:MAX_EVIDENCE] or "complete",
    }
    return {key: value for key, value in found.items() if value is not None}


def contract_tag(contract: Contract) -> str:
    """A contract as the text of its tag: JSON on one line, decimals exact.

    Raises:
        ContractError: If it is longer than a tag may be.
    """
    # No string of JSON holds a raw line break, so this removes only indentation.
    text = re.sub(r"\s*\n\s*", "", to_json(contract).decode())
    if len(text) > MAX_CONTRACT:
        raise ContractError(
            f"contract {contract.name!r} is {len(text)} characters long, and a tag of "
            f"the registry holds {MAX_CONTRACT}; shorten its description"
        )
    return text


def contract_from_tag(value: str | None) -> Contract | None:
    """Read the contract that is bound to a registered model; None for none.

    Raises:
        ContractError: If the tag does not hold a valid contract.
    """
    if not value:
        return None
    if len(value) > MAX_CONTRACT:
        raise ContractError(
            f"the contract is {len(value)} characters long, expected at most "
            f"{MAX_CONTRACT}"
        )
    return parse_contract(value.encode(), f"tag {CONTRACT}")


def invalid(sentence: str) -> MlflowException:
    """An error that a client sees at once, with status 400."""
    return MlflowException(sentence, error_code=INVALID_PARAMETER_VALUE)


def refused(sentence: str) -> MlflowException:
    """A refusal of the gate, with status 403: a person's dialog shows it verbatim."""
    return MlflowException(sentence, error_code=PERMISSION_DENIED)


def refusal_sentence(message: str) -> str | None:
    """The refusal in an error's message as a client received it, if it is one."""
    match = REFUSED.fullmatch(message)
    return None if match is None else match[1]
