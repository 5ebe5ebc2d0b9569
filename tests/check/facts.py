"""Facts made up for judgements over them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from normgate.check.facts import PictureFacts, Place
from normgate.transform.distribution import Distribution

if TYPE_CHECKING:
    from collections.abc import Mapping


def distribution(counts: Mapping[float, int]) -> Distribution:
    """A distribution of values and how often each occurs."""
    values = sorted(counts)
    return Distribution(
        np.array(values, dtype=np.float64), np.array([counts[v] for v in values])
    )


def place(number: int = 0, **changes: Any) -> Place:
    """A well of plate P1, by its number."""
    well = f"A{number + 1:02d}"
    return Place("P1", well, "1", 0, "", f"P1-{well}")._replace(**changes)


def picture(marker: str, number: int = 0, **changes: Any) -> PictureFacts:
    """A picture that has nothing odd, in a well of its own."""
    plain: dict[str, Any] = {
        "marker": marker,
        "place": place(number),
        "path": f"{number}.tif",
        "dtype": "uint16",
        "mean": 1000.0,
        "std": 100.0,
        "p1": 900.0,
        "p99": 5000.0,
        "digest": f"{marker}{number}",
        "traps": (),
    }
    return PictureFacts(**plain | changes)
