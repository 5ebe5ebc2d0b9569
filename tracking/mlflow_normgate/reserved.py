"""The names that normgate reserves in a registry, and what stands under them.

Tags under `normgate.` are written by the gated store alone, for people and for clients
that verify what they fetched; nothing is decided on them. A client sends two, which
are never stored: one that says that a bundle is registered, and one that binds a
contract.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, PERMISSION_DENIED

from normgate.contract import parse_contract, to_json
from normgate.errors import ContractError

if TYPE_CHECKING:
    from mlflow_normgate.ledger.verdicts import Held
    from normgate.contract import Contract
    from normgate.gate import Evidence

RESERVED = "normgate."
BUNDLE = "normgate.bundle"
"""Sent by a client that registers a bundle."""
BIND = "normgate.bind"
"""Sent by a client that binds a contract; see `binding`."""
CONTRACT = "normgate.contract"
"""A registered model's contract in force; on a version, the one it was held to."""
VERDICT = "normgate.verdict"
DIRECTORY_DIGEST = "normgate.directory_digest"
MANIFEST_DIGEST = "normgate.manifest_digest"
SPEC_DIGEST = "normgate.spec_digest"
MODEL_ID = "normgate.model_id"
EVIDENCE = "normgate.evidence"

MAX_BINDING = 100_000
"""Characters: what MLflow itself lets through as a tag of a registered model."""
MAX_EVIDENCE = 4000
REFUSED = re.compile(r"(?:[A-Z_]+: )?(Promotion of .+? refused: .*)", re.DOTALL)


def record(evidence: Evidence) -> dict[str, str]:
    """What is shown on a version when it is registered."""
    told = " ".join((*evidence.problems, *evidence.manifest_problems))
    found = {
        MODEL_ID: evidence.model_id,
        SPEC_DIGEST: evidence.spec_digest,
        MANIFEST_DIGEST: evidence.manifest_digest,
        DIRECTORY_DIGEST: evidence.directory_digest,
        EVIDENCE: told[:MAX_EVIDENCE] or "complete",
    }
    return {key: value for key, value in found.items() if value is not None}


def frozen(held: Held) -> dict[str, str]:
    """What the ledger froze of a promoted version, as its tags."""
    found = {
        SPEC_DIGEST: held.spec_digest,
        MANIFEST_DIGEST: held.manifest_digest,
        DIRECTORY_DIGEST: held.directory_digest,
    }
    return {key: value for key, value in found.items() if value is not None}


def binding(contract: Contract | None, reason: str) -> str:
    """A contract and why it is bound, as the text that a client sends.

    The contract's own JSON travels as a string, so that its decimals stay exact.

    Raises:
        ContractError: If it is longer than a registry takes.
    """
    text = None if contract is None else to_json(contract).decode()
    sent = json.dumps({"contract": text, "reason": reason})
    if len(sent) > MAX_BINDING:
        raise ContractError(
            f"The contract is {len(sent)} characters long, and a registry takes "
            f"{MAX_BINDING}. Shorten its description."
        )
    return sent


def parse_binding(text: str) -> tuple[Contract | None, str]:
    """Read what a client sent to bind a contract; None releases the model.

    Raises:
        ContractError: If it is too long, no such JSON, or holds no valid contract.
    """
    if len(text) > MAX_BINDING:
        raise ContractError(f"{len(text)} characters, expected at most {MAX_BINDING}")
    try:
        sent = json.loads(text)
        contract, reason = sent["contract"], str(sent["reason"])
        data = None if contract is None else contract.encode()
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise ContractError(
            f"tag {BIND} must hold JSON of a contract's text and a reason"
        ) from error
    return None if data is None else parse_contract(data, f"tag {BIND}"), reason


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
