"""Finding channels whose names were exchanged on one slide, by how they spread."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from normgate.gate import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from normgate.acquisitions.facts import Facts

EXCHANGED_FAR, EXCHANGED_NEAR = 8.0, 3.0
"""Spreads between slides, beyond which a channel is not itself, within which another's.
"""
_LEAST_SPREAD = 0.05
"""Of a logarithm of sd between slides, so that few slides alike accuse nobody."""


def exchanged(facts: Facts) -> Iterator[Finding]:
    """Red where two channels of a slide look like each other's on all other slides."""
    slides = sorted({one.slide for one in facts.acquisitions})
    found = _swaps(facts, slides) if len(slides) > 2 else []
    said = "No slide's channels look like each other's on the other slides."
    if found:
        slide, one, two = found[0]
        said = (
            f"On slide {slide} channel {one} spreads as {two} does on all other "
            f"slides, and {two} as {one}: their names look exchanged."
        )
    yield Finding(
        name="data.exchanged",
        value=float(len(found)),
        threshold=0.0,
        basis="judgement",
        level="red" if found else "green",
        sentence=said,
        culprit=f"slide {found[0][0]}" if found else "table",
        mend="Look into the slide's panel." if found else "",
    )


def _swaps(facts: Facts, slides: Sequence[str]) -> list[tuple[str, str, str]]:
    own = np.array([slides.index(one.slide) for one in facts.acquisitions])
    logs = np.log(np.maximum(facts.raw.std_ac, 1e-12))
    level_sc = np.stack([np.median(logs[own == s], axis=0) for s in range(len(slides))])
    found = []
    for s, slide in enumerate(slides):
        others_sc = np.delete(level_sc, s, axis=0)
        middle_c = np.median(others_sc, axis=0)
        spread_c = 1.4826 * np.median(np.abs(others_sc - middle_c), axis=0)
        spread_c = np.maximum(spread_c, _LEAST_SPREAD)
        away = np.abs(level_sc[s][:, None] - middle_c[None]) / spread_c[None]
        far = np.diagonal(away) > EXCHANGED_FAR
        alike = (away < EXCHANGED_NEAR) & (away.T < EXCHANGED_NEAR)
        pairs = np.argwhere(np.triu(alike & far[:, None] & far[None], k=1))
        found += [(slide, facts.names[a], facts.names[b]) for a, b in pairs]
    return found
