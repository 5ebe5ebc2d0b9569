"""The applied fingerprint: every way to lie about a volume's normalization is named."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.volumes.heads import template_case, write_cases

from normgate.contract import Channel, Clip, Spec
from normgate.contract import ct as recipes
from normgate.errors import FingerprintMismatch, SpecError
from normgate.transform.apply import Normalizer
from normgate.volumes import applied, dicom, probe
from normgate.volumes.geometry import Box, VolumeGeometry
from normgate.volumes.load import Loader
from normgate.volumes.nifti import NiftiFormat
from normgate.volumes.probe_files import NIFTI_SCALE, PLAIN, Like, write_volume
from normgate.volumes.read import read_volume

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from normgate.volumes.cases import Case
    from normgate.volumes.pairing import Pair

NNUNET = recipes.nnunet_ct(low=1, high=1231, mean=309.5, std=434.25)
SPEC = recipes.fusion_spec(recipes.mri_case_z(), NNUNET)
SLICES = VolumeGeometry(dims=2, patch=(32, 32))
BLOCKS = VolumeGeometry(dims=3, patch=(4, 12, 20))
GEOMETRIES = [
    SLICES,
    VolumeGeometry(dims=2, patch=(64, 48)),
    BLOCKS,
    VolumeGeometry(dims=3, patch=(1, 1, 1)),
]
SPECS = {
    "nnunet": SPEC,
    "int16-mri": recipes.fusion_spec(
        recipes.mri_case_z(input_type="int16", background="zero"), NNUNET
    ),
    "float-ct": recipes.fusion_spec(
        recipes.mri_case_z(above=10), recipes.hu_fixed(input_type="float32")
    ),
    "windows": recipes.fusion_spec(recipes.mri_case_z(), *recipes.windows()),
    "minmax": recipes.fusion_spec(recipes.mri_case_z(), recipes.legacy_minmax_ct()),
    "masked-z": recipes.fusion_spec(recipes.mri_case_z(), recipes.legacy_masked_z_ct()),
    "float-masked-z": recipes.fusion_spec(
        recipes.mri_case_z(), recipes.legacy_masked_z_ct(input_type="float32")
    ),
    "adc": recipes.fusion_spec(recipes.mri_dataset_z(mean=900, std=300), NNUNET),
}


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=lambda g: str(g.patch))
@pytest.mark.parametrize("name", SPECS)
def test_an_honest_loader_has_the_expected_fingerprint(
    name: str, geometry: VolumeGeometry
) -> None:
    found = applied.verify(Loader(SPECS[name], geometry))
    assert found == probe.expected_fingerprint(SPECS[name], geometry)


def test_fingerprints_tell_specs_and_geometries_apart() -> None:
    prints = {
        probe.expected_fingerprint(spec, geometry)
        for spec in SPECS.values()
        for geometry in GEOMETRIES
    }
    assert len(prints) == len(SPECS) * len(GEOMETRIES)


@pytest.mark.parametrize("name", SPECS)
def test_the_expected_output_is_the_normalizers_to_the_bit(name: str) -> None:
    spec = SPECS[name]
    planes = probe.probe_planes(spec, probe.FULL_SHAPE)
    expected = probe.normalized(spec, planes)
    found = Normalizer(spec)(planes)
    assert np.array_equal(found.view(np.uint32), expected.view(np.uint32))


@dataclass(frozen=True)
class Applies(Loader):
    """Applies another spec than the one that it declares."""

    other: Spec = SPEC

    def normalized(self, pair: Pair) -> NDArray[np.float32]:
        return Normalizer(self.other)(self.planes(pair))


@dataclass(frozen=True)
class SliceBySlice(Loader):
    """Measures each slice by itself."""

    def normalized(self, pair: Pair) -> NDArray[np.float32]:
        planes = self.planes(pair)
        slices = [
            Normalizer(self.spec)([plane[z] for plane in planes])
            for z in range(len(planes[0]))
        ]
        return np.ascontiguousarray(np.stack(slices, axis=1))


@dataclass(frozen=True)
class Swapped(Loader):
    """Exchanges two finished channels."""

    def normalized(self, pair: Pair) -> NDArray[np.float32]:
        return np.ascontiguousarray(super().normalized(pair)[::-1])


@dataclass(frozen=True)
class ReadsOther(Loader):
    """Takes the CT's file for the MRI and the other way."""

    def read(self, case: Case) -> Pair:
        return super().read(replace(case, mri=case.ct, ct=case.mri))


