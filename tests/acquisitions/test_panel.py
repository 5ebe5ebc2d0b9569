"""Panels: planes are bound by marker, whatever they are called, wherever they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from normgate.acquisitions.panel import Marker, bind, marker_of, named, read_panel
from normgate.errors import CorruptImage, DataError

if TYPE_CHECKING:
    from pathlib import Path

OWN = (Marker("La139", "CD3"), Marker("Pr141", "CD4"), Marker("", "DNA"))


@pytest.mark.parametrize(
    ("label", "tag", "expected"),
    [
        pytest.param("CD3", "", Marker("", "CD3"), id="target"),
        pytest.param("Pr141", "", Marker("Pr141", ""), id="metal"),
        pytest.param("141Pr", "", Marker("Pr141", ""), id="mass-first"),
        pytest.param("139La_CD3", "", Marker("La139", "CD3"), id="both"),
        pytest.param("La139_CD3", "La139", Marker("La139", "CD3"), id="tag-besides"),
        pytest.param("CD3(La139Di)", "", Marker("La139", "CD3"), id="as-in-txt"),
        pytest.param(
            "YBX1_2987((3532))Eu153",
            "Eu153",
            Marker("Eu153", "YBX1_2987((3532))"),
            id="as-in-mcd",
        ),
        pytest.param("Ki67", "", Marker("", "Ki67"), id="no-metal-though-it-looks-so"),
        pytest.param("CD45", "", Marker("", "CD45"), id="cadmium-has-no-such-mass"),
        pytest.param("CD3", "141Pr", Marker("Pr141", "CD3"), id="tag-turned"),
    ],
)
def test_a_label_tells_metal_and_target(label: str, tag: str, expected: Marker) -> None:
    assert marker_of(label, tag) == expected


@pytest.mark.parametrize(
    "name", ["CD3", "La139", "139La", "139La_CD3", "La139_CD3", "CD3_La139"]
)
def test_a_spec_may_call_a_plane_by_metal_target_or_both(name: str) -> None:
    assert bind([name, "DNA"], OWN, "image") == (0, 2)


@pytest.mark.parametrize(
    ("names", "markers", "said"),
    [
        pytest.param(["CD8"], OWN, "marker CD8 is missing; there is CD3", id="missing"),
        pytest.param(["141Pr_CD3"], OWN, "141Pr_CD3 is missing", id="metal-disagrees"),
        pytest.param(
            ["DNA"],
            (Marker("Ir191", "DNA"), Marker("Ir193", "DNA")),
            r"DNA is duplicated, DNA \(Ir191\) and DNA \(Ir193\)",
            id="duplicated",
        ),
    ],
)
def test_a_marker_that_is_not_there_once_is_refused(
    names: list[str], markers: tuple[Marker, ...], said: str
) -> None:
    with pytest.raises(DataError, match=said):
        bind(names, markers, "image")


def panel(folder: Path, text: str) -> Path:
    path = folder / "panel.csv"
    path.write_text(text)
    return path


def test_both_dialects_name_the_same_markers(tmp_path: Path) -> None:
    by_channel = read_panel(
        panel(tmp_path, "channel,name,keep\nLa139,CD3,1\nPr141,CD4,0\nSm147,CD8,1\n")
    )
    by_tag = read_panel(
        panel(tmp_path, "Tube,Metal Tag,Target,full\n1,Sm147,CD8,1\n2,La139,CD3,1\n")
    )
    assert set(by_channel.markers) == set(by_tag.markers)
    assert by_channel.ordered
    assert not by_tag.ordered


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("a,b\n1,2\n", "is no panel", id="no-columns"),
        pytest.param("", "is no panel", id="empty"),
        pytest.param(
            "channel,name\nPr141,CD3\nPr141,CD4\n", "is duplicated", id="metal-twice"
        ),
        pytest.param("channel,name,keep\nPr141,CD3,2\n", "expected 1 or 0", id="keep"),
        pytest.param("channel,name\n,\n", "line 2 names neither", id="nothing"),
    ],
)
def test_what_is_no_panel_is_refused_in_a_sentence(
    tmp_path: Path, text: str, said: str
) -> None:
    with pytest.raises(DataError, match=said):
        read_panel(panel(tmp_path, text))


def test_an_absent_panel_is_a_corrupt_file(tmp_path: Path) -> None:
    with pytest.raises(CorruptImage, match="restore the file"):
        read_panel(tmp_path / "none.csv")


def test_a_panels_target_counts_before_the_images_own(tmp_path: Path) -> None:
    found = read_panel(panel(tmp_path, "channel,name\nPr141,FoxP3\n"))
    assert named(OWN, found, 3, "image")[1] == Marker("Pr141", "FoxP3")


def test_a_marker_that_the_image_has_not_is_unknown(tmp_path: Path) -> None:
    found = read_panel(panel(tmp_path, "channel,name\nSm147,CD8\n"))
    with pytest.raises(DataError, match=r"lists CD8 \(Sm147\), which image has not"):
        named(OWN, found, 3, "image")


@pytest.mark.parametrize(
    ("text", "planes", "said"),
    [
        pytest.param(None, 1, "does not name its channels", id="no-panel"),
        pytest.param("Metal Tag,Target\nPr141,A\n", 1, "their order", id="no-order"),
        pytest.param("channel,name\nPr141,A\n", 2, "has 2 planes", id="other-number"),
    ],
)
def test_an_image_without_names_needs_a_panel_of_its_order(
    tmp_path: Path, text: str | None, planes: int, said: str
) -> None:
    found = None if text is None else read_panel(panel(tmp_path, text))
    with pytest.raises(DataError, match=said):
        named(None, found, planes, "image")
