"""Cases of phantoms as files, for tests."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from normgate.volumes.cases import Case, cases, read_case_csv
from normgate.volumes.demo import DemoSettings, write_demo

if TYPE_CHECKING:
    from pathlib import Path


def write_cases(folder: Path, count: int = 1, **settings: Any) -> list[Case]:
    """Write a small demonstration and give its cases."""
    table = write_demo(folder, DemoSettings(cases=count, **settings))
    return list(cases(read_case_csv(table), table))


def unmasked(case: Case) -> Case:
    """The same case without any mask."""
    return replace(case, brain=None, bone=None, lesion=None)


def template_case(real_data: Path, **changes: Any) -> Case:
    """The CT and FLAIR templates, which lie on one grid."""
    folder = real_data / "ctmr" / "clinical_toolbox_templates"
    case = Case(
        patient="template",
        case="template",
        split_group="template",
        mri=folder / "GG-366-FLAIR-2.0mm-8mmFWHM.nii.gz",
        ct=folder / "scct.nii.gz",
        brain=None,
        bone=None,
        lesion=None,
    )
    return replace(case, **changes)
