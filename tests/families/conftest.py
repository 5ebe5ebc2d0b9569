"""Simulated plates and heads for the families' tests."""

from __future__ import annotations

from tests.families.fusion.simulated import head_units, heads
from tests.families.plate.simulated import small_demo, small_units

__all__ = ["head_units", "heads", "small_demo", "small_units"]
