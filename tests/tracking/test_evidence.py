from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.tracking.bundle_files import (
    CONTRACT,
    GEOMETRY,
    RIGHT,
    WRONG,
    Logged,
    close,
    database,
    log_folder,
    write_bundle,
    write_card,
)

from mlflow_normgate.bundlefiles import manifest_problems, weights_metadata
from mlflow_normgate.evidence import collect
from mlflow_normgate.modelfiles import ModelFile
from normgate.contract import spec_digest
from normgate.gate import Evidence, decide
from normgate.plates.probe import expected_fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mlflow import MlflowClient


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowClient]:
    with database(tmp_path_factory.mktemp("evidence")) as found:
        yield found


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "bundle")


def stored(logged: Logged) -> Path:
    return Path(logged.location.removeprefix("file://"))


def test_evidence_is_read_from_the_bytes(client: MlflowClient, bundle: Path) -> None:
    logged = log_folder(client, bundle)
    found = collect(logged.location)
    assert found.problems == ()
    assert found.manifest_problems == ()
    assert (found.model_id, found.ready) == (logged.model_id, True)
    assert found.source_run == logged.run_id
    assert found.spec_digest == spec_digest(RIGHT)
    assert found.expected_fingerprint == expected_fingerprint(RIGHT, GEOMETRY)
    assert [member.file for member in found.members] == [
        "members/00.safetensors",
        "members/01.safetensors",
    ]
    assert {member.spec_digest for member in found.members} == {spec_digest(RIGHT)}
    assert found.card is not None
    assert found.card.metrics == {"test_auroc": 0.9}
    assert decide(found, CONTRACT, found.directory_digest).allowed


def other_spec(bundle: Path) -> None:
    other = write_bundle(bundle.parent / "other", WRONG)
    (bundle / "spec.json").write_bytes((other / "spec.json").read_bytes())
    close(bundle)


def altered_card(bundle: Path) -> None:
    write_card(bundle, metrics={"test_auroc": 0.99})


def nan_metric(bundle: Path) -> None:
    write_card(bundle, metrics={"test_auroc": float("nan")})
    close(bundle)


def without(name: str) -> Callable[[Path], None]:
    def remove(bundle: Path) -> None:
        (bundle / name).unlink()
        close(bundle)

    remove.__name__ = f"without {name}"
    return remove


def deep_card(bundle: Path) -> None:
    (bundle / "card.json").write_text("[" * 100_000 + "]" * 100_000)
    close(bundle)


def unknown_family(bundle: Path) -> None:
    write_card(bundle, family="unheard")
    close(bundle)


def huge_geometry(bundle: Path) -> None:
    write_card(bundle, geometry=GEOMETRY.to_json() | {"size": 16384})
    close(bundle)


def extra_file(bundle: Path) -> None:
    (bundle / "extra.txt").write_text("smuggled")


def cut_weights(bundle: Path) -> None:
    (bundle / "members" / "00.safetensors").write_bytes(b"\xff" * 12)
    close(bundle)


def traversal(bundle: Path) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["files"]["../../MLmodel"] = "0" * 64
    (bundle / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("breaking", "codes", "words"),
    [
        pytest.param(
            other_spec,
            {"other-normalization", "weights-of-another-spec", "applied-differs"},
            "members/00.safetensors were trained with spec",
            id="another-run's-spec",
        ),
        pytest.param(
            altered_card, {"manifest-broken"}, "card.json was altered", id="altered"
        ),
        pytest.param(
            nan_metric, {"metric-below-floor"}, "test_auroc is nan", id="nan-metric"
        ),
        pytest.param(
            without("spec.json"),
            {"incomplete", "weights-of-another-spec", "applied-differs"},
            "The bundle has no spec.json.",
            id="no-spec",
        ),
        pytest.param(
            without("card.json"),
            {"incomplete", "applied-differs"},
            "The bundle has no card.json.",
            id="no-card",
        ),
        pytest.param(
            deep_card,
            {"incomplete", "applied-differs"},
            "card.json can't be read",
            id="json-too-deep",
        ),
        pytest.param(
            unknown_family,
            {"incomplete", "applied-differs"},
            "family 'unheard' is unknown to this server",
            id="unknown-family",
        ),
        pytest.param(
            huge_geometry,
            {"incomplete", "applied-differs"},
            "The probe of this spec can't be read (it has more than",
            id="a-probe-that-would-fill-the-memory",
        ),
        pytest.param(
            extra_file,
            {"manifest-broken"},
            "extra.txt stands in the bundle, but not in its manifest",
            id="extra-file",
        ),
        pytest.param(
            cut_weights,
            {"incomplete", "weights-of-another-spec", "applied-differs"},
            "its header is cut or too large",
            id="cut-weights",
        ),
        pytest.param(
            traversal, {"manifest-broken"}, "which is no plain path", id="traversal"
        ),
    ],
)
def test_what_is_wrong_with_a_bundle_is_told(
    client: MlflowClient,
    bundle: Path,
    breaking: Callable[[Path], None],
    codes: set[str],
    words: str,
) -> None:
    breaking(bundle)
    found = collect(log_folder(client, bundle).location)
    verdict = decide(found, CONTRACT, found.directory_digest)
    assert set(verdict.codes) == codes
    assert words in verdict.text


