"""Digest: SHA-256 of the canonical JSON (RFC 8785) of the normal form.

Rationals are hashed as text (`"-963/8053"`), so that no float printer is part of an
identity. A channel's digest covers its input dtype and what it computes, not its
name: RFP1 of a 3-channel model and RFP1 at 0 ms of a 6-channel model agree. A spec's
digest covers the names, their order, the channel digests and the output dtype.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, assert_never

import rfc8785

from normgate.contract.normal_form import (
    ClampAffine,
    Nonlinear,
    Operation,
    normal_form,
)
from normgate.contract.steps import RescaleSample, StandardizeSample

if TYPE_CHECKING:
    from decimal import Decimal
    from fractions import Fraction

    from normgate.contract.spec import Channel, Spec

NORMAL_FORM_FORMAT = "normgate.normal-form/1"
SHORT = 12

_Json = None | bool | int | str | list["_Json"] | dict[str, "_Json"]


def channel_digest(channel: Channel) -> str:
    """Return the 64 hex digits that name what a channel computes.

    Raises:
        SpecError: If the steps have no normal form.
    """
    form = normal_form(channel)
    return _sha256(
        {
            "format": NORMAL_FORM_FORMAT,
            "input": form.input,
            "operations": [_operation(op) for op in form.operations],
        }
    )


def spec_digest(spec: Spec) -> str:
    """Return the 64 hex digits that name what a whole spec computes.

    Raises:
        SpecError: If the steps of a channel have no normal form.
    """
    return _sha256(
        {
            "format": NORMAL_FORM_FORMAT,
            "output": spec.output,
            "channels": [
                {"name": channel.name, "digest": channel_digest(channel)}
                for channel in spec.channels
            ],
        }
    )


def short_digest(digest: str) -> str:
    """Return the first 12 digits, for people; never for comparison."""
    return digest[:SHORT]


def _operation(operation: Operation) -> _Json:
    match operation:
        case ClampAffine(low=low, high=high, gain=gain, offset=offset):
            return {
                "operation": "clamp_affine",
                "low": _rational(low),
                "high": _rational(high),
                "gain": _rational(gain),
                "offset": _rational(offset),
            }
        case Nonlinear(name=name):
            return {"operation": name}
        case StandardizeSample() | RescaleSample():
            fields: dict[str, _Json] = operation.model_dump(
                exclude={"kind"}, mode="json"
            )
            return {"operation": operation.kind, **fields}
        case _:
            assert_never(operation)


def _rational(value: Fraction | Decimal | None) -> str | None:
    return None if value is None else str(value)


def _sha256(value: _Json) -> str:
    return hashlib.sha256(rfc8785.dumps(value)).hexdigest()
