"""A deployment: promoted models over the sites of a plate CSV, in one pass.

Shards are predicted by `predicting` and written here, whole; a rerun skips them. Which
models, and that they may be used at all, is the caller's and `models`' work.
"""

from __future__ import annotations

import logging
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from normgate.deploy.job import file_sha256, locked, open_job
from normgate.deploy.predicting import Here
from normgate.deploy.progress import Progress
from normgate.deploy.quarantine import (
    Quarantined,
    failed_sites,
    read_quarantine,
    write_quarantine,
)
from normgate.deploy.report import Report
from normgate.deploy.shards import count_rows, cut, finished, part_path
from normgate.errors import DataError
from normgate.plates.predictions import write_shard

if TYPE_CHECKING:
    from collections.abc import Sequence

    from normgate.deploy.job import Pins
    from normgate.deploy.models import Model
    from normgate.deploy.predicting import Predicted, Predictor
    from normgate.deploy.settings import DeploySettings
    from normgate.deploy.shards import Shard
    from normgate.plates.load import Site

logger = logging.getLogger(__name__)


def deploy(
    models: Sequence[Model],
    places: Sequence[Site],
    settings: DeploySettings,
    predictor: Predictor | None = None,
) -> Report:
    """Predict every site with every model, resuming what an earlier run left.

    Args:
        models: Verified models that agree on their shared channels.
        places: The sites of `settings.data`, in its order.
        settings: Where to and how.
        predictor: What predicts with these models; this process where none is given.

    Returns:
        What was done.

    Raises:
        DataError: If too many sites can't be used.
        DigestMismatch: If the folder holds another deployment.
        SettingsError: If another process deploys into the folder.
    """
    shards = cut(places, settings.shard_sites)
    names = [model.name for model in models]
    with locked(settings.out):
        if open_job(settings.out, pins(models, len(places), settings)):
            logger.info("resuming the deployment in %s", settings.out)
        records = read_quarantine(settings.out)
        done = finished(settings.out, names, shards, records)
        todo = [shard for shard in shards if shard.index not in done]
        work = _Work(
            models=models,
            settings=settings,
            total=len(places),
            progress=Progress(sum(len(shard.sites) for shard in todo)),
            records=[record for record in records if record.shard in done],
        )
        work.run(todo, predictor or Here(models, settings))
        return work.report()


def pins(models: Sequence[Model], sites: int, settings: DeploySettings) -> Pins:
    """What decides the rows of a deployment, for its job file."""
    return {
        "data": {"sha256": file_sha256(settings.data), "sites": sites},
        "models": {
            model.name: {
                "version": model.version,
                "manifest_digest": model.manifest_digest,
                "spec_digest": model.spec_digest,
            }
            for model in models
        },
        "settings": {
            "batch_size": settings.batch_size,
            "device": models[0].device,
            "shard_sites": settings.shard_sites,
        },
    }


@dataclass(kw_only=True)
class _Work:
    """One run over the shards that are left."""

    models: Sequence[Model]
    settings: DeploySettings
    total: int
    progress: Progress
    records: list[Quarantined]
    seconds: float = 0.0
    saved: tuple[Quarantined, ...] | None = None

    def run(self, todo: Sequence[Shard], predictor: Predictor) -> None:
        """Do the shards in order."""
        self._save_quarantine()
        self.progress.quarantined = len(self.records)
        with closing(predictor(todo, self.progress.add)) as results:
            for predicted in results:
                self._keep(predicted)
        self.seconds = self.progress.seconds

    def report(self) -> Report:
        """What this run did."""
        return Report(
            sites=self.total,
            resumed_sites=self.total - self.progress.sites,
            images=self.progress.images,
            rows={
                model.name: count_rows(self.settings.out, model.name)
                for model in self.models
            },
            quarantined=len(self.records),
            failed_sites=failed_sites(self.records),
            seconds=self.seconds,
        )

    def _keep(self, predicted: Predicted) -> None:
        for record in predicted.records:
            logger.warning("quarantined: %s", record.reason)
            self.records.append(record)
        self._save_quarantine()
        self._refuse_ruin()
        for model in self.models:
            path = part_path(self.settings.out, model.name, predicted.shard.index)
            write_shard(path, predicted.frames[model.name], model.meta)

    def _save_quarantine(self) -> None:
        if self.saved != tuple(self.records):
            write_quarantine(self.settings.out, self.records)
            self.saved = tuple(self.records)

    def _refuse_ruin(self) -> None:
        most = self.settings.failed_share * self.total
        for name, count in failed_sites(self.records).items():
            if count > most:
                raise DataError(
                    f"{count} of {self.total} sites can't be used by {name}, more than "
                    f"the allowed share of {self.settings.failed_share:g}; the first: "
                    f"{self.records[0].reason}; see {self.settings.out}/quarantine.csv"
                )
