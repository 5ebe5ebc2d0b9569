"""Acquisitions held against a spec: every fault of a study is found, and no other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import pytest
from tests.acquisitions.studies import REAL_MARKERS, real, simulated

from normgate.acquisitions.statistics import StatisticsSettings, measure
from normgate.acquisitions.table import write_acquisition_csv
from normgate.check import CheckSettings, check, write_report
from normgate.contract import imc

if TYPE_CHECKING:
    from pathlib import Path

    from normgate.check import Checked
    from normgate.contract import Spec
    from normgate.gate import Finding

NAMES = tuple(f"E{c + 1:04d}" for c in range(6))
PLAIN = StatisticsSettings(cofactor=None)


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Spec:
    """By the data set, of the same world's other acquisitions."""
    folder = tmp_path_factory.mktemp("reference") / "demo"
    rows = simulated(folder, seed=9, patients=4, per_slide=10)
    return measure(rows, NAMES, PLAIN).spec()


def checked(folder: Path, spec: Spec | None, **faults: object) -> Checked:
    simulated(folder, patients=3, per_slide=4, **faults)
    return check(folder / "acquisitions.csv", spec, CheckSettings())


def named(found: Checked, name: str) -> Finding:
    (one,) = (one for one in found.findings if one.name == name)
    return one


def test_a_sound_study_has_no_red_finding(tmp_path: Path, spec: Spec) -> None:
    found = checked(tmp_path / "demo", spec)
    assert found.kind == "acquisitions"
    assert not found.of("red")
    assert named(found, "norm.abundance_lost").level == "green"
    assert named(found, "norm.abundance_lost").value > 0.9
    assert "6 different order" in named(found, "data.panels").sentence
    assert named(found, "data.scale_ratio").value > 20


def test_a_normalization_by_image_loses_abundance(tmp_path: Path) -> None:
    by_image = imc.imc_spec(NAMES, imc.legacy_image_z)
    one = named(checked(tmp_path / "demo", by_image), "norm.abundance_lost")
    assert one.level == "yellow"
    assert one.value < 0.1
    assert "6 channels are normalized by each acquisition's own" in one.sentence


@pytest.mark.parametrize(
    ("fault", "name", "level"),
    [
        pytest.param("dead_channel", "data.E0001.sparse", "red", id="dead"),
        pytest.param("dead_channel", "norm.E0001.dead", "red", id="dead-after"),
        pytest.param("sparse_channel", "data.E0002.sparse", "yellow", id="sparse"),
        pytest.param("exchanged_markers", "data.exchanged", "red", id="exchanged"),
        pytest.param(
            "prenormalized", "data.normalized_before", "red", id="normalized-before"
        ),
    ],
)
def test_a_fault_is_found(
    tmp_path: Path, spec: Spec, fault: str, name: str, level: str
) -> None:
    # A channel that is 0 in all but a few pixels needs some acquisitions to show one.
    found = checked(tmp_path / "demo", spec, **{fault: True})
    one = named(found, name)
    assert one.level == level
    assert one.mend


def test_raw_values_pass_for_what_they_are(tmp_path: Path) -> None:
    """Without normalization channels are what they were, a hundredfold apart."""
    none = imc.imc_spec(NAMES, imc.legacy_none)
    found = checked(tmp_path / "demo", none)
    assert named(found, "norm.scale_ratio").level == "yellow"


def test_a_marker_that_is_missing_is_red(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    simulated(folder, format="tiff")
    panel = folder / "slide-01" / "panel.csv"
    panel.write_text(panel.read_text().replace("E0003", "Other"))
    spec = imc.imc_spec(NAMES, imc.legacy_none)
    found = check(folder / "acquisitions.csv", spec, CheckSettings())
    one = named(found, "data.panels")
    assert one.level == "red"
    assert one.value == 3
    assert "marker E0003 is missing" in one.sentence


def test_constants_of_held_out_acquisitions_are_a_leak(tmp_path: Path) -> None:
    rows = simulated(tmp_path / "demo")
    table = tmp_path / "demo" / "acquisitions.csv"
    measured = measure(rows, NAMES, PLAIN)
    found = check(
        table,
        measured.spec(),
        CheckSettings(training=frozenset({"patient-01"})),
        provenance=measured.provenance(table),
    )
    assert named(found, "design.fitted_on").level == "red"
    assert named(found, "design.fitted_on").value == 6


def test_a_report_is_written_with_a_picture(tmp_path: Path, spec: Spec) -> None:
    written = write_report(checked(tmp_path / "demo", spec), tmp_path / "report")
    assert written.figure is not None
    assert written.figure.read_bytes().startswith(b"\x89PNG")
    assert "abundance_lost" in written.page.read_text()


def test_the_real_study_is_checked_whole(tmp_path: Path, real_data: Path) -> None:
    """Its README: a marker is in some slides only, and an acquisition is empty."""
    rows = [
        real(real_data, "mcd", slide, n) for slide in range(1, 6) for n in (1, 2, 3)
    ]
    path = tmp_path / "acquisitions.csv"
    write_acquisition_csv(
        pd.DataFrame(
            {
                "slide": [one.slide for one in rows],
                "patient": [one.patient for one in rows],
                "acquisition": [one.acquisition for one in rows],
                "split_group": [one.split_group for one in rows],
                "image": [str(one.image) for one in rows],
                "panel": [str(one.panel) for one in rows],
                "mask": [str(one.mask) for one in rows],
                "label": "",
            }
        ),
        path,
    )
    spec = measure(rows, REAL_MARKERS).spec()
    found = check(path, spec, CheckSettings())
    assert found.looked_at == "15 of 15 acquisitions used"
    assert not found.of("red")
    assert named(found, "norm.abundance_lost").value > 0.9
    assert (
        named(found, "norm.scale_ratio").value < named(found, "data.scale_ratio").value
    )


def test_all_channels_are_diagnosed_before_and_after(
    tmp_path: Path, spec: Spec
) -> None:
    found = checked(tmp_path / "demo", spec, dead_channel=True, sparse_channel=True)
    told = found.diagnosis
    assert told is not None
    assert [one.name for one in told.channels] == list(NAMES)
    assert (told.marked("dead"), told.marked("sparse")) == (("E0001",), ("E0002",))
    before, after = told.ratios
    assert before == pytest.approx(named(found, "data.scale_ratio").value)
    assert after < before
    alive = told.channels[2:]
    assert all(one.std == pytest.approx(1, abs=0.5) for one in alive)
    assert sum(len(order.acquisitions) for order in told.orders) == 24
    for order in told.orders:
        assert [order.names[at] for at in told.place(order)] == list(NAMES)
    report = write_report(found, tmp_path / "report")
    assert [path.name for path in report.diagnosis] == ["diagnose.png", "diagnose.txt"]
    text = report.diagnosis[1].read_text()
    assert "Dead channels: E0001.\nSparse channels: E0002." in text
    assert [line.split()[0] for line in text.splitlines()[-6:]] == list(NAMES)
    assert report.page.read_text().count("<img ") == 2


def test_without_a_spec_there_is_nothing_after(tmp_path: Path) -> None:
    told = checked(tmp_path / "demo", None).diagnosis
    assert told is not None
    assert not told.after
    assert len(told.ratios) == 1
    assert {one.std for one in told.channels} == {None}
