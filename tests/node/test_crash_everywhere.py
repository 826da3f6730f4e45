"""A node is killed before every seam call of a short story, and the next life brings the story to its end.

The story is that of `crash_world`: three envelopes one way, one outbox file the other way, all taken. Afterwards every
accepted envelope has its row, was shown at least once, was never shown again once its ack was answered, lies in one
place only, and nothing lies in an archive that its consumer did not take.
"""

from __future__ import annotations

import collections
import os
import sqlite3
from pathlib import Path

import pytest
import trio
import trio.testing

from tests.node.crash_world import FOLDERS, Story, World

ENVELOPES = 4


def play(folder: Path, kill_before: int | None) -> tuple[World, list[str], bool]:
    """The story with one death, then to its end. Whether the first life reached the end alive."""

    async def lives() -> tuple[World, list[str], bool]:
        world = World(str(folder))
        calls = await world.live(Story(), kill_before)
        alive = kill_before is None or len(calls) < kill_before
        if not alive:
            await world.live(Story(), None)
        return world, calls, alive

    return trio.run(lives, clock=trio.testing.MockClock(autojump_threshold=0))


def violations(world: World) -> list[str]:
    found = []
    books = world.books
    database = sqlite3.connect(f"file:{world.home.database}?mode=ro", uri=True)
    rows = database.execute("SELECT id, file, state FROM inbox JOIN messages USING (seq)").fetchall()
    database.close()
    ids = {row[0] for row in rows}
    states = {row[1]: row[2] for row in rows}
    found += [
        f"{key}: accepted as {id_}, and has no row" for key, id_ in books.accepted.items() if id_ and id_ not in ids
    ]
    if len(rows) != ENVELOPES:
        found.append(f"{len(rows)} rows for {ENVELOPES} envelopes")
    places = collections.Counter(
        (name, place)
        for actor in ("agent0", "agent1")
        for place in FOLDERS
        for name in os.listdir(os.path.join(world.home.channels, actor, place))
        if not name.startswith(".")
    )
    for name, state in states.items():
        where = [place for (other, place) in places if other == name]
        if where != ["archive"] or state != "taken":
            found.append(f"{name} is {state} and lies in {where}")
        if name not in books.emitted:
            found.append(f"{name} was never shown")
    found += [f"{name} lies in {place} and has no row" for (name, place) in places if name not in states]
    found += [
        f"{name} was archived untaken" for (name, place) in places if place == "archive" and name not in books.acking
    ]
    found += [f"{name} was shown again after its ack" for name in books.emitted_after_ack]
    return found


def test_the_story_is_told_when_nobody_dies(tmp_path: Path) -> None:
    world, calls, alive = play(tmp_path / "home", None)
    assert alive
    assert violations(world) == []
    assert len(calls) > 100


def test_a_node_killed_before_any_seam_call_loses_nothing_and_does_nothing_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    points: collections.Counter[str] = collections.Counter()
    number, alive = 0, False
    while not alive:
        number += 1
        world, calls, alive = play(tmp_path / f"home{number}", number)
        assert violations(world) == [], f"killed before call {number}, {calls[-1]}"
        if not alive:
            points[calls[-1]] += 1
    with capsys.disabled():
        print(f"\nkilled before each of {sum(points.values())} seam calls, {len(points)} kinds: {dict(points)}")
