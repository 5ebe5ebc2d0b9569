"""Statistics: exact, mergeable, and of the training acquisitions alone."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.acquisitions.studies import REAL_MARKERS, real, simulated

from normgate.acquisitions import passes
from normgate.acquisitions.measured import AcquisitionMeasureSettings, measure_table
from normgate.acquisitions.read import read_acquisition
from normgate.acquisitions.statistics import (
    StatisticsSettings,
    common_markers,
    measure,
)
from normgate.acquisitions.table import read_acquisition_csv
from normgate.acquisitions.tally import empty
from normgate.contract import Channel, imc
from normgate.errors import DataError, SettingsError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from normgate.acquisitions.table import Acquisition


def pixels(rows: tuple[Acquisition, ...], name: str) -> NDArray[np.float64]:
    channel = Channel(name=name, input="float32", steps=())
    planes = [read_acquisition(row).planes([channel])[0].ravel() for row in rows]
    return np.concatenate(planes).astype(np.float64)


@pytest.mark.parametrize("cofactor", [None, Decimal(1)], ids=["plain", "arcsinh"])
def test_constants_are_those_of_all_pixels_at_once(
    tmp_path: Path, cofactor: Decimal | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passes, "_BATCH_PIXELS", 150)
    rows = simulated(tmp_path / "demo", mode="counts", channels=4)
    found = measure(rows, ["CD45", "alpha-SMA"], StatisticsSettings(cofactor=cofactor))
    for one in found.figures:
        x = pixels(rows, one.name)
        low, high = np.percentile(x, [0, 99.9])
        assert (one.low, one.high) == (low, high)
        assert np.isclose(one.mean, x.mean(), rtol=1e-13)
        assert np.isclose(one.std, x.std(), rtol=1e-13)
        y = np.clip(x, low, high)
        y = y if cofactor is None else np.arcsinh(y)
        assert np.isclose(one.inner_mean, y.mean(), rtol=1e-6)
        assert np.isclose(one.inner_std, y.std(), rtol=1e-6)
    assert found.spec().names == ("CD45", "alpha-SMA")


def test_neither_order_nor_sharing_out_changes_a_bit(tmp_path: Path) -> None:
    rows = simulated(tmp_path / "demo")
    whole = measure(rows, ["E0001", "E0003"])
    turned = measure(rows[::-1], ["E0001", "E0003"])
    assert whole.spec() == turned.spec()
    tallies = [empty(("E0001",)) for _ in range(3)]
    for place, row in enumerate(rows):
        values = pixels((row,), "E0001").astype(np.float32)
        for tally in (tallies[place % 2], tallies[2]):
            tally.add([row.acquisition], [values])
    tallies[0].merge(tallies[1])
    assert tallies[0].counts[0].to_bytes() == tallies[2].counts[0].to_bytes()
    with pytest.raises(DataError, match="is counted twice"):
        tallies[0].merge(tallies[2])


def test_provenance_names_what_counted_and_what_could_not_be_read(
    tmp_path: Path,
) -> None:
    rows = simulated(tmp_path / "demo", format="ome-tiff")
    rows[1].image.path.write_bytes(b"")
    found = measure(rows[:4], ["E0001"])
    assert found.acquisitions == tuple(rows[i].acquisition for i in (0, 2, 3))
    made = found.provenance(tmp_path / "demo" / "acquisitions.csv")
    assert made.cases == found.acquisitions
    assert len(made.quarantined) == 1
    assert made.channels[0].pixels == 3 * 72


def test_an_absent_or_empty_marker_is_refused(tmp_path: Path) -> None:
    rows = simulated(tmp_path / "demo", dead_channel=True)
    with pytest.raises(DataError, match=r"E0001: percentiles 0 and 99\.9 are both 0"):
        measure(rows, ["E0001"])
    with pytest.raises(DataError, match="marker E9999 is missing"):
        measure(rows, ["E9999"])


def test_a_table_is_measured_by_its_training_groups(tmp_path: Path) -> None:
    rows = simulated(tmp_path / "demo")
    path = tmp_path / "demo" / "acquisitions.csv"
    frame = read_acquisition_csv(path)
    groups = frozenset({"patient-01"})
    chosen = AcquisitionMeasureSettings(split_groups=groups)
    spec, provenance, quarantined = measure_table(frame, path, chosen)
    training = [row for row in rows if row.patient == "patient-01"]
    assert provenance.cases == tuple(row.acquisition for row in training)
    assert spec == measure(training, common_markers(rows)).spec()
    assert not quarantined
    image, *_ = measure_table(frame, path, replace(chosen, then="image"))
    assert image == imc.imc_spec(spec.names, imc.image_z)
    with pytest.raises(SettingsError, match="no split_group nobody"):
        measure_table(frame, path, replace(chosen, split_groups=frozenset({"nobody"})))


def test_a_real_study_is_measured_alike_from_every_format_and_panel(
    real_data: Path,
) -> None:
    specs = {
        (form, panel): measure(
            [real(real_data, form, slide, 2, panel) for slide in (1, 4, 5)],
            REAL_MARKERS,
        ).spec()
        for form in ("mcd", "txt")
        for panel in ("panel.csv", "steinbock/panel.csv")
    }
    assert specs["mcd", "panel.csv"] == specs["mcd", "steinbock/panel.csv"]
    assert specs["txt", "panel.csv"] == specs["txt", "steinbock/panel.csv"]
