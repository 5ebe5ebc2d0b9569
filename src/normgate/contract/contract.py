"""Contract: what a deployment target demands of a model. Versioned, append-only.

It names every channel with its digest, and, so that a refusal can say what was
expected, the dtype and steps that give this digest. Floors are demands on metrics.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, field_validator, model_validator

from normgate.contract.digest import channel_digest
from normgate.contract.spec import (
    MAX_CHANNELS,
    Channel,
    ChannelName,
    InputType,
    Steps,
    check_name,
)
from normgate.contract.steps import Closed, Constant
from normgate.errors import SpecError

if TYPE_CHECKING:
    from normgate.contract.spec import Spec

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class ContractChannel(Closed):
    """One channel that a model must have, and exactly what it must compute."""

    name: ChannelName
    digest: Digest
    input: InputType
    steps: Steps

    _name = field_validator("name")(check_name)

    @property
    def channel(self) -> Channel:
        """The channel as a spec would hold it."""
        return Channel(name=self.name, input=self.input, steps=self.steps)

    @model_validator(mode="after")
    def _digest_of_steps(self) -> ContractChannel:
        try:
            computed = channel_digest(self.channel)
        except SpecError as error:
            raise ValueError(str(error)) from error
        if computed != self.digest:
            raise ValueError(
                f"digest {self.digest[:12]} is not that of its steps, {computed[:12]}"
            )
        return self


class Floor(Closed):
    """The least value that a metric of the bundle's card may have."""

    metric: Annotated[str, Field(min_length=1, max_length=120)]
    minimum: Constant


class Contract(Closed):
    """A deployment target's demand."""

    format: Literal["normgate.contract/1"] = "normgate.contract/1"
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.\-]{0,63}$")]
    version: Annotated[int, Field(ge=1, le=1_000_000)]
    description: Annotated[str, Field(max_length=2000)] = ""
    channels: Annotated[
        tuple[ContractChannel, ...], Field(min_length=1, max_length=MAX_CHANNELS)
    ]
    floors: tuple[Floor, ...] = ()
    forbid_red_vitals: bool = True

    @model_validator(mode="after")
    def _distinct(self) -> Contract:
        names = [channel.name for channel in self.channels]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"channel {twice[0]!r} stands more than once")
        return self


def contract_for(
    spec: Spec,
    *,
    name: str,
    version: int = 1,
    description: str = "",
    floors: tuple[Floor, ...] = (),
) -> Contract:
    """Make the contract that a spec itself fulfils.

    Raises:
        SpecError: If the steps of a channel have no normal form.
    """
    channels = tuple(
        ContractChannel(
            name=channel.name,
            digest=channel_digest(channel),
            input=channel.input,
            steps=channel.steps,
        )
        for channel in spec.channels
    )
    return Contract(
        name=name,
        version=version,
        description=description,
        channels=channels,
        floors=floors,
    )
