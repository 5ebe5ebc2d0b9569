"""Steps that measure each picture, as these tools have them.

All of them fit and apply to the same pixels, keep the others, take ddof 0 and linear
percentiles; they differ in scope, eps and what a constant picture becomes.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

from normgate.contract.steps import Mask, RescaleSample, StandardizeSample

if TYPE_CHECKING:
    from collections.abc import Mapping

Scope = Literal["channel", "image"]
_ALL = Mask(kind="all")


@dataclass(frozen=True, slots=True)
class Measured:
    """What is measured, and how a divisor is kept from 0."""

    scope: Scope
    degenerate: Literal["zeros", "center"]
    """What a constant picture becomes."""
    eps: Decimal = Decimal(0)
    placement: Literal["add", "max"] = "add"
    mask: Mask = _ALL

    def standardized(self) -> StandardizeSample:
        """By the picture's own mean and std."""
        return StandardizeSample(**self._shared, ddof=0)

    def rescaled(
        self,
        low: Decimal = Decimal(0),
        high: Decimal = Decimal(100),
        *,
        clip: bool = False,
    ) -> RescaleSample:
        """By its own percentiles; unless they are given, by minimum and maximum."""
        return RescaleSample(
            **self._shared,
            low_percentile=low,
            high_percentile=high,
            method="linear",
            clip=clip,
        )

    @property
    def _shared(self) -> Mapping[str, Any]:
        return {
            "scope": self.scope,
            "fit_mask": self.mask,
            "apply_mask": self.mask,
            "outside": "keep",
            "eps": self.eps,
            "eps_placement": self.placement,
            "degenerate": self.degenerate,
        }
