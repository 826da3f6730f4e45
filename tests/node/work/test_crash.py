"""A node is killed before every seam call that changes something while it carries out a plan; the next life goes on.

The plan: one ticket, one that fails once, one that comes after both. Whatever the call before which it dies: what was
answered holds, each ticket is committed once, no step is on record twice under one fence, and fences only rise.
"""

from __future__ import annotations

import collections
import itertools
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from netsky.node.lab.interpose import Killed, interpose
from netsky.node.lab.virtual import MemorySockets
from netsky.node.seams import Seams
from netsky.node.work.fence import read_fence
from netsky.node.work.floor import Floor
from netsky.node.work.report import Report
from netsky.node.work.runtime import Job, Noop

from tests.node.crash_world import LOOKS, Client, World

PLAN = {
    "name": "demo",
    "ticket": [
        {"id": "one", "idempotency_key": "k1"},
        {"id": "two", "title": "fails once", "constraints": {"max_retries": 9}},
        {"id": "three", "after": ["one", "two"]},
    ],
}


class FailsOnce(Noop):
    async def run(self, job: Job) -> Report:
        await trio.lowlevel.checkpoint()
        if job.spec.title and job.tried == 1:
            return Report("failed", "exit_1", "it ended with exit code 1")
        return Report("done", walled="node")


class Works(World):
    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self.run = ""
        self.counts, self.changes, self.killed = False, 0, ""
        self.kill_before: int | None = None

    def seams(self, sockets: MemorySockets) -> Seams:
        return interpose(replace(super().seams(sockets)), self._before)

    def _before(self, call: str, args: tuple[object, ...]) -> None:
        if not self.counts or call in LOOKS or call.startswith("memorystream") or _only_reads(call, args):
            return
        self.changes += 1
        if self.changes == self.kill_before:
            self.counts, self.killed = False, call
            assert self.life is not None
            self.life.kill()
            raise Killed(call)


def _only_reads(call: str, args: tuple[Any, ...]) -> bool:
    return call.endswith(".transaction") and all(one.sql.startswith(("SELECT", "WITH")) for one in args[0])


async def story(world: World, sockets: MemorySockets) -> None:
    assert isinstance(world, Works)
    client = Client(world, sockets)
    await client.call("agent_ls")  # it serves
    world.counts = not world.killed
    runs = (await client.call("task_ls"))["runs"]
    assert len(runs) <= 1
    assert not world.run or runs, "a run that was answered is there"
    if not runs:
        world.run = (await client.call("work_run", plan=PLAN))["run"]["id"]
        runs = [{"id": world.run}]
    with trio.fail_after(25):
        found = await client.call("work_wait", run=runs[0]["id"], wait_s=20)
    world.counts = False
    assert (found["run"]["state"], found["states"]) == ("completed", {"committed": 3}), found


def play(folder: Path, kill_before: int | None) -> Works:
    async def lives() -> Works:
        world = Works(str(folder))
        world.kill_before = kill_before
        await world.live(story, None)
        if world.killed:
            await world.live(story, None)
        return world

    return trio.run(lives, clock=trio.testing.MockClock(autojump_threshold=0))


def check(world: Works) -> None:
    with closing(sqlite3.connect(f"file:{world.home.database}?mode=ro", uri=True)) as database:
        steps = database.execute(
            "SELECT ticket, event, state, fence FROM work_checkpoints WHERE ticket IS NOT NULL ORDER BY number"
        ).fetchall()
        crashes = database.execute("SELECT task, detail FROM crashes").fetchall()
    assert crashes == []
    committed = collections.Counter(ticket for ticket, event, _, _ in steps if event == "commit")
    assert set(committed.values()) == {1}
    assert len(committed) == 3, "each ticket ends once"
    assert max(collections.Counter(steps).values()) == 1, "no step twice under one fence"
    fences = [read_fence(fence) for _, event, _, fence in steps if event == "offer"]
    assert fences == sorted(set(filter(None, fences)))


def test_a_node_killed_before_any_call_that_changes_something_ends_each_ticket_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.node.crash_world.LIFE_SECONDS", 120.0)
    runtime = FailsOnce()
    made = Floor.__init__

    def with_failure(self: Floor, node: Any, runtimes: Any) -> None:
        made(self, node, {**runtimes, "noop": runtime})

    monkeypatch.setattr(Floor, "__init__", with_failure)
    points: collections.Counter[str] = collections.Counter()
    for number in itertools.count(1):
        world = play(tmp_path / f"home{number}", number)
        check(world)
        if not world.killed:
            break
        points[world.killed] += 1
    with capsys.disabled():
        print(f"\nkilled before each of {points.total()} calls of a run: {dict(points)}")
    assert points["sqliteledger.transaction"] > 15, "the plan, and every step of every ticket"
