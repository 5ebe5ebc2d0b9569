"""Head phantoms: CT and MRI of one simulated head, with its masks.

An ellipsoid of skull (tables about 1150 HU around a textured diploe of about 650 HU)
holds cortex (38 HU), white matter (30 HU), ventricles and a rim of CSF (8 HU) and, in
nine of ten cases, a lesion that is 7 HU darker on CT and bright on MRI. The skull is
about twice as thick as a real one, so that a slice of 32 pixels shows its layers.
Every voxel is one tissue: there is no partial volume, and the masks are exact. Faults
of real data sets can be asked for. Nothing here knows of files.

`_zyx` arrays are volumes (slices, rows, columns): head to foot, front to back, side to
side; a single slice is the middle of the head. `points` are such coordinates in mm from
the middle of the volume, one array an axis.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter

from normgate.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.random import Generator
    from numpy.typing import NDArray

FIELD_MM = 224.0
"""Side of a slice."""
AIR, TABLE, DIPLOE, GREY, WHITE, CSF, LESION = range(7)
"""Numbers of the tissues."""

_HU = (-1000.0, 1150.0, 650.0, 38.0, 30.0, 8.0, -7.0)
"""CT of each tissue; the lesion's is what it adds to the tissue that it lies in."""
_MRI = (0.0, 0.05, 0.05, 0.75, 0.55, 0.20)
"""MRI of each tissue but the lesion, relative to full scale; fat is suppressed, so that
marrow is as dark as bone."""
_LESION_MRI = (0.15, 0.45)
"""What a lesion adds; it differs between cases."""
_MRI_UNITS = 600.0
"""Arbitrary units of full scale at gain 1."""
_MRI_GAIN = (0.6, 1.8)
_NO_LESION = 0.10
_CT_NOISE_HU = 4.0
_MRI_NOISE = 0.04
_HEADREST_HU = -100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PhantomSettings:
    """What the phantoms of a data set have in common."""

    seed: int
    """With a case's number it decides the case."""
    shape_zyx: tuple[int, int, int] = (1, 32, 32)
    """Voxels; rows and columns cover 224 mm."""
    slice_mm: float = 5.0
    """Distance of slices."""
    ct_scale_bug: bool = False
    """The CT went through 8 bits, (HU + 1000) * 255 / 4000: it is not in HU."""
    headrest: bool = False
    """The CT shows a headrest of -100 HU."""
    skullstrip_zero_fill: bool = False
    """All but brain was set to 0 HU, save a few voxels of -1000 and 1000."""
    misregister_mm: float = 0.0
    """How far the CT, its bone mask with it, lies beside the MRI, within the slice."""

    def __post_init__(self) -> None:
        """Refuse what can't be simulated.

        Raises:
            SettingsError: With the parameter, its value and what is expected.
        """
        if len(self.shape_zyx) != 3 or min(self.shape_zyx) < 1:
            raise SettingsError(
                f"shape_zyx is {self.shape_zyx}, expected three numbers from 1"
            )
        if not 0 < self.slice_mm < math.inf:
            raise SettingsError(f"slice_mm is {self.slice_mm}, expected above 0")
        if not 0 <= self.misregister_mm <= FIELD_MM:
            raise SettingsError(
                f"misregister_mm is {self.misregister_mm}, expected 0 to {FIELD_MM:g}"
            )

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance of voxels along z, y, x."""
        _, rows, columns = self.shape_zyx
        return self.slice_mm, FIELD_MM / rows, FIELD_MM / columns


@dataclass(frozen=True, slots=True, kw_only=True)
class Phantom:
    """One head."""

    ct_zyx: NDArray[np.int16]
    """HU, unless the scale bug was asked for."""
    mri_zyx: NDArray[np.float32]
    """Whole arbitrary units; 0 outside the head, as published volumes often are."""
    brain_zyx: NDArray[np.bool_]
    """Cortex, white matter, CSF and lesion, where the MRI has them."""
    bone_zyx: NDArray[np.bool_]
    """Skull where the CT has it; of a stripped head, where it was."""
    lesion_zyx: NDArray[np.bool_]
    """Empty in one case of ten."""
    spacing_mm: tuple[float, float, float]
    """Distance of voxels along z, y, x."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Head:
    """The shape of one head, lengths in mm."""

    centre: tuple[float, float, float]
    radii: tuple[float, float, float]
    tilt: float
    """Turn within the slice, radians."""
    skull: float
    """Thickness of the skull as a share of the radius."""
    folds: tuple[float, float]
    """Number and phase of the folds of the cortex."""
    ventricles: float
    """Their size relative to the head."""
    lesion: tuple[NDArray[np.float64], NDArray[np.float64]] | None
    """Centre and radii, both (3,), in radii of the head."""


