"""The port that a family implements, so that `normgate.tune` can search its settings.

A family says which numbers may be searched, which one is held fixed (the gauge: a loss
that is multiplied by two trains the same model), which choices there are about what a
trained network puts out, and which metrics are free of all of them. It trains with
given settings, and is judged by those metrics on its validation split alone; the test
split is looked at once, for what was chosen. Storage, samplers and the rules of a study
are the tuner's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from normgate.tracker import Tracker

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from normgate.gate import Vital
    from normgate.tracker import Scalar


Setting = float | str
"""A number, or a word of a choice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """One number that may be searched."""

    name: str
    """As the family's training entry spells the parameter."""
    low: float
    high: float
    default: float
    """What the preset uses: the first trial, and what a gain is measured against."""
    log: bool = False
    """Whether it is searched on a logarithmic scale."""
    least: float = 0.0
    """The smallest value that can be meant."""
    most: float = 1e6
    """The largest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One way among several to use what a network puts out: it changes no gradient."""

    name: str
    """As the family's training entry spells the parameter."""
    options: tuple[str, ...]
    default: str
    """What the preset uses."""
    judges: tuple[str, ...]
    """Objectives that it can change; judged by others only, it can't be searched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """One metric that no searched number is a part of."""

    name: str
    """A key of `Outcome.metrics`."""
    larger_is_better: bool
    worst: float
    """Where desirability is 0, and stays so."""
    best: float
    """Where desirability is 1, and stays so."""
    during: str = ""
    """The metric of each epoch that foretells it; empty where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one training came to."""

    metrics: Mapping[str, float]
    """On the validation split; every objective is among them."""
    weighted_loss: float
    """The loss that was minimized, at the end: for the record, never an objective."""
    vitals: tuple[Vital, ...]


class Watch(Tracker, Protocol):
    """A tracker that may end a trial early."""

    def vitals(self, vitals: Sequence[Vital], step: int) -> None:
        """Report vitals while the trial runs, once they can be meant.

        Raises:
            Pruned: One of them is red.
        """


class Searchable(Protocol):
    """What a family lets a study search and judge by."""

    @property
    def family(self) -> str:
        """The family's name."""

    @property
    def weights(self) -> tuple[Weight, ...]:
        """What may be searched, with the usual ranges."""

    @property
    def choices(self) -> tuple[Choice, ...]:
        """What may be searched besides, of words."""

    @property
    def gauge(self) -> Mapping[str, float]:
        """Weights that stay as they are, for only ratios of weights matter."""

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """Every metric that may be an objective; the usual ones first."""

    @property
    def usual_objectives(self) -> tuple[str, ...]:
        """Names of those that a study has unless told otherwise."""

    @property
    def weighted(self) -> tuple[str, ...]:
        """Names of losses that contain searched weights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Implements `Searchable`, and is known before any data are read."""

    family: str
    weights: tuple[Weight, ...]
    objectives: tuple[Objective, ...]
    usual_objectives: tuple[str, ...]
    choices: tuple[Choice, ...] = ()
    gauge: Mapping[str, float] = field(default_factory=dict)
    weighted: tuple[str, ...] = ("loss", "train_loss", "weighted_loss")


class Tunable(Searchable, Protocol):
    """One family with its data, ready to be trained many times."""

    @property
    def name(self) -> str:
        """The model that is tuned, as `rescue-0ms`."""

    @property
    def constraints(self) -> tuple[str, ...]:
        """Names of vitals that must not be red."""

    @property
    def spec_digest(self) -> str:
        """The digest of the spec that all trials train under."""

    @property
    def data_digest(self) -> str:
        """A digest of data and split."""

    @property
    def budget(self) -> Mapping[str, Scalar]:
        """Every fixed setting of a trial: epochs, batch size, network."""

    def effect(self, settings: Mapping[str, Setting]) -> NDArray[np.float64]:
        """What the first steps of a training come to, to be compared bit by bit.

        Args:
            settings: A value for every weight and choice.

        Returns:
            Gradients, updates where a setting acts through the optimizer, and metrics
            where there are choices. Equal settings give equal numbers.
        """

    def trial(
        self, settings: Mapping[str, Setting], seed: int, watch: Watch, folder: Path
    ) -> Outcome:
        """Train once, and judge on the validation split; a rerun resumes.

        Args:
            settings: A value for every weight and choice.
            seed: Initial weights and order follow from it; the split does not.
            watch: Told of each epoch.
            folder: This training's own.

        Raises:
            Pruned: As the watch raised it.
            DataError: The loss is no number any more.
        """

    def held_out(
        self, settings: Mapping[str, Setting], seed: int, folder: Path
    ) -> dict[str, float]:
        """Metrics of a finished training on the test split."""

    def bundle(
        self,
        settings: Mapping[str, Setting],
        trainings: Sequence[tuple[int, Path]],
        to: Path,
    ) -> None:
        """Write the bundle of some finished trainings.

        Args:
            settings: A value for every weight and choice, the same for all of them.
            trainings: Seed and folder of each; they become the members.
            to: Where the bundle goes.
        """
