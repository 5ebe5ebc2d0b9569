"""Which channels of a spec a fusion is made of, in which order the network has them.

First MRI, then the CT that bone is copied from and held against, then whatever else
the spec has. Pure.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from normgate.contract import ClampAffine, normal_form
from normgate.contract.ct import CT, MRI, modality
from normgate.errors import SpecError

if TYPE_CHECKING:
    from normgate.contract import Channel, Spec


def condition_order(spec: Spec) -> tuple[int, ...]:
    """The spec's channel numbers, as the network sees them.

    Of several CT channels (windows) the one that is clipped last is the reference: it
    shows bone. Of several MRI channels it is the first.

    Raises:
        SpecError: The spec lacks MRI or CT.
    """
    kinds = [modality(name) for name in spec.names]
    for kind in (MRI, CT):
        if kind not in kinds:
            raise SpecError(
                f"the spec has channels {', '.join(spec.names)}, expected at least one "
                f"of MRI and one of CT; add a channel of {kind}"
            )
    of_ct = [index for index, kind in enumerate(kinds) if kind == CT]
    reference = max(of_ct, key=lambda index: _upper(spec.channels[index]))
    first = (kinds.index(MRI), reference)
    rest = (index for index in range(len(kinds)) if index not in first)
    return (*first, *rest)


def _upper(channel: Channel) -> float:
    """Where a channel is clipped from above; infinity where it is not."""
    operations = normal_form(channel).operations
    first = operations[0] if operations else None
    if not isinstance(first, ClampAffine) or first.high is None:
        return math.inf
    return float(first.high)
