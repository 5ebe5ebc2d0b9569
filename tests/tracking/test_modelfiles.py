from __future__ import annotations

import os
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from mlflow.store.artifact import artifact_repository_registry

from mlflow_normgate import modelfiles, places
from mlflow_normgate.modelfiles import (
    DESTINATION,
    HEAD_BYTES,
    MODELS_AT_ONCE,
    ROOT,
    Busy,
    KnownDigests,
    directory_digest,
    directory_digest_of,
    misplaced,
    model_files,
)
from normgate.errors import TrackingError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.objectstore import ObjectStore

MODEL = "1/models/m-0/artifacts"
ROOTS = ("file:///served", "mlflow-artifacts://own:5000/")
STORES = ("/store", "s3://bucket", "normgate+s3://bucket", "normgate+file:///store")
PROXY, LOCAL = ROOTS[1], ROOTS[0]
OPEN, SEALED = STORES[0], STORES[2]


@pytest.mark.parametrize(
    ("root", "store", "location", "trusted"),
    [
        pytest.param(PROXY, SEALED, f"mlflow-artifacts:/{MODEL}", True, id="proxied"),
        pytest.param(PROXY, SEALED, f"http://own:5000/{MODEL}", True, id="own-host"),
        pytest.param(PROXY, SEALED, f"http://other/{MODEL}", False, id="other-host"),
        pytest.param(
            PROXY, OPEN, f"mlflow-artifacts://other/{MODEL}", False, id="other-proxy"
        ),
        pytest.param(
            PROXY, SEALED, f"s3://bucket/{MODEL}", False, id="around-the-seal"
        ),
        pytest.param(PROXY, OPEN, f"s3://bucket/{MODEL}", True, id="no-seal"),
        pytest.param(LOCAL, OPEN, f"file:///served/{MODEL}", True, id="in-the-root"),
        pytest.param(PROXY, OPEN, f"/store/{MODEL}", True, id="in-the-store"),
        pytest.param(LOCAL, OPEN, f"file:///elsewhere/{MODEL}", False, id="elsewhere"),
        pytest.param(
            LOCAL, OPEN, f"file:///served/../elsewhere/{MODEL}", False, id="upwards"
        ),
    ],
)
def test_a_server_answers_only_for_its_own_store(
    monkeypatch: pytest.MonkeyPatch,
    root: str,
    store: str,
    location: str,
    trusted: bool,
) -> None:
    assert misplaced(location) is None
    monkeypatch.setenv(ROOT, root)
    monkeypatch.setenv(DESTINATION, store)
    assert (misplaced(location) is None) == trusted


def test_of_a_file_only_what_is_looked_into_is_kept(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"\x02" + b"\x00" * 7 + b"{}" + b"x" * 99)
    (tmp_path / "b.safetensors").write_bytes(b"\xff" * (HEAD_BYTES + 9))
    (tmp_path / "c.json").write_bytes(b"{}")
    (tmp_path / "d.bin").write_bytes(b"{}")
    heads = {path: len(file.head) for path, file in model_files(str(tmp_path)).items()}
    assert heads == {
        "a.safetensors": 10,
        "b.safetensors": HEAD_BYTES,
        "c.json": 2,
        "d.bin": 0,
    }


def test_what_is_kept_of_all_files_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(modelfiles, "ALL_HEADS_BYTES", 10)
    (tmp_path / "a.json").write_bytes(b"x" * 10)
    model_files(str(tmp_path))
    (tmp_path / "b.json").write_bytes(b"x")
    with pytest.raises(TrackingError, match="larger than 10 bytes together"):
        model_files(str(tmp_path))


def test_too_many_files_are_not_even_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "MAX_FILES", 3)
    for number in range(4):
        (tmp_path / str(number)).write_bytes(b"")
    with pytest.raises(TrackingError, match="more than 3 files"):
        model_files(str(tmp_path))


def test_a_folder_that_cannot_be_listed_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    (tmp_path / "file").write_bytes(b"")
    scandir = os.scandir

    def refused(path: str) -> object:
        if str(path) == str(inner):
            raise PermissionError(13, "Permission denied", str(inner))
        return scandir(path)

    monkeypatch.setattr("os.scandir", refused)
    with pytest.raises(TrackingError, match="Permission denied"):
        model_files(str(tmp_path))


