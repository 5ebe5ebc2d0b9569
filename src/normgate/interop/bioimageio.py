"""bioimage.io models: `rdf.yaml` and `bioimageio.yaml`, formats 0.3 to 0.5.

A file is read as bioimageio.spec 0.5.12 converts it: format 0.4 gets a cast to float32
at its end, format 0.5 one to the input's own type where it asks for none. Statistics
`per_dataset` of format 0.4 are lost there: bioimageio.core 0.11 takes them of all data
that it is given, but from a file that was converted of each sample.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from normgate.interop.arguments import Arguments, Unsayable, reason
from normgate.interop.bioimageio_steps import EPS, steps_of
from normgate.interop.declared import ANY, Configuration, Operation, Overruled, Pipeline

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from normgate.interop.declared import Text

_CORE = "bioimageio.core 0.11"
_SPEC = "bioimageio.spec 0.5.12"
_INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")


def read(document: Mapping[str, Any], name: str, file: str) -> Configuration:
    """Read one model's description."""
    texts: list[Text] = []
    overruled: list[Overruled] = []
    old = not str(document.get("format_version", "")).startswith("0.5")
    inputs = [one for one in document.get("inputs") or () if isinstance(one, dict)]
    pipelines = [
        _pipeline(one, f"{file}: inputs[{number}]", old, texts, overruled)
        for number, one in enumerate(inputs)
    ]
    return Configuration(
        name=name,
        tool="bioimage.io",
        files=(file,),
        pipelines=tuple(pipelines),
        texts=tuple(texts),
        overruled=tuple(overruled),
        elsewhere=_elsewhere(document, inputs),
    )


def _pipeline(
    one: Mapping[str, Any],
    where: str,
    old: bool,
    texts: list[Text],
    overruled: list[Overruled],
) -> Pipeline:
    found = one.get("data")
    data: Mapping[str, Any] = found if isinstance(found, dict) else {}
    dtype = str(one.get("data_type") or data.get("type") or "float32")
    listed = [p for p in one.get("preprocessing") or () if isinstance(p, dict)]
    operations: list[Operation] = []
    output = "float32" if old else dtype
    for place, processing in enumerate(listed):
        kind = str(processing.get("id") or processing.get("name"))
        given = processing.get("kwargs") or {}
        at = f"{where} {kind}"
        if kind == "ensure_dtype":
            output = str(given.get("dtype", "float32"))
            last = place == len(listed) - 1
            if output in _INTEGERS and (operations or last):
                operations.append(Operation(name=kind, steps=None, cast=output))
            continue
        arguments = Arguments(given, at, python=False)
        operations.append(_operation(kind, arguments, given))
        overruled += _overruled(arguments, given, at)
        texts += arguments.texts
        output = "float32" if old else output
    if not old and operations and output in _INTEGERS:
        # Spec 0.5 ends every list with a cast to the input's own type.
        operations.append(Operation(name="ensure_dtype", steps=None, cast=output))
    return Pipeline(
        stage="preprocessing",
        input=str(one.get("id") or one.get("name") or "input"),
        operations=tuple(operations),
        channels=_channels(one),
        entry=_entry(one, data),
        output=output,
    )


def _operation(kind: str, arguments: Arguments, given: Mapping[str, Any]) -> Operation:
    try:
        steps = steps_of(kind, arguments, given)
    except ValueError as error:
        return Operation(name=kind, steps=None, remark=reason(error))
    return Operation(name=kind, steps=steps)


def _overruled(
    arguments: Arguments, given: Mapping[str, Any], where: str
) -> list[Overruled]:
    found = []
    if given.get("mode") == "per_dataset":
        executed = "those of the data that it is given, or of each sample once "
        executed += f"{_SPEC} has converted the file to format 0.5"
        declared = "statistics of the data set (mode per_dataset)"
        found.append(
            Overruled(where=where, declared=declared, executed=executed, by=_CORE)
        )
    if "eps" in arguments:
        try:
            eps = arguments.number("eps")
        except Unsayable:
            return found
        if eps != EPS:
            declared = f"eps {eps}"
            found.append(
                Overruled(where=where, declared=declared, executed="eps 1e-6", by=_CORE)
            )
    return found


def _entry(one: Mapping[str, Any], data: Mapping[str, Any]) -> tuple[float, float]:
    span = one.get("data_range") or data.get("range")
    try:
        low, high = (float(x) for x in span)  # type: ignore[union-attr]
    except (TypeError, ValueError):
        return ANY
    return low, high


def _channels(one: Mapping[str, Any]) -> tuple[str, ...]:
    axes = one.get("axes")
    for axis in axes if isinstance(axes, list) else ():
        if isinstance(axis, dict) and axis.get("type") == "channel":
            names = axis.get("channel_names")
            return tuple(map(str, names)) if isinstance(names, list) else ()
    return ()


def _elsewhere(
    document: Mapping[str, Any], inputs: Sequence[Mapping[str, Any]]
) -> tuple[str, ...]:
    """Macros that deepImageJ runs before the network and no declared operation has."""
    value: Any = document
    for key in ("config", "deepimagej", "prediction", "preprocess"):
        value = value.get(key) if isinstance(value, dict) else None
    declared = " ".join(
        f"{one.get('mode', '')}_{one.get('kind')}"
        for tensor in inputs
        for one in map(_called, tensor.get("preprocessing") or ())
    )
    found = []
    for macro in value if isinstance(value, list) else ():
        spec = macro.get("spec") if isinstance(macro, dict) else None
        if spec:
            called = str(macro.get("kwargs") or spec)
            if called.removesuffix(".ijm") not in declared:
                found.append(called)
    return tuple(found)


def _called(processing: Any) -> dict[str, Any]:
    if not isinstance(processing, dict):
        return {}
    given = processing.get("kwargs") or {}
    kind = processing.get("id") or processing.get("name")
    return {"kind": kind, "mode": given.get("mode", "")}