@dataclass(frozen=True)
class ForgetsDeclared(Loader):
    """Ignores the rescale that the row declares."""

    def read(self, case: Case) -> Pair:
        return super().read(replace(case, ct_rescale=None))


@dataclass(frozen=True)
class ForgetsHeader(Loader):
    """Ignores scl_slope and scl_inter."""

    def read(self, case: Case) -> Pair:
        pair = super().read(case)
        if case.ct_rescale is None:
            return pair
        stored = (pair.mri.array_zyx - NIFTI_SCALE[1]) / NIFTI_SCALE[0]
        return replace(pair, mri=pair.mri.with_array(stored.astype(np.float32)))


@dataclass(frozen=True)
class Unshifted(Loader):
    """Takes raw numbers of a CT, 1024 too large, for HU."""

    def planes(self, pair: Pair) -> list[NDArray[Any]]:
        mri, ct = super().planes(pair)
        return [mri, np.minimum(ct.astype(np.int32) + 1024, 32767).astype(np.int16)]


@dataclass(frozen=True)
class Turned(Loader):
    """Reverses left and right."""

    def read(self, case: Case) -> Pair:
        pair = super().read(case)
        return replace(
            pair,
            mri=pair.mri.with_array(pair.mri.array_zyx[:, :, ::-1].copy()),
            ct=pair.ct.with_array(pair.ct.array_zyx[:, :, ::-1].copy()),
        )


@dataclass(frozen=True)
class Twice(Loader):
    """Standardizes once more what has been normalized."""

    def normalized(self, pair: Pair) -> NDArray[np.float32]:
        images = super().normalized(pair)
        images[1] = (images[1] - 0.5) / 2
        return images


@dataclass(frozen=True)
class CropsFirst(Loader):
    """Normalizes each patch by itself."""

    def cut(
        self, images_czyx: NDArray[np.float32], found: Any = None
    ) -> NDArray[np.float32]:
        patches = super().cut(images_czyx, found)
        axes = tuple(range(2, patches.ndim))
        away = patches - patches.mean(axis=axes, keepdims=True)
        return away / patches.std(axis=axes, keepdims=True)


@dataclass(frozen=True)
class FillsZero(Loader):
    """Fills with 0 beyond the volume."""

    def cut(
        self, images_czyx: NDArray[np.float32], found: Any = None
    ) -> NDArray[np.float32]:
        lowest = images_czyx.min(axis=(1, 2, 3), keepdims=True)
        raised = np.where(images_czyx == lowest, 0, images_czyx)
        return super().cut(raised.astype(np.float32), found)


FAULTS = [
    pytest.param(
        Applies,
        {"other": SPECS["minmax"]},
        ["in CT: in channel CT intensity", "expected", "clip 1..1231"],
        id="wrong-spec",
    ),
    pytest.param(
        Applies,
        {"other": recipes.fusion_spec(recipes.mri_case_z(above=5), NNUNET)},
        ["in MRI: in channel MRI intensity", "a step is applied twice, left out, or"],
        id="wrong-mask",
    ),
    pytest.param(
        SliceBySlice, {}, ["in MRI", "Each slice is measured by itself"], id="per-slice"
    ),
    pytest.param(Swapped, {}, ["in MRI, CT", "channels are swapped"], id="swapped"),
    pytest.param(ReadsOther, {}, ["can't take volumes of every"], id="files-swapped"),
    pytest.param(
        ForgetsDeclared, {}, ["a declared rescale"], id="declared-rescale-missing"
    ),
    pytest.param(
        ForgetsHeader, {}, ["patches differ in MRI", "a slope and"], id="header-missing"
    ),
    pytest.param(
        Unshifted, {}, ["in CT: in channel CT"], id="rescale-intercept-missing"
    ),
    pytest.param(Turned, {}, ["the volume is shifted or turned"], id="turned"),
    pytest.param(Twice, {}, ["0.5 times the expected output plus -0.25"], id="twice"),
    pytest.param(CropsFirst, {}, ["the order (normalize, then crop)"], id="crop-first"),
    pytest.param(FillsZero, {}, ["the border or"], id="border"),
]


