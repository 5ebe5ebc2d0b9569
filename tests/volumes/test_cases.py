"""The case table is checked before anything is read."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from tests.volumes.heads import write_cases

from normgate.errors import CorruptImage, DataError
from normgate.volumes.cases import cases, check, read_case_csv, write_case_csv

if TYPE_CHECKING:
    from pathlib import Path


def frame(**changes: Any) -> pd.DataFrame:
    """Two cases of two patients; columns or single values changed."""
    rows = [
        {
            "patient": f"P{i}",
            "case": f"c{i}",
            "split_group": f"P{i}",
            "mri": f"c{i}/mri.nii",
            "ct": f"c{i}/ct",
            "brain": "",
            "bone": "",
            "lesion": "",
        }
        for i in (1, 2)
    ]
    return pd.DataFrame(rows).assign(**changes)


def test_a_table_comes_back_and_paths_are_relative_to_it(tmp_path: Path) -> None:
    path = tmp_path / "data" / "cases.csv"
    write_case_csv(frame(bone=["b.nii", ""]), path)
    found = cases(read_case_csv(path), path)
    assert [case.case for case in found] == ["c1", "c2"]
    assert found[0].mri == tmp_path / "data" / "c1/mri.nii"
    assert found[0].bone == tmp_path / "data" / "b.nii"
    assert (found[0].brain, found[1].bone, found[0].ct_rescale) == (None, None, None)


def test_a_declared_rescale_is_read_row_by_row(tmp_path: Path) -> None:
    path = tmp_path / "cases.csv"
    write_case_csv(frame(ct_slope=["1", ""], ct_intercept=["-1024", ""]), path)
    first, second = cases(read_case_csv(path), path)
    assert first.ct_rescale == (1.0, -1024.0)
    assert second.ct_rescale is None


def test_names_that_look_like_numbers_stay_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "cases.csv"
    write_case_csv(frame(case=["001", "NA"]), path)
    assert [case.case for case in cases(read_case_csv(path), path)] == ["001", "NA"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param({"ct": ["", "x"]}, "line 2: column 'ct' is '', which", id="empty"),
        pytest.param({"age": "9"}, "has a column 'age'", id="unknown"),
        pytest.param({"case": "c"}, "case c stands twice", id="twice"),
        pytest.param(
            {"patient": "P"}, "patient P is in split groups P1 and P2", id="leak"
        ),
        pytest.param(
            {"ct_slope": "1"}, "line 2: ct_slope is '1' and ct_intercept ''", id="half"
        ),
        pytest.param(
            {"ct_slope": "-1", "ct_intercept": "0"}, "slope above 0", id="negative"
        ),
        pytest.param(
            {"ct_slope": "1", "ct_intercept": "nan"}, "expected two numbers", id="nan"
        ),
    ],
)
def test_a_bad_table_is_refused_by_row(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError, match=said):
        check(frame(**changes), "t.csv")


def test_a_missing_column_an_empty_table_and_no_table_are_refused(
    tmp_path: Path,
) -> None:
    with pytest.raises(DataError, match="has no column 'lesion'"):
        check(frame().drop(columns="lesion"))
    with pytest.raises(DataError, match="has no rows"):
        check(frame().iloc[:0])
    with pytest.raises(DataError, match="can't be read as a case CSV"):
        read_case_csv(tmp_path / "none.csv")
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"b\.csv"):
        read_case_csv(tmp_path / "b.csv")


def test_the_input_digest_covers_every_file_and_the_rescale(tmp_path: Path) -> None:
    one, other = write_cases(tmp_path, 2)
    digests = {
        one.input_digest(),
        other.input_digest(),
        replace(one, ct_rescale=(1.0, 0.0)).input_digest(),
        replace(one, bone=None).input_digest(),
        replace(one, brain=one.bone, bone=one.brain).input_digest(),
        replace(one, ct=one.ct.parent).input_digest(),
    }
    assert len(digests) == 6
    one.lesion.write_bytes(b"changed")
    assert one.input_digest() not in digests
    assert list(one.files) == ["mri", "ct", "brain", "bone", "lesion"]
    one.ct.unlink()
    with pytest.raises(CorruptImage, match=r"ct\.nii\.gz can't be read"):
        one.input_digest()
