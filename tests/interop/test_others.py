"""nnU-Net, timm and StarDist."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.interop.test_monai import IMAGE, computed
from tests.interop.written import write

from normgate.interop import find_configurations

if TYPE_CHECKING:
    from pathlib import Path

    from normgate.interop import Configuration

CT = {"mean": -63.9, "std": 124.0, "median": -31.0, "min": -506.0, "max": 106.0,
      "percentile_00_5": -418.0, "percentile_99_5": 94.0}  # fmt: skip
KEY = "foreground_intensity_properties_per_channel"


def each(statistic: str) -> Any:
    """A statistic of each channel."""
    return getattr(IMAGE, statistic)((1, 2), keepdims=True)


def nnunet(
    folder: Path, *schemes: str, masks: list[Any] | None = None
) -> Configuration:
    masks = [False] * len(schemes) if masks is None else masks
    properties = {str(n): CT for n in range(len(schemes))}
    one = {"normalization_schemes": list(schemes), "use_mask_for_norm": masks}
    plans = {
        "plans_name": "nnUNetPlans",
        "configurations": {"2d": one, "x": {}},
        KEY: properties,
    }
    write(folder / "set" / "plans.json", plans)
    (found,) = find_configurations(folder / "set").configurations
    return found


@pytest.mark.parametrize(
    ("scheme", "expected"),
    [
        ("CTNormalization", (np.clip(IMAGE, -418, 94) + 63.9) / 124),
        ("NoNormalization", IMAGE),
        ("RGBTo01Normalization", IMAGE / 255),
        ("ZScoreNormalization",
         (IMAGE - each("mean")) / each("std")),
        ("RescaleTo01Normalization",
         (IMAGE - each("min")) / (each("max") - each("min"))),
    ],
)  # fmt: skip
def test_schemes_compute_what_nnunet_computes(
    tmp_path: Path, scheme: str, expected: Any
) -> None:
    (line,) = nnunet(tmp_path, scheme).pipelines
    assert line.steps is not None
    np.testing.assert_allclose(computed(line.steps[0], IMAGE), expected, atol=2e-5)


def test_each_channel_has_its_own_scheme(tmp_path: Path) -> None:
    write(
        tmp_path / "set" / "dataset.json",
        {"channel_names": {"0": "CT", "1": "FLAIR"}, "labels": {}},
    )
    found = nnunet(tmp_path, "CTNormalization", "ZScoreNormalization")
    (line,) = found.pipelines
    assert line.channels == ("CT", "FLAIR")
    assert str(line).startswith("by channel: clip -418..94, standardize mean -63.9 std")
    assert [one.fixed for one in found.constants] == [True, False]
    assert found.defects == ()
    assert "names 2 (CT, FLAIR)" in nnunet(tmp_path, "CTNormalization").defects[0]


@pytest.mark.parametrize("masks", [[True], ["False"]], ids=["mask", "text"])
def test_a_mask_of_the_segmentation_is_no_step(
    tmp_path: Path, masks: list[Any]
) -> None:
    found = nnunet(tmp_path, "ZScoreNormalization", masks=masks)
    assert found.pipelines[0].steps is None
    taken = [text.taken for text in found.texts]
    assert taken == (["as true"] if masks == ["False"] else [])


def test_an_unknown_scheme_is_named(tmp_path: Path) -> None:
    (line,) = nnunet(tmp_path, "MyOwn").pipelines
    assert str(line) == "MyOwn (no step says MyOwn)"


def test_a_fingerprint_of_other_images_is_told(tmp_path: Path) -> None:
    document = {KEY: {"0": {**CT, "mean": -60.0}}, "spacings": [[1, 1, 1]]}
    write(tmp_path / "set" / "dataset_fingerprint.json", document)
    (one,) = nnunet(tmp_path, "CTNormalization").constants
    assert one.twin == "dataset_fingerprint.json"
    document = {KEY: {"0": CT}, "spacings": [[1, 1, 1]]}
    write(tmp_path / "set" / "dataset_fingerprint.json", document)
    (one,) = nnunet(tmp_path, "CTNormalization").constants
    assert one.twin == ""


TIMM = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225],
        "input_size": [3, 224, 224], "architecture": "resnet18"}  # fmt: skip


def test_timm_divides_by_255_first(tmp_path: Path) -> None:
    path = write(tmp_path / "config.json", {"pretrained_cfg": TIMM})
    (found,) = find_configurations(path).configurations
    steps = found.pipelines[0].steps
    assert steps is not None
    expected = (IMAGE / 255 - 0.456) / 0.224
    np.testing.assert_allclose(computed(steps[1], IMAGE), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"input_size": [6, 224, 224]}, "3 means and 3 stds for 6 channels"),
        ({"std": [0.229, 0.224]}, "3 means and 2 stds"),
        ({"std": [0.229, 0, 0.225]}, "std 0 must be above 0"),
        ({"mean": ["a", 1, 2]}, "mean is 'a'"),
    ],
)
def test_constants_that_cant_be_meant_are_told(
    tmp_path: Path, changed: dict[str, Any], words: str
) -> None:
    path = write(tmp_path / "config.json", TIMM | changed)
    (found,) = find_configurations(path).configurations
    assert words in found.defects[0]


def test_a_list_of_configurations_is_one_each(tmp_path: Path) -> None:
    path = write(tmp_path / "all.json", [{**TIMM, "model": "a"}, {"no": 1}, TIMM])
    found = find_configurations(path).configurations
    assert [one.name for one in found] == ["a", "resnet18"]


def test_stardist_says_nothing_of_normalization(tmp_path: Path) -> None:
    path = write(
        tmp_path / "config.json", {"n_rays": 32, "grid": [2, 2], "n_channel_in": 1}
    )
    (found,) = find_configurations(path).configurations
    assert found.tool == "StarDist"
    assert str(found.pipelines[0]) == "unchanged"
