"""A simple model of a gated registry: what it holds, and what it should allow.

It knows of bundles only what kind they are, and asks neither normgate nor MLflow.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field

OPEN, PROTECTED = ("candidate", "challenger"), ("champion", "best", "Candidate")
STAGES = ("Production", "Staging")
PLATE = {"plate version 1", "plate version 2"}
FULFILLED = {
    "right": PLATE,
    "another": PLATE,
    "poor": {"plate version 2"},
    "wrong": {"fluorescence version 1"},
    "broken": set[str](),
    "unready": set[str](),
    "nothing": set[str](),
}
"""Each kind of bundle, to the contracts that it fulfils."""
PROMPT = "prompt"
"""The kind of a version that is one of a prompt."""
AMBIGUOUS = "ambiguous"


@dataclass
class Version:
    """What is known of one version."""

    kind: str
    stage: str = "None"
    deleted: bool = False


@dataclass
class Model:
    """What is known of one registered model."""

    prompt: bool = False
    """Whether it has the tag of a prompt."""
    versions: dict[int, Version] = field(default_factory=dict)
    aliases: dict[str, int] = field(default_factory=dict)

    def version(self, number: int) -> Version | None:
        """A version that is not deleted."""
        found = self.versions.get(number)
        return None if found is None or found.deleted else found


@dataclass
class Expected:
    """What a registry should hold."""

    models: dict[str, Model] = field(default_factory=dict)
    bound: dict[str, str | None] = field(default_factory=dict)
    """Each pattern, to the contract that was bound last."""
    evidence: dict[tuple[str, int], tuple[str, bool]] = field(default_factory=dict)
    """Model and version, to what kind was registered, and whether it was intact."""
    swapped: set[str] = field(default_factory=set)
    """The kinds whose bundles are altered on the disk now."""

    def copy(self) -> Expected:
        """The same, to be changed and perhaps thrown away."""
        return deepcopy(self)

    def version(self, name: str, number: int) -> Version | None:
        """A version that is there and not deleted."""
        model = self.models.get(name)
        return None if model is None else model.version(number)

    def demanded(self, name: str) -> str | None:
        """The contract in force, or that patterns disagree."""
        found = {
            pattern: label
            for pattern, label in self.bound.items()
            if label is not None and stands_for(pattern, name)
        }
        labels = {found[name]} if name in found else set(found.values())
        return AMBIGUOUS if len(labels) > 1 else next(iter(labels), None)

    def right(self, name: str, number: int) -> bool:
        """Whether a version may be promoted now."""
        kind = self.models[name].versions[number].kind
        return (
            kind not in self.swapped
            and self.demanded(name) in FULFILLED.get(kind, ())
            and self.evidence.get((name, number)) == (kind, True)
        )

    def promoted(self, name: str) -> list[int]:
        """The numbers of a model's versions that are promoted, prompts left out."""
        model = self.models[name]
        held = [n for alias, n in model.aliases.items() if alias not in OPEN]
        held += [n for n, one in model.versions.items() if one.stage in STAGES]
        return [n for n in held if model.versions[n].kind != PROMPT]

    def drifted(self, name: str, number: int) -> bool:
        """Whether a version is promoted whose bundle was altered."""
        kind = self.models[name].versions[number].kind
        return number in self.promoted(name) and kind in self.swapped

    # What is asked, and whether it should be done.

    def add(self, name: str, kind: str, *, gated: bool) -> None:
        """Register a version."""
        number = len(self.models[name].versions) + 1
        self.models[name].versions[number] = Version(kind)
        if kind == PROMPT:
            self.evidence.pop((name, number), None)
        elif gated:
            self.evidence[name, number] = (kind, kind not in self.swapped)

    def may_have(self, name: str, alias: str, number: int, *, gated: bool) -> bool:
        """Whether a version may be given an alias."""
        version = self.version(name, number)
        if version is None or alias in STAGES:
            return False
        if alias in OPEN:
            return True
        if version.kind == PROMPT and (self.models[name].prompt or not gated):
            return True
        if not gated:
            return self.models[name].aliases.get(alias) == number
        return self.right(name, number)

    def may_be_in(self, name: str, number: int, stage: str, *, gated: bool) -> bool:
        """Whether a version may be moved to a stage."""
        version = self.version(name, number)
        if version is None:
            return False
        if stage not in STAGES:
            return True
        if not gated:
            return version.stage == stage
        return version.kind != PROMPT and self.right(name, number)

    def move(self, name: str, number: int, stage: str, *, archive: bool) -> None:
        """Change a stage."""
        versions = self.models[name].versions
        for one in versions.values():
            if archive and one.stage == stage:
                one.stage = "Archived"
        versions[number].stage = stage

    def delete_version(self, name: str, number: int) -> None:
        """Delete a version, with the aliases that it holds."""
        model = self.models[name]
        model.versions[number].deleted = True
        model.versions[number].stage = "Deleted_Internal"
        model.aliases = {a: n for a, n in model.aliases.items() if n != number}

    def rename(self, name: str, new: str, *, gated: bool) -> bool:
        """Rename a model, and say whether that should be done."""
        if name not in self.models or new in self.models:
            return name == new and name in self.models
        promoted = self.promoted(name)
        self.models[new] = self.models.pop(name)
        if not gated:
            # What is recorded of a deleted model keeps a prompt from taking its place.
            held = [n for a, n in self.models[new].aliases.items() if a not in OPEN]
            return not promoted and not any((new, n) in self.evidence for n in held)
        if self.bound.get(name) and self.demanded(new) is None:
            self.bound[new] = self.bound[name]
        moved = {n: found for (of, n), found in self.evidence.items() if of == name}
        self.evidence = {
            key: found
            for key, found in self.evidence.items()
            if key[0] not in {name, new}
        } | {(new, number): found for number, found in moved.items()}
        return all(self.right(new, number) for number in promoted)

    def bind(self, pattern: str, label: str | None) -> bool:
        """Bind a contract, and say whether that should be done."""
        self.bound[pattern] = label
        return all(
            self.right(name, number)
            for name in self.models
            if stands_for(pattern, name)
            for number in self.promoted(name)
        )

    def resolved(self, name: str, alias: str, *, gated: bool) -> bool:
        """Whether an alias leads to anything."""
        model = self.models.get(name)
        if model is None or alias not in model.aliases:
            return False
        if not gated or alias in OPEN:
            return True
        number = model.aliases[alias]
        if model.versions[number].kind == PROMPT:
            return model.prompt
        return not self.drifted(name, number)


def stands_for(pattern: str, name: str) -> bool:
    """Whether a pattern is a name or stands for it, tried out letter by letter."""
    if not pattern:
        return not name
    if pattern[0] == "*":
        rest = bool(name) and stands_for(pattern, name[1:])
        return rest or stands_for(pattern[1:], name)
    same = bool(name) and pattern[0] in {"?", name[0]}
    return same and stands_for(pattern[1:], name[1:])
