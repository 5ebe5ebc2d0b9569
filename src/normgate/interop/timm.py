"""timm's `pretrained_cfg`: mean and std of channels in 0..1, after a division by 255.

Arithmetic as in timm 1.0, `timm/data/transforms_factory.py`: 8-bit images are divided
by 255 and standardized; mean and std are taken as they are, whatever came in.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from normgate.contract.steps import Rescale, Standardize
from normgate.interop.arguments import Arguments, reason
from normgate.interop.declared import Configuration, Operation, Pipeline

if TYPE_CHECKING:
    from collections.abc import Mapping

_KEYS = {"mean", "std", "input_size"}


def config_of(document: Any) -> Mapping[str, Any] | None:
    """The part with mean and std, of a model's config.json or of itself; else None."""
    if not isinstance(document, dict):
        return None
    inner = document.get("pretrained_cfg", document)
    return inner if isinstance(inner, dict) and inner.keys() >= _KEYS else None


def read(config: Mapping[str, Any], name: str, file: str) -> Configuration:
    """Read one configuration."""
    arguments = Arguments(config, file, python=True)
    defects = []
    steps: tuple[tuple[Rescale | Standardize, ...], ...] | None = None
    remark = ""
    try:
        means, stds = arguments.numbers("mean"), arguments.numbers("std")
        channels = config["input_size"][0]
        counts = {len(means), len(stds), channels}
        if len(counts) > 1:
            defects.append(
                f"{file} has {len(means)} means and {len(stds)} stds for "
                f"{channels} channels."
            )
        pairs = zip(means, stds, strict=True)
        first = Rescale(low=Decimal(0), high=Decimal(255))
        steps = tuple((first, Standardize(mean=m, std=s)) for m, s in pairs)
    except (ValueError, TypeError, LookupError) as error:
        remark = reason(error)
        defects.append(f"{file}: mean and std can't be taken ({remark}).")
    if any(one.taken == "as an error" for one in arguments.texts):
        steps, remark = None, "it can't reckon with text"
    operation = Operation(name="Normalize", steps=steps, remark=remark)
    return Configuration(
        name=name,
        tool="timm",
        files=(file,),
        pipelines=(
            Pipeline(
                stage="preprocessing",
                input="image",
                operations=(operation,),
                entry=(0.0, 255.0),
                output="float32",
            ),
        ),
        texts=tuple(arguments.texts),
        defects=tuple(defects[:1]),
    )
