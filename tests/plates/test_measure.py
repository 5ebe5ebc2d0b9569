"""Measuring: exact, whatever the order, the threads, or an interruption."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import tifffile

from normgate.contract import describe_channel, spec_digest
from normgate.errors import DataError, SettingsError
from normgate.plates import tally
from normgate.plates.measure import MeasureSettings, imported, measure
from normgate.plates.measured import write_measured, write_spec
from normgate.transform import kept as kept_counts

if TYPE_CHECKING:
    from pathlib import Path

RNG = np.random.default_rng(7)
KINDS = {"RFP1": "uint16", "HALO": "int16", "MASKED": "uint8", "F": "float32"}


def pixels(kind: str, shape: tuple[int, int]) -> np.ndarray[Any, Any]:
    if kind == "float32":
        return RNG.normal(3, 40, shape).astype(np.float32)
    info = np.iinfo(kind)
    values = RNG.gamma(2, 0.1, shape) * info.max + info.min / 3
    return np.clip(values, info.min, info.max).astype(kind)


@pytest.fixture
def plates(tmp_path: Path) -> tuple[pd.DataFrame, Path]:
    """Twelve wells, two timepoints, four markers of four types, with masks."""
    rows = []
    for column in range(1, 13):
        for time in (0, 10000):
            well = f"A{column:02d}"
            row: dict[str, Any] = {"plate": "P", "well": well, "row": 1}
            row |= {"column": column, "site": "1", "timepoint_ms": time}
            row |= {"genotype": "", "treatment": "", "split_group": f"P:{well}"}
            row["label"] = "WT" if column < 5 else "APP" if column < 9 else ""
            for marker, kind in KINDS.items():
                row[f"path_{marker}"] = f"{well}_{time}_{marker}.tif"
                image = pixels(kind, (17, 13 + column))
                tifffile.imwrite(tmp_path / row[f"path_{marker}"], image)
            row["mask_path"] = f"{well}_{time}_mask.tif"
            mask = (RNG.random((17, 13 + column)) > 0.6).astype(np.uint8) * 255
            tifffile.imwrite(tmp_path / row["mask_path"], mask)
            rows.append(row)
    path = tmp_path / "plates.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    return pd.DataFrame(rows), path


def together(
    frame: pd.DataFrame, path: Path, marker: str, *, mask: bool = False
) -> np.ndarray[Any, Any]:
    """All pixels of a marker in one array."""
    parts = []
    for row in frame.to_dict("records"):
        image = tifffile.imread(path.parent / row[f"path_{marker}"])
        inside = tifffile.imread(path.parent / row["mask_path"]) > 0
        parts.append(image[inside] if mask else image.ravel())
    return np.concatenate(parts)


def wanted(pixels: np.ndarray[Any, Any], percentiles: list[float]) -> list[float]:
    wide = pixels.astype(np.int64) if pixels.dtype == np.int16 else pixels
    return [float(np.percentile(wide, [p])[0]) for p in percentiles]


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("mask", [False, True])
def test_percentiles_equal_numpys_on_all_pixels_together(
    plates: tuple[pd.DataFrame, Path], tmp_path: Path, workers: int, mask: bool
) -> None:
    frame, path = plates
    settings = MeasureSettings(
        then="none",
        percentiles=(Decimal("0.5"), Decimal("97.3")),
        mask_files=mask,
        workers=workers,
    )
    found = measure(frame, path, tmp_path / "out", settings)
    for channel in found.provenance.channels:
        every = together(frame, path, channel.name, mask=mask)
        low, high = (float(value) for _, value in channel.percentiles)
        assert [low, high] == wanted(every, [0.5, 97.3])
        assert channel.pixels == every.size
        assert channel.images == 24
        assert float(channel.mean or 0) == pytest.approx(every.mean(dtype=np.float64))
        assert float(channel.std or 0) == pytest.approx(every.std(dtype=np.float64))
    inputs = {channel.name: channel.input for channel in found.spec.channels}
    assert inputs == KINDS


def test_neither_order_nor_threads_change_the_spec(
    plates: tuple[pd.DataFrame, Path], tmp_path: Path
) -> None:
    frame, path = plates
    digests = {
        spec_digest(
            measure(
                frame.sample(frac=1, random_state=seed),
                path,
                tmp_path / "out",
                MeasureSettings(then="zscore", workers=seed),
            ).spec
        )
        for seed in (1, 2, 3)
    }
    assert len(digests) == 1


def test_zscore_gives_clipped_pixels_mean_0_and_std_1(
    plates: tuple[pd.DataFrame, Path], tmp_path: Path
) -> None:
    frame, path = plates
    found = measure(frame, path, tmp_path, MeasureSettings(then="zscore"))
    for channel in found.spec.channels:
        clip, standardize = channel.steps
        assert clip.kind == "clip"
        assert standardize.kind == "standardize"
        every = together(frame, path, channel.name).astype(np.float64)
        clipped = np.clip(every, float(clip.low), float(clip.high))
        assert clipped.mean() == pytest.approx(float(standardize.mean), rel=1e-5)
        assert clipped.std() == pytest.approx(float(standardize.std), rel=1e-5)


def test_only_what_is_asked_for_counts(
    plates: tuple[pd.DataFrame, Path], tmp_path: Path
) -> None:
    frame, path = plates
    settings = MeasureSettings(
        then="imagenet",
        above=500,
        timepoints_ms=(10000,),
        markers=("RFP1",),
        labels=("WT", "APP"),
        split_groups=frozenset({"P:A01", "P:A06", "P:A11"}),
    )
    found = measure(frame, path, tmp_path, settings)
    rows = frame[frame["well"].isin(["A01", "A06"]) & (frame["timepoint_ms"] == 10000)]
    every = together(rows, path, "RFP1")
    (channel,) = found.provenance.channels
    assert channel.pixels == (every > 500).sum()
    assert [float(v) for _, v in channel.percentiles] == wanted(
        every[every > 500], [1, 99]
    )
    for word in ("above 500", "10000 ms", "WT, APP", "3 split groups"):
        assert word in found.provenance.restriction
    assert [c.name for c in found.spec.channels] == ["RFP1"]


def test_two_timepoints_give_a_channel_each_of_the_same_constants(
    plates: tuple[pd.DataFrame, Path], tmp_path: Path
) -> None:
    frame, path = plates
    settings = MeasureSettings(timepoints_ms=(0, 10000), markers=("RFP1", "HALO"))
    spec = measure(frame, path, tmp_path, settings).spec
    assert spec.names == ("RFP1:0ms", "HALO:0ms", "RFP1:10000ms", "HALO:10000ms")
    assert describe_channel(spec.channels[0]) == describe_channel(spec.channels[2])


def test_corrupt_pictures_are_counted_and_told_of(
    plates: tuple[pd.DataFrame, Path], tmp_path: Path
) -> None:
    frame, path = plates
    settings = MeasureSettings(then="none", markers=("RFP1", "F"))
    for name in (frame["path_RFP1"][3], frame["path_F"][4]):
        (path.parent / name).write_bytes(b"II*\0 broken")
    found = measure(frame, path, tmp_path / "out", settings)
    assert len(found.quarantined) == len(found.provenance.quarantined) == 2
    assert str(frame["path_RFP1"][3]) in found.quarantined[0]
    assert [channel.images for channel in found.provenance.channels] == [23, 23]
    every = together(frame.drop(index=3), path, "RFP1")
    low, high = found.provenance.channels[0].percentiles
    assert [float(low[1]), float(high[1])] == wanted(every, [1, 99])


def test_when_most_pictures_are_corrupt_nothing_is_measured(
    plates: tuple[pd.DataFrame, Path], tmp_path: Path
) -> None:
    frame, path = plates
    for name in frame["path_RFP1"][1:15]:
        (path.parent / name).write_bytes(b"")
    settings = MeasureSettings(then="none", markers=("RFP1",))
    with pytest.raises(DataError, match="14 of 24 pictures can't be read"):
        measure(frame, path, tmp_path, settings)


class Stopped(Exception):  # noqa: N818 - stands for a kill
    """Raised in the midst of counting."""


def test_an_interrupted_measurement_goes_on_and_gives_the_same(
    plates: tuple[pd.DataFrame, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    frame, path = plates
    settings = MeasureSettings(then="zscore")
    whole = measure(frame, path, tmp_path / "whole", settings)
    monkeypatch.setattr(tally, "PIECE", 4)
    monkeypatch.setattr(kept_counts, "SAVE_SECONDS", 0.0)
    read: list[str] = []
    real = tally.read_image

    def counting(source: Path) -> Any:
        read.append(source.name)
        return real(source)

    monkeypatch.setattr(tally, "read_image", counting)

    def stop(done: int, total: int) -> None:
        if total == 96 and done >= 60:
            raise Stopped

    out = tmp_path / "out"
    with pytest.raises(Stopped):
        measure(frame, path, out, settings, stop)
    (state,) = out.glob(".measure-state*")
    kept = json.loads(state.read_bytes())["done"]
    assert len(kept) >= 52
    read.clear()
    again = measure(frame, path, out, settings)
    first_pass = [name for name in read if not name.endswith("F.tif")]
    assert len(first_pass) == 72 - sum(at < 72 for at in kept)
    assert again.spec == whole.spec
    assert again.provenance == whole.provenance
    assert not list(out.glob(".measure-state*"))


def test_a_state_of_other_pictures_or_options_is_not_used(
    plates: tuple[pd.DataFrame, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    frame, path = plates
    monkeypatch.setattr(tally, "PIECE", 4)
    monkeypatch.setattr(kept_counts, "SAVE_SECONDS", 0.0)

    def stop(done: int, total: int) -> None:
        if done >= 12:
            raise Stopped

    settings = MeasureSettings(then="none", markers=("RFP1",))
    with pytest.raises(Stopped):
        measure(frame, path, tmp_path / "out", settings, stop)
    masked = replace(settings, above=900)
    found = measure(frame, path, tmp_path / "out", masked)
    fresh = measure(frame, path, tmp_path / "fresh", masked)
    assert found.provenance == fresh.provenance


WRONG = [
    pytest.param({"markers": ("GFP",)}, "no marker GFP", id="marker"),
    pytest.param({"timepoints_ms": (5,)}, "no timepoint 5", id="timepoint"),
    pytest.param({"labels": ("Het",)}, "no label Het", id="label"),
    pytest.param({"split_groups": frozenset({"x"})}, "no row of", id="groups"),
    pytest.param({"above": 70000, "markers": ("RFP1",)}, "no pixel", id="above"),
]


@pytest.mark.parametrize(("change", "word"), WRONG)
def test_what_the_table_lacks_is_named(
    plates: tuple[pd.DataFrame, Path], tmp_path: Path, change: dict[str, Any], word: str
) -> None:
    with pytest.raises((DataError, SettingsError), match=word):
        measure(*plates, tmp_path, MeasureSettings(then="none", **change))


def test_a_channel_without_range_is_named(
    plates: tuple[pd.DataFrame, Path], tmp_path: Path
) -> None:
    frame, path = plates
    for name in frame["path_MASKED"]:
        tifffile.imwrite(path.parent / name, np.zeros((17, 20), np.uint8))
    with pytest.raises(DataError, match="MASKED: percentiles 1 and 99 are both 0"):
        measure(
            frame, path, tmp_path, MeasureSettings(then="none", markers=("MASKED",))
        )


def test_a_picture_of_another_type_ends_the_measurement(
    plates: tuple[pd.DataFrame, Path], tmp_path: Path
) -> None:
    frame, path = plates
    name = frame["path_RFP1"][7]
    tifffile.imwrite(path.parent / name, np.zeros((17, 20), np.uint8))
    with pytest.raises(DataError, match=rf"RFP1, .*{name}: found uint8"):
        measure(frame, path, tmp_path, MeasureSettings(then="none"))


def test_existing_percentiles_are_taken_as_they_are(
    plates: tuple[pd.DataFrame, Path], tmp_path: Path
) -> None:
    frame, path = plates
    known = tmp_path / "intensity_percentiles.json"
    known.write_text(
        '{"RFP1": {"p1": 963, "p99": 9016}, "MASKED": {"p1": 0, "p99": 238}}'
    )
    settings = MeasureSettings(markers=("RFP1", "MASKED"))
    spec, provenance = imported(known, frame, path, settings)
    assert [channel.input for channel in spec.channels] == ["uint16", "uint8"]
    assert "clip 963..9016" in describe_channel(spec.channels[0])
    assert provenance.estimator == "imported"
    report = write_spec(spec, provenance, tmp_path / "spec")
    assert report.figures["RFP1.p99"] == 9016
    with pytest.raises(SettingsError, match=r"no marker in .* HALO"):
        imported(known, frame, path, replace(settings, markers=("HALO",)))
    with pytest.raises(SettingsError, match="zscore"):
        imported(known, frame, path, replace(settings, then="zscore"))


def test_what_was_measured_is_written_and_drawn(
    plates: tuple[pd.DataFrame, Path], tmp_path: Path
) -> None:
    frame, path = plates
    found = measure(frame, path, tmp_path, MeasureSettings(then="none"))
    report = write_measured(found, tmp_path / "spec")
    assert [file.name for file in report.files] == [
        "spec.json", "provenance.json", "histograms.png",
    ]  # fmt: skip
    assert all(file.stat().st_size > 100 for file in report.files)
    assert "`RFP1`: uint16: clip" in report.note
    assert report.params["norm.RFP1"].startswith("uint16: clip")
    assert report.digest == spec_digest(found.spec)


def test_real_pictures_are_measured_inside_their_nuclei(
    real_data: Path, tmp_path: Path
) -> None:
    from normgate.plates.index import IndexSettings, index

    folder = real_data / "plates" / "nf1_plate2_cytodataframe"
    out = tmp_path / "plates.csv"
    frame = index(IndexSettings(images=folder, out=out)).frame
    settings = MeasureSettings(then="zscore", mask_files=True, workers=2)
    found = measure(frame, out, tmp_path, settings)
    for channel in found.provenance.channels:
        every = together(frame, out, channel.name, mask=True)
        assert [float(v) for _, v in channel.percentiles] == wanted(every, [1, 99])
