from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from tests.plates.screens import META, Screen, simulate, write

from normgate.errors import DataError, DigestMismatch
from normgate.plates.gather import read_predictions
from normgate.plates.predictions import KEY, ShardMeta, read_meta, write_shard

if TYPE_CHECKING:
    from pathlib import Path

SMALL = Screen(plates=1, controls=2, wells=1, units=2)


def test_what_is_written_is_read_in_the_order_of_its_keys(tmp_path: Path) -> None:
    frame = simulate(SMALL)
    (found,) = read_predictions(write(tmp_path, frame))
    assert (found.model, found.version) == ("rescue", "3")
    assert found.meta == META
    assert len(found.frame) == len(frame)
    keys = list(found.frame[list(KEY)].itertuples(index=False))
    assert keys == sorted(keys)
    assert found.frame["logit_APP"].dtype == np.float32


def test_shards_and_their_order_change_nothing(tmp_path: Path) -> None:
    frame = simulate(SMALL)
    (one,) = read_predictions(write(tmp_path / "one", frame))
    order = np.random.default_rng(1)
    (many,) = read_predictions(write(tmp_path / "many", frame, parts=3, order=order))
    pd.testing.assert_frame_equal(
        one.frame.astype({"well": str}), many.frame.astype({"well": str}),
        check_categorical=False, check_exact=True,
    )  # fmt: skip


def test_row_and_column_follow_from_the_well(tmp_path: Path) -> None:
    (found,) = read_predictions(write(tmp_path, simulate(SMALL)))
    wells = found.frame["well"].astype(str)
    assert set(found.frame["row"][wells == "B03"]) <= {2}
    assert set(found.frame["column"][wells == "A02"]) == {2}


def test_a_shard_may_have_no_rows(tmp_path: Path) -> None:
    frame = simulate(SMALL)
    write(tmp_path, frame)
    write_shard(tmp_path / "rescue" / "part-00001.parquet", frame.iloc[:0], META)
    (found,) = read_predictions(tmp_path)
    assert len(found.frame) == len(frame)


@pytest.mark.parametrize("stamp", ["spec_digest", "manifest_digest", "version"])
def test_mixed_digests_are_refused_and_listed(tmp_path: Path, stamp: str) -> None:
    frame = simulate(SMALL)
    write(tmp_path, frame.iloc[:4])
    other = frame.iloc[4:].assign(**{stamp: "7" * 64})
    write_shard(tmp_path / "rescue" / "part-00001.parquet", other, META)
    with pytest.raises(DigestMismatch) as refusal:
        read_predictions(tmp_path)
    message = str(refusal.value)
    assert "4 rows in part-00000.parquet" in message
    assert f"{len(other)} rows in part-00001.parquet" in message
    assert "keep the files of one" in message
    assert "7" * 12 in message


def test_models_of_other_normalization_side_by_side_are_refused(tmp_path: Path) -> None:
    write(tmp_path, simulate(SMALL))
    other = ShardMeta(META.classes, "APP", META.temperatures, {"RFP1": "2" * 64})
    write(tmp_path, simulate(SMALL, "app"), other)
    with pytest.raises(DigestMismatch, match="channel RFP1 has digest 222222222222 in"):
        read_predictions(tmp_path)


def test_a_site_predicted_from_two_inputs_is_refused(tmp_path: Path) -> None:
    frame = simulate(SMALL)
    frame.loc[2:3, "input_digest"] = "d" * 64
    with pytest.raises(DigestMismatch, match="plate P1 well A01 site 1 was predicted"):
        read_predictions(write(tmp_path, frame))


def test_a_row_that_stands_twice_is_refused(tmp_path: Path) -> None:
    frame = simulate(SMALL)
    with pytest.raises(DataError, match="well A01 site 1 unit 0 replicate 0 stands tw"):
        read_predictions(write(tmp_path, pd.concat([frame, frame.iloc[:1]])))