@pytest.mark.parametrize(("kind", "extra", "words"), FAULTS)
@pytest.mark.parametrize("geometry", [SLICES, BLOCKS], ids=["slices", "blocks"])
def test_a_faulty_loader_is_refused_in_words(
    kind: type[Loader],
    extra: dict[str, Any],
    words: list[str],
    geometry: VolumeGeometry,
) -> None:
    with pytest.raises(FingerprintMismatch) as refusal:
        applied.verify(kind(SPEC, geometry, **extra))
    for word in words:
        assert word in str(refusal.value)


def test_two_windows_that_are_swapped_are_told() -> None:
    spec = SPECS["windows"]
    brain, bone = spec.channels[1], spec.channels[3]
    other = spec.model_copy(
        update={
            "channels": (
                spec.channels[0],
                bone.model_copy(update={"name": brain.name}),
                spec.channels[2],
                brain.model_copy(update={"name": bone.name}),
            )
        }
    )
    with pytest.raises(FingerprintMismatch, match="It carries CT_bone"):
        applied.verify(Applies(spec, SLICES, other=other))


@dataclass(frozen=True)
class OtherPlaces(Loader):
    """Leaves out the last patch."""

    def cut(
        self, images_czyx: NDArray[np.float32], found: Any = None
    ) -> NDArray[np.float32]:
        return super().cut(images_czyx, found)[:-1]


def test_patches_that_are_missing_are_told() -> None:
    with pytest.raises(
        FingerprintMismatch, match=r"cuts 11 patches of .* expected 12 of"
    ):
        applied.verify(OtherPlaces(SPEC, BLOCKS))


FORMATS = [
    NiftiFormat(
        suffix=".nii", endianness=">", version=1, axes=tuple("RAS"), sform=True
    ),
    NiftiFormat(
        suffix=".nii.gz", endianness="<", version=2, axes=tuple("PIR"), sform=False
    ),
    NiftiFormat(
        suffix=".nii", endianness=">", version=2, axes=tuple("LPI"), sform=False
    ),
]


@pytest.mark.parametrize("form", FORMATS, ids=lambda f: f"{f.endianness}{f.version}")
def test_the_probe_takes_the_format_of_the_data(form: NiftiFormat) -> None:
    found = applied.verify(Loader(SPEC, BLOCKS), Like(mri=form, ct=form))
    assert found == probe.expected_fingerprint(SPEC, BLOCKS)


def test_a_cases_own_format_is_taken_where_it_is_nifti(
    tmp_path: Path, real_data: Path
) -> None:
    (case,) = write_cases(tmp_path)
    like = applied.like_of(case)
    assert like.ct.axes == ("L", "P", "I")
    assert applied.applied_fingerprint(
        Loader(SPEC, SLICES), like
    ) == probe.expected_fingerprint(SPEC, SLICES)
    assert applied.like_of(replace(case, ct=tmp_path)).ct == "dicom"
    assert applied.like_of(replace(case, ct=tmp_path / "a.nrrd")).ct == PLAIN
    case.mri.write_bytes(b"")
    assert applied.like_of(case).mri == PLAIN
    real = applied.like_of(template_case(real_data))
    assert real.ct.axes == ("L", "A", "S")
    assert applied.verify(Loader(SPEC, SLICES), real)


@pytest.mark.parametrize("form", FORMATS, ids=lambda f: f"{f.endianness}{f.version}")
def test_a_written_probe_holds_every_value(tmp_path: Path, form: NiftiFormat) -> None:
    volumes = probe.probe_volumes(SPEC, probe.FULL_SHAPE)
    for name, values in volumes.items():
        for scaled in (False, True):
            path = write_volume(tmp_path / name, values, form, scaled=scaled)
            assert np.array_equal(read_volume(path).array_zyx, values)
    assert len(np.unique(volumes["CT"])) == 1 << 16


INT16 = SPECS["int16-mri"]


@pytest.mark.parametrize("geometry", [SLICES, BLOCKS], ids=["slices", "blocks"])
def test_dicom_data_are_probed_as_dicom(geometry: VolumeGeometry) -> None:
    series = Like(mri="dicom", ct="dicom")
    for spec in (SPEC, INT16, SPECS["float-ct"]):
        found = applied.verify(Loader(spec, geometry), series)
        assert found == probe.expected_fingerprint(spec, geometry)
    mixed = Like(mri=FORMATS[0], ct="dicom")
    assert applied.verify(Loader(SPEC, geometry), mixed)


