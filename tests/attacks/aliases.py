"""Aliases and versions by other names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.attacks.catalog import Layer, attack
from tests.attacks.scene import AJAX, told

if TYPE_CHECKING:
    from tests.attacks.scene import Scene


DIGITS = ("\N{FULLWIDTH DIGIT TWO}", "\N{ARABIC-INDIC DIGIT TWO}")


@attack(
    "Give the version in other digits: `02`, ` 2 `, `2.0`, `0x2`, `2e0`, Arabic, 10³⁰",
    Layer.RULES,
)
def version_spellings(scene: Scene, name: str) -> str:
    scene.rescue(name)
    said = set()
    for version in ("02", " 2 ", "+2", *DIGITS, "2.0", "0x2", "2e0", "-1", "0", "2\n"):
        answer = scene.ask(
            f"{AJAX}/registered-models/alias",
            {"name": name, "alias": "champion", "version": version},
        )
        assert 400 <= answer.status < 500, (version, answer)
        said.add(answer.sentence)
    for version in ("9" * 19, "9" * 30):  # More than a database's number: MLflow's 500.
        body = {"name": name, "alias": "champion", "version": version}
        assert scene.ask(f"{AJAX}/registered-models/alias", body).status >= 400
    assert scene.champion_of(name) == "1"
    (refusal,) = {one for one in said if one.startswith("Promotion of")}
    return refusal


ALIASES = (
    "Champion",
    "CHAMPION",
    "champi\N{GREEK SMALL LETTER OMICRON}n",
    "\N{CYRILLIC SMALL LETTER ES}hampion",
    "champion_",
    "production",
    "staging",
    "live",
    "default",
    "0",
    "x" * 255,
    "Candidate",
    "CHALLENGER",
    "c\N{CYRILLIC SMALL LETTER A}ndidate",
    "candidate-",
    "\N{FULLWIDTH LATIN SMALL LETTER C}andidate",
)


@attack(
    f"Choose another alias: {len(ALIASES)} names like `Champion`, look-alike letters, "
    "`Candidate`",
    Layer.RULES,
)
def other_aliases(scene: Scene, name: str) -> str:
    scene.rescue(name)
    said = [scene.set_alias(name, alias=alias) for alias in ALIASES]
    assert all(one.startswith(f"Promotion of {name} version 2 to ") for one in said)
    return said[0]


@attack(
    "Choose an alias that is no name: spaces, zero-width letters, `latest`, `v2`, "
    "`../x`, nothing, 300 letters",
    Layer.MLFLOW,
)
def aliases_of_no_name(scene: Scene, name: str) -> str:
    scene.rescue(name)
    names = (
        "champion ",
        " champion",
        "champion\n",
        "champion\N{ZERO WIDTH SPACE}",
        "champion\N{RIGHT-TO-LEFT OVERRIDE}",
        "champion\x00",
        "latest",
        "Latest",
        "v2",
        "../champion",
        "champion/..",
        "",
        "x" * 300,
        "champion'--",
    )
    said = [scene.set_alias(name, alias=alias) for alias in names]
    assert scene.champion_of(name) == "1"
    return said[3]


@attack("Choose an alias that is a stage's name: `Production`", Layer.STORE)
def alias_named_as_a_stage(scene: Scene, name: str) -> str:
    scene.rescue(name)
    return scene.set_alias(name, version="1", alias="Production")


@attack(
    "Move an open alias to a wrong version, then give it a protected name", Layer.MLFLOW
)
def rename_an_alias(scene: Scene, name: str) -> str:
    scene.rescue(name)
    scene.client.set_registered_model_alias(name, "candidate", "2")
    body = {"name": name, "alias": "candidate", "new_alias": "champion"}
    path = f"{AJAX}/registered-models/alias"
    return scene.ask(path, {**body, "version": "2"}, method="PATCH").sentence


@attack(
    "Ask for an alias of a version that does not exist, to have it when it is made",
    Layer.MLFLOW,
)
def alias_in_advance(scene: Scene, name: str) -> str:
    scene.rescue(name)
    return told(lambda: scene.client.set_registered_model_alias(name, "champion", "3"))
