"""The CT normalizations of the replay as specs; MRI is z-scored by case in all."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from normgate.contract.ct import (
    fusion_spec,
    legacy_masked_z_ct,
    legacy_minmax_ct,
    legacy_window_ct,
    mri_case_z,
)
from normgate.volumes.statistics import measure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from normgate.contract import Spec
    from normgate.families.fusion.arms import CtNormalization
    from normgate.volumes.cases import Case


def spec_of(ct: CtNormalization, training: Sequence[Case]) -> Spec:
    """The spec of a CT normalization.

    Args:
        ct: Its name.
        training: The cases that constants of the data set are measured on.
    """
    mri = mri_case_z()
    match ct:
        case "nnunet_ct":
            found = measure(training, modality="CT", input_type="int16")
            return fusion_spec(mri, found.ct_channel())
        case "legacy_minmax_ct":
            return fusion_spec(mri, legacy_minmax_ct())
        case "legacy_masked_z_ct":
            return fusion_spec(mri, legacy_masked_z_ct())
        case "legacy_window_ct":
            return fusion_spec(mri, legacy_window_ct())
        case _:
            assert_never(ct)
