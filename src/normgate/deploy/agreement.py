"""What the models of one pass must have in common: the same pictures, read alike.

Two channels of two models are shared when they read the same picture (marker and
timepoint) or bear the same name. Shared channels must have one digest, or the models
were trained on differently normalized pixels and can't be compared. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from normgate.contract import channel_digest, describe_channel, short_digest
from normgate.errors import DigestMismatch, SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from normgate.contract import Channel
    from normgate.deploy.models import Model

_UNSAFE = set('/\\;:*?"<>|')


def check_names(names: Sequence[str], what: str = "model") -> None:
    """Refuse names that can't each be a folder of their own.

    Args:
        names: Of models, or of what is predicted.
        what: What to call one of them.

    Raises:
        SettingsError: With the name.
    """
    for name in names:
        if not name or name.startswith(".") or _UNSAFE & set(name):
            raise SettingsError(
                f"{what} {name!r} can't name a folder of predictions; give it a name "
                "of letters, digits, '-' and '_'"
            )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SettingsError(
            f"{what} {twice[0]!r} is given more than once; give it once"
        )


def check_agreement(models: Sequence[Model]) -> None:
    """Refuse models that normalize a shared channel differently.

    Raises:
        DigestMismatch: With every shared channel that differs, and both recipes.
    """
    found = [
        line
        for index, first in enumerate(models)
        for second in models[index + 1 :]
        for line in _differences(first, second)
    ]
    if found:
        raise DigestMismatch(
            f"these models normalize shared channels differently: {'; '.join(found)}; "
            "deploy them apart, or promote models trained under one contract"
        )


def _differences(first: Model, second: Model) -> list[str]:
    return [
        f"{a.name} of {first.name} is {_recipe(a)} and {b.name} of {second.name} "
        f"is {_recipe(b)}"
        for a, a_key in _bound(first)
        for b, b_key in _bound(second)
        if (a.name == b.name or a_key == b_key)
        and channel_digest(a) != channel_digest(b)
    ]


def _bound(model: Model) -> list[tuple[Channel, object]]:
    loader = model.loader
    return list(zip(loader.spec.channels, loader.channel_keys, strict=True))


def _recipe(channel: Channel) -> str:
    return f"{describe_channel(channel)} [{short_digest(channel_digest(channel))}]"
