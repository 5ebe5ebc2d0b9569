"""What a promoted model would say if its data were normalized otherwise.

Nothing is kept or promoted by it: the same units go through one model under two specs,
and the predictions are held against each other.

Axes: r replicates, n units, k classes, c channels, y rows, x columns.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from normgate.contract import spec_digest
from normgate.errors import DataError, SpecError
from normgate.families.plate.probabilities import combined

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from normgate.contract import Spec
    from normgate.deploy.models import Model
    from normgate.plates.load import Loader, Site

UNLABELLED = "no label"


@dataclass(frozen=True, slots=True, kw_only=True)
class Units:
    """Positive probabilities of some units under each spec, (n,)."""

    first: NDArray[np.float64]
    second: NDArray[np.float64]

    @property
    def flipped(self) -> float:
        """The share of units that get the other class."""
        return float(np.mean((self.first > 0.5) != (self.second > 0.5)))

    @property
    def moved(self) -> float:
        """The mean absolute difference of probabilities."""
        return float(np.mean(np.abs(self.first - self.second)))

    def record(self) -> dict[str, float]:
        """As a JSON object."""
        return {
            "units": len(self.first),
            "flipped": self.flipped,
            "mean_abs_dp": self.moved,
            "mean_p_first": float(self.first.mean()),
            "mean_p_second": float(self.second.mean()),
            "positive_first": float(np.mean(self.first > 0.5)),
            "positive_second": float(np.mean(self.second > 0.5)),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """How predictions change."""

    model: str
    """Its name and version."""
    positive: str
    own: str
    """Which spec is the model's own: `first`, `second`, or `neither`."""
    sites: int
    quarantined: tuple[str, ...]
    all: Units
    by_label: dict[str, Units]
    """By the label of the sites."""

    def sentences(self) -> list[str]:
        """What was found, in words."""
        whole = self.all
        lines = [
            f"{self.model}, trained under {_OWN[self.own]}: {whole.flipped:.1%} of "
            f"{len(whole.first):,} units of {self.sites:,} sites get the other class, "
            f"mean |dP({self.positive})| {whole.moved:.3f}."
        ]
        for label, units in self.by_label.items():
            lines.append(
                f"  {label}: {units.flipped:.1%} of {len(units.first):,} flip, mean "
                f"|dP| {units.moved:.3f}; called {self.positive}: "
                f"{np.mean(units.first > 0.5):.1%} under the first, "
                f"{np.mean(units.second > 0.5):.1%} under the second."
            )
        return lines

    def record(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "model": self.model,
            "positive": self.positive,
            "own_spec": self.own,
            "sites": self.sites,
            "quarantined": list(self.quarantined),
            "all": self.all.record(),
            "by_label": {name: one.record() for name, one in self.by_label.items()},
        }


_OWN = {
    "first": "the first spec",
    "second": "the second spec",
    "neither": "a spec that is neither of the two",
}


def change(
    model: Model,
    first: Spec,
    second: Spec,
    places: Sequence[Site],
    progress: Callable[[int, int], None] | None = None,
) -> Change:
    """Predict sites with one model under each of two specs.

    Args:
        model: A verified model.
        first: A spec of the model's channels.
        second: Another.
        places: The sites.
        progress: Told of the sites done and of their total.

    Raises:
        DataError: No site gives a unit.
        SpecError: A spec has other channels than the model.
    """
    loaders = _loader(model, first), _loader(model, second)
    found: dict[str, list[tuple[NDArray[np.float64], ...]]] = defaultdict(list)
    quarantined: list[str] = []
    for done, site in enumerate(places, start=1):
        try:
            planes = loaders[0].read(site)
            images = [loader.units(site, planes).images for loader in loaders]
        except DataError as error:
            quarantined.append(f"{site.name}: {error}")
        else:
            if len(images[0]):
                pair = tuple(_positive(model, one) for one in images)
                found[site.label or UNLABELLED].append(pair)
        if progress is not None:
            progress(done, len(places))
    if not found:
        told = f"; the first: {quarantined[0]}" if quarantined else ""
        raise DataError(f"none of {len(places)} sites gives a unit{told}")
    by_label = {label: _joined(pairs) for label, pairs in sorted(found.items())}
    return Change(
        model=f"{model.name} version {model.version}",
        positive=model.positive,
        own=_own(model, first, second),
        sites=len(places) - len(quarantined),
        quarantined=tuple(quarantined),
        all=_joined([pair for pairs in found.values() for pair in pairs]),
        by_label=by_label,
    )


def spread_sites(places: Sequence[Site], number: int | None) -> list[Site]:
    """So many sites, evenly spread over a table's order; None for all."""
    count = len(places) if number is None else min(number, len(places))
    return [places[i * len(places) // count] for i in range(count)]


def _loader(model: Model, spec: Spec) -> Loader:
    """The model's own way of reading, with another normalization."""
    if spec.names != model.loader.spec.names:
        raise SpecError(
            f"the spec has channels {', '.join(spec.names)}, but {model.name} takes "
            f"{', '.join(model.loader.spec.names)} in this order; name a spec of them"
        )
    return replace(model.loader, spec=spec)


def _positive(model: Model, images_ncyx: NDArray[np.float32]) -> NDArray[np.float64]:
    """Positive probability of each unit, by the members' mean tempered logits."""
    batch = torch.from_numpy(np.ascontiguousarray(images_ncyx))
    logits_rnk = model.forward(batch).cpu().numpy()
    told = combined(logits_rnk, [member.temperature for member in model.members])
    at = model.classes.index(model.positive)
    return told["probabilities"][:, at].astype(np.float64)


def _own(model: Model, first: Spec, second: Spec) -> str:
    if model.spec_digest == spec_digest(first):
        return "first"
    return "second" if model.spec_digest == spec_digest(second) else "neither"


def _joined(pairs: Sequence[tuple[NDArray[np.float64], ...]]) -> Units:
    one, other = (np.concatenate(side) for side in zip(*pairs, strict=True))
    return Units(first=one, second=other)
