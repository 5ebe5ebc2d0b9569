"""Simulated plates for the plate family's tests."""

from __future__ import annotations

from tests.families.plate.simulated import small_demo, small_units

__all__ = ["small_demo", "small_units"]
