"""The contract core: steps, specs, what they compute, and the digest of that.

steps -> spec -> normal form (exact rationals) -> digest; a contract demands digests
by channel name; provenance stays beside. No NumPy here: a registry server decides
with this package alone.
"""

from normgate.contract.contract import Contract, ContractChannel, Floor, contract_for
from normgate.contract.describe import describe_channel, describe_step, describe_steps
from normgate.contract.digest import channel_digest, short_digest, spec_digest
from normgate.contract.files import (
    parse_contract,
    parse_provenance,
    parse_spec,
    provenance_beside,
    read_contract,
    read_spec,
    to_json,
    write,
    write_atomic,
)
from normgate.contract.normal_form import (
    DTYPE_RANGE,
    ChannelForm,
    ClampAffine,
    Nonlinear,
    normal_form,
)
from normgate.contract.provenance import ChannelProvenance, Provenance
from normgate.contract.spec import Channel, InputType, Spec
from normgate.contract.steps import (
    Arcsinh,
    Clip,
    Log1p,
    Mask,
    Rescale,
    RescaleSample,
    Scale,
    Standardize,
    StandardizeSample,
    Step,
)

__all__ = [
    "DTYPE_RANGE",
    "Arcsinh",
    "Channel",
    "ChannelForm",
    "ChannelProvenance",
    "ClampAffine",
    "Clip",
    "Contract",
    "ContractChannel",
    "Floor",
    "InputType",
    "Log1p",
    "Mask",
    "Nonlinear",
    "Provenance",
    "Rescale",
    "RescaleSample",
    "Scale",
    "Spec",
    "Standardize",
    "StandardizeSample",
    "Step",
    "channel_digest",
    "contract_for",
    "describe_channel",
    "describe_step",
    "describe_steps",
    "normal_form",
    "parse_contract",
    "parse_provenance",
    "parse_spec",
    "provenance_beside",
    "read_contract",
    "read_spec",
    "short_digest",
    "spec_digest",
    "to_json",
    "write",
    "write_atomic",
]