def test_a_unit_that_lacks_a_replicate_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected 2 replicates of each"):
        read_predictions(write(tmp_path, simulate(SMALL).iloc[1:]))


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    write(tmp_path, simulate(SMALL), parts=3)
    (tmp_path / "rescue" / "part-00001.parquet").unlink()
    with pytest.raises(DataError, match=r"rescue lacks part-00001\.parquet"):
        read_predictions(tmp_path)


def test_a_model_with_fewer_shards_than_another_is_refused(tmp_path: Path) -> None:
    write(tmp_path, simulate(SMALL), parts=2)
    write(tmp_path, simulate(SMALL, "app"))
    with pytest.raises(DataError, match=r"app lacks part-00001\.parquet"):
        read_predictions(tmp_path)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no predictions"):
        read_predictions(tmp_path)


def test_a_foreign_or_torn_file_is_named(tmp_path: Path) -> None:
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "part-00000.parquet")
    with pytest.raises(DataError, match=r"part-00000\.parquet is not a normgate"):
        read_predictions(tmp_path)
    whole = write(tmp_path / "torn", simulate(SMALL)) / "rescue" / "part-00000.parquet"
    whole.write_bytes(whole.read_bytes()[:500])
    with pytest.raises(DataError, match=r"part-00000\.parquet"):
        read_predictions(tmp_path / "torn")


@pytest.mark.parametrize(("column", "value", "sentence"), [
    ("logit_APP", np.float32("nan"), "logit_APP is .*nan.* at plate P1 well A01"),
    ("probability_APP", 1.5, "expected a share from 0 to 1"),
    ("predicted_class", "other", "expected one of"),
    ("replicate", 9, "replicate is .*9.*expected one of"),
    ("input_digest", "none", "expected 64 hex digits"),
])  # fmt: skip
def test_a_bad_value_is_never_written(
    tmp_path: Path, column: str, value: Any, sentence: str
) -> None:
    frame = simulate(SMALL)
    frame.loc[0, column] = value
    path = tmp_path / "rescue" / "part-00000.parquet"
    with pytest.raises(DataError, match=sentence):
        write_shard(path, frame, META)
    assert not path.exists()


@pytest.mark.parametrize(("change", "sentence"), [
    pytest.param({"logit_APP": 0.5}, "logit_APP is float64", id="float64-logits"),
    pytest.param({"well": "A1"}, "must be spelled 'A01'", id="well-spelling"),
    pytest.param({"row": 7}, "does not agree with the well", id="row"),
    pytest.param({"extra": 1}, r"unknown \['extra'\]", id="unknown-column"),
    pytest.param({"plate": None}, "not of its column", id="null"),
])  # fmt: skip
def test_a_column_that_does_not_fit_is_refused(
    tmp_path: Path, change: dict[str, Any], sentence: str
) -> None:
    frame = simulate(SMALL).assign(**change)
    with pytest.raises(DataError, match=sentence):
        write_shard(tmp_path / "part-00000.parquet", frame, META)


@pytest.mark.parametrize(("change", "sentence"), [
    ({"aggregation": "max"}, "aggregation 'max' is none of mean, median"),
    ({"positive": "X"}, "positive class 'X' is none of"),
    ({"classes": ["APP"]}, "not two or more different names"),
    ({"temperatures": None}, "metadata is incomplete"),
])  # fmt: skip
def test_metadata_that_can_not_be_meant_is_refused(
    change: dict[str, Any], sentence: str
) -> None:
    values = {"classes": ["APP", "WT"], "positive": "APP", "temperatures": {0: 1.0}}
    with pytest.raises(DataError, match=sentence):
        ShardMeta.of({**values, **change})


def test_metadata_comes_back_as_it_was_written(tmp_path: Path) -> None:
    folder = write(tmp_path, simulate(SMALL))
    assert read_meta(folder / "rescue" / "part-00000.parquet") == META