def test_a_reader_that_forgets_the_rescale_of_a_slice_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    series = Like(ct="dicom")
    own = dicom.scaled

    def forgetful(stored: Any, rescale: Any, declared: Any, path: Any) -> Any:
        return own(stored, (rescale[0], 0.0), declared, path)

    monkeypatch.setattr(dicom, "scaled", forgetful)
    with pytest.raises(FingerprintMismatch, match="as where a slope and intercept"):
        applied.verify(Loader(SPEC, BLOCKS), series)


def test_channels_of_one_volume_must_agree_in_type() -> None:
    first, second = recipes.windows(["brain", "bone"])
    odd = second.model_copy(update={"input": "float32"})
    spec = Spec(channels=(recipes.mri_case_z(), first, odd))
    with pytest.raises(SpecError, match=r"'CT_bone' takes float32 and .* CT int16"):
        probe.expected_fingerprint(spec, SLICES)
    pet = Spec(channels=(Channel(name="PET", input="int16", steps=()),))
    with pytest.raises(SpecError, match="neither MRI"):
        probe.expected_fingerprint(pet, SLICES)


def test_the_size_of_a_probe_is_known_before_it_is_made() -> None:
    for geometry in GEOMETRIES:
        made = probe.expected_output(SPEC, geometry)
        cut = np.prod(probe.probe_shape(geometry)) * len(SPEC.channels)
        size = made.full_czyx.size + made.patches.size + cut
        assert probe.probe_voxels(SPEC, geometry) == size
    assert made.boxes[0] == Box(0, 0, 0, 0)


def test_the_fingerprint_is_a_promise() -> None:
    found = {
        name: probe.expected_fingerprint(spec, SLICES)[:16]
        for name, spec in SPECS.items()
    }
    assert found == GOLDEN


GOLDEN = {
    "nnunet": "ae6e4d7a8499f46f",
    "int16-mri": "100ff1b6774bd146",
    "float-ct": "c7c0c1b47178e1a6",
    "windows": "a59a6dd3e2787c44",
    "minmax": "39906f5ae17543dc",
    "masked-z": "359c99328cd9a1a3",
    "float-masked-z": "ab10e5c1a8fb72ca",
    "adc": "01ce1541cb953367",
}


def test_a_server_without_imaging_readers_knows_what_is_expected() -> None:
    absent = (
        "torch", "numba", "nibabel", "pydicom", "nrrd", "scipy", "pandera", "pandas",
        "tifffile",
    )  # fmt: skip
    code = (
        "import sys\n"
        f"for name in {absent}:\n"
        "    sys.modules[name] = None\n"
        "from normgate.contract.ct import *\n"
        "from normgate.volumes.geometry import VolumeGeometry\n"
        "from normgate.volumes.probe import expected_fingerprint\n"
        "ct = nnunet_ct(low=1, high=1231, mean=309.5, std=434.25)\n"
        "geometry = VolumeGeometry(dims=2, patch=(32, 32))\n"
        "whole = mri_case_z(input_type='int16', background='zero')\n"
        "for mri in (mri_case_z(), whole):\n"
        "    print(expected_fingerprint(fusion_spec(mri, ct), geometry))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == [
        applied.verify(Loader(SPECS[name], SLICES)) for name in ("nnunet", "int16-mri")
    ]


def test_a_mask_that_keeps_nothing_of_the_probe_is_refused() -> None:
    far = recipes.fusion_spec(recipes.mri_case_z(above=99999), NNUNET)
    with pytest.raises(SpecError, match=r"this spec can't be made: .*'MRI'"):
        probe.expected_fingerprint(far, SLICES)


def test_a_degenerate_clip_is_refused_by_name() -> None:
    spec = Spec(
        channels=(
            recipes.mri_case_z(),
            Channel(name="CT", input="int16", steps=(Clip(low=40000, high=50000),)),
        )
    )
    with pytest.raises(SpecError, match="channel 'CT', step 1"):
        probe.expected_fingerprint(spec, SLICES)
