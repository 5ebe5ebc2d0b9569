"""What a user chooses about a plate training, and the presets of its four entries."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from normgate.engine.settings import between
from normgate.errors import SettingsError

Question = Literal["genotype", "treatment"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """The network."""

    backbone: str = "demo"
    """`demo`, `resnet10`, `resnet18`, or `timm:<name>` with the extra [timm]."""
    width: float = 1.0
    """Factor on the channels of resnet10 and resnet18, 0.125 to 4."""
    dropout: float = 0.2
    """Share of features dropped before the last layer, 0 up to but not 1."""
    intensity_jitter: float = 0.0
    """Largest random gain and offset of a training unit's channel, 0 to 1; off at 0,
    for brightness is what is measured."""

    def __post_init__(self) -> None:
        """Refuse a network that can't be built.

        Raises:
            SettingsError: With the parameter, its value and what is expected.
        """
        known = ("demo", "resnet10", "resnet18")
        name = self.backbone.removeprefix("timm:")
        # timm would also fetch one by an address, which may be another tomorrow.
        plain = name != self.backbone and re.fullmatch(r"[A-Za-z0-9_.\-]+", name)
        if self.backbone not in known and not plain:
            expected = f"{', '.join(known)} or timm:<name>"
            raise SettingsError(f"backbone is {self.backbone!r}, expected {expected}")
        between("width", self.width, 0.125, 4.0)
        between("intensity_jitter", self.intensity_jitter, 0.0, 1.0)
        if not 0 <= self.dropout < 1:
            raise SettingsError(
                f"dropout is {self.dropout}, expected a share from 0 up to but not 1"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """What one entry asks the plates."""

    name: str
    question: Question
    """`genotype`: the label of control wells; `treatment`: treated or a control."""
    classes: tuple[str, str]
    """In the order of the logits; the second is the positive one."""
    genotype: str = ""
    """The one genotype that is looked at; empty for all."""
    spec: str
    """File name of the default spec in `contracts/specs`."""
    contract: str
    """File name of the contract in `contracts`."""
    per_timepoint: bool
    """Whether there is a model for each timepoint, or one that sees all of them."""

    def model_name(self, timepoint_ms: int | None) -> str:
        """The registered model: `rescue-0ms`, `app`."""
        return self.name if timepoint_ms is None else f"{self.name}-{timepoint_ms}ms"

    @property
    def positive(self) -> str:
        """The class that probabilities and AUROC are of."""
        return self.classes[1]


_GENOTYPES = ("WT", "APP")
_TREATED = ("untreated", "treated")

PRESETS: dict[str, Preset] = {
    "rescue": Preset(
        name="rescue",
        question="genotype",
        classes=_GENOTYPES,
        spec="plate_3ch.json",
        contract="plate_3ch.json",
        per_timepoint=True,
    ),
    "binary": Preset(
        name="binary",
        question="genotype",
        classes=_GENOTYPES,
        spec="plate_6ch.json",
        contract="plate_6ch.json",
        per_timepoint=False,
    ),
    "app": Preset(
        name="app",
        question="treatment",
        classes=_TREATED,
        genotype="APP",
        spec="plate_6ch.json",
        contract="plate_6ch_treatment.json",
        per_timepoint=False,
    ),
    "wt": Preset(
        name="wt",
        question="treatment",
        classes=_TREATED,
        genotype="WT",
        spec="plate_6ch.json",
        contract="plate_6ch_treatment.json",
        per_timepoint=False,
    ),
}
