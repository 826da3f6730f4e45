"""The drills of the way to the owner, with the real program and commands that exist for a moment."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from netsky.node.drill import channel
from netsky.node.drill.proof import Line, NotProved, Proof
from netsky.node.escalate.place import FACTS_FILE, Facts, Kind
from netsky.node.home import Home
from netsky.node.init import init_home
from netsky.node.markers import Markers
from netsky.node.seams.real import RealChance, RealTime
from netsky.node.seams.real_files import RealFiles


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(str(tmp_path / "home"))
    init_home(made, RealFiles(), RealChance(), RealTime(), root=True)
    return made


def lines_of(run: Callable[[Proof], None], drill: str) -> list[Line]:
    lines: list[Line] = []
    run(Proof(drill, RealTime().monotonic, lines.append))
    return lines


def test_a_line_that_is_not_proved_says_what_was_found_and_may_end_the_drill() -> None:
    lines: list[Line] = []
    proof = Proof("crash", lambda: 7_000_000, lines.append)
    proof.that(True, "good", "unsaid")
    proof.that(False, "bad", "it was worse")
    with pytest.raises(NotProved):
        proof.need(False, "needed")
    assert [(line.word, line.said) for line in lines] == [
        ("proved", "good"),
        ("not proved", "bad: it was worse"),
        ("not proved", "needed"),
    ]


def test_the_way_to_the_owner_is_broken_and_mended_without_touching_the_real_one(home: Home, tmp_path: Path) -> None:
    heard = tmp_path / "heard"
    command = json.dumps(["/bin/sh", "-c", f"cat >> '{heard}'"])
    Path(home.config).write_text(f'[node]\nname = "netsky0"\n\n[owner]\ncommand = {command}\n')
    lines = lines_of(lambda proof: channel.owner_channel(home, proof, page=False), "owner-channel")
    assert {line.word for line in lines} == {"will", "proved", "not run"}, lines
    assert not heard.exists()
    lines = lines_of(lambda proof: channel.owner_channel(home, proof, page=True), "owner-channel")
    assert {line.word for line in lines} == {"will", "proved"}, lines
    assert heard.read_text().startswith("DRILL")


def sibling(home: Home, *, deputy: bool, command: tuple[str, ...] = (), kind: Kind = "sibling") -> None:
    facts = Facts("netsky1", kind, deputy, "netsky1" if deputy else None, 2, command)
    Markers(home, RealFiles()).write(FACTS_FILE, facts.encode())


def test_a_silent_root_is_noticed_marked_and_cleared(home: Home) -> None:
    sibling(home, deputy=False)
    lines = lines_of(lambda proof: channel.root_silent(home, proof, page=True), "root-silent")
    assert {line.word for line in lines} == {"will", "proved", "not run"}, lines
    assert "after 300 s, and not sooner" in [line.said for line in lines]
    assert Markers(home, RealFiles()).live(RealTime().wall()) == []


def test_the_root_has_no_root_to_be_silent(home: Home) -> None:
    sibling(home, deputy=False, kind="root")
    [line] = lines_of(lambda proof: channel.root_silent(home, proof, page=True), "root-silent")
    assert line.word == "not run"
