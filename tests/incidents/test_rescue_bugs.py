"""Every bug of the rescue originals, and what stops it: the gate, a check, or a type.

The names are the originals' own, or ours where they had none. Mechanisms have tests of
their own beside their packages; here stands each bug as it was made.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import torch
from tests.conftest import ROOT
from tests.deploy.fakes import fake_model, plate_spec, write_plates
from tests.engine import bundles
from tests.families.plate.simulated import spec

from normgate.check.design import confounded
from normgate.contract import Channel, Spec, read_contract, spec_digest
from normgate.deploy.pipeline import deploy
from normgate.deploy.settings import DeploySettings
from normgate.engine import manifest
from normgate.errors import BundleError, DataError, FingerprintMismatch, SpecError
from normgate.families import open_bundle
from normgate.families.plate.model import build
from normgate.families.plate.settings import ModelSettings
from normgate.families.plate.split import folds_of
from normgate.families.plate.task import jittered
from normgate.gate import Card, Evidence, Member, Verdict, decide
from normgate.gate.vitals import dead_channel
from normgate.incidents.rescue.plates import Plates, PlateSettings, greyscale
from normgate.incidents.rescue.specs import spec_of
from normgate.plates import probe
from normgate.plates.demo import DemoSettings, write_demo
from normgate.plates.geometry import Geometry
from normgate.plates.load import Loader, sites
from normgate.plates.schema import check, read_plate_csv, write_plate_csv
from normgate.plates.wells import parse_well
from normgate.transform.apply import Normalizer

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from normgate.plates.faults import Fault

SPECS = ROOT / "contracts" / "specs"
TILES = Geometry(kind="tile", window=32, size=32)


@pytest.fixture(scope="module")
def plates(tmp_path_factory: pytest.TempPathFactory) -> Plates:
    settings = PlateSettings(plates=1, rows=1, sites=1)
    return Plates(tmp_path_factory.mktemp("plates") / "0", settings, 0, spec())


def mixed() -> Spec:
    """HALO's percentiles for HALO_MASKED."""
    return spec_of("halo_on_masked", SPECS, ROOT)


class Mixed(Loader):
    """Declares the contract's spec, and applies HALO's percentiles to HALO_MASKED."""

    def normalized(self, windows_ncyx: NDArray[Any]) -> NDArray[np.float32]:
        normalizer = Normalizer(mixed())
        return np.stack([normalizer(list(window)) for window in windows_ncyx])


def test_hm_pct_a_loader_that_applies_halos_percentiles_is_refused() -> None:
    with pytest.raises(FingerprintMismatch, match="HALO_MASKED"):
        probe.verify(Mixed(spec(), TILES, 0))


def test_hm_pct_a_spec_that_declares_them_is_refused_by_the_gate() -> None:
    refused = _decided(mixed())
    assert set(refused.codes) == {"other-normalization"}
    assert "Channel HALO_MASKED was trained with uint16: clip 1783..11525" in (
        refused.text
    )


def test_hm_pct_for_8_bit_files_they_leave_one_value_and_are_no_spec() -> None:
    masked = mixed().channels[2]
    of_bytes = Channel(name=masked.name, input="uint8", steps=masked.steps)
    with pytest.raises(SpecError, match="one single value"):
        spec_digest(Spec(channels=(of_bytes,)))


def test_hm_pct_the_dead_channel_is_a_red_vital(plates: Plates) -> None:
    loader = Loader(mixed(), TILES, 0)
    site = plates.places("plain", "percentile_imagenet")[0]
    masked = loader.units(site, loader.read(site)).images[:, 2]
    assert np.unique(masked) == pytest.approx([-1.8044], abs=1e-3)
    assert dead_channel("HALO_MASKED", float(masked.std())).level == "red"


@pytest.mark.parametrize(
    ("recipe", "bug"),
    [
        pytest.param("u8_imagenet", "quantized between two stages", id="U8"),
        pytest.param("l8_fluorescence", "read by Pillow's mode L", id="L8"),
    ],
)
def test_u8_and_l8_files_are_not_the_counts_that_the_contract_takes(
    plates: Plates, recipe: Any, bug: str
) -> None:
    loader = Loader(spec(), TILES, 0)
    site = plates.places("plain", recipe)[0]
    with pytest.raises(DataError, match=r"holds uint8; channel RFP1 .* takes uint16"):
        loader.units(site, loader.read(site))
    refused = _decided(spec_of(recipe, SPECS, ROOT))
    assert "other-normalization" in refused.codes, bug


def test_l8_pillow_saturates_what_16_bits_hold(plates: Plates) -> None:
    site = plates.places("plain", "percentile_imagenet")[0]
    loader = Loader(spec(), TILES, 0)
    counts = loader.read(site)[loader.channel_keys[0]]
    assert (greyscale(counts) == 255).mean() > 0.99
    assert len(np.unique(counts)) > 500


