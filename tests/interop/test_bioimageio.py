"""bioimage.io models: declared, and what bioimageio.core executes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.interop.test_monai import IMAGE, computed
from tests.interop.written import model

from normgate.interop import find_configurations

if TYPE_CHECKING:
    from pathlib import Path

Z = {"name": "zero_mean_unit_variance", "kwargs": {"mode": "per_sample", "axes": "yx"}}


def test_a_standardization_adds_an_eps_of_its_own(tmp_path: Path) -> None:
    (line,) = model(tmp_path, Z).pipelines
    assert line.steps is not None
    mean = IMAGE.mean(axis=(1, 2), keepdims=True, dtype=np.float64)
    std = IMAGE.std(axis=(1, 2), keepdims=True, dtype=np.float64)
    expected = (IMAGE - mean) / (std + 1e-6)
    np.testing.assert_allclose(computed(line.steps[0], IMAGE), expected, atol=1e-6)


def test_axes_with_the_channel_measure_all_of_them_together(tmp_path: Path) -> None:
    one = {**Z, "kwargs": {"mode": "per_sample", "axes": "cyx"}}
    (line,) = model(tmp_path, one).pipelines
    assert "each image" in str(line)
    both = [
        {"type": "channel", "channel_names": ["a", "b"]},
        {"type": "space", "id": "y"},
    ]
    new = {"id": "zero_mean_unit_variance", "kwargs": {"axes": ["channel", "y"]}}
    (line,) = model(tmp_path, new, format_version="0.5.4", one={"axes": both}).pipelines
    assert "each image" in str(line)
    assert line.channels == ("a", "b")


def test_percentiles_are_rescaled_and_not_clipped(tmp_path: Path) -> None:
    one = {
        "name": "scale_range",
        "kwargs": {"axes": "yx", "min_percentile": 1, "max_percentile": 99.8},
    }
    (line,) = model(tmp_path, one).pipelines
    assert line.steps is not None
    low, high = np.percentile(IMAGE, [1, 99.8], axis=(1, 2), keepdims=True)
    expected = (IMAGE - low) / (high - low + 1e-6)
    np.testing.assert_allclose(computed(line.steps[0], IMAGE), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("one", "says"),
    [
        ({"name": "scale_linear", "kwargs": {"gain": 0.5, "offset": [0, 1]}},
         "by channel: scale by 0.5 plus 0; scale by 0.5 plus 1"),
        ({"name": "zero_mean_unit_variance",
          "kwargs": {"mode": "fixed", "mean": [1, 2], "std": [3, 4]}},
         "by channel: standardize mean 1 std 3.000001; "
         "standardize mean 2 std 4.000001"),
        ({"id": "fixed_zero_mean_unit_variance", "kwargs": {"mean": 1, "std": 3}},
         "standardize mean 1 std 3.000001"),
        ({"name": "clip", "kwargs": {"min": 0, "max": 9}}, "clip 0..9"),
        ({"name": "clip", "kwargs": {"min_percentile": 1, "max": 9}},
         "clip (no step says it)"),
        ({"name": "binarize", "kwargs": {"threshold": 1}},
         "binarize (no step says it)"),
        ({"name": "scale_linear", "kwargs": {"gain": [1, 2], "offset": [0, 1, 2]}},
         "scale_linear (2 gains and 3 offsets)"),
        ({"name": "zero_mean_unit_variance", "kwargs": {"mode": "per_dataset"}},
         "zero_mean_unit_variance (statistics over a data set that the file does not "
         "hold)"),
    ],
)  # fmt: skip
def test_an_operation_is_told_in_words(
    tmp_path: Path, one: dict[str, Any], says: str
) -> None:
    assert str(model(tmp_path, one).pipelines[0]) == says


def test_an_eps_that_is_not_executed_is_told(tmp_path: Path) -> None:
    one = {**Z, "kwargs": {**Z["kwargs"], "eps": 0.01}}  # type: ignore[dict-item]
    (told,) = model(tmp_path, one).overruled
    assert (told.declared, told.executed) == ("eps 0.01", "eps 1e-6")
    same = {**Z, "kwargs": {**Z["kwargs"], "eps": 1e-6}}  # type: ignore[dict-item]
    assert model(tmp_path, same).overruled == ()


def test_statistics_of_a_data_set_are_not_in_the_file(tmp_path: Path) -> None:
    one = {"name": "scale_range", "kwargs": {"axes": "yx", "mode": "per_dataset"}}
    found = model(tmp_path, one)
    (told,) = found.overruled
    assert "of each sample once bioimageio.spec 0.5.12 has converted" in told.executed
    assert found.pipelines[0].steps is None


def test_an_eps_without_a_point_is_text_to_yaml(tmp_path: Path) -> None:
    path = tmp_path / "rdf.yaml"
    path.write_text(
        "type: model\nformat_version: 0.5.4\ninputs:\n- id: raw\n  preprocessing:\n"
        "  - id: zero_mean_unit_variance\n    kwargs: {axes: [y, x], eps: 1e-06}\n"
        "  - {id: ensure_dtype, kwargs: {dtype: float32}}\n"
    )
    (found,) = find_configurations(path).configurations
    (text,) = found.texts
    assert (text.text, text.taken) == ("1e-06", "as meant")
    assert found.overruled == ()


@pytest.mark.parametrize(
    ("version", "kinds", "output"),
    [
        pytest.param("0.4.9", ["zero_mean_unit_variance"], "float32", id="0.4-floats"),
        pytest.param(
            "0.5.4",
            ["zero_mean_unit_variance", "ensure_dtype"],
            "uint16",
            id="0.5-back",
        ),
    ],
)
def test_format_5_casts_back_to_the_inputs_type(
    tmp_path: Path, version: str, kinds: list[str], output: str
) -> None:
    (line,) = model(
        tmp_path, Z, format_version=version, one={"data_type": "uint16"}
    ).pipelines
    assert [op.name for op in line.operations] == kinds
    assert line.output == output


def test_a_macro_that_no_operation_stands_for_is_told(tmp_path: Path) -> None:
    def macros(*names: str) -> dict[str, Any]:
        listed = [{"spec": "ij.IJ::runMacroFile", "kwargs": name} for name in names]
        return {"deepimagej": {"prediction": {"preprocess": [*listed, {"spec": None}]}}}

    same = model(tmp_path, Z, config=macros("per_sample_zero_mean_unit_variance.ijm"))
    assert same.elsewhere == ()
    other = model(tmp_path, Z, config=macros("preprocessing.txt"))
    assert other.elsewhere == ("preprocessing.txt",)
