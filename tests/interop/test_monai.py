"""MONAI's transforms: steps compute what MONAI computes; stages, keys, references."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import monai.transforms
import numpy as np
import pytest
from tests.interop.written import LOAD, WINDOW, bundle, compose, metadata

from normgate.contract import Channel, Spec
from normgate.transform.reference import normalized

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

RANDOM = np.random.default_rng(4)
IMAGE = (RANDOM.gamma(2.0, 90.0, (2, 24, 20)) - 60).astype(np.float32)
IMAGE[:, :4] = 0
IMAGE[1] *= 3


def operation(name: str, **given: Any) -> dict[str, Any]:
    return {"_target_": name, "keys": "image", **given}


def scaled(low: float, high: float, *onto: float, **more: Any) -> dict[str, Any]:
    ends = dict(zip(("b_min", "b_max"), onto, strict=False))
    return {"a_min": low, "a_max": high, **ends, **more}


def percentiles(low: float, high: float, top: float, **more: Any) -> dict[str, Any]:
    return {"lower": low, "upper": high, "b_min": 0, "b_max": top, **more}


RANGE, PERCENTILES = "ScaleIntensityRange", "ScaleIntensityRangePercentiles"
MIN_MAX, Z = "ScaleIntensity", "NormalizeIntensity"
EXECUTED = {
    "window": (RANGE, scaled(-57, 164, 0, 1, clip=True)),
    "unclipped": (RANGE, scaled(0.0, 255.0, -1.0, 1.0)),
    "onto-2-to-5": (RANGE, scaled(0, 255, 2, 5, clip=True)),
    "no-bounds": (RANGE, scaled(3, 40)),
    "min-max": (MIN_MAX, {}),
    "min-max-of-channels": (MIN_MAX, {"minv": 0, "maxv": 4, "channel_wise": True}),
    "percentiles": (PERCENTILES, percentiles(1, 99, 1, clip=True)),
    "percentiles-of-channels": (PERCENTILES, percentiles(5, 95, 2, channel_wise=True)),
    "z": (Z, {}),
    "z-nonzero": (Z, {"nonzero": True, "channel_wise": True}),
    "text-is-true": (Z, {"nonzero": "False", "channel_wise": "True"}),
    "constants": (Z, {"subtrahend": 12.5, "divisor": 3.0}),
}


@pytest.mark.filterwarnings("ignore:Divide by zero")
@pytest.mark.parametrize(("name", "given"), EXECUTED.values(), ids=EXECUTED.keys())
@pytest.mark.parametrize("constant", [False, True], ids=["", "constant-channel"])
def test_steps_compute_what_monai_computes(
    tmp_path: Path, name: str, given: dict[str, Any], constant: bool
) -> None:
    image = IMAGE.copy()
    if constant:
        image[:] = 7
    found = bundle(
        tmp_path, inference={"preprocessing": compose(operation(name + "d", **given))}
    )
    (line,) = found.pipelines
    assert line.steps is not None
    expected = getattr(monai.transforms, name)(**given)(image)
    ours = computed(line.steps[0], image)
    np.testing.assert_allclose(ours, np.asarray(expected), rtol=2e-5, atol=2e-5)


def computed(steps: Any, image: NDArray[np.float32]) -> NDArray[np.float32]:
    channels = tuple(
        Channel(name=f"C{n}", input="float32", steps=steps) for n in range(len(image))
    )
    return normalized(Spec(channels=channels), list(image))


@pytest.mark.parametrize(
    ("name", "given", "text", "taken"),
    [
        ("NormalizeIntensity", {"nonzero": "True"}, "True", "as meant"),
        ("NormalizeIntensity", {"nonzero": "False"}, "False", "as true"),
        ("ScaleIntensityRange", {"a_min": "0", "a_max": 9}, "0", "as an error"),
    ],
)
def test_texts_are_told_with_what_monai_makes_of_them(
    tmp_path: Path, name: str, given: dict[str, Any], text: str, taken: str
) -> None:
    found = bundle(
        tmp_path, inference={"preprocessing": compose(operation(name + "d", **given))}
    )
    (one,) = found.texts
    assert (one.text, one.taken) == (text, taken)
    assert name in one.where
    if taken == "as an error":
        assert found.pipelines[0].steps is None
        with pytest.raises(TypeError):
            monai.transforms.ScaleIntensityRange(**given, b_min=0, b_max=1)(IMAGE)


@pytest.mark.parametrize(
    "target",
    ["ScaleIntensityRanged", "ScaleIntensityRangeD", "ScaleIntensityRangeDict",
     "monai.transforms.ScaleIntensityRanged"],
)  # fmt: skip
def test_a_transform_is_known_by_each_of_its_names(tmp_path: Path, target: str) -> None:
    one = {**WINDOW, "_target_": target}
    found = bundle(tmp_path, inference={"preprocessing": compose(one)})
    assert str(found.pipelines[0]) == "rescale -57..164 to 0..1, clip 0..1"


def test_references_and_their_sums_are_followed(tmp_path: Path) -> None:
    training = {
        "image_key": "image",
        "low": -57,
        "train": {
            "first": [LOAD, {**WINDOW, "keys": "@image_key", "a_min": "@low"}],
            "then": [operation("RandSpatialCropd"), operation("NormalizeIntensityd")],
            "preprocessing": {
                "_target_": "Compose",
                "transforms": "$@train#first + @train#then",
            },
        },
        "validate": {
            "preprocessing": {"_target_": "Compose", "transforms": "%train#first"}
        },
    }
    train, validation = bundle(tmp_path, train=training).pipelines
    assert [op.name for op in train.operations] == [
        "ScaleIntensityRange", "NormalizeIntensity",
    ]  # fmt: skip
    assert (train.stage, train.cropped) == ("training", "RandSpatialCrop")
    assert str(validation) == "rescale -57..164 to 0..1, clip 0..1"
    assert validation.cropped == ""


def test_an_expression_is_not_run_and_not_guessed(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    run = f"$__import__('pathlib').Path({str(marker)!r}).touch()"
    one = {**WINDOW, "a_min": run}
    found = bundle(tmp_path, inference={"preprocessing": compose(one)})
    (line,) = found.pipelines
    assert line.steps is None
    assert "a_min is" in line.operations[0].remark
    listed = bundle(
        tmp_path / "b",
        inference={"preprocessing": {"_target_": "Compose", "transforms": run}},
    )
    assert listed.pipelines[0].steps is None
    assert not marker.exists()


def test_only_what_is_done_to_the_image_counts(tmp_path: Path) -> None:
    found = bundle(
        tmp_path,
        inference={
            "preprocessing": compose(
                {**WINDOW, "keys": "label"},
                {**WINDOW, "_disabled_": True},
                operation("Orientationd", axcodes="RAS"),
                operation("NormalizeIntensityd"),
                operation("Lambdad", func="$lambda x: x ** 2"),
                {
                    "_target_": "CastToTyped",
                    "keys": ["image", "label"],
                    "dtype": ["$np.float16", "$np.uint8"],
                },
                {"_target_": "EnsureTyped", "keys": "image"},
            )
        },
    )
    (line,) = found.pipelines
    assert [op.name for op in line.operations] == [
        "NormalizeIntensity", "Lambda", "CastToType",
    ]  # fmt: skip
    assert line.output == "float16"
    assert line.operations[-1].cast == "float16"


def test_a_transform_of_the_bundles_own_is_not_passed_over(tmp_path: Path) -> None:
    own = operation("scripts.transforms.WindowCTd", low=0)
    (line,) = bundle(tmp_path, inference={"preprocessing": compose(own)}).pipelines
    assert line.steps is None
    assert str(line) == "WindowCT (a transform of the bundle's own code)"


def test_one_bound_alone_is_no_step(tmp_path: Path) -> None:
    one = operation("ScaleIntensityRanged", a_min=0, a_max=9, b_min=0, clip=True)
    (line,) = bundle(tmp_path, inference={"preprocessing": compose(one)}).pipelines
    assert line.steps is None


def test_what_comes_in_is_told_by_how_it_is_loaded(tmp_path: Path) -> None:
    load = {"_target_": "LoadImaged", "keys": "image", "dtype": "uint8"}
    document = {"preprocessing": {"_target_": "Compose", "transforms": [load, WINDOW]}}
    assert bundle(tmp_path, inference=document).pipelines[0].entry == (0.0, 255.0)


def test_metadata_promise_what_the_network_gets(tmp_path: Path) -> None:
    found = bundle(
        tmp_path, metadata=metadata(), inference={"preprocessing": compose(WINDOW)}
    )
    assert found.promise is not None
    assert (found.promise.low, found.promise.high) == (0, 1)
    assert (found.promise.dtype, found.promise.channels) == ("float32", 1)
    assert found.name == "bundle"
    none = bundle(tmp_path / "b", metadata=metadata(value_range=[]))
    assert none.promise is not None
    assert none.promise.low is None


def test_references_without_an_end_are_no_end(tmp_path: Path) -> None:
    loop = {"preprocessing": "@a", "a": "@b", "b": "@a", "c": {"_target_": "X"}}
    (line,) = bundle(tmp_path, inference=loop).pipelines
    assert line.steps is None
