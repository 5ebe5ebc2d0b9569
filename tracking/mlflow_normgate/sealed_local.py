"""MLflow's local artifact store under the seal: `normgate+file:///folder`.

Every way to change a file asks `seal` first. A streamed upload asks twice, before the
first byte and before the file takes its place, because the model may have become READY
in between.
"""

from __future__ import annotations

import asyncio
import os
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository
from mlflow.utils.file_utils import local_file_uri_to_path
from mlflow.utils.uri import validate_path_within_directory

from mlflow_normgate.reserved import invalid
from mlflow_normgate.seal import (
    SCHEME,
    models_in,
    refuse_deleting,
    refuse_writing,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable, Iterator
    from typing import BinaryIO


class SealedLocalArtifactRepository(LocalArtifactRepository):
    """A folder in which the files of sealed models stay as they are.

    Args:
        artifact_uri: `normgate+file:///folder`.
        tracking_uri: MLflow's.
        registry_uri: MLflow's.
    """

    def __init__(
        self,
        artifact_uri: str,
        tracking_uri: str | None = None,
        registry_uri: str | None = None,
    ) -> None:
        plain = artifact_uri.removeprefix(SCHEME)
        super().__init__(plain, tracking_uri, registry_uri)

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
        places = (self._places(artifact_path, name) for name in names)
        refuse_writing(models_in(*chain.from_iterable(places)))
        super().log_artifacts(local_dir, artifact_path)

    def log_artifact_from_stream(
        self,
        stream: BinaryIO,
        artifact_file_name: str,
        artifact_path: str | None = None,
    ) -> None:
        """Store what a request's body holds, unless its model is sealed."""
        self._ask(artifact_path, artifact_file_name)
        super().log_artifact_from_stream(stream, artifact_file_name, artifact_path)

    async def log_artifact_from_async_stream(
        self,
        chunks: AsyncIterable[bytes],
        artifact_file_name: str,
        artifact_path: str | None = None,
    ) -> None:
        """Store what a request's body holds, unless its model is sealed."""
        await asyncio.to_thread(self._ask, artifact_path, artifact_file_name)
        await super().log_artifact_from_async_stream(
            chunks, artifact_file_name, artifact_path
        )

    def delete_artifacts(self, artifact_path: str | None = None) -> None:
        """Delete a file or folder, unless a model in or below it is sealed."""
        places = self._places(artifact_path)
        for place in places:
            validate_path_within_directory(self.artifact_dir, place)
        inside = chain.from_iterable(_models_below(place) for place in places)
        refuse_deleting(models_in(*places, *inside))
        super().delete_artifacts(artifact_path)

    def _publish_staged_artifact(
        self,
        temp_file_path: str,
        destination_file_path: str,
        finalize_temp_path: Callable[[str], None] | None = None,
    ) -> None:
        self._ask(destination_file_path)
        super()._publish_staged_artifact(
            temp_file_path, destination_file_path, finalize_temp_path
        )

    def _ask(self, *parts: str | None) -> None:
        places = self._places(*parts)
        refuse_writing(models_in(*places))
        if Path(places[0]).is_dir():
            raise invalid("A folder has that path. Store the file under another one.")

    def _places(self, *parts: str | None) -> list[str]:
        """Where a path leads: as it is, decoded as MLflow deletes, links followed."""
        plain = str(Path(self.artifact_dir, *filter(None, parts)))
        spellings = {plain, local_file_uri_to_path(plain)}
        if any("\0" in one for one in spellings):
            raise invalid("A zero byte stands in the path. Send it without.")
        return [*spellings, *(str(Path(one).resolve()) for one in spellings)]


def files_below(folder: Path) -> Iterator[str]:
    """The files below a folder, as paths inside it."""
    for here, _, names in os.walk(folder):
        for name in names:
            yield str((Path(here) / name).relative_to(folder))


def _models_below(place: str) -> Iterator[str]:
    """The folders of logged models below a folder; what is inside is not looked at."""
    for here, folders, _ in os.walk(place):
        models = [name for name in folders if models_in(f"{here}/{name}")]
        yield from (f"{here}/{name}" for name in models)
        folders[:] = [name for name in folders if name not in models]
