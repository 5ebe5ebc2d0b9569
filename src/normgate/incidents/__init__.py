"""The three incidents, run again: what was, what was prescribed, what is good practice.

An incident is a set of arms, each one training under one treatment of the pixels, and
of claims that a table of their figures bears out or not. Arms are data of their family;
here they are trained in process, several seeds each, and judged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from normgate.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from normgate.incidents.port import Incident, Place

__all__ = ["INCIDENTS", "open_incident"]


def _rescue(place: Place) -> Incident:
    from normgate.incidents.rescue.incident import Rescue

    return Rescue(place)


def _fusion(place: Place) -> Incident:
    from normgate.incidents.fusion.incident import Fusion

    return Fusion(place)


def _imc(place: Place) -> Incident:
    from normgate.incidents.imc.incident import Imc

    return Imc(place)


INCIDENTS: dict[str, Callable[[Place], Incident]] = {
    "rescue": _rescue,
    "fusion": _fusion,
    "imc": _imc,
}


def open_incident(name: str, place: Place) -> Incident:
    """The incident of a name.

    Args:
        name: A key of `INCIDENTS`.
        place: Where it works, and how much it does.

    Raises:
        SettingsError: There is no such incident.
    """
    if name not in INCIDENTS:
        known = ", ".join(sorted(INCIDENTS))
        raise SettingsError(f"incident is {name!r}, expected one of {known}")
    return INCIDENTS[name](place)
