"""A node is killed before every seam call of a short story that changes anything, and the next life brings the story
to its end.

The story is that of `crash_world`: three envelopes one way, one outbox file the other way, all taken. Its history is
judged by the lab's checker, and at the end every envelope lies in an archive and nothing lies anywhere else.
"""

from __future__ import annotations

import collections
import os
from pathlib import Path

import pytest
import trio
import trio.testing
from netsky.node.lab.checker.__main__ import text
from netsky.node.lab.checker.rules import Report, check

from tests.node.crash_world import LOOKS, STEP, Story, World
from tests.node.end_state import note_end

ENVELOPES = 4


def play(folder: Path, kill_before: int | None) -> tuple[World, list[str], bool]:
    """The story with one death, then to its end. Whether the first life reached the end alive."""

    async def lives() -> tuple[World, list[str], bool]:
        world = World(str(folder))
        if "NETSKY_CRASH_ALL" not in os.environ:
            world.counted = lambda call: call not in LOOKS
        calls = await world.live(Story(), kill_before)
        alive = kill_before is None or len(calls) < kill_before
        if not alive:
            await world.live(Story(), None)
        left = note_end(world.witness("test"), world.home, ("agent0", "agent1"))
        assert left == []
        return world, calls, alive

    return trio.run(lives, clock=trio.testing.MockClock(autojump_threshold=0))


def judged(world: World) -> Report:
    path = f"{world.home.path}.history"
    Path(path).write_bytes(b"".join(world.history))
    report = check([path])
    assert report.tally.by_kind["deliver"] == ENVELOPES
    return report


def test_the_story_is_told_when_nobody_dies(tmp_path: Path) -> None:
    world, calls, alive = play(tmp_path / "home", None)
    assert alive
    report = judged(world)
    assert report.violations == {}, text(report)
    assert len(calls) > 100


def test_a_node_killed_before_any_seam_call_loses_nothing_and_does_nothing_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    points: collections.Counter[str] = collections.Counter()
    number, alive = 0, False
    while not alive:
        number += STEP
        world, calls, alive = play(tmp_path / f"home{number}", number)
        report = judged(world)
        assert report.violations == {}, f"killed before call {number}, {calls[-1]}\n{text(report)}"
        if not alive:
            points[calls[-1]] += 1
    with capsys.disabled():
        print(f"\nkilled before every {STEP}. seam call, {sum(points.values())} of {len(points)} kinds: {dict(points)}")
