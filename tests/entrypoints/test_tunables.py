"""One suite for every family that can be tuned: what a study expects of it.

Each is made ready as the entry does it, from small demonstration data.
"""

from __future__ import annotations

import math
import shlex
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import pytest
import yaml
from tests.conftest import ROOT
from tests.tune.toy import usual_space

from normgate.acquisitions import demo as acquisitions
from normgate.families import open_bundle
from normgate.plates import demo as plates
from normgate.tracker import NullTracker
from normgate.tune.effects import effects, refuse_dead
from normgate.tune.goal import goal_of
from normgate.tune.watch import PlainWatch
from normgate.volumes import demo as heads

if TYPE_CHECKING:
    from pathlib import Path

    from normgate.engine.tunable import Tunable


class Conformance:
    family: str
    training: ClassVar[dict[str, str]]

    @classmethod
    def data(cls, folder: Path) -> Path:
        """Write the family's data."""
        raise AssertionError("each family writes its data")

    @pytest.fixture(scope="class")
    @classmethod
    def out(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        return tmp_path_factory.mktemp(cls.family)

    @pytest.fixture(scope="class")
    @classmethod
    def csv(cls, out: Path) -> Path:
        return cls.data(out)

    @pytest.fixture(autouse=True)
    def _made(self, out: Path, csv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.syspath_prepend(str(ROOT / "entrypoints"))
        import _tune_families

        training = {"data": str(csv), "epochs": "1", "folds": "3", **self.training}
        self.prepared = partial(
            _tune_families.prepared, self.family, training, out / "work", 0
        )

    def tunable(self) -> Tunable:
        """Each call makes an equal one."""
        made: Tunable = self.prepared().tunable
        return made

    def test_every_searched_weight_changes_a_first_step(self) -> None:
        tunable = self.tunable()
        refuse_dead(effects(tunable, usual_space(tunable)))

    def test_equal_settings_have_equal_effects(self) -> None:
        preset = usual_space(self.tunable()).preset
        one, two = self.tunable().effect(preset), self.tunable().effect(preset)
        assert one.tobytes() == two.tobytes()

    def test_the_preset_lies_within_the_usual_ranges(self) -> None:
        tunable = self.tunable()
        space = usual_space(tunable)
        assert space.first is not None
        assert not {one.name for one in space.weights} & set(tunable.gauge)
        for one in tunable.weights:
            assert one.least <= one.low < one.high <= one.most

    def test_no_objective_contains_a_weight(self) -> None:
        tunable = self.tunable()
        names = {one.name for one in tunable.objectives}
        assert set(tunable.usual_objectives) <= names
        assert not names & set(tunable.weighted)

    def test_the_budget_holds_no_searched_weight(self) -> None:
        tunable = self.tunable()
        last = {key.rpartition(".")[2] for key in tunable.budget}
        assert not last & {one.name for one in tunable.weights}
        assert tunable.budget["epochs"] == 1
        assert tunable.budget == self.tunable().budget
        assert tunable.data_digest == self.tunable().data_digest

    def test_a_trial_is_judged_repeats_and_becomes_a_bundle(
        self, tmp_path: Path
    ) -> None:
        tunable = self.tunable()
        preset, watch = usual_space(tunable).preset, PlainWatch(NullTracker())
        outcome = tunable.trial(preset, 1, watch, tmp_path / "1")
        again = self.tunable().trial(preset, 1, watch, tmp_path / "again")
        assert outcome.metrics == again.metrics
        goal_of(tunable, (), desirable=False).values(outcome.metrics)
        assert math.isfinite(outcome.weighted_loss)
        assert set(tunable.constraints) <= {vital.name for vital in outcome.vitals}

        other = tunable.trial(preset, 2, watch, tmp_path / "2")
        assert other.metrics != outcome.metrics
        tested = tunable.held_out(preset, 1, tmp_path / "1")
        assert set(tunable.usual_objectives) <= set(tested)
        trainings = [(seed, tmp_path / str(seed)) for seed in (1, 2)]
        tunable.bundle(preset, trainings, tmp_path / "bundle")
        card = open_bundle(tmp_path / "bundle").card
        assert [(member.replicate, member.seed) for member in card.members] == [
            (0, 1),
            (1, 2),
        ]

    def test_its_command_is_one_that_mlproject_knows(self) -> None:
        made = self.prepared()
        command = made.command(usual_space(made.tunable).preset, 3)
        words = shlex.split(command)
        assert words[:4] == ["mlflow", "run", ".", "-e"]
        entry = yaml.safe_load((ROOT / "MLproject").read_text())["entry_points"][
            words[4]
        ]
        names = {word.partition("=")[0] for word in words[5:] if word != "-P"}
        assert names <= set(entry["parameters"])
        assert {"replicates", "data", *(w.name for w in made.tunable.weights)} <= names


class TestPlate(Conformance):
    family = "plate"
    training: ClassVar = {}

    @classmethod
    def data(cls, folder: Path) -> Path:
        settings = plates.DemoSettings(plates=1, rows=4)
        return plates.write_demo(folder / "demo", settings)


class TestFusion(Conformance):
    family = "fusion"
    training: ClassVar = {"passes": "1", "steps": "4"}

    @classmethod
    def data(cls, folder: Path) -> Path:
        return heads.write_demo(folder / "demo", heads.DemoSettings(cases=12))


class TestImc(Conformance):
    family = "imc"
    training: ClassVar = {}

    @classmethod
    def data(cls, folder: Path) -> Path:
        settings = acquisitions.DemoSettings(patients=3, per_slide=8)
        return acquisitions.write_demo(folder / "demo", settings)
