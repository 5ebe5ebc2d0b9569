"""The port that a run reports to: engine and families know nothing else of tracking.

`mlflow_normgate.tracker` implements it on MLflow; `NullTracker` is for code that
runs outside any tracking.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Scalar = str | int | float | bool


class Tracker(Protocol):
    """Where a run's settings, numbers, files and pictures go."""

    def params(self, values: Mapping[str, Scalar]) -> None:
        """Record settings; a setting is recorded once and never changes."""

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Record numbers at a step (epoch, or 0 for a final figure)."""

    def tags(self, values: Mapping[str, str]) -> None:
        """Record searchable marks; the last value stands."""

    def artifact(self, path: Path, folder: str = "") -> None:
        """Record a file or a whole folder under a folder of the run."""

    def image(self, path: Path, key: str, step: int) -> None:
        """Record a PNG picture under a key at a step."""

    def note(self, markdown: str) -> None:
        """Describe the run to a reader, in Markdown."""


class NullTracker:
    """Accepts everything and keeps nothing."""

    def params(self, values: Mapping[str, Scalar]) -> None:
        """Keep nothing."""

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Keep nothing."""

    def tags(self, values: Mapping[str, str]) -> None:
        """Keep nothing."""

    def artifact(self, path: Path, folder: str = "") -> None:
        """Keep nothing."""

    def image(self, path: Path, key: str, step: int) -> None:
        """Keep nothing."""

    def note(self, markdown: str) -> None:
        """Keep nothing."""
