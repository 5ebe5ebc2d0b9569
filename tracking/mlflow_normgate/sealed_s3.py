"""MLflow's S3 artifact store under the seal: `normgate+s3://bucket/folder`.

Every way to change an object asks `seal` first; an upload in parts asks again when it
is completed, because its model may have become READY in between. Addresses to upload to
past the server are handed out for no logged model.
"""

from __future__ import annotations

import posixpath
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow.store.artifact.s3_artifact_repo import S3ArtifactRepository

from mlflow_normgate.reserved import invalid
from mlflow_normgate.seal import (
    SCHEME,
    models_in,
    refuse_deleting,
    refuse_handing_out,
    refuse_writing,
)
from mlflow_normgate.sealed_local import files_below

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow.entities.multipart_upload import (
        CreateMultipartUploadResponse,
        MultipartUploadPart,
    )
    from mlflow.entities.presigned_upload import CreatePresignedUploadResponse

TRACE = "traces.pb"


class SealedS3ArtifactRepository(S3ArtifactRepository):
    """Objects of which those of sealed models stay as they are.

    Args:
        artifact_uri: `normgate+s3://bucket/folder`.
        tracking_uri: MLflow's.
        registry_uri: MLflow's.
    """

    def __init__(
        self,
        artifact_uri: str,
        tracking_uri: str | None = None,
        registry_uri: str | None = None,
    ) -> None:
        super().__init__(
            artifact_uri.removeprefix(SCHEME),
            tracking_uri=tracking_uri,
            registry_uri=registry_uri,
        )
        if find_spec("boto3") is None:
            raise invalid(
                "Artifacts in S3 need the Python package boto3, which this server has "
                "not. Install normgate[s3] there and start it again."
            )

    def log_artifact(
        self, local_file: str | Path, artifact_path: str | None = None
    ) -> None:
        """Store one file, unless its model is sealed."""
        self._ask(artifact_path, Path(local_file).name)
        super().log_artifact(local_file, artifact_path)

    def log_artifacts(
        self, local_dir: str | Path, artifact_path: str | None = None
    ) -> None:
        """Store a folder, unless a model that it would write to is sealed."""
        names = ("", *files_below(Path(local_dir)))
        keys = (self._key(artifact_path, name) for name in names)
        refuse_writing(models_in(*keys))
        super().log_artifacts(local_dir, artifact_path)

    def upload_archived_trace_data_bytes(self, data: bytes) -> None:
        """Store an archived trace, which has a name of its own."""
        self._ask(TRACE)
        super().upload_archived_trace_data_bytes(data)

    def delete_artifacts(self, artifact_path: str | None = None) -> None:
        """Delete an object or all below it, unless a model among them is sealed."""
        key = self._key(artifact_path)
        refuse_deleting(models_in(key, *self._keys_below(key)))
        super().delete_artifacts(artifact_path)

    def create_multipart_upload(
        self, local_file: str, num_parts: int = 1, artifact_path: str | None = None
    ) -> CreateMultipartUploadResponse:
        """Begin an upload in parts, unless its model is sealed."""
        self._ask(artifact_path, posixpath.basename(local_file))
        return super().create_multipart_upload(local_file, num_parts, artifact_path)

    def complete_multipart_upload(
        self,
        local_file: str,
        upload_id: str,
        parts: list[MultipartUploadPart] | None = None,
        artifact_path: str | None = None,
    ) -> None:
        """Complete an upload in parts, unless its model was sealed in between."""
        self._ask(artifact_path, posixpath.basename(local_file))
        super().complete_multipart_upload(local_file, upload_id, parts, artifact_path)

    def create_presigned_upload_url(
        self, artifact_path: str, expiration: int = 900
    ) -> CreatePresignedUploadResponse:
        """Give an address to upload to, for what belongs to no logged model."""
        refuse_handing_out(models_in(self._key(artifact_path)))
        return super().create_presigned_upload_url(artifact_path, expiration)

    def _ask(self, *parts: str | None) -> None:
        refuse_writing(models_in(self._key(*parts)))

    def _key(self, *parts: str | None) -> str:
        _, root = self.parse_s3_compliant_uri(self.artifact_uri)
        return posixpath.join(root, *filter(None, parts))

    def _keys_below(self, key: str) -> Iterator[str]:
        """The keys that deleting a key would delete: its own, and those below it."""
        bucket, _ = self.parse_s3_compliant_uri(self.artifact_uri)
        prefix = key.rstrip("/")
        pages = self._get_s3_client().get_paginator("list_objects_v2")
        for page in pages.paginate(
            Bucket=bucket, Prefix=prefix, **self._bucket_owner_params
        ):
            names = (found["Key"] for found in page.get("Contents", []))
            below = f"{prefix}/" if prefix else ""
            yield from (n for n in names if n == prefix or n.startswith(below))