def phantom(case: int, settings: PhantomSettings) -> Phantom:
    """Simulate one case; the same each time for the same settings.

    Args:
        case: The case's number, from 0.
        settings: What the data set has in common.

    Raises:
        SettingsError: The number is below 0.
    """
    if case < 0:
        raise SettingsError(f"case is {case}, expected a number from 0")
    rng = np.random.default_rng([settings.seed, case])
    head = _head(rng)
    tissue, lesion = _tissue(head, _points(settings))
    brain = tissue >= GREY
    mri = _mri(tissue, lesion, rng)
    angle = rng.uniform(0, 2 * np.pi)
    if settings.misregister_mm:
        shift = settings.misregister_mm * np.array([0, np.sin(angle), np.cos(angle)])
        tissue, moved = _tissue(head, _points(settings, shift))
    else:
        moved = lesion
    return Phantom(
        ct_zyx=_faulty(_ct(tissue, moved, rng), tissue >= GREY, settings, rng),
        mri_zyx=np.where(brain, mri, 0) if settings.skullstrip_zero_fill else mri,
        brain_zyx=brain,
        bone_zyx=(tissue == TABLE) | (tissue == DIPLOE),
        lesion_zyx=lesion,
        spacing_mm=settings.spacing_mm,
    )


def phantoms(count: int, settings: PhantomSettings, first: int = 0) -> list[Phantom]:
    """Simulate several cases, numbered from the first on."""
    return [phantom(case, settings) for case in range(first, first + count)]


def _head(rng: Generator) -> _Head:
    front, side, up = rng.uniform((86, 68, 72), (100, 80, 88))
    lesion = None
    place, size = rng.uniform(-1, 1, 3), rng.uniform(0.12, 0.30, 3)
    if rng.random() >= _NO_LESION:
        place *= rng.uniform(0.30, 0.60) / np.linalg.norm(place[1:])
        place[0] = 0.25 * np.clip(place[0], -1, 1)
        # The middle slice always shows it, for a stack may be of one slice.
        size[0] = max(size[0], abs(place[0]) + 0.05)
        lesion = place, size
    return _Head(
        centre=tuple(rng.uniform(-6, 6, 3) * (0, 1, 1)),
        radii=(up, front, side),
        tilt=rng.uniform(-0.2, 0.2),
        skull=rng.uniform(0.15, 0.20),
        folds=(float(rng.integers(7, 13)), rng.uniform(0, 2 * np.pi)),
        ventricles=rng.uniform(0.8, 1.3),
        lesion=lesion,
    )


def _points(
    settings: PhantomSettings,
    shift_mm: Sequence[float] | NDArray[np.float64] = (0,) * 3,
) -> list[NDArray[np.float64]]:
    axes = [
        (np.arange(n) - (n - 1) / 2) * step - shift
        for n, step, shift in zip(
            settings.shape_zyx, settings.spacing_mm, shift_mm, strict=True
        )
    ]
    return list(np.meshgrid(*axes, indexing="ij"))


