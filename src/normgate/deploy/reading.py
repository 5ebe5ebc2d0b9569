"""Reading one site for several models: each image once, and each failure its own.

A file that can't be read costs only the models that use it. What is wrong becomes a
quarantine record; any other error ends the job.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from normgate.deploy.quarantine import SEPARATOR, Quarantined
from normgate.errors import DataError
from normgate.plates.load import CELLS, Planes, read_site
from normgate.plates.read import plane_state

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from normgate.deploy.models import Model
    from normgate.plates.load import PlaneKey, Site, Units


@dataclass(frozen=True, slots=True)
class Failure:
    """What is wrong with one image of a site, or with the site where `key` is None."""

    key: PlaneKey | None
    models: tuple[str, ...]
    """Names of the models that get no rows of the site for it."""
    reason: str
    """The sentence."""


@dataclass(frozen=True, slots=True)
class Served:
    """What one site gives to one model."""

    units: Units
    input_digest: str
    """SHA-256 over the files that the units were made of."""


@dataclass(frozen=True, slots=True)
class SiteUnits:
    """One site, read and normalized for every model that it could serve."""

    site: Site
    served: Mapping[str, Served]
    """By model name."""
    failures: tuple[Failure, ...]
    images: int
    """Image files that were read."""


def read_units(site: Site, models: Sequence[Model]) -> SiteUnits:
    """Read each image of a site once and make every model's units of it.

    Safe to call from several threads.
    """
    planes, failures = _read_each(site, models)
    failed = {name for failure in failures for name in failure.models}
    served: dict[str, Served] = {}
    for model in models:
        if model.name in failed:
            continue
        wanted = planes.only(model.loader.keys)
        try:
            units = model.loader.units(site, wanted)
        except DataError as error:
            failures.append(Failure(None, (model.name,), str(error)))
        else:
            served[model.name] = Served(units, wanted.input_digest)
    images = sum(key.marker != CELLS for key in planes.planes)
    return SiteUnits(site, served, tuple(failures), images)


def quarantined(shard: int, result: SiteUnits) -> list[Quarantined]:
    """The records of a site's failures."""
    return [_record(shard, result.site, failure) for failure in result.failures]


def _read_each(site: Site, models: Sequence[Model]) -> tuple[Planes, list[Failure]]:
    users: dict[PlaneKey, list[str]] = {}
    for model in models:
        for key in dict.fromkeys(model.loader.keys):
            users.setdefault(key, []).append(model.name)
    found = Planes({}, {})
    failures = []
    for key, names in users.items():
        try:
            one = read_site(site, (key,))
        except DataError as error:
            failures.append(Failure(key, tuple(names), str(error)))
        else:
            found = Planes(
                {**found.planes, **one.planes}, {**found.digests, **one.digests}
            )
    return found, failures


def _record(shard: int, site: Site, failure: Failure) -> Quarantined:
    path = "" if failure.key is None else str(site.planes.get(failure.key, ""))
    return Quarantined(
        shard=shard,
        plate=site.plate,
        well=site.well,
        site=site.site,
        marker="" if failure.key is None else failure.key.marker,
        timepoint_ms="" if failure.key is None else str(failure.key.timepoint_ms),
        path=path,
        models=SEPARATOR.join(failure.models),
        state=plane_state(path) if path else "",
        reason=failure.reason,
    )
