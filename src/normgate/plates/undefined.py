"""What an analysis can't say, and why: one list, so that nothing is just missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from normgate.plates.treatments import Analysis


class Undefined(NamedTuple):
    """One thing that is undefined."""

    what: str
    why: str


def undefined(one: Analysis) -> list[Undefined]:
    """Everything that is undefined of a model's plates, in the order of the report."""
    found = []
    for row in one.plates.to_dict("records"):
        where = f"plate {row['plate']}"
        for what, why in (
            ("rescue", row["reason"]),
            ("edge effect", row["edge_reason"]),
            ("residuals", row["polish_reason"]),
        ):
            if why:
                found.append(Undefined(f"{what} on {where}", why))
    found += _hits(one)
    found += [
        Undefined(f"agreement of {row['kind']} {_pair(row)}".rstrip(), row["reason"])
        for row in one.concordance.to_dict("records")
        if row["reason"]
    ]
    if one.retrieval_reason:
        found.append(Undefined("mean average precision", one.retrieval_reason))
    return found


def _hits(one: Analysis) -> list[Undefined]:
    """Treatments that can't be judged, brought together by their reason."""
    table = one.treatments[one.treatments["hit_reason"] != ""]
    found = []
    for why, own in table.groupby("hit_reason", sort=False):
        names = [
            f"{row['treatment'] or '(none)'} on {row['genotype'] or 'unnamed'}"
            for row in own.to_dict("records")
        ]
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        what = f"hit or not: {', '.join(names[:3])}{more}"
        found.append(Undefined(what, str(why)))
    return found


def _pair(row: Mapping[Any, Any]) -> str:
    return f"{row['one']} and {row['other']}" if row["one"] else ""