def test_whatever_a_store_raises_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def __init__(self, *_: object, **__: object) -> None:
            raise ModuleNotFoundError("No module named 'google'")

    registry = artifact_repository_registry._artifact_repository_registry
    monkeypatch.setitem(registry._registry, "gs", Broken)
    with pytest.raises(TrackingError, match="No module named 'google'"):
        model_files(f"gs://bucket/{MODEL}")


def digest_of(folder: Path | str) -> str:
    return directory_digest_of(str(folder), trusted_cache=True)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are opened from now on; every file has a mark."""
    names: list[str] = []
    local, remote = places._open_local, places._open_object

    def open_local(path: Path, listed: object) -> places.Readable:
        names.append(path.name)
        return local(path, listed)

    def open_object(client: object, listed: str, **what: str) -> places.Readable:
        names.append(what["Key"].rsplit("/", 1)[-1])
        return remote(client, listed, **what)

    monkeypatch.setattr(places, "_open_local", open_local)
    monkeypatch.setattr(places, "_open_object", open_object)
    monkeypatch.setattr(places, "SETTLED_S", -60.0)
    return names


def test_what_did_not_change_is_not_read_again(
    tmp_path: Path, opened: list[str]
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    first = digest_of(tmp_path)
    assert first == directory_digest(model_files(str(tmp_path)))
    opened.clear()
    assert digest_of(tmp_path) == first
    assert opened == []
    assert directory_digest_of(str(tmp_path), trusted_cache=False) == first
    assert sorted(opened) == ["a", "b"]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda file: file.write_text("2"), id="written"),
        pytest.param(
            lambda file: (file.write_text("2"), os.utime(file, ns=(1, 1))), id="dated"
        ),
        pytest.param(
            lambda file: (file.unlink(), file.write_text("2"), os.utime(file, (1, 1))),
            id="replaced",
        ),
        pytest.param(
            lambda file: (
                file.with_name("new").write_text("2"),
                os.utime(file.with_name("new"), ns=(1, 1)),
                file.with_name("new").replace(file),
            ),
            id="renamed-over",
        ),
        pytest.param(lambda file: file.rename(file.with_name("c")), id="renamed"),
        pytest.param(lambda file: file.with_name("c").write_text("1"), id="added"),
        pytest.param(lambda file: file.unlink(), id="removed"),
    ],
)
def test_a_change_is_seen_whatever_times_are_set(
    tmp_path: Path, opened: list[str], change: Callable[[Path], object]
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text("1")
        os.utime(tmp_path / name, ns=(1, 1))
    first = digest_of(tmp_path)
    time.sleep(0.02)  # The clock of a file system ticks a few times in this.
    change(tmp_path / "a")
    assert digest_of(tmp_path) != first
    assert digest_of(tmp_path) == directory_digest(model_files(str(tmp_path)))


def test_no_bytes_are_taken_for_those_of_another_file(tmp_path: Path) -> None:
    # A folder that is renamed leaves the marks of the files in it as they are.
    for name in ("model", "good"):
        (tmp_path / name / "members").mkdir(parents=True)
        (tmp_path / name / "members" / "00").write_text(name)
    with places.stored_files(str(tmp_path / "model")) as listed:
        (tmp_path / "model").rename(tmp_path / "bad")
        (tmp_path / "good").rename(tmp_path / "model")
        with pytest.raises(TrackingError, match="00 was exchanged while"):
            listed[0].open()


def test_a_young_file_is_read_every_time(tmp_path: Path) -> None:
    """Its times may not have ticked when it changes again."""
    file, digests = tmp_path / "a", set()
    for number in range(100):
        file.write_text(f"{number:03d}")
        digests.add(digest_of(tmp_path))
    assert len(digests) == 100


def test_models_are_read_in_turns_and_who_waits_too_long_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.bin").write_bytes(b"x")
    monkeypatch.setattr(places, "SETTLED_S", -60.0)
    known = digest_of(tmp_path)
    monkeypatch.setattr(modelfiles, "PATIENCE_S", 0.01)
    with ExitStack() as others:
        for _ in range(MODELS_AT_ONCE):
            others.enter_context(modelfiles._turn())
        with pytest.raises(Busy, match="nothing was decided") as caught:
            model_files(str(tmp_path))
        assert caught.value.get_http_status_code() == 403
        assert digest_of(tmp_path) == known  # Of files that were read before.
    assert directory_digest(model_files(str(tmp_path))) == known


def test_only_so_many_digests_are_known_and_the_used_ones_stay() -> None:
    known = KnownDigests(2)
    known.put("a", "1")
    known.put("b", "2")
    assert known.get("a") == "1"
    known.put("c", "3")
    known.put(None, "4")
    assert [known.get(mark) for mark in ("a", "b", "c", None)] == ["1", None, "3", None]


def test_many_threads_may_ask_at_once() -> None:
    known = KnownDigests(8)

    def use(number: int) -> bool:
        known.put(number % 16, str(number % 16))
        return known.get(number % 16) in {None, str(number % 16)}

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(use, range(5000)))


@dataclass(frozen=True)
class Stored:
    """A model in S3, and the same on disk."""

    store: ObjectStore
    bucket: str
    folder: Path

    @property
    def location(self) -> str:
        return f"s3://{self.bucket}/prefix/{MODEL}"

    def put(self, name: str, data: bytes) -> None:
        if not name.endswith("/"):
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_bytes(data)
        self.put_beside(f"prefix/{MODEL}/{name}", data)

    def put_beside(self, key: str, data: bytes) -> None:
        self.store.client.put_object(Bucket=self.bucket, Key=key, Body=data)


@pytest.fixture
def s3(
    object_store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Stored:
    for name, value in object_store.environment.items():
        monkeypatch.setenv(name, value)
    found = Stored(object_store, object_store.bucket(), tmp_path / "same")
    found.put("MLmodel", b"a: b")
    found.put("artifacts/bundle/card.json", b"{}")
    found.put("artifacts/bundle/members/00.safetensors", b"\x02" + b"\0" * 7 + b"{}xx")
    return found


def test_a_model_in_s3_is_read_as_the_same_on_disk(s3: Stored) -> None:
    s3.put_beside(f"prefix/{MODEL}2/x", b"of a neighbour")
    s3.put_beside(f"prefix/{MODEL}/registered_model_meta", b"left by a download")
    assert model_files(s3.location) == model_files(str(s3.folder))
    assert model_files(f"normgate+{s3.location}/") == model_files(str(s3.folder))


def test_an_absent_model_in_s3_is_told(s3: Stored) -> None:
    with pytest.raises(TrackingError, match="has no files"):
        model_files(f"{s3.location}/nowhere")
    with pytest.raises(TrackingError, match="NoSuchBucket"):
        model_files("s3://no-such-bucket/x")


def test_in_s3_what_did_not_change_is_not_read_again(
    s3: Stored, opened: list[str]
) -> None:
    first = digest_of(s3.location)
    assert len(opened) == 3
    opened.clear()
    assert digest_of(s3.location) == first
    assert opened == []
    s3.put("MLmodel", b"a: c")
    assert digest_of(s3.location) == digest_of(s3.folder) != first
    assert opened.count("card.json") == 1, "on disk alone"


def test_no_object_is_taken_for_another(s3: Stored) -> None:
    with places.stored_files(s3.location) as listed:
        s3.put("MLmodel", b"exchanged")
        with pytest.raises(TrackingError, match="MLmodel was exchanged while"):
            next(one for one in listed if one.path == "MLmodel").open()


def test_an_object_is_hashed_while_it_comes(s3: Stored) -> None:
    size = 48 * 1024**2
    s3.put("weights.bin", os.urandom(size))
    expected = model_files(str(s3.folder))
    tracemalloc.start()
    try:
        found = model_files(s3.location)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found == expected
    assert peak < size / 2


def test_too_much_in_s3_is_refused_before_it_is_read(
    s3: Stored, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "MAX_TOTAL_BYTES", 5)
    with pytest.raises(TrackingError, match="more than 10000 files or 5 bytes"):
        model_files(s3.location)
    assert opened == []