def test_a_location_that_is_no_logged_model_gives_no_evidence(
    client: MlflowClient, bundle: Path
) -> None:
    logged = log_folder(client, bundle)
    empty = Evidence(model_id=None, ready=False, source_run=None)
    assert collect("s3://bucket/elsewhere") == empty
    assert collect(logged.location.replace("m-", "m-0")) == empty
    assert collect(f"/elsewhere/models/{logged.model_id}/artifacts") == empty


def test_an_unfinished_upload_is_not_ready(client: MlflowClient, bundle: Path) -> None:
    assert not collect(log_folder(client, bundle, ready=False).location).ready


def test_a_model_without_a_bundle_is_told(client: MlflowClient, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("no bundle")
    logged = log_folder(client, tmp_path / "empty")
    target = stored(logged) / "artifacts"
    (target / "bundle").rename(target / "model.pkl")
    found = collect(logged.location)
    assert "The model holds no normgate bundle." in found.problems
    assert any("beside the bundle" in problem for problem in found.problems)


def test_what_mlflow_leaves_on_a_download_does_not_change_the_digest(
    client: MlflowClient, bundle: Path
) -> None:
    logged = log_folder(client, bundle)
    before = collect(logged.location).directory_digest
    (stored(logged) / "registered_model_meta").write_text("by MLflow")
    assert collect(logged.location).directory_digest == before
    (stored(logged) / "artifacts" / "bundle" / "card.json").write_text("{}")
    assert collect(logged.location).directory_digest != before


@pytest.mark.parametrize(
    "hidden", ["registered_model_meta/x.py", "__pycache__/scoring.cpython-311.pyc"]
)
def test_no_folder_hides_code(client: MlflowClient, bundle: Path, hidden: str) -> None:
    logged = log_folder(client, bundle)
    before = collect(logged.location).directory_digest
    path = stored(logged) / hidden
    path.parent.mkdir()
    path.write_bytes(b"code")
    assert collect(logged.location).directory_digest != before


def test_a_link_is_not_followed(
    client: MlflowClient, bundle: Path, tmp_path: Path
) -> None:
    logged = log_folder(client, bundle)
    (stored(logged) / "artifacts" / "elsewhere").symlink_to(tmp_path)
    found = collect(logged.location)
    assert found.directory_digest is None
    assert "artifacts/elsewhere is a link" in found.problems[0]


def test_files_that_vanished_are_told(client: MlflowClient, bundle: Path) -> None:
    logged = log_folder(client, bundle)
    stored(logged).rename(stored(logged).with_name("moved"))
    assert "can't be read" in collect(logged.location).problems[0]


@pytest.mark.parametrize(
    ("head", "size"),
    [
        pytest.param(b"", 0, id="empty"),
        pytest.param(b"\x00" * 4, 4, id="shorter-than-its-length"),
        pytest.param(b"\xff" * 8 + b"{}", 10, id="longer-than-the-file"),
        pytest.param(b"\x02" + b"\x00" * 7 + b"[]", 10, id="no-object"),
        pytest.param(b"\x01" + b"\x00" * 7 + b"{", 9, id="no-json"),
    ],
)
def test_a_broken_weights_header_is_no_metadata(head: bytes, size: int) -> None:
    with pytest.raises(ValueError, match=r"."):
        weights_metadata(head, size)


def test_a_manifest_of_another_format_is_refused() -> None:
    head = b'{"format": "normgate.manifest/9", "files": {}}'
    file = ModelFile("0" * 64, len(head), head)
    with pytest.raises(ValueError, match="its format is not"):
        list(manifest_problems({"manifest.json": file}))
    with pytest.raises(ValueError, match="expected at most"):
        list(manifest_problems({"manifest.json": replace(file, size=10**9)}))
