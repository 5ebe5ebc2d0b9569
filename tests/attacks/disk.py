"""Files exchanged on the disk, where no server is asked."""

from __future__ import annotations

import importlib.util
import marshal
import os
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.attacks.artifacts import EVIL, WEIGHTS
from tests.attacks.catalog import DISK, SQLITE, STORE_KEY, Layer, Stage, attack
from tests.attacks.scene import told
from tests.tracking.bundle_files import (
    WRONG,
    Logged,
    write_bundle,
)

from mlflow_normgate.evidence import served_digest
from mlflow_normgate.registry import resolve
from normgate.errors import DigestMismatch

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.attacks.scene import Scene


def champion(scene: Scene, name: str) -> tuple[Logged, Path]:
    """A champion of its own, and the folder of its files."""
    scene.model(name)
    logged = scene.log()
    scene.client.set_registered_model_alias(
        name, "champion", scene.register(name, logged)
    )
    return logged, scene.stored(logged.location)


def on_disk(
    title: str,
    slug: str,
    *,
    holds: str = STORE_KEY,
    on: Stage = Stage.EMBEDDED,
) -> Callable[[Callable[[Path], None]], Callable[[Path], None]]:
    """Put an attack on the list that changes a champion's files."""

    def put_on(change: Callable[[Path], None]) -> Callable[[Path], None]:
        @attack(title, Layer.READ_SIDE, holds=holds, on=on, databases=SQLITE, slug=slug)
        def deed(scene: Scene, name: str) -> str:
            _, root = champion(scene, name)
            change(root)
            store = scene.client._get_registry_client().store
            fetch = told(lambda: store.get_model_version_download_uri(name, "1"))
            said = told(lambda: store.get_model_version_by_alias(name, "champion"))
            assert said == fetch
            return said

        return change

    return put_on


@on_disk("Exchange the weights after the promotion", "disk-weights")
def _(root: Path) -> None:
    (root / WEIGHTS).write_bytes(EVIL)


@on_disk("The same, behind a running server", "disk-behind-a-server", on=Stage.SERVED)
def _(root: Path) -> None:
    (root / WEIGHTS).write_bytes(EVIL)


@on_disk("Exchange weights, spec, card and manifest by those of another bundle", "all")
def _(root: Path) -> None:
    other = write_bundle(root.parent / "other", WRONG)
    shutil.rmtree(root / "artifacts" / "bundle")
    other.rename(root / "artifacts" / "bundle")


@on_disk("Add a file beside the bundle", "disk-added")
def _(root: Path) -> None:
    (root / "artifacts" / "model.bin").write_bytes(EVIL)


@on_disk("Add a file at the root, as `conda.yaml` with other packages", "disk-conda")
def _(root: Path) -> None:
    (root / "conda.yaml").write_text("dependencies: [evil]\n")


@on_disk("Rewrite `MLmodel`, so that MLflow loads it by other code", "disk-mlmodel")
def _(root: Path) -> None:
    (root / "MLmodel").write_text("flavors: {python_function: {loader_module: os}}\n")


@on_disk("Remove a file", "disk-removed")
def _(root: Path) -> None:
    (root / "artifacts" / "bundle" / "card.json").unlink()


@on_disk("Put a folder in the place of a file", "disk-folder")
def _(root: Path) -> None:
    (root / WEIGHTS).unlink()
    (root / WEIGHTS).mkdir()
    (root / WEIGHTS / "weights").write_bytes(EVIL)


@on_disk("Put a link to the same bytes in the place of a file", "disk-link")
def _(root: Path) -> None:
    copied = root.parent / "weights-outside"
    (root / WEIGHTS).rename(copied)
    (root / WEIGHTS).symlink_to(copied)


@on_disk("Put a link in the place of a folder", "disk-linked-folder")
def _(root: Path) -> None:
    outside = root.parent / "members-outside"
    (root / WEIGHTS).parent.rename(outside)
    (root / WEIGHTS).parent.symlink_to(outside)


@on_disk("Put a hard link in the place of a file, and change its other name", "hard")
def _(root: Path) -> None:
    outside = root.parent / "hard-link"
    os.link(root / WEIGHTS, outside)
    data = bytearray(outside.read_bytes())
    data[-1] ^= 1
    outside.write_bytes(bytes(data))


