"""A node is killed before every seam call around a halt, and the next life goes on with it.

The story: one program runs always and one is at work on an envelope; the node is halted, and lets go on. Whatever the
call before which it dies: once its operator had the answer the halt holds, in a halted life no program runs, what was
in hand is in the inbox and no try of it is counted, and after the resume it is done once.
"""

from __future__ import annotations

import collections
import itertools
import os
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import trio
import trio.testing
from netsky.node.lab.interpose import Killed, interpose
from netsky.node.lab.virtual import MemorySockets
from netsky.node.seams import Seams

from tests.node.crash_world import LOOKS, STEP, Client, World, file_at
from tests.node.halt.programs import Programs


class Halts(World):
    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self.programs = Programs()
        self.said: set[str] = set()
        """What the operator was answered, over all lives."""
        self.counts = False
        """From the halt until the programs run again."""
        self.killed = ""
        self.kill_before: int | None = None
        self.changes = 0
        self.began_halted = False

    def seams(self, sockets: MemorySockets) -> Seams:
        self.programs.die()
        return interpose(replace(super().seams(sockets), processes=self.programs), self._before)

    def _before(self, call: str, args: tuple[object, ...]) -> None:
        del args
        if self.counts and call not in LOOKS and call != "memorystream.send":  # an answer says what holds already
            self.changes += 1
            if self.changes == self.kill_before:
                self.counts, self.killed = False, call
                self.life.kill()
                raise Killed(call)


class Story:
    async def __call__(self, world: World, sockets: MemorySockets) -> None:
        assert isinstance(world, Halts)
        client = Client(world, sockets)
        await self.begin(world, client)
        world.counts = not world.killed
        if "resumed" not in world.said:
            await self.halt(world, client)
            await client.call("resume")
            world.said.add("resumed")
        for name in ("agent1", "agent2"):
            await runs(world, name)
        world.counts = False
        [program] = world.programs.running("agent2")
        assert b"the work" in program.given
        program.say("done")
        while True:
            inbox = os.path.join(world.home.channels, "agent0", "inbox")
            answers = [os.path.join(inbox, name) for name in os.listdir(inbox) if name[0] != "."]
            if answers and not (await client.call("inbox", actor="agent2"))["waiting"]:
                break
            await trio.sleep(0.1)
        [answer] = map(file_at, answers)
        assert (answer.sender, answer.text) == ("agent2", "done")

    async def begin(self, world: Halts, client: Client) -> None:
        """Both programs run, unless the last life was halted."""
        command = {"command": ["/bin/prog", "3"], "unfenced": True, "cwd": "/"}
        for name, mode in (("agent1", "resident"), ("agent2", "per_envelope")):
            await client.call("agent_add", actor=name, mode=mode, confirm=name, **command)
        halted = (await client.call("status"))["halted"]
        world.began_halted = halted is not None
        assert halted is not None or "halted" not in world.said or "resumed" in world.said
        if "sent" not in world.said and halted is None:
            await client.call("send", to="agent2", text="the work", idempotency_key="work", **{"from": "agent0"})
            world.said.add("sent")
        if halted is None and "halted" not in world.said:
            for name in ("agent1", "agent2"):
                await runs(world, name)

    async def halt(self, world: Halts, client: Client) -> None:
        ended = len(world.programs.running()) * 3
        here = (await client.call("halt", reason="stop"))["here"]
        assert here["ended"] <= ended
        world.said.add("halted")
        assert world.programs.running() == []
        await self.nothing_in_hand(world, client)
        await trio.sleep(0.5)
        assert world.programs.running() == []

    async def nothing_in_hand(self, world: Halts, client: Client) -> None:
        folder = os.path.join(world.home.channels, "agent2")
        waiting = (await client.call("inbox", actor="agent2"))["waiting"]
        assert [(one["state"], one["claimed_at"]) for one in waiting] == [("projected", None)]
        assert [name for name in os.listdir(os.path.join(folder, "claimed")) if name[0] != "."] == []
        with closing(sqlite3.connect(f"file:{world.home.database}?mode=ro", uri=True)) as database:
            rows = database.execute("SELECT tries, losses, open FROM handovers").fetchall()
        counted = [] if world.began_halted else [[(1, 1, 0)]]  # killed at work before there was a halt
        assert rows in [[], [(0, 0, 0)], *counted]


async def runs(world: Halts, actor: str) -> None:
    with trio.fail_after(20):
        while len(world.programs.running(actor)) != 1:  # noqa: ASYNC110 - a program rings no bell here
            await trio.sleep(0.05)


def play(folder: Path, kill_before: int | None) -> Halts:
    async def lives() -> Halts:
        world = Halts(str(folder))
        world.kill_before = kill_before
        await world.live(Story(), None)
        if world.killed:
            await world.live(Story(), None)
        return world

    return trio.run(lives, clock=trio.testing.MockClock(autojump_threshold=0))


def test_a_node_killed_before_any_call_that_changes_something_around_a_halt_stays_halted_and_loses_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.node.crash_world.LIFE_SECONDS", 300.0)
    points: collections.Counter[str] = collections.Counter()
    for number in itertools.count(1, STEP):
        world = play(tmp_path / f"home{number}", number)
        if not world.killed:
            break
        points[world.killed] += 1
    with capsys.disabled():
        print(f"\nkilled before every {STEP}. call around a halt, {points.total()} of them: {dict(points)}")
    assert points["sqliteledger.transaction"] > 3 // STEP, "the halt itself, what was given back, the tries"
