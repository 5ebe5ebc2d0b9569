"""Spec: per channel, in model input order, a name, an input dtype and its steps."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from normgate.contract.steps import Closed, Step

InputType = Literal["uint8", "uint16", "int16", "float32"]
MAX_CHANNELS = 1024
MAX_STEPS = 32

NAME = re.compile(r"([A-Za-z0-9][A-Za-z0-9_.\-]{0,63})(:[0-9]{1,9}ms)?")

ChannelName = Annotated[str, Field(max_length=80)]
Steps = Annotated[tuple[Step, ...], Field(max_length=MAX_STEPS)]


def check_name(name: str) -> str:
    """Return a channel name that is `MARKER` or `MARKER:<milliseconds>ms`.

    Names are plain ASCII so that look-alike letters can't bind another channel and
    every name can be part of an MLflow key.

    Raises:
        ValueError: For any other name.
    """
    if not NAME.fullmatch(name):
        raise ValueError(
            f"channel name {name!r} must be MARKER or MARKER:10000ms, in ASCII "
            "letters, digits, '_', '.' and '-'"
        )
    return name


class Channel(Closed):
    """One channel: what comes in, and what is done to it."""

    name: ChannelName
    input: InputType
    steps: Steps

    _name = field_validator("name")(check_name)

    @property
    def marker(self) -> str:
        """The marker, to which constants and image files are bound."""
        return self.name.partition(":")[0]

    @property
    def timepoint_ms(self) -> int | None:
        """The timepoint in milliseconds, where the name tells one."""
        tail = self.name.partition(":")[2]
        return int(tail.removesuffix("ms")) if tail else None


class Spec(Closed):
    """All channels of one model input, in order."""

    format: Literal["normgate.spec/1"] = "normgate.spec/1"
    output: Literal["float32"] = "float32"
    channels: Annotated[
        tuple[Channel, ...], Field(min_length=1, max_length=MAX_CHANNELS)
    ]

    @model_validator(mode="after")
    def _distinct(self) -> Spec:
        names = [channel.name for channel in self.channels]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"channel {twice[0]!r} stands more than once")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The channel names in model input order."""
        return tuple(channel.name for channel in self.channels)
