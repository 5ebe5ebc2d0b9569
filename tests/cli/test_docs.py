"""What the pages tell an engineer to type is what the command knows."""

from __future__ import annotations

import re

import click
import pytest
from tests.cli.command import ROOT

from normgate.cli import main

PAGES = ("README.md", "docs/server.md", "docs/threat-model.md", "server/compose.yaml")
TYPED = re.compile(r"(?:`|^ *|exec server )normgate ([a-z][^`\n]*)", re.M)


def typed() -> list[str]:
    lines = [
        line.split(" #")[0]
        for page in PAGES
        for line in TYPED.findall((ROOT / page).read_text())
    ]
    return sorted({line for line in lines if line.split()[0] in main.commands})


@pytest.mark.parametrize("line", typed())
def test_what_the_pages_say_can_be_typed(line: str) -> None:
    words = line.split()
    found: click.Command = main
    while words and isinstance(found, click.Group):
        named = words.pop(0).split("|")
        assert set(named) <= set(found.commands), line
        found = found.commands[named[0]]
    known = {option for parameter in found.params for option in parameter.opts}
    if found.name != "server":  # It hands on MLflow's own.
        options = {word.split("=")[0] for word in words if word.startswith("--")}
        assert options <= known, line


def test_the_pages_name_every_command() -> None:
    text = " ".join(typed())
    names = set(main.commands)
    for group in main.commands.values():
        if isinstance(group, click.Group):
            names |= set(group.commands)
    assert {name for name in names if not re.search(rf"\b{name}\b", text)} == set()
