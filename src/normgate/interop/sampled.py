"""Steps that measure each picture, as these tools have them.

All of them fit and apply to the same pixels, keep the others, take ddof 0 and linear
percentiles; they differ in scope, eps and what a constant picture becomes.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from normgate.contract.steps import Mask, RescaleSample, StandardizeSample

Scope = Literal["channel", "image"]
Placement = Literal["add", "max"]
Degenerate = Literal["zeros", "center"]
_ALL = Mask(kind="all")
_NONE = Decimal(0)


def standardized(
    scope: Scope,
    degenerate: Degenerate,
    *,
    eps: Decimal = _NONE,
    placement: Placement = "add",
    mask: Mask = _ALL,
) -> StandardizeSample:
    """By its own mean and std."""
    return StandardizeSample(
        scope=scope,
        fit_mask=mask,
        apply_mask=mask,
        outside="keep",
        eps=eps,
        eps_placement=placement,
        degenerate=degenerate,
        ddof=0,
    )


def rescaled(
    scope: Scope,
    degenerate: Degenerate,
    *,
    low: Decimal = Decimal(0),
    high: Decimal = Decimal(100),
    eps: Decimal = _NONE,
    placement: Placement = "add",
    clip: bool = False,
) -> RescaleSample:
    """By its own percentiles; unless they are given by minimum and maximum."""
    return RescaleSample(
        scope=scope,
        fit_mask=_ALL,
        apply_mask=_ALL,
        outside="keep",
        eps=eps,
        eps_placement=placement,
        degenerate=degenerate,
        low_percentile=low,
        high_percentile=high,
        method="linear",
        clip=clip,
    )
