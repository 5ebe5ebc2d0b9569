"""Shards predicted: here, or by workers elsewhere that prepare the models themselves.

Threads read, cut, normalize and resize ahead while the models run; each image is read
once however many models use it. What a shard comes to is given whole to the caller,
who alone writes.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, islice
from typing import TYPE_CHECKING, Protocol

from normgate.deploy.batches import Batches
from normgate.deploy.readahead import read_ahead
from normgate.deploy.reading import quarantined, read_units
from normgate.deploy.rows import rows

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence

    import pandas as pd

    from normgate.deploy.models import Model
    from normgate.deploy.quarantine import Quarantined
    from normgate.deploy.reading import Served, SiteUnits
    from normgate.deploy.settings import DeploySettings
    from normgate.deploy.shards import Shard
    from normgate.plates.load import Site
    from normgate.transform.threads import Spread

AHEAD = 3
"""Sites read ahead, per thread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Predicted:
    """What a shard came to."""

    shard: Shard
    frames: dict[str, pd.DataFrame]
    """Rows by model."""
    records: tuple[Quarantined, ...]
    images: int
    """Image files that were read."""


class Predictor(Protocol):
    """Predicts shards, and gives them in their order."""

    def __call__(
        self, shards: Sequence[Shard], seen: Callable[[int, int, int], None]
    ) -> Generator[Predicted, None, None]:
        """Predict.

        Args:
            shards: Those that are left to do.
            seen: Told of sites that were seen to, their images, and how many of images
                or sites were quarantined.
        """


@dataclass(frozen=True, slots=True)
class Here:
    """Predicts in this process; the threads read on across the borders of shards."""

    models: Sequence[Model]
    settings: DeploySettings

    def __call__(
        self, shards: Sequence[Shard], seen: Callable[[int, int, int], None]
    ) -> Generator[Predicted, None, None]:
        """See `Predictor`."""
        workers = self.settings.workers
        results = read_ahead(
            lambda site: read_units(site, self.models),
            chain.from_iterable(shard.sites for shard in shards),
            workers=workers,
            ahead=AHEAD * workers,
        )
        batches = {
            model.name: Batches(self.settings.batch_size, model.forward)
            for model in self.models
        }
        with closing(results):
            for shard in shards:
                found = islice(results, len(shard.sites))
                yield self._shard(shard, found, batches, seen)

    def _shard(
        self,
        shard: Shard,
        results: Iterable[SiteUnits],
        batches: dict[str, Batches],
        seen: Callable[[int, int, int], None],
    ) -> Predicted:
        places: dict[str, list[tuple[Site, Served]]] = {name: [] for name in batches}
        records: list[Quarantined] = []
        images = 0
        for result in results:
            for name, served in result.served.items():
                batches[name].add(served.units.images)
                places[name].append((result.site, served))
            bad = quarantined(shard.index, result)
            records += bad
            images += result.images
            seen(1, result.images, len(bad))
        frames = {
            model.name: rows(model, places[model.name], batches[model.name].finish())
            for model in self.models
        }
        return Predicted(
            shard=shard, frames=frames, records=tuple(records), images=images
        )


class Elsewhere:
    """Predicts by workers that hold models of their own.

    Args:
        prepare: Makes and verifies the models, once in each worker.
        settings: Of the job.
        spread: What brings the shards to workers and their rows back.
    """

    def __init__(
        self,
        prepare: Callable[[], Sequence[Model]],
        settings: DeploySettings,
        spread: Spread,
    ) -> None:
        self._worker = _Worker(prepare, settings)
        self._spread = spread

    def __call__(
        self, shards: Sequence[Shard], seen: Callable[[int, int, int], None]
    ) -> Generator[Predicted, None, None]:
        """See `Predictor`."""
        for done in self._spread(self._worker, shards):
            seen(len(done.shard.sites), done.images, len(done.records))
            yield done


class _Worker:
    """Prepares its models when it is given its first shard."""

    def __init__(
        self, prepare: Callable[[], Sequence[Model]], settings: DeploySettings
    ) -> None:
        self._prepare = prepare
        self._settings = settings

    @cached_property
    def _here(self) -> Here:
        return Here(self._prepare(), self._settings)

    def __call__(self, shard: Shard) -> Predicted:
        return next(iter(self._here([shard], lambda *_: None)))
