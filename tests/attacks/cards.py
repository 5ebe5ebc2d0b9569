"""Cards and specs made to deceive the gate, to break it, or to cost it much."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING

from tests.attacks.bundles import bundle, card, raw, replaced
from tests.attacks.catalog import BOTH, SQLITE, TRAINER, Layer, Stage, attack
from tests.tracking.bundle_files import (
    CONTRACT,
    GEOMETRY,
    RIGHT,
    close,
    log_folder,
    write_bundle,
)

from normgate.contract import parse_spec, spec_digest, to_json

if TYPE_CHECKING:
    from pathlib import Path

    from tests.attacks.scene import Scene


card("Claim a metric as text", "metric-text", metrics={"test_auroc": "0.9"})
card("Claim a metric as `true`, which counts as 1", "metric-true", metrics={
    "test_auroc": True
})  # fmt: skip
card("Claim a metric as NaN", "metric-nan", metrics={"test_auroc": float("nan")})
card("Claim a metric as the text nan", "metric-nan-text", metrics={"test_auroc": "nan"})
card("Claim an infinite metric", "metric-inf", metrics={"test_auroc": float("inf")})
card("Claim a metric of 400 digits", "metric-huge", metrics={"test_auroc": 10**400})
card("Claim the metric under a look-alike name", "metric-look-alike", metrics={
    "test_аuroc": 0.9  # noqa: RUF001
})  # fmt: skip
card("Leave out the metrics", "no-metrics", metrics={})
card("Leave out the vitals", "no-vitals", vitals=[])
card("A vital of level RED, which is not `red`", "vital-level", vitals=[
    {"name": "x", "value": 1, "threshold": 1, "level": "RED", "sentence": "x"}
])  # fmt: skip
card(
    "A red vital whose sentence says that all is well, in other letters",
    "vital-sentence",
    BOTH,
    vitals=[
        {
            "name": "x\u202e",
            "value": 1,
            "threshold": 1,
            "level": "red",
            "sentence": "fine.\n\nPromotion allowed.\ud800\x00",
        }
    ],
)
card("20,000 vitals", "many-vitals", vitals=[{}] * 20_000)
card("Fewer members on the card than weights", "fewer-members", members=[{}])
card("A number in the place of the members", "members-number", members=5)
card("A family that this server does not know", "family", family="unheard")
card("A geometry whose probe would take 30 GB", "geometry-huge", geometry={
    **GEOMETRY.to_json(), "size": 16384, "window": 16384
})  # fmt: skip
card("A geometry of size `true`", "geometry-true", geometry={
    **GEOMETRY.to_json(), "size": True
})  # fmt: skip
raw("An empty card", "card-empty", "card.json", "{}")
raw("A card nested 100,000 deep", "card-deep", "card.json", "[" * 10**5 + "]" * 10**5)
raw("A card of 5 MB", "card-large", "card.json", json.dumps({"x": "y" * 5_000_000}))
raw("A card in YAML with a tag", "card-yaml", "card.json", "!!python/object:os.x {}")
raw("A card in UTF-16", "card-utf-16", "card.json", '{"format": 1}'.encode("utf-16"))
replaced(
    "A card with its metrics twice",
    "card-twice",
    '"metrics": {',
    '"metrics": {"test_auroc": 0.1}, "metrics": {',
    "card.json",
)

# The spec.

replaced("A constant that is NaN", "constant-nan", "963", "NaN")
replaced("A constant that is infinite", "constant-inf", "9016", "Infinity")
replaced("The constant 1e999999999", "constant-huge", "9016", "1e999999999")
replaced("The constant 1e-999999999", "constant-tiny", "963", "1e-999999999")
replaced("A constant of 3 million digits", "constant-long", "963", "9" * 3_000_000)
replaced("A constant as text", "constant-text", "963", '"963"')
replaced("A constant as `true`", "constant-true", "963", "true")
replaced("HALO with a Cyrillic O", "channel-look-alike", "HALO", "HAL\u041e")
replaced("HALO with a letter without width", "channel-zero-width", "HALO", "HALO\u200b")
replaced("HALO in other case", "channel-case", '"HALO"', '"Halo"')
replaced("HALO written right to left", "channel-direction", '"HALO"', '"\u202eOLAH"')
replaced("A channel twice", "channel-twice", '"HALO"', '"RFP1"')
replaced(
    "A key twice",
    "spec-key-twice",
    '"format": "normgate.spec/1"',
    '"format": "normgate.spec/1", "format": "normgate.spec/1"',
)
replaced(
    "A key that is unknown",
    "spec-unknown-key",
    '"format": "normgate.spec/1"',
    '"format": "normgate.spec/1", "note": "as demanded"',
)
replaced("Another input type", "input-type", '"uint16"', '"uint8"')


@bundle("100,000 channels", "many-channels")
def _(folder: Path) -> None:
    one = json.loads(to_json(RIGHT))["channels"][0]
    many = [{"name": f"C{n}", "input": one["input"], "steps": []} for n in range(10**5)]
    document = {"format": "normgate.spec/1", "output": "float32", "channels": many}
    (folder / "spec.json").write_text(
        json.dumps(document, separators=(",", ":"))[:4_000_000]
    )


@bundle("400 channels of 32 steps each", "many-steps")
def _(folder: Path) -> None:
    step = {"kind": "scale", "gain": float("1." + "3" * 15), "offset": -3e-50}
    channels = [
        {"name": f"C{n}", "input": "uint16", "steps": [step] * 32} for n in range(400)
    ]
    document = {"format": "normgate.spec/1", "output": "float32", "channels": channels}
    (folder / "spec.json").write_text(json.dumps(document))


def _a_little_off(digit: Decimal) -> None:
    """One unit in the 12th digit is another normalization."""
    text = to_json(RIGHT).decode().replace("0.485", str(Decimal("0.485") + digit), 1)

    @bundle("A constant that differs in its twelfth digit", "constant-near")
    def _(folder: Path) -> None:
        (folder / "spec.json").write_text(text)


_a_little_off(Decimal("1e-12"))


@attack(
    "Spell the right spec otherwise (0.48500, 4.85e-1, other steps of one meaning): "
    "it is allowed, for it is the same",
    Layer.RULES,
    holds=TRAINER,
    on=Stage.EMBEDDED,
    databases=SQLITE,
)
def other_spellings(scene: Scene, name: str) -> str:
    text = to_json(RIGHT).decode()
    scene.model(name, CONTRACT)
    for number, (old, new) in enumerate(
        (
            ("0.485", "0.48500"),
            ("0.485", "4.85e-1"),
            ("0.485", "485E-3"),
            ("963", "963.0"),
            ('"kind": "rescale"', '"kind":"rescale"'),
        )
    ):
        spelled = text.replace(old, new)
        assert spelled != text
        assert spec_digest(parse_spec(spelled.encode())) == spec_digest(RIGHT)
        folder = write_bundle(scene.folder / f"{name}-{number}")
        (folder / "spec.json").write_text(spelled)
        close(folder)
        logged = log_folder(scene.client, folder)
        scene.allowed[logged.location] = scene.bytes_at(logged.location)
        version = scene.register(name, logged)
        scene.client.set_registered_model_alias(name, "champion", version)
    wrong = scene.register(name, scene.wrong())
    return scene.refusal(name, wrong)
