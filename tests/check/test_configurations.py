"""Findings of other tools' configurations: each on a small one, and on real ones."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from tests.interop.test_others import CT, KEY
from tests.interop.written import LOAD, WINDOW, compose, metadata, write

from normgate.check import CheckSettings, check, write_report
from normgate.check.report import text_table
from normgate.contract import Channel, Clip, Rescale, Scale, Spec, Standardize

if TYPE_CHECKING:
    from pathlib import Path

    from normgate.check import Checked

Z = {"_target_": "NormalizeIntensityd", "keys": "image"}
CROP = {"_target_": "RandSpatialCropd", "keys": "image"}
HALF = {"_target_": "CastToTyped", "keys": "image", "dtype": "$np.float16"}
ONTO = {**WINDOW, "a_min": 0, "a_max": 255, "b_min": -1, "b_max": 1}


def checked(folder: Path, spec: Spec | None = None, **documents: Any) -> Checked:
    for name, document in documents.items():
        write(folder / "a" / "configs" / f"{name}.json", document)
    return check(folder / "a", spec, CheckSettings())


def levels(found: Checked) -> dict[str, str]:
    return {
        one.name.removeprefix("config.a."): one.level
        for one in found.findings
        if one.level != "green"
    }


def preprocessing(*transforms: dict[str, Any]) -> dict[str, Any]:
    return {"preprocessing": compose(*transforms)}


PROMISES = {
    "kept": ({}, (WINDOW,), {}),
    "none": ({"value_range": []}, (Z,), {}),
    "other-bounds": ({}, (ONTO,), {"promised_range": "red"}),
    "centred": ({}, (Z,), {"promised_range": "red"}),
    "centred-in-an-open-range": (
        {"value_range": [-9, 9]}, (Z,), {"promised_range": "yellow"},
    ),
    "narrower": ({"value_range": [0, 255]}, (WINDOW,), {"promised_range": "yellow"}),
    "unbounded": (
        {}, ({**WINDOW, "clip": False},), {"promised_range": "yellow"},
    ),
    "unsayable": (
        {}, ({"_target_": "Lambdad", "keys": "image"},),
        {"promised_range": "yellow", "inference.unknown": "yellow"},
    ),
    "type": ({"dtype": "float16"}, (WINDOW,), {"promised_dtype": "yellow"}),
    "channels": ({"num_channels": 3}, (WINDOW,), {"promised_channels": "yellow"}),
    "units": ({"format": "hounsfield"}, (WINDOW,), {"promised_units": "yellow"}),
    "units-of-ct": ({"format": "hounsfield", "modality": "CT"}, (WINDOW,), {}),
    "twice": (
        {"value_range": []},
        ({"_target_": "ScaleIntensityd", "keys": "image"}, Z),
        {"twice": "yellow"},
    ),
    "integers": (
        {"value_range": [], "dtype": "uint8"},
        (WINDOW, {**HALF, "dtype": "$np.uint8"}),
        {"inference.dtype": "red"},
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("promised", "done", "expected"), PROMISES.values(), ids=PROMISES.keys()
)
def test_metadata_are_held_against_the_transforms(
    tmp_path: Path,
    promised: dict[str, Any],
    done: tuple[dict[str, Any], ...],
    expected: dict[str, str],
) -> None:
    found = checked(
        tmp_path, metadata=metadata(**promised), inference=preprocessing(*done)
    )
    assert levels(found) == expected


def test_what_comes_in_as_8_bit_bounds_what_is_not_clipped(tmp_path: Path) -> None:
    load = {**LOAD, "dtype": "uint8"}
    onto = {**ONTO, "b_min": 0, "clip": False}
    document = {"preprocessing": {"_target_": "Compose", "transforms": [load, onto]}}
    found = checked(tmp_path, metadata=metadata(), inference=document)
    assert levels(found) == {}


STAGES = {
    "same": ((WINDOW,), (WINDOW,), {}),
    "other-constants": ((WINDOW,), (ONTO,), {"train_inference": "red"}),
    "none": ((WINDOW,), (), {"train_inference": "red", "inference.none": "yellow"}),
    "crop-before": ((CROP, Z), (Z,), {"train_inference": "red"}),
    "crop-after": ((Z, CROP), (Z,), {}),
    "crop-of-fixed": ((CROP, WINDOW), (WINDOW,), {}),
    "rounded": ((WINDOW, HALF), (WINDOW,), {"train_inference": "yellow"}),
}


@pytest.mark.parametrize(
    ("train", "then", "expected"), STAGES.values(), ids=STAGES.keys()
)
def test_training_is_held_against_inference(
    tmp_path: Path,
    train: tuple[dict[str, Any], ...],
    then: tuple[dict[str, Any], ...],
    expected: dict[str, str],
) -> None:
    found = checked(
        tmp_path,
        train={"train": preprocessing(*train)},
        inference=preprocessing(*then),
    )
    assert levels(found) == expected


@pytest.mark.parametrize(
    ("given", "level", "says"),
    [
        ({"nonzero": "True"}, "yellow", "turns it into what is meant"),
        ({"nonzero": "False"}, "red", "takes any text for true"),
        ({"subtrahend": "12"}, "red", "can't reckon with text"),
    ],
)
def test_text_for_a_number_or_boolean_is_told(
    tmp_path: Path, given: dict[str, Any], level: str, says: str
) -> None:
    found = checked(tmp_path, inference=preprocessing({**Z, **given}))
    (text,) = [one for one in found.findings if one.name.endswith(".text")]
    assert text.level == level
    assert says in text.sentence


@pytest.mark.parametrize(
    ("median", "expected"),
    [(40.0, {}), (-850.0, {}), (2574.0, {"CT.hu": "red"}), (-2000.0, {"CT.hu": "red"})],
)
def test_a_ct_that_is_not_in_hounsfield_units_is_told(
    tmp_path: Path, median: float, expected: dict[str, str]
) -> None:
    one = {"normalization_schemes": ["CTNormalization"], "use_mask_for_norm": [False]}
    plans = {
        "plans_name": "nnUNetPlans", "configurations": {"2d": one},
        KEY: {"0": {**CT, "median": median}},
    }  # fmt: skip
    names = {"channel_names": {"0": "CT"}, "labels": {}}
    found = checked(tmp_path, plans=plans, dataset=names)
    assert levels(found) == expected
    other = {KEY: {"0": {**CT, "median": median, "std": 7.0}}, "spacings": [[1, 1, 1]]}
    twin = checked(tmp_path, plans=plans, dataset=names, dataset_fingerprint=other)
    assert levels(twin) == expected | {"CT.constants": "red"}


def spec_of(*steps: Any, names: tuple[str, ...] = ("CT",)) -> Spec:
    channels = (Channel(name=name, input="int16", steps=steps) for name in names)
    return Spec(channels=tuple(channels))


LOW, HIGH = Decimal(-57), Decimal(164)
HELD = {
    "same-otherwise-spelled": (
        (Clip(low=LOW, high=HIGH), Rescale(low=LOW, high=HIGH)), ("CT",), "green",
    ),
    "as-one-gain": (
        (Clip(low=LOW, high=HIGH), Standardize(mean=LOW, std=Decimal(221))),
        ("CT",), "green",
    ),
    "other-constants": (
        (Clip(low=LOW, high=HIGH), Rescale(low=LOW, high=Decimal(165))), ("CT",), "red",
    ),
    "not-clipped": ((Rescale(low=LOW, high=HIGH),), ("CT",), "red"),
    "all-channels-alike": (
        (Clip(low=LOW, high=HIGH), Rescale(low=LOW, high=HIGH)), ("A", "B"), "green",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("steps", "names", "level"), HELD.values(), ids=HELD.keys())
def test_a_spec_says_whether_a_bundle_computes_it(
    tmp_path: Path, steps: tuple[Any, ...], names: tuple[str, ...], level: str
) -> None:
    spec = spec_of(*steps, names=names)
    found = checked(tmp_path, spec, inference=preprocessing(WINDOW))
    (one,) = [f for f in found.findings if f.name == "config.a.inference.spec"]
    assert one.level == level
    assert found.spec_digest
    if level == "red":
        assert (
            "other than the spec in 1 of 1 channels, first CT (digest" in one.sentence
        )


def test_channels_of_a_configuration_are_bound_by_name(tmp_path: Path) -> None:
    schemes = ["NoNormalization", "RGBTo01Normalization"]
    one = {"normalization_schemes": schemes, "use_mask_for_norm": [False, False]}
    plans = {"plans_name": "p", "configurations": {"2d": one}}
    names = {"channel_names": {"0": "CT", "1": "FLAIR"}, "labels": {}}
    ct = Channel(name="CT", input="int16", steps=())
    flair = spec_of(Rescale(low=Decimal(0), high=Decimal(255)), names=("FLAIR",))
    spec = Spec(channels=(*flair.channels, ct))
    found = checked(tmp_path, spec, plans=plans, dataset=names)
    assert levels(found) == {}
    other = Spec(channels=(ct, *spec_of(names=("T2",)).channels))
    (told,) = checked(tmp_path, other).of("red")
    assert "2 channels (CT, FLAIR), and the spec 2 channels (CT, T2)" in told.sentence
    wider = Spec(channels=(*spec.channels, Channel(name="T2", input="int16", steps=())))
    assert levels(checked(tmp_path, wider)) == {"2d.spec": "red"}
    unsayable = checked(
        tmp_path / "u", spec_of(Scale(gain=Decimal(2), offset=Decimal(0))),
        inference=preprocessing({"_target_": "Lambdad", "keys": "image"}),
    )  # fmt: skip
    assert levels(unsayable)["inference.spec"] == "yellow"


def test_the_report_tells_what_each_file_does(tmp_path: Path) -> None:
    found = checked(tmp_path, metadata=metadata(), inference=preprocessing(ONTO))
    written = write_report(found, tmp_path / "out")
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["check.html", "check.json"]
    page = written.page.read_text()
    assert "rescale 0..255 to 0..1, scale by 2 plus -1, clip -1..1" in page
    assert "Intensities before" not in page
    record = json.loads(written.record.read_text())
    assert record["kind"] == "configurations"
    assert record["computed"][0]["tool"] == "MONAI"
    assert "1 MONAI; 2 files" in text_table(found)


TRAPS = {
    "promises-0-to-1-gives-minus-1-to-1": (
        "monai_model_zoo.pathology_nuclei_classification.promised_range", "red",
    ),
    "promises-0-to-1-standardizes": (
        "monai_model_zoo.prostate_mri_anatomy.promised_range", "red",
    ),
    "promises-0-to-1-standardizes-too": (
        "monai_model_zoo.wholeBrainSeg_Large_UNEST_segmentation.promised_range", "red",
    ),
    "validates-without-normalization": (
        "monai_model_zoo.wholeBrainSeg_Large_UNEST_segmentation.train_validation",
        "red",
    ),
    "crops-before-it-measures": (
        "monai_model_zoo.wholeBrainSeg_Large_UNEST_segmentation.train_inference", "red",
    ),
    "true-as-text": (
        "monai_model_zoo.wholeBrainSeg_Large_UNEST_segmentation.text", "yellow",
    ),
    "hounsfield-units-of-an-mri": (
        "monai_model_zoo.wholeBrainSeg_Large_UNEST_segmentation.promised_units",
        "yellow",
    ),
    "float16-in-metadata": (
        "monai_model_zoo.lung_nodule_ct_detection.promised_dtype", "yellow",
    ),
    "float16-in-training": (
        "monai_model_zoo.pancreas_ct_dints_segmentation.train_inference", "yellow",
    ),
    "three-channels-one-name": (
        "monai_model_zoo.breast_density_classification.promised_channels", "yellow",
    ),
    "eps-as-text": (
        "bioimageio.spec_examples.models.unet2d_nuclei_broad."
        "expand_output_shape.bioimageio.yaml.text", "yellow",
    ),
    "statistics-of-no-data-set": (
        "bioimageio.collection.10.5281.zenodo.7614645.7642674.overruled", "red",
    ),
    "a-macro-instead": (
        "bioimageio.collection.deepimagej.Usiigaci.latest.elsewhere", "yellow",
    ),
    "ct-not-in-hu": (
        "nnunet.local_run_nnunetv2_2.8.1.Dataset503_TemplateCTFLAIR.CT.hu", "red",
    ),
    "stardist-is-silent": (
        "stardist.2D_versatile_fluo.config.json.preprocessing.none", "yellow",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def real(real_data: Path) -> Checked:
    return check(real_data / "configs", None, CheckSettings())


@pytest.mark.parametrize(("name", "level"), TRAPS.values(), ids=TRAPS.keys())
def test_a_trap_of_the_real_configurations_is_found(
    real: Checked, name: str, level: str
) -> None:
    found = {one.name: one.level for one in real.findings}
    assert found[f"config.{name}"] == level


def test_all_real_configurations_are_read_and_clean_ones_raise_no_red(
    real: Checked,
) -> None:
    assert real.quarantined == ()
    assert len({one.configuration for one in real.computed}) == 94
    red = {one.name.removeprefix("config.") for one in real.of("red")}
    assert red == {name for name, level in TRAPS.values() if level == "red"}