@on_disk("Put a pipe in the place of a file, for the server to wait for ever", "pipe")
def _(root: Path) -> None:
    (root / WEIGHTS).unlink()
    os.mkfifo(root / WEIGHTS)


@on_disk("Link the whole folder to one elsewhere with other weights", "disk-root")
def _(root: Path) -> None:
    outside = root.parent / "root-outside"
    root.rename(outside)
    root.symlink_to(outside)
    (outside / WEIGHTS).write_bytes(EVIL)


@on_disk("Hide code in a folder called `registered_model_meta`", "disk-hidden-folder")
def _(root: Path) -> None:
    (root / "registered_model_meta").mkdir()
    (root / "registered_model_meta" / "evil.py").write_bytes(EVIL)


@on_disk(
    "Leave a compiled `scoring.py` in `__pycache__`, which Python runs in its place "
    "whatever the source says",
    "disk-compiled",
)
def _(root: Path) -> None:
    cached = Path(importlib.util.cache_from_source(str(root / "scoring.py")))
    cached.parent.mkdir()
    # PEP 552: flags 1 is a file whose source is never checked.
    code = compile("EVIL = True", "scoring.py", "exec")
    head = importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little") + b"\0" * 8
    cached.write_bytes(head + marshal.dumps(code))


@attack(
    "Exchange a byte, then set the file's size and times back to what the server "
    "remembers",
    Layer.READ_SIDE,
    holds=STORE_KEY,
    on=Stage.EMBEDDED,
    databases=SQLITE,
)
def times_set_back(scene: Scene, name: str) -> str:
    _, root = champion(scene, name)
    time.sleep(2.1)  # Only now does the server remember anything of young files.
    scene.served(name, "champion")
    path = root / WEIGHTS
    before, data = path.stat(), bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    return told(lambda: scene.served(name, "champion"))


@attack(
    "Exchange whole folders to and fro while the server reads, for it to remember a "
    "good digest for a bad file",
    Layer.READ_SIDE,
    holds=STORE_KEY,
    on=Stage.EMBEDDED,
    databases=SQLITE,
)
def exchanged_to_and_fro(scene: Scene, name: str) -> str:
    logged, root = champion(scene, name)
    members = (root / WEIGHTS).parent
    good, bad = root.parent / "members-good", root.parent / "members-bad"
    shutil.copytree(members, bad)
    data = bytearray((bad / "00.safetensors").read_bytes())
    data[-1] ^= 1
    (bad / "00.safetensors").write_bytes(bytes(data))
    time.sleep(2.1)  # Only now would the server remember anything of young files.
    ended = threading.Event()

    def exchange() -> None:
        while not ended.is_set():
            members.rename(good)
            bad.rename(members)
            time.sleep(0.001)
            members.rename(bad)
            good.rename(members)
            time.sleep(0.001)

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(exchange)
        for _ in range(100):
            served_digest(logged.location)
        ended.set()
        done.result()
    members.rename(good)
    bad.rename(members)
    return told(lambda: scene.served(name, "champion"))


@attack(
    "Exchange the files between registration and promotion",
    Layer.RULES,
    holds=STORE_KEY,
    on=Stage.EMBEDDED,
    databases=SQLITE,
)
def exchanged_before_promotion(scene: Scene, name: str) -> str:
    scene.model(name)
    logged = scene.log()
    version = scene.register(name, logged)
    (scene.stored(logged.location) / "notes.txt").write_bytes(EVIL)
    return scene.refusal(name, version)


@attack(
    "Exchange the files of a model that was fetched before, for a deployment to use",
    Layer.CONSUMER,
    holds=f"{DISK} of the machine that deploys",
    on=Stage.EMBEDDED,
    databases=SQLITE,
)
def exchanged_after_fetching(scene: Scene, name: str) -> str:
    champion(scene, name)
    kept = scene.folder / "kept"
    bundle = resolve(f"models:/{name}@champion", kept).bundle
    (bundle / "card.json").write_text("{}")
    with pytest.raises(DigestMismatch) as caught:
        resolve(f"models:/{name}@champion", kept)
    return str(caught.value)