@pytest.mark.parametrize(
    ("fault", "level"), [("label_is_plate", "red"), ("none", "green")]
)
def test_confound_a_label_that_is_the_plate_is_a_red_finding(
    tmp_path: Path, fault: Fault, level: str
) -> None:
    settings = DemoSettings(plates=2, rows=1, timepoints_ms=(0,), fault=fault)
    frame = read_plate_csv(write_demo(tmp_path / "demo", settings))
    controls = frame[frame["label"] != ""]
    found = confounded(list(zip(controls["label"], controls["plate"], strict=True)))
    assert found.level == level
    assert "Cramer's V of label and plate" in found.sentence


def test_bug_001_the_order_of_classes_is_of_the_trained_weights(tmp_path: Path) -> None:
    bundles.write(tmp_path / "bundle")
    assert open_bundle(tmp_path / "bundle").card.classes == ("WT", "APP")
    card = tmp_path / "bundle" / "card.json"
    document = json.loads(card.read_bytes()) | {"classes": ["APP", "WT"]}
    card.write_text(json.dumps(document))
    (tmp_path / "bundle" / "manifest.json").unlink()
    manifest.close(tmp_path / "bundle")
    with pytest.raises(BundleError, match="was trained with classes"):
        open_bundle(tmp_path / "bundle")


def test_bug_002_intensity_is_not_changed_unless_it_is_asked_for() -> None:
    units = torch.rand(4, 3, 8, 8)
    assert ModelSettings().intensity_jitter == 0
    assert jittered(units, 0.0, torch.Generator()) is units
    assert not torch.equal(jittered(units, 0.2, torch.Generator()), units)


def test_bug_003_predictions_do_not_depend_on_the_order_of_rows(tmp_path: Path) -> None:
    data = write_plates(tmp_path / "plates", wells=4)
    frame = read_plate_csv(data)
    other = data.with_name("other.csv")
    write_plate_csv(frame.sample(frac=1, random_state=3), other)
    found = [_predictions(csv, tmp_path / csv.stem) for csv in (data, other)]
    assert not found[0].index.duplicated().any()
    pd.testing.assert_frame_equal(found[0], found[1].loc[found[0].index])


def _predictions(csv: Path, out: Path) -> pd.DataFrame:
    """Rows by their key; the order of the files is another."""
    models = [fake_model("m", plate_spec(("RFP1", "HALO")), 0)]
    settings = DeploySettings(data=csv, out=out, batch_size=5, shard_sites=3, workers=2)
    deploy(models, sites(read_plate_csv(csv), csv), settings)
    parts = sorted((out / "m").glob("part-*.parquet"))
    rows = pd.concat([pd.read_parquet(part) for part in parts])
    return rows.set_index(["plate", "well", "site", "unit", "replicate"])


def test_bug_004_a_well_of_mixed_labels_stays_whole() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat([f"P1:{n}" for n in range(40)], 6)
    labels = np.repeat(np.arange(40) % 2, 6)
    mixed_labels = np.where(rng.random(len(labels)) < 0.2, 1 - labels, labels)
    fold = folds_of(mixed_labels, groups, ("WT", "APP"), folds=5, seed=0)
    for name in np.unique(groups):
        assert len(set(fold[groups == name])) == 1
    shares = [mixed_labels[fold == number].mean() for number in range(5)]
    assert np.ptp(shares) < 0.15


def test_column_a_column_is_never_taken_from_the_row_letter(tmp_path: Path) -> None:
    frame = read_plate_csv(write_plates(tmp_path / "plates", wells=4))
    assert (parse_well("B03").row, parse_well("B03").column) == (2, 3)
    with pytest.raises(DataError, match="expected A02, row 1, column 2"):
        check(frame.assign(column=frame["row"]))


def _decided(trained: Spec) -> Verdict:
    """What the gate says of an honest bundle that was trained under a spec."""
    contract = read_contract(ROOT / "contracts" / "plate_3ch.json")
    return decide(_evidence(trained), contract, "d" * 64)


def _evidence(trained: Spec) -> Evidence:
    fingerprint = probe.expected_fingerprint(trained, TILES)
    member = Member(
        file="members/00.safetensors",
        spec_digest=spec_digest(trained),
        applied_fingerprint=fingerprint,
    )
    return Evidence(
        model_id="m-" + "0" * 32,
        ready=True,
        source_run="run",
        spec=trained,
        card=Card(
            family="plate",
            metrics={"test_auroc": 0.9},
            vitals=(dead_channel("RFP1", 0.6),),
        ),
        members=(member,),
        expected_fingerprint=fingerprint,
        manifest_digest="a" * 64,
        directory_digest="d" * 64,
    )


def test_the_network_takes_what_the_spec_has() -> None:
    """The treatment models' six channels do not go through three by position."""
    network = build(ModelSettings(), 3, 2)
    with pytest.raises(RuntimeError, match="expected input"):
        network(torch.rand(2, 6, 32, 32))
