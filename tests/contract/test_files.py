"""A bad file is refused in one sentence that names channel and step."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from normgate.contract import (
    Provenance,
    parse_contract,
    parse_provenance,
    parse_spec,
    read_contract,
    read_spec,
    to_json,
    write_atomic,
)
from normgate.errors import ContractError, SpecError

ROOT = Path(__file__).resolve().parents[2]


def document(steps: str, *, name: str = "HALO", dtype: str = "uint16") -> bytes:
    return (
        '{"format": "normgate.spec/1", "channels": ['
        '{"name": "RFP1", "input": "uint16", "steps": []},'
        f'{{"name": "{name}", "input": "{dtype}", "steps": [{steps}]}}]}}'
    ).encode()


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        pytest.param(
            document('{"kind": "clip", "low": 11525, "high": 1783}'),
            r"channel 'HALO', step 1 \(clip\): low 11525 must be below high 1783",
            id="inverted-range",
        ),
        pytest.param(
            document('{"kind": "rescale", "low": 5, "high": 5}'),
            r"channel 'HALO', step 1 \(rescale\): low 5 must be below high 5",
            id="empty-range",
        ),
        pytest.param(
            document('{"kind": "standardize", "mean": 0, "std": 0.0}'),
            r"channel 'HALO', step 1 \(standardize\): std 0 must be above 0",
            id="zero-std",
        ),
        pytest.param(
            document('{"kind": "standardize", "mean": NaN, "std": 1}'),
            r"channel 'HALO', step 1 \(standardize\), mean: .* finite .* found NaN",
            id="nan",
        ),
        pytest.param(
            document('{"kind": "clip", "low": -Infinity, "high": 1}'),
            r"channel 'HALO', step 1 \(clip\), low: .* finite .* -Infinity",
            id="infinity",
        ),
        pytest.param(
            document('{"kind": "clip", "low": 0, "high": 1e99999999}'),
            r"channel 'HALO', step 1 \(clip\), high: expected a size within",
            id="huge",
        ),
        pytest.param(
            document('{"kind": "clip", "low": "0", "high": 1}'),
            r"channel 'HALO', step 1 \(clip\), low: expected a number, found '0'",
            id="text-for-number",
        ),
        pytest.param(
            document('{"kind": "clip", "low": 0, "high": 1, "eps": 1e-6}'),
            r"channel 'HALO', step 1 \(clip\), eps: unknown key",
            id="unknown-key",
        ),
        pytest.param(
            document('{"kind": "gamma", "value": 2}'),
            r"channel 'HALO', step 1 \(gamma\): .*expected tags: 'clip'",
            id="unknown-step",
        ),
        pytest.param(
            document("", name="RFP1"),
            r"channel 'RFP1' stands more than once",
            id="duplicate-channel",
        ),
        pytest.param(
            document("", name="\u041dALO"),
            r"channel name '.ALO' must be MARKER .* ASCII",
            id="look-alike-letter",
        ),
        pytest.param(
            document("", name="HALO:\u0661ms"),
            r"channel name 'HALO:.ms' must be",
            id="look-alike-digit",
        ),
        pytest.param(
            document("", dtype="uint32"),
            r"channel 'HALO', input: Input should be 'uint8'",
            id="unknown-dtype",
        ),
        pytest.param(
            document('{"kind": "clip", "low": 1783, "high": 11525}', dtype="uint8"),
            r"channel 'HALO', step 1 \(clip\) leaves one single value",
            id="dead-channel",
        ),
        pytest.param(
            document('{"kind": "log1p"}', dtype="int16"),
            r"channel 'HALO', step 1 \(log1p\) may meet values at or below -1",
            id="log-of-negative",
        ),
        pytest.param(
            b'{"format": "normgate.spec/2", "channels": []}',
            r"format: Input should be 'normgate.spec/1'",
            id="other-version",
        ),
        pytest.param(b'{"channels": []}', "it has no 'format'", id="no-version"),
        pytest.param(
            b'{"format": "normgate.spec/1", "channels": [], "channels": []}',
            "key 'channels' stands more than once",
            id="repeated-key",
        ),
        pytest.param(b"[" * 100_000, "not valid JSON for normgate", id="too-deep"),
        pytest.param(b'{"a": ' * 20 + b"1" + b"}" * 20, "nested deeper", id="nested"),
        pytest.param(b"\xff\xfe", "not valid JSON for normgate", id="not-text"),
        pytest.param(
            b'{"format": "normgate.spec/1", "version": 1e999999999}',
            "channels: Field required",
            id="a-short-text-of-a-long-integer",
        ),
        pytest.param(
            b'{"format": "normgate.spec/1", "version": Infinity}',
            "channels: Field required",
            id="an-infinite-count",
        ),
        pytest.param(
            b"{" + b"".join(b'"%d": 1,' % n for n in range(100_000)) + b'"99999": 1}',
            "key '99999' stands more than once",
            id="many-keys",
        ),
    ],
)
def test_a_bad_spec_is_refused_with_its_place(data: bytes, sentence: str) -> None:
    with pytest.raises(SpecError, match=sentence) as caught:
        parse_spec(data, "spec.json")
    assert str(caught.value).startswith("spec.json: ")
    assert "\n" not in str(caught.value)


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"nothing\.json: can't be read \(No such file"):
        read_spec(tmp_path / "nothing.json")


@pytest.mark.parametrize(
    "name", sorted(path.stem for path in (ROOT / "contracts").glob("*.json"))
)
def test_every_contract_in_the_project_is_valid(name: str) -> None:
    path = ROOT / "contracts" / f"{name}.json"
    contract = read_contract(path)
    assert contract.name == name
    assert to_json(contract) == path.read_bytes()


def test_a_contract_whose_digest_is_not_its_steps_is_refused() -> None:
    data = (ROOT / "contracts" / "plate_3ch.json").read_bytes()
    altered = data.replace(b'"high": 9016', b'"high": 9017')
    with pytest.raises(ContractError, match="channel 'RFP1': digest 1f6077"):
        parse_contract(altered, "plate_3ch.json")


def test_provenance_round_trips() -> None:
    provenance = Provenance(source="plates.csv", source_digest="0" * 64, estimator="x")
    assert parse_provenance(to_json(provenance)) == provenance


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "spec.json"
    write_atomic(path, b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["spec.json"]


def test_numbers_are_written_as_json_numbers() -> None:
    spec = read_spec(ROOT / "contracts" / "specs" / "plate_3ch.json")
    steps = json.loads(to_json(spec))["channels"][0]["steps"]
    assert steps[2] == {"kind": "standardize", "mean": 0.485, "std": 0.229}
