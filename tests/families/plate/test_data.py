"""Units on disk: made once, shared, made again when an input changes."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
from tests.families.plate.simulated import GEOMETRY, places, spec, units

from normgate.errors import DataError
from normgate.families.plate import data
from normgate.families.plate.selection import select
from normgate.families.plate.settings import PRESETS
from normgate.plates.load import Loader

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def plates(small_demo: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    shutil.copytree(small_demo.parent, tmp_path / "plates")
    return tmp_path / "plates" / small_demo.name


def image(csv: Path, number: int = 0) -> Path:
    """A control site's HALO picture at 0 ms."""
    site = select(places(csv), PRESETS["rescue"])[number].site
    return next(path for key, path in site.planes.items() if str(key) == "HALO:0ms")


def test_units_are_the_loaders_in_the_tables_order(
    small_demo: Path, tmp_path: Path
) -> None:
    found = units(small_demo, tmp_path)
    loader = Loader(spec(), GEOMETRY, 0)
    one = select(places(small_demo), PRESETS["rescue"])[1]
    expected = loader.units(one.site, loader.read(one.site)).images
    assert found.images.shape == (16 * 9, 3, 32, 32)
    assert np.array_equal(found.images[9:18], expected)
    assert set(found.groups[9:18]) == {one.site.split_group}
    assert found.images.filename is not None
    counts = found.raw_counts[0]
    assert counts is not None
    assert counts.sum() == 16 * 96 * 96


def test_a_second_training_reads_no_picture(
    small_demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = units(small_demo, tmp_path)
    monkeypatch.setattr(data, "_load", lambda *_: pytest.fail("read again"))
    second = units(small_demo, tmp_path)
    assert second.digest == first.digest
    assert np.array_equal(second.images, first.images)


def test_another_spec_has_units_of_its_own(small_demo: Path, tmp_path: Path) -> None:
    one = units(small_demo, tmp_path)
    two = units(small_demo, tmp_path, name="plate_3ch_fluorescence")
    assert one.digest != two.digest
    assert len(list(tmp_path.iterdir())) == 2


def test_a_changed_picture_makes_the_units_again(plates: Path, tmp_path: Path) -> None:
    before = units(plates, tmp_path / "cache")
    digest, first = before.digest, before.images[0, 1].copy()
    path = image(plates)
    state = path.stat()
    tifffile.imwrite(path, tifffile.imread(path) + 500, metadata=None)
    assert path.stat().st_size == state.st_size
    after = units(plates, tmp_path / "cache")
    assert after.digest != digest
    assert not np.array_equal(after.images[0, 1], first)


def test_a_cut_off_build_is_made_again(plates: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    digest = units(plates, cache).digest
    (folder,) = cache.iterdir()
    (folder / "meta.json").write_text('{"cut')
    assert units(plates, cache).digest == digest


def test_a_corrupt_picture_costs_its_site_and_is_reported(
    plates: Path, tmp_path: Path
) -> None:
    path = image(plates)
    path.write_bytes(path.read_bytes()[:300])
    found = units(plates, tmp_path / "cache")
    assert len(found.labels) == 15 * 9
    (sentence,) = found.quarantined
    assert path.name in sentence


def test_mostly_corrupt_pictures_are_refused(plates: Path, tmp_path: Path) -> None:
    for number in range(9):
        image(plates, number).unlink()
    with pytest.raises(DataError, match="9 of 16 sites can't be read, the first"):
        units(plates, tmp_path / "cache")


def test_another_bit_depth_ends_the_training(plates: Path, tmp_path: Path) -> None:
    path = image(plates)
    small = (tifffile.imread(path) // 256).astype(np.uint8)
    tifffile.imwrite(path, small, metadata=None)
    with pytest.raises(DataError, match="HALO"):
        units(plates, tmp_path / "cache")


@pytest.mark.parametrize(
    ("preset", "sizes"),
    [("binary", (8, 8)), ("app", (8, 64)), ("wt", (8, 16))],
)
def test_the_six_channel_presets_choose_their_wells(
    small_demo: Path, preset: str, sizes: tuple[int, int]
) -> None:
    labels = [one.label for one in select(places(small_demo), PRESETS[preset])]
    assert (labels.count(0), labels.count(1)) == sizes


def test_six_channels_are_three_markers_at_two_times(
    small_demo: Path, tmp_path: Path
) -> None:
    found = units(small_demo, tmp_path, name="plate_6ch", preset="binary")
    early = units(small_demo, tmp_path)
    assert found.channels[0] == "RFP1:0ms"
    assert np.array_equal(found.images[:, :3], early.images)
    assert not np.array_equal(found.images[:, 3:], early.images)


def test_an_unknown_label_names_well_and_remedy(plates: Path) -> None:
    from dataclasses import replace

    preset = replace(PRESETS["rescue"], classes=("WT", "Null"))
    with pytest.raises(DataError, match="has label 'APP'; expected WT or Null"):
        select(places(plates), preset)


def test_a_preset_without_its_wells_says_which(plates: Path) -> None:
    from dataclasses import replace

    preset = replace(PRESETS["app"], genotype="KO")
    with pytest.raises(DataError, match="no site of class 'untreated' for app"):
        select(places(plates), preset)
