"""What a loader really applies, measured on the probe and held against its spec.

The probe's volumes are written as the data's own files are (`probe_files`) and go
through the loader's reading, normalizing and cutting. Its second part is stored with a
slope and an intercept, and its CT with a declared rescale besides, so that a reader
that forgets one of them is found whatever the data are like. NRRD data are probed as
NIfTI. What a difference means is said by `mismatch`.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from normgate.contract.ct import CT, MRI
from normgate.errors import CorruptImage, DataError, FingerprintMismatch
from normgate.volumes.cases import Case
from normgate.volumes.geometry import boxes
from normgate.volumes.mismatch import explain
from normgate.volumes.probe import (
    FULL_SHAPE,
    Output,
    expected_output,
    probe_shape,
    probe_volumes,
)
from normgate.volumes.probe_files import Like, format_of, write_volume

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from normgate.volumes.load import Loader

CT_RESCALE = (2.0, -1024.0)
"""Declared in the row of the second part."""


def like_of(case: Case) -> Like:
    """How a case's files are laid out."""
    return Like(mri=format_of(case.mri), ct=format_of(case.ct))


def readable_like(cases: Iterable[Case]) -> Like:
    """How the files of the first case that can be read are laid out.

    Raises:
        DataError: No case can be read.
    """
    for case in cases:
        try:
            return like_of(case)
        except CorruptImage:
            continue
    raise DataError("no case can be read; look at the paths in the case CSV")


def measure(loader: Loader, like: Like | None = None) -> Output:
    """Send the probe through a loader.

    Args:
        loader: The loader in use.
        like: How the data's files are laid out; plain NIfTI without it.

    Returns:
        What came out.
    """
    like = like or Like()
    shape = probe_shape(loader.geometry)
    full = _through(loader, FULL_SHAPE, like, scaled=False)
    cut = _through(loader, shape, like, scaled=True)
    return Output(
        full_czyx=full,
        patches=loader.cut(cut),
        boxes=boxes(loader.geometry, (cut.shape[1], cut.shape[2], cut.shape[3])),
    )


def applied_fingerprint(loader: Loader, like: Like | None = None) -> str:
    """The fingerprint of what a loader really applies; see `measure`."""
    return measure(loader, like).fingerprint


def verify(loader: Loader, like: Like | None = None) -> str:
    """Stop unless a loader applies what its spec and geometry declare.

    Args:
        loader: The loader in use.
        like: As in `measure`.

    Returns:
        The fingerprint, 64 hex digits.

    Raises:
        FingerprintMismatch: With the channel, an intensity, found and expected.
    """
    expected = expected_output(loader.spec, loader.geometry)
    try:
        found = measure(loader, like)
    except DataError as error:
        raise FingerprintMismatch(
            "the loader can't take volumes of every intensity, as where a slope and "
            f"intercept in the file or a declared rescale is not followed: {error}"
        ) from error
    if found.fingerprint != expected.fingerprint:
        raise FingerprintMismatch(explain(loader.spec, found, expected))
    return found.fingerprint


def _through(
    loader: Loader, shape_zyx: tuple[int, int, int], like: Like, *, scaled: bool
) -> NDArray[np.float32]:
    """Write the probe as one case of files, and load it."""
    volumes = probe_volumes(loader.spec, shape_zyx)
    with tempfile.TemporaryDirectory(prefix="normgate-probe-") as name:
        folder = Path(name)
        case = Case(
            patient="probe",
            case="probe",
            split_group="probe",
            mri=write_volume(folder / "mri", volumes[MRI], like.mri, scaled=scaled),
            ct=write_volume(
                folder / "ct", _undeclared(volumes[CT], scaled), like.ct, scaled=scaled
            ),
            brain=None,
            bone=None,
            lesion=None,
            ct_rescale=CT_RESCALE if scaled else None,
        )
        return loader.normalized(loader.read(case))


def _undeclared(ct_zyx: NDArray[Any], scaled: bool) -> NDArray[Any]:
    """What the CT's file holds, so that the row's rescale makes the probe of it."""
    if not scaled:
        return ct_zyx
    slope, intercept = CT_RESCALE
    result: NDArray[Any] = (ct_zyx.astype(np.float64) - intercept) / slope
    return result
