"""The words for what a configuration declares, the same for every tool."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from normgate.contract import describe_step

if TYPE_CHECKING:
    from normgate.contract.steps import Step

Tool = Literal["MONAI", "bioimage.io", "nnU-Net", "timm", "StarDist"]
Steps = tuple["Step", ...]
ANY: tuple[float, float] = (-math.inf, math.inf)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One change of intensities."""

    name: str
    """As the tool names it."""
    steps: tuple[Steps, ...] | None
    """What the tool executes, as steps: once for all channels, or once for each; None
    where steps can't say it."""
    remark: str = ""
    """Why steps can't say it."""
    cast: str = ""
    """The type that it casts to, where that is all it does."""

    @property
    def measures(self) -> bool:
        """Whether it measures each picture first."""
        return any("sample" in one.kind for steps in self.steps or () for one in steps)

    def __str__(self) -> str:
        """As a person would say it."""
        if self.cast:
            return f"cast to {self.cast}"
        if self.steps is None:
            return f"{self.name} ({self.remark})" if self.remark else self.name
        told = [", ".join(map(describe_step, steps)) for steps in self.steps]
        if len(set(told)) == 1:
            return told[0] or "unchanged"
        shown = "; ".join(told[:3])
        return f"by channel: {shown}" + ("; ..." if len(told) > 3 else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """What becomes of the intensities of one input on its way to the network."""

    stage: str
    """`training`, `validation`, `inference`, or the tool's own name for it."""
    input: str
    """The tensor or key."""
    operations: tuple[Operation, ...]
    channels: tuple[str, ...] = ()
    """Their names, where they are told."""
    entry: tuple[float, float] = ANY
    """Between what values come in."""
    output: str = ""
    """The type that goes to the network; empty where nothing tells it."""
    cropped: str = ""
    """The random crop before the first operation that measures; empty for none."""

    @property
    def steps(self) -> tuple[Steps, ...] | None:
        """All operations as steps: once for all channels, or once for each."""
        width = max((len(one.steps or ()) for one in self.operations), default=1)
        rows: list[Steps] = [()] * width
        for one in self.operations:
            if one.steps is None or len(one.steps) not in (1, width):
                return None
            own = one.steps * width if len(one.steps) == 1 else one.steps
            rows = [row + more for row, more in zip(rows, own, strict=True)]
        return tuple(rows)

    def __str__(self) -> str:
        """As a person would say it."""
        return ", ".join(map(str, self.operations)) or "unchanged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """What a description says that the network gets."""

    where: str
    low: float | None
    high: float | None
    dtype: str
    channels: int | None
    names: tuple[str, ...]
    units: str
    """Such as `hounsfield`; empty for none."""
    modality: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A number or a boolean that stands there as text."""

    where: str
    text: str
    taken: Literal["as meant", "as true", "as an error"]
    """What the tool makes of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overruled:
    """Where a tool executes something else than the file declares."""

    where: str
    declared: str
    executed: str
    by: str
    """The tool and the versions in which it was seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Constants:
    """Statistics of one channel's foreground, as a file has them."""

    where: str
    channel: str
    median: float
    low: float
    """Percentile .5."""
    high: float
    """Percentile 99.5."""
    fixed: bool
    """Whether the channel is normalized by them as a CT."""
    twin: str
    """Where another file of the same data has other ones; empty where they agree."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """All files of one model or data set that belong together."""

    name: str
    tool: Tool
    files: tuple[str, ...]
    pipelines: tuple[Pipeline, ...]
    promise: Promise | None = None
    texts: tuple[Text, ...] = ()
    overruled: tuple[Overruled, ...] = ()
    elsewhere: tuple[str, ...] = ()
    """Programs outside of the declared operations that another reader of the file runs
    over the input."""
    constants: tuple[Constants, ...] = ()
    defects: tuple[str, ...] = ()
    """What contradicts itself, a sentence each."""
