"""Ray gives what this process gives, whatever dies on the way."""

from __future__ import annotations

import hashlib
import os
import signal
from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from tests.deploy.fakes import fake_model, plate_spec, write_plates

from normgate.cluster.engine import opened
from normgate.deploy.pipeline import deploy
from normgate.deploy.predicting import Elsewhere
from normgate.deploy.quarantine import read_quarantine
from normgate.deploy.settings import DeploySettings
from normgate.errors import DataError, NormgateError, SettingsError
from normgate.plates.gather import read_predictions
from normgate.plates.load import sites
from normgate.plates.measure import MeasureSettings, measure
from normgate.plates.schema import read_plate_csv
from normgate.plates.treatments import AggregateSettings, analyse

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import torch

    from normgate.deploy.models import Model
    from normgate.plates.load import Site
    from normgate.transform.threads import Spread

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def spread() -> Iterator[Spread]:
    """Two workers, for a core is left free."""
    with opened("ray", cpus=3) as found:
        assert found is not None
        yield found


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_plates(tmp_path / "plates", wells=12)


def bytes_of(out: Path) -> dict[str, str]:
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name != ".deploy.lock"
    }


def models(dies_once: Path | None = None) -> list[Model]:
    model = fake_model("early", plate_spec(("RFP1", "HALO")), 0)
    if dies_once is None:
        return [model]
    return [replace(model, forward=partial(_dying, model, dies_once))]


def _dying(model: Model, once: Path, batch: torch.Tensor) -> torch.Tensor:
    if not once.exists():
        once.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return model.forward(batch)


def places(data: Path) -> list[Site]:
    return sites(read_plate_csv(data), data)


def deployed(
    data: Path,
    out: Path,
    spread: Spread | None = None,
    dies_once: Path | None = None,
    only: Sequence[Site] | None = None,
) -> None:
    settings = DeploySettings(data=data, out=out, batch_size=5, shard_sites=2)
    elsewhere = spread and Elsewhere(partial(models, dies_once), settings, spread)
    deploy(models(), only or places(data), settings, elsewhere)


def squared(number: int) -> int:
    return number * number


def test_results_come_in_the_order_of_their_items(spread: Spread) -> None:
    assert list(spread(squared, range(30))) == [squared(at) for at in range(30)]
    assert list(spread(squared, [])) == []


def test_a_user_s_error_is_told_as_it_is(spread: Spread) -> None:
    def refusing(number: int) -> int:
        if number == 2:
            raise DataError("picture 2 is not raw counts; measure raw files")
        return number

    with pytest.raises(DataError, match=r"^picture 2 is not raw counts; measure raw"):
        list(spread(refusing, range(5)))


def test_a_defect_ends_the_job_in_a_sentence(spread: Spread) -> None:
    def broken(number: int) -> int:
        return number // 0

    with pytest.raises(NormgateError, match=r"Ray gave up: .*run again to go on"):
        list(spread(broken, range(3)))


def test_predictions_are_those_of_this_process(
    spread: Spread, data: Path, tmp_path: Path
) -> None:
    corrupt = data.parent / "images" / "A05_0_RFP1.tif"
    corrupt.write_bytes(corrupt.read_bytes()[:90])
    deployed(data, tmp_path / "here")
    deployed(data, tmp_path / "ray", spread)
    assert bytes_of(tmp_path / "ray") == bytes_of(tmp_path / "here")
    assert [one.well for one in read_quarantine(tmp_path / "ray")] == ["A05"]


def test_a_killed_worker_loses_nothing(
    spread: Spread, data: Path, tmp_path: Path
) -> None:
    deployed(data, tmp_path / "here")
    deployed(data, tmp_path / "ray", spread, tmp_path / "died")
    assert (tmp_path / "died").exists()
    assert bytes_of(tmp_path / "ray") == bytes_of(tmp_path / "here")


def test_a_job_is_resumed_by_the_other_engine(
    spread: Spread, data: Path, tmp_path: Path
) -> None:
    deployed(data, tmp_path / "here")
    deployed(data, tmp_path / "both", spread)
    lost = tmp_path / "both" / "early" / "part-00003.parquet"
    lost.unlink()
    kept = (tmp_path / "both" / "early" / "part-00000.parquet").stat().st_mtime_ns
    deployed(data, tmp_path / "both")
    assert bytes_of(tmp_path / "both") == bytes_of(tmp_path / "here")
    first = tmp_path / "both" / "early" / "part-00000.parquet"
    assert first.stat().st_mtime_ns == kept


@pytest.mark.parametrize("mask", [None, 200])
def test_measured_constants_are_those_of_this_process(
    spread: Spread, data: Path, tmp_path: Path, mask: int | None
) -> None:
    settings = MeasureSettings(
        percentiles=(Decimal(1), Decimal(99)), then="zscore", above=mask
    )
    frame = read_plate_csv(data)
    corrupt = data.parent / "images" / "A05_0_RFP1.tif"
    corrupt.write_bytes(corrupt.read_bytes()[:90])
    here = measure(frame, data, tmp_path / "here", settings)
    there = measure(frame, data, tmp_path / "ray", settings, spread=spread)
    assert (there.spec, there.provenance) == (here.spec, here.provenance)
    assert there.quarantined == here.quarantined
    assert len(here.quarantined) == 1


def test_statistics_are_those_of_this_process(
    spread: Spread, data: Path, tmp_path: Path
) -> None:
    deployed(data, tmp_path / "here")
    (found,) = read_predictions(tmp_path / "here")
    settings = AggregateSettings(bootstrap=200)
    here, there = analyse(found, settings), analyse(found, settings, spread)
    for name in ("wells", "plates", "plate_treatments", "treatments"):
        pd.testing.assert_frame_equal(
            getattr(there, name), getattr(here, name), check_exact=True
        )
    assert np.array_equal(there.scores.units, here.scores.units)


def test_a_worker_that_always_dies_ends_the_job(spread: Spread) -> None:
    def deadly(number: int) -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        return number

    with pytest.raises(NormgateError, match=r"Ray gave up: .*run again to go on"):
        list(spread(deadly, [1]))


@pytest.mark.parametrize(
    ("engine", "address", "sentence"),
    [
        ("local", "host:1", "add engine=ray"),
        ("dask", "", "'dask', expected local or ray"),
        ("ray", "127.0.0.1:9", r"no Ray cluster at 127\.0\.0\.1:9 .*refused"),
        ("ray", "nowhere", "give host:port"),
    ],
)
def test_what_can_t_be_meant_is_refused_in_a_sentence(
    engine: str, address: str, sentence: str
) -> None:
    with pytest.raises(SettingsError, match=sentence), opened(engine, address):
        pass


def test_this_process_needs_no_spread() -> None:
    with opened("local") as spread:
        assert spread is None
