"""Bundles: a round trip, and every alteration refused in a sentence."""

from __future__ import annotations

import hashlib
import json
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.engine import bundles

from normgate.engine import manifest
from normgate.engine.card import parse_card
from normgate.errors import BundleError
from normgate.families import open_bundle
from normgate.families.plate.probabilities import softmax

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    bundles.write(tmp_path / "bundle")
    return tmp_path / "bundle"


def test_a_bundle_comes_back_as_it_was_written(folder: Path) -> None:
    bundle = open_bundle(folder)
    assert bundle.spec == bundles.spec()
    assert bundle.card.classes == ("WT", "APP")
    assert np.isnan(bundle.card.members[0].metrics["odd"])
    data = (folder / "manifest.json").read_bytes()
    assert bundle.manifest_digest == hashlib.sha256(data).hexdigest()
    assert bundle.provenance is None


def test_a_bundle_holds_no_pickle_and_only_its_files(folder: Path) -> None:
    found = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*"))
    weights = ["members/00.safetensors", "members/01.safetensors"]
    others = ["card.json", "golden.safetensors", "manifest.json", "spec.json"]
    assert found == sorted(weights + others)


def test_scores_are_mean_logits_and_tempered_probabilities(folder: Path) -> None:
    ensemble = open_bundle(folder).ensemble
    rng = np.random.default_rng(0)
    raw = rng.integers(0, 12000, (3, 3, 50, 41)).astype(np.uint16)
    found = ensemble.predict(raw)
    logits, p = found["logits"], found["probabilities"]
    with torch.inference_mode():
        each = ensemble(torch.from_numpy(raw))["logits"].numpy()
    assert each.shape == (2, 3, 2)
    assert np.allclose(logits, each.mean(axis=0))
    expected = softmax((each[0] / 1.0 + each[1] / 2.0) / 2)
    assert np.allclose(p, expected)
    assert (logits.dtype, p.dtype) == (np.float32, np.float64)


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b" ")


def close_again(folder: Path) -> None:
    (folder / "manifest.json").unlink()
    manifest.close(folder)


def other_spec(folder: Path) -> None:
    shutil.copy(bundles.SPECS / "plate_3ch_fluorescence.json", folder / "spec.json")
    close_again(folder)


def other_spec_and_card(folder: Path) -> None:
    from normgate.contract import read_spec, spec_digest

    other_spec(folder)
    card = json.loads((folder / "card.json").read_bytes())
    card["spec_digest"] = spec_digest(read_spec(folder / "spec.json"))
    (folder / "card.json").write_text(json.dumps(card))
    close_again(folder)


def card_with(**changed: object) -> Callable[[Path], None]:
    def alter(folder: Path) -> None:
        card = json.loads((folder / "card.json").read_bytes()) | changed
        (folder / "card.json").write_text(json.dumps(card))
        close_again(folder)

    return alter


def fingerprint_everywhere(folder: Path) -> None:
    shutil.rmtree(folder)
    bundles.write(folder, bundles.card(applied_fingerprint="f" * 64))


def weights_altered(folder: Path) -> None:
    from safetensors import safe_open

    path = folder / "members/00.safetensors"
    with safe_open(path, framework="pt") as file:
        about = file.metadata()
    state = load_file(path)
    last = sorted(state)[-1]
    save_file(state | {last: state[last] + 1}, path, metadata=about)
    close_again(folder)


def weights_lost_metadata(folder: Path) -> None:
    path = folder / "members/01.safetensors"
    save_file(load_file(path), path)
    close_again(folder)


def older_golden(folder: Path) -> None:
    path = folder / "golden.safetensors"
    save_file(load_file(path), path, metadata={"format": "normgate.golden/1"})
    close_again(folder)


def golden_lost_an_output(folder: Path) -> None:
    path = folder / "golden.safetensors"
    about = {"format": "normgate.golden/2"}
    save_file({"raw": load_file(path)["raw"]}, path, metadata=about)
    close_again(folder)


def linked(folder: Path) -> None:
    (folder / "card.json").rename(folder.parent / "card.json")
    (folder / "card.json").symlink_to(folder.parent / "card.json")


@pytest.mark.parametrize(
    ("alter", "sentence"),
    [
        (lambda f: append(f / "card.json"), "card.json was altered after"),
        (lambda f: append(f / "members/00.safetensors"), "00.safetensors was altered"),
        (lambda f: (f / "notes.txt").write_text("x"), "notes.txt stands in the bundle"),
        (lambda f: (f / "spec.json").unlink(), "spec.json is missing"),
        (lambda f: (f / "manifest.json").unlink(), "is no manifest of a bundle"),
        (lambda f: (f / "manifest.json").write_text("{}"), "is no manifest"),
        (linked, "card.json is a link or no plain file"),
        (other_spec, "they are not of one training"),
        (other_spec_and_card, "was trained with spec_digest"),
        (weights_lost_metadata, "was trained with format None"),
        (fingerprint_everywhere, "what was declared was not what was applied"),
        (older_golden, "is not of format normgate.golden/2"),
        (golden_lost_an_output, "but the members give logits"),
        (weights_altered, "the golden input gives other logits"),
        (card_with(family="other"), "names family 'other'"),
        (card_with(surprise=1), "missing or unknown fields: surprise"),
        (card_with(format="normgate.card/2"), "its format is not"),
        (card_with(classes=["APP", "WT"]), "was trained with classes"),
        (card_with(settings={}), "model settings are not understood"),
        (card_with(geometry={"kind": "tile"}), "was trained with geometry"),
    ],
)
def test_an_altered_bundle_is_refused(
    folder: Path, alter: Callable[[Path], None], sentence: str
) -> None:
    alter(folder)
    with pytest.raises(BundleError, match=sentence):
        open_bundle(folder)


def test_a_folder_that_is_no_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="name a bundle's folder"):
        open_bundle(tmp_path)


def test_writing_again_replaces_the_bundle_whole(folder: Path) -> None:
    (folder / "stray.txt").write_text("x")
    first = open_bundle
    bundles.write(folder)
    assert first(folder).card.positive == "APP"
    assert [path.name for path in folder.parent.iterdir()] == ["bundle"]


def test_the_same_model_is_written_to_the_same_bytes(folder: Path) -> None:
    again = folder.with_name("again")
    bundles.write(again)
    for path in (p for p in folder.rglob("*.*") if p.is_file()):
        assert path.read_bytes() == (again / path.relative_to(folder)).read_bytes()


def test_a_card_round_trips() -> None:
    card = bundles.card()
    again = parse_card(card.to_json())
    assert again.to_json() == card.to_json()
    assert again.members[1].seed == 1
