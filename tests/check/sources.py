"""Real sources of images as tables that a check takes."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import pandas as pd

from normgate.plates.index import IndexSettings, index
from normgate.plates.schema import write_plate_csv
from normgate.plates.wells import parse_well
from normgate.volumes.cases import write_case_csv

if TYPE_CHECKING:
    from pathlib import Path

NF1 = r"(?P<well>[A-H]\d+)_01_\d_(?P<site>\d)_(?P<channel>DAPI|GFP|RFP)_001\.tif"
TEMPLATES = "ctmr/clinical_toolbox_templates"


def plate_table(folder: Path, rows: dict[tuple[str, str], dict[str, Path]]) -> Path:
    """A plate CSV of files, by well and site."""
    records = []
    for (well, site), files in rows.items():
        place = parse_well(well)
        records.append(
            {
                "plate": "P1",
                "well": place.name,
                "row": place.row,
                "column": place.column,
                "site": site,
                "timepoint_ms": 0,
                "genotype": "",
                "treatment": "",
                "label": "",
                "split_group": f"P1-{place.name}",
                **{f"path_{marker}": str(path) for marker, path in files.items()},
            }
        )
    table = folder / "plates.csv"
    write_plate_csv(pd.DataFrame(records), table)
    return table


def nf1(data: Path, folder: Path) -> Path:
    settings = IndexSettings(
        images=data / "plates/nf1_plate2_cytodataframe/images",
        out=folder / "plates.csv",
        layout="pattern",
        pattern=NF1,
        column_rule="6=WT,7=Null,12=Null",
        plate="nf1",
    )
    index(settings)
    return settings.out


def imagexpress(data: Path, folder: Path, name: str, z: str = "") -> Path:
    settings = IndexSettings(
        images=data / "plates/faim_ipa_hcs" / name, out=folder / "plates.csv", z=z
    )
    index(settings)
    return settings.out


def scanr(data: Path, folder: Path) -> Path:
    rows: dict[tuple[str, str], dict[str, Path]] = {}
    for packed in sorted((data / "plates/embl_scanr_offset32768").glob("*.tif.gz")):
        path = folder / packed.name.removesuffix(".gz")
        path.write_bytes(gzip.decompress(packed.read_bytes()))
        well, marker = path.name.split("--")[0], path.stem.split("--")[-1]
        rows.setdefault((well, "1"), {})[marker] = path
    return plate_table(folder, rows)


def stardist(data: Path, folder: Path) -> Path:
    path = data / "plates/stardist_testdata/img2d.tif"
    return plate_table(folder, {("A01", "1"): {"nuclei": path}})


def human(data: Path, folder: Path) -> Path:
    images = data / "plates/cellprofiler_examplehuman_cc0"
    name = "AS_09125_050116030001_D03f00d{}.tif"
    files = {
        marker: images / name.format(number)
        for number, marker in enumerate(("DNA", "PH3", "cell"))
    }
    return plate_table(folder, {("D03", "1"): files})


def case_table(folder: Path, *rows: dict[str, Path | str | float]) -> Path:
    """A case CSV; each row names mri and ct, and what else it has."""
    table = folder / "cases.csv"
    empty = dict.fromkeys(("brain", "bone", "lesion", "ct_slope", "ct_intercept"), "")
    records = []
    for number, row in enumerate(rows, start=1):
        name = f"case-{number}"
        own = {"patient": name, "case": name, "split_group": name} | empty
        records.append(own | {key: str(value) for key, value in row.items()})
    write_case_csv(pd.DataFrame(records), table)
    return table
