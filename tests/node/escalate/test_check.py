"""What doctor says of the way to the owner, and what the separate program makes of a home's files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from netsky.node.config import Config, default_text, parse_config
from netsky.node.errors import Usage
from netsky.node.escalate import place
from netsky.node.escalate.check import findings
from netsky.node.escalate.place import FACTS_FILE, Facts, Kind
from netsky.node.home import Home


class Place:
    """A home as files."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "home"
        (self.path / "state").mkdir(parents=True)
        self.config = self.path / "config.toml"

    def facts(
        self, kind: Kind, *, is_deputy: bool = False, deputy: str | None = None, members: int = 1, command: str = ""
    ) -> None:
        words = (command,) if command else ()
        found = Facts("netsky1", kind, is_deputy, deputy, members, words)
        (self.path / "state" / FACTS_FILE).write_bytes(found.encode())

    def command(self, *words: str) -> None:
        self.config.write_text(f"[owner]\ncommand = {json.dumps(words)}\n")

    @property
    def found(self) -> list[tuple[str, str]]:
        return [(level, sentence) for level, sentence, _ in findings(Home(str(self.path)))]


@pytest.fixture
def here(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_a_root_without_a_command_is_warned_and_one_with_a_good_command_is_not(here: Place) -> None:
    here.facts("root")
    here.command()
    [(level, sentence)] = here.found
    assert (level, "has no command that reaches the owner" in sentence) == ("warn", True)
    here.command("/bin/sh", "-c", "true")
    assert [level for level, _ in here.found] == ["ok"]


@pytest.mark.parametrize(
    ("program", "why"),
    [("/nowhere/tell-me", "not there"), ("{home}/plain", "not there"), ("sh", "whole path"), ("./tell", "whole path")],
)
def test_a_command_that_could_not_run_when_it_is_needed_is_warned_of(here: Place, program: str, why: str) -> None:
    here.facts("root")
    (here.path / "plain").write_text("#!/bin/sh\n")
    here.command(program.format(home=here.path))
    [(level, sentence)] = here.found
    assert (level, why in sentence) == ("warn", True)


def test_a_deputy_needs_a_command_and_another_sibling_does_not(here: Place) -> None:
    here.command()
    here.facts("sibling", deputy="netsky2", members=3)
    assert here.found == []
    here.facts("sibling", is_deputy=True, deputy="netsky1", members=3)
    [(level, sentence)] = here.found
    assert (level, sentence.startswith("this is the deputy")) == ("warn", True)


@pytest.mark.parametrize("kind", ["root", "sibling"])
def test_a_mesh_without_a_deputy_is_told_so_on_every_node(here: Place, kind: Kind) -> None:
    here.command("/bin/sh")
    here.facts(kind, members=2)
    assert ("warn", "no deputy is named: if netsky0 falls silent, nobody tells the owner") in here.found
    here.facts(kind, members=2, deputy="netsky1")
    assert all(level == "ok" for level, _ in here.found)


def test_a_root_alone_needs_no_deputy_and_a_home_in_no_mesh_nothing(here: Place) -> None:
    here.command("/bin/sh")
    here.facts("root", members=1)
    assert [level for level, _ in here.found] == ["ok"]
    here.command()
    here.facts("alone")
    assert here.found == []


# What the program knows.


@pytest.mark.parametrize(
    ("charter", "name", "kind"), [(False, "netsky1", "alone"), (True, "netsky0", "root"), (True, "netsky1", "sibling")]
)
def test_before_a_daemon_ever_ran_the_charter_and_the_config_say_what_it_is(
    here: Place, charter: bool, name: str, kind: Kind
) -> None:
    if charter:
        (here.path / "charter").write_bytes(b"sealed")
    here.config.write_text(f'[node]\nname = "{name}"\n')
    found = place.look(str(here.path))
    assert (found.kind, found.node, found.is_deputy, found.command) == (kind, name, False, ())


def test_what_the_daemon_said_goes_before_the_config_until_the_home_joins_a_mesh(here: Place) -> None:
    here.config.write_text('[node]\nname = "netsky0"\n')
    here.facts("sibling", is_deputy=True, deputy="netsky1")
    found = place.look(str(here.path))
    assert (found.kind, found.node, found.is_deputy) == ("sibling", "netsky1", True)
    here.facts("alone")
    (here.path / "charter").write_bytes(b"sealed")
    here.config.write_text('[node]\nname = "netsky1"\n')
    assert place.look(str(here.path)).kind == "sibling"


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"kind": "king"}', b"\xff", b'{"command": 3}', b"[" * 100_000])
def test_a_damaged_file_of_facts_is_none(here: Place, data: bytes) -> None:
    (here.path / "state" / FACTS_FILE).write_bytes(data)
    assert place.read_facts(str(here.path)) is None
    assert place.look(str(here.path)).kind == "alone"


@pytest.mark.parametrize("wrong", ['"tell"', "[1]", '["a\\nb"]', "[]  \n[owner", '[""]', "{}", '["\\u0000"]'])
def test_a_command_that_breaks_a_rule_leaves_the_one_that_was_good_last(here: Place, wrong: str) -> None:
    here.facts("root", command="/bin/good")
    here.config.write_text(f"[owner]\ncommand = {wrong}\n")
    found = place.look(str(here.path))
    assert found.command == ("/bin/good",)
    assert len(found.doubts) == 2
    with pytest.raises(Usage):
        parse_config(here.config.read_bytes(), str(here.config))


def test_a_command_stands_in_the_config_as_it_was_set() -> None:
    config = Config(owner_command=("/bin/tell me", 'a "quoted" \\ word', "ü"))
    assert parse_config(default_text(config).encode(), "config.toml").owner_command == config.owner_command