def _tissue(
    head: _Head, points: Sequence[NDArray[np.float64]]
) -> tuple[NDArray[np.int8], NDArray[np.bool_]]:
    """Tissue of each voxel, and whether it lies in the lesion."""
    z, y, x = (p - c for p, c in zip(points, head.centre, strict=True))
    turned = np.cos(head.tilt) * y - np.sin(head.tilt) * x
    across = np.sin(head.tilt) * y + np.cos(head.tilt) * x
    z, y, x = (p / r for p, r in zip((z, turned, across), head.radii, strict=True))
    radius = np.sqrt(z**2 + y**2 + x**2)
    inner = 1 - head.skull
    number, phase = head.folds
    fold = 0.10 + 0.05 * np.sin(number * np.arctan2(y, x) + phase)
    tissue = np.full(radius.shape, AIR, dtype=np.int8)
    tissue[radius <= 1] = TABLE
    tissue[radius <= 1 - 0.25 * head.skull] = DIPLOE
    tissue[radius <= 1 - 0.75 * head.skull] = TABLE
    tissue[radius <= inner] = CSF
    tissue[radius <= inner - 0.04] = GREY
    tissue[radius <= inner - 0.04 - fold] = WHITE
    ventricle = _inside((z, y, np.abs(x)), (0, -0.05, 0.12), (0.3, 0.26, 0.08), head)
    tissue[ventricle] = CSF
    lesion = np.zeros(radius.shape, dtype=bool)
    if head.lesion is not None:
        place, size = head.lesion
        offsets = zip((z, y, x), place, size, strict=True)
        lesion = sum(((p - c) / r) ** 2 for p, c, r in offsets) <= 1
        lesion &= (tissue == GREY) | (tissue == WHITE)
    return tissue, lesion


def _inside(
    point: Sequence[NDArray[np.float64]],
    centre: Sequence[float],
    radii: Sequence[float],
    head: _Head,
) -> NDArray[np.bool_]:
    """Whether points lie in an ellipsoid that grows with the ventricles."""
    square = np.zeros(point[0].shape)
    for p, c, r in zip(point, centre, radii, strict=True):
        square += ((p - c) / (r * head.ventricles)) ** 2
    return square <= 1


def _ct(
    tissue: NDArray[np.int8], lesion: NDArray[np.bool_], rng: Generator
) -> NDArray[np.float64]:
    """CT in HU, before faults."""
    hu = np.asarray(_HU)[tissue] + lesion * _HU[LESION]
    texture = gaussian_filter(rng.normal(0, 1, tissue.shape), 0.7)
    texture /= max(float(texture.std()), 1e-9)
    hu += (tissue == DIPLOE) * 90 * texture + (tissue == TABLE) * 45 * texture
    noisy: NDArray[np.float64] = hu + rng.normal(0, _CT_NOISE_HU, tissue.shape)
    return noisy


def _mri(
    tissue: NDArray[np.int8], lesion: NDArray[np.bool_], rng: Generator
) -> NDArray[np.float32]:
    """MRI in whole arbitrary units: gain, a smooth bias field and Rician noise."""
    share = np.asarray(_MRI)[tissue] + lesion * rng.uniform(*_LESION_MRI)
    gain = _MRI_UNITS * np.exp(rng.uniform(*np.log(_MRI_GAIN)))
    grid = np.meshgrid(*(np.linspace(-1, 1, n) for n in share.shape), indexing="ij")
    slopes = rng.uniform(-0.15, 0.15, 3)
    field = np.exp(sum(s * g for s, g in zip(slopes, grid, strict=True)))
    real, imaginary = rng.normal(0, _MRI_NOISE, (2, *share.shape))
    magnitude = np.hypot(share * field + real, imaginary) * gain
    return np.rint(np.where(tissue == AIR, 0, magnitude)).astype(np.float32)


def _faulty(
    ct: NDArray[np.float64],
    brain: NDArray[np.bool_],
    settings: PhantomSettings,
    rng: Generator,
) -> NDArray[np.int16]:
    """Add the faults that were asked for, and round."""
    if settings.headrest:
        _, y, x = _points(settings)
        arc = np.hypot(y - 10, x)
        rest = (arc > 98) & (arc < 112) & (y > 40) & (ct < -900)
        ct = np.where(rest, _HEADREST_HU, ct)
    if settings.skullstrip_zero_fill:
        ct = np.where(brain, ct, 0.0)
        few = rng.choice(ct.size, size=4, replace=False)
        ct.flat[few] = (-1000, 1000, -1000, 1000)
    if settings.ct_scale_bug:
        ct = np.clip((ct + 1000) * (255 / 4000), 0, 255)
    # A scanner gives nothing below -1024 HU, the value of air outside its circle.
    return np.clip(np.rint(ct), -1024, 3071).astype(np.int16)
