"""Bundles and manifests made to deceive the gate, to break it, or to cost it much."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

from tests.attacks.catalog import BOTH, SQLITE, TRAINER, Layer, Stage, attack
from tests.tracking.bundle_files import (
    CONTRACT,
    WRONG,
    close,
    log_folder,
    write_bundle,
    write_card,
)

from normgate.contract import to_json

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.attacks.scene import Scene

MOST_S = 20.0
"""Seconds of this process that the gate may take for any of them."""


def bundle(
    title: str,
    slug: str,
    *,
    closed: bool = True,
    databases: tuple[str, ...] = SQLITE,
) -> Callable[[Callable[[Path], None]], None]:
    """Put a changed bundle on the list.

    Args:
        title: What is done.
        slug: Its name.
        closed: Whether the manifest is written anew over what was changed.
        databases: Where it is tried; on both where names are no plain text.
    """

    def put(change: Callable[[Path], None]) -> None:
        @attack(
            title,
            Layer.RULES,
            holds=TRAINER,
            on=Stage.EMBEDDED,
            databases=databases,
            slug=f"bundle-{slug}",
        )
        def deed(scene: Scene, name: str) -> str:
            folder = write_bundle(scene.folder / name)
            change(folder)
            if closed:
                close(folder)
            scene.model(name, CONTRACT)
            began = time.process_time()
            version = scene.register(name, log_folder(scene.client, folder))
            said = scene.refusal(name, version)
            assert time.process_time() - began < MOST_S
            assert said.isprintable()
            assert len(said) < 5000
            return said

    return put


def card(
    title: str, slug: str, databases: tuple[str, ...] = SQLITE, **changes: Any
) -> None:
    """Put a bundle with another card on the list."""

    @bundle(title, slug, databases=databases)
    def _(folder: Path) -> None:
        write_card(folder, **changes)


def raw(title: str, slug: str, file: str, text: str | bytes) -> None:
    """Put a bundle on the list in which one file is something else."""

    @bundle(title, slug)
    def _(folder: Path) -> None:
        data = text.encode() if isinstance(text, str) else text
        (folder / file).write_bytes(data)


def replaced(
    title: str, slug: str, old: str, new: str, file: str = "spec.json"
) -> None:
    """Put a bundle on the list in which a piece of text is another."""

    @bundle(title, slug)
    def _(folder: Path) -> None:
        text = (folder / file).read_text()
        assert old in text
        (folder / file).write_text(text.replace(old, new, 1))


def manifest(
    title: str, slug: str, files: dict[str, str], databases: tuple[str, ...] = SQLITE
) -> None:
    """Put a bundle on the list whose manifest lists more files."""

    @bundle(title, slug, closed=False, databases=databases)
    def _(folder: Path) -> None:
        found = json.loads((folder / "manifest.json").read_text())
        found["files"] |= files
        (folder / "manifest.json").write_text(json.dumps(found))


def header(title: str, slug: str, change: Callable[[bytes], bytes]) -> None:
    """Put a bundle on the list whose first weights have another header."""

    @bundle(title, slug)
    def _(folder: Path) -> None:
        path = folder / "members" / "00.safetensors"
        data = path.read_bytes()
        length = int.from_bytes(data[:8], "little")
        new = change(data[8 : 8 + length])
        path.write_bytes(len(new).to_bytes(8, "little") + new + data[8 + length :])


# Put together from several trainings.


@bundle("Put another run's spec beside the weights", "spec-of-another")
def _(folder: Path) -> None:
    (folder / "spec.json").write_bytes(to_json(WRONG))


@bundle("Put the right spec beside weights of another training", "weights-of-another")
def _(folder: Path) -> None:
    other = write_bundle(folder.parent / f"{folder.name}-other", WRONG)
    for path in (other / "members").iterdir():
        path.rename(folder / "members" / path.name)


@bundle("Mix members of two trainings", "one-member-of-another")
def _(folder: Path) -> None:
    other = write_bundle(folder.parent / f"{folder.name}-other", WRONG)
    (other / "members" / "01.safetensors").rename(folder / "members" / "01.safetensors")


header(
    "Copy the spec's digest into the weights, but not the applied fingerprint",
    "digest-copied",
    lambda head: head.replace(b'"applied_fingerprint"', b'"applied_fingerprinX"'),
)
header(
    "Copy the applied fingerprint into the weights, but not the spec's digest",
    "fingerprint-copied",
    lambda head: head.replace(b'"spec_digest"', b'"spec_digesX"'),
)
header(
    "Give the weights' metadata twice, for each reader to take another",
    "metadata-twice",
    lambda head: b'{"__metadata__":{"spec_digest":"0"},' + head[1:],
)


@bundle("Claim a header longer than the weights file", "header-long")
def _(folder: Path) -> None:
    path = folder / "members" / "00.safetensors"
    path.write_bytes(b"\xff" * 7 + b"\x7f" + path.read_bytes()[8:])


@bundle("Hold 1,000 empty weights files", "many-members")
def _(folder: Path) -> None:
    for number in range(1000):
        (folder / "members" / f"{number:04d}.safetensors").touch()


@bundle("Leave out the weights", "no-weights")
def _(folder: Path) -> None:
    for path in (folder / "members").iterdir():
        path.unlink()


# The manifest.


@bundle("Alter a file after the bundle was closed", "altered", closed=False)
def _(folder: Path) -> None:
    write_card(folder, metrics={"test_auroc": 0.99})


@bundle("Add a file that the manifest does not list", "extra", closed=False)
def _(folder: Path) -> None:
    (folder / "pretrained.bin").write_bytes(b"other weights")


@bundle("Leave out the manifest", "no-manifest", closed=False)
def _(folder: Path) -> None:
    (folder / "manifest.json").unlink()


manifest(
    "List files outside: `../../MLmodel`, `/etc/passwd`, `..\\x`, `a//b`, `.`",
    "traversal",
    dict.fromkeys(("../../MLmodel", "/etc/passwd", "..\\x", "a//b", "."), "0" * 64),
)
manifest("List the manifest itself", "itself", {"manifest.json": "0" * 64})
manifest(
    "List names that lie: line breaks, right-to-left, without width, zero bytes, half "
    "letters",
    "lying-names",
    dict.fromkeys(
        (
            "a\n\nPromotion allowed.",
            "\u202egpj.x",
            "spec\u200b.json",
            "x\x00",
            "\ud800",
        ),
        "0" * 64,
    ),
    BOTH,
)
manifest("List a name of a million letters", "long-name", {"x" * 10**6: "0" * 64})
manifest(
    "List 40,000 files that are not there",
    "many-listed",
    {f"x{number}": "0" for number in range(40_000)},
)


@bundle("List its files twice, with other digests", "manifest-twice", closed=False)
def _(folder: Path) -> None:
    text = (folder / "manifest.json").read_text()
    (folder / "manifest.json").write_text('{"files": {},' + text[1:])


@bundle("A pickle in the bundle, listed like all else", "pickle")
def _(folder: Path) -> None:
    (folder / "members" / "head.pkl").write_bytes(b"cos\nsystem\n(S'id'\ntR.")


@bundle("A file whose name is no text", "name-of-bytes", databases=BOTH)
def _(folder: Path) -> None:
    name = os.fsdecode(b"\xff\xfe.pkl")
    (folder / name).write_bytes(b"")
