"""nnU-Net v2: plans, the fingerprint of the data set, and its dataset.json.

Arithmetic as in nnunetv2 2.8, `default_normalization_schemes.py`. Constants are float32
there and are read by their shortest decimals.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from normgate.contract.steps import Clip, Rescale, Standardize, exact
from normgate.interop.arguments import Arguments
from normgate.interop.declared import Configuration, Constants, Operation, Pipeline
from normgate.interop.sampled import Measured

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from normgate.interop.declared import Steps, Text

_PROPERTIES = "foreground_intensity_properties_per_channel"
_OLD_PROPERTIES = "foreground_intensity_properties_by_modality"
_EPS = Decimal("1e-8")
_MEASURED = Measured("channel", "zeros", _EPS, "max")
_CT = "CTNormalization"
_TOLERANCE = 1e-6
"""Relative; a fingerprint and its plans hold the same numbers."""


def is_plans(document: Mapping[str, Any]) -> bool:
    """Whether it is a plans file."""
    return "plans_name" in document and isinstance(document.get("configurations"), dict)


def is_fingerprint(document: Mapping[str, Any]) -> bool:
    """Whether it is a fingerprint."""
    return bool(_properties(document)) and "spacings" in document


def is_dataset(document: Mapping[str, Any]) -> bool:
    """Whether it is a dataset.json."""
    return {"channel_names", "labels"} <= document.keys()


def read(name: str, documents: Mapping[str, Mapping[str, Any]]) -> Configuration:
    """Read what belongs to one data set.

    Args:
        name: What to call it.
        documents: By file: plans, perhaps a fingerprint, perhaps a dataset.json.
    """
    file, plans = next((f, d) for f, d in documents.items() if is_plans(d))
    print_of = {f: d for f, d in documents.items() if is_fingerprint(d) and f != file}
    names = next(
        (_names(d) for d in documents.values() if is_dataset(d) and not is_plans(d)), ()
    )
    texts: list[Text] = []
    pipelines, defects = [], []
    for stage, one in plans["configurations"].items():
        schemes = one.get("normalization_schemes") if isinstance(one, dict) else None
        if not isinstance(schemes, list):
            continue
        if names and len(names) != len(schemes):
            defects.append(
                f"{file} normalizes {len(schemes)} channels ({stage}), and "
                f"dataset.json names {len(names)} ({', '.join(names)})."
            )
        schemes = [str(scheme) for scheme in schemes]
        masks = _masks(one.get("use_mask_for_norm"), f"{file}: {stage}", texts)
        pipelines.append(_pipeline(stage, schemes, masks, plans, names))
    return Configuration(
        name=name,
        tool="nnU-Net",
        files=tuple(documents),
        pipelines=tuple(pipelines),
        texts=tuple(texts),
        constants=tuple(_constants(file, plans, print_of, names)),
        defects=tuple(defects),
    )


def _pipeline(
    stage: str,
    schemes: Sequence[str],
    masks: Sequence[bool],
    plans: Mapping[str, Any],
    names: tuple[str, ...],
) -> Pipeline:
    """All channels as one operation, for each has its own scheme."""
    rows: list[Steps] = []
    unknown = []
    for place, scheme in enumerate(schemes):
        masked = place < len(masks) and masks[place]
        steps = _steps(scheme, _properties(plans).get(str(place)), masked)
        if steps is None:
            unknown.append(f"{scheme}{' within a mask' if masked else ''}")
        else:
            rows.append(steps)
    operation = Operation(
        name=", ".join(dict.fromkeys(schemes)),
        steps=None if unknown else tuple(rows),
        remark=f"no step says {', '.join(unknown)}" if unknown else "",
    )
    return Pipeline(
        stage=stage,
        input="image",
        operations=(operation,),
        channels=names if len(names) == len(schemes) else _numbered(schemes),
        output="float32",
    )


def _masks(given: Any, where: str, texts: list[Text]) -> list[bool]:
    """Whether each channel is normalized within the segmentation alone."""
    listed = given if isinstance(given, list) else []
    named = {f"use_mask_for_norm[{n}]": value for n, value in enumerate(listed)}
    arguments = Arguments(named, where, python=True)
    found = [arguments.flag(name, default=False) for name in named]
    texts += arguments.texts
    return found


def _numbered(schemes: Sequence[str]) -> tuple[str, ...]:
    return tuple(map(str, range(len(schemes))))


def _steps(
    scheme: str, properties: Mapping[str, Any] | None, masked: bool
) -> Steps | None:
    match scheme:
        case "NoNormalization":
            return ()
        case "RGBTo01Normalization":
            return (Rescale(low=Decimal(0), high=Decimal(255)),)
        case "ZScoreNormalization" if not masked:
            return (_MEASURED.standardized(),)
        case "RescaleTo01Normalization":
            return (_MEASURED.rescaled(),)
        case "CTNormalization" if properties:
            try:
                return _as_ct(properties)
            except (KeyError, ValueError):
                return None
    return None


def _as_ct(properties: Mapping[str, Any]) -> Steps:
    low, high, mean, std = (
        exact(properties[key])
        for key in ("percentile_00_5", "percentile_99_5", "mean", "std")
    )
    return Clip(low=low, high=high), Standardize(mean=mean, std=max(std, _EPS))


def _constants(
    file: str,
    plans: Mapping[str, Any],
    prints: Mapping[str, Mapping[str, Any]],
    names: Sequence[str],
) -> Iterator[Constants]:
    schemes = [
        one["normalization_schemes"]
        for one in plans["configurations"].values()
        if isinstance(one, dict) and isinstance(one.get("normalization_schemes"), list)
    ]
    for key, found in _properties(plans).items():
        if not isinstance(found, dict) or not key.isdigit():
            continue
        place = int(key)
        fixed = any(place < len(s) and s[place] == _CT for s in schemes)
        twins = (
            other
            for other, document in prints.items()
            if _differ(found, _properties(document).get(key))
        )
        try:
            median, low, high = (
                float(found[key])
                for key in ("median", "percentile_00_5", "percentile_99_5")
            )
        except (KeyError, TypeError, ValueError):
            continue
        else:
            yield Constants(
                where=file,
                channel=names[place] if place < len(names) else key,
                median=median,
                low=low,
                high=high,
                fixed=fixed,
                twin=next(twins, ""),
            )


def _differ(one: Mapping[str, Any], other: Any) -> bool:
    if not isinstance(other, dict):
        return False
    pairs = [(one[key], other[key]) for key in one.keys() & other.keys()]
    return any(
        abs(float(a) - float(b)) > _TOLERANCE * max(abs(float(a)), abs(float(b)))
        for a, b in pairs
    )


def _properties(document: Mapping[str, Any]) -> Mapping[str, Any]:
    found = document.get(_PROPERTIES, document.get(_OLD_PROPERTIES))
    return found if isinstance(found, dict) else {}


def _names(document: Mapping[str, Any]) -> tuple[str, ...]:
    names = document.get("channel_names")
    return tuple(map(str, names.values())) if isinstance(names, dict) else ()
