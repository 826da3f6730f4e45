"""A node is killed between any two states of its disk around its fires, and the next life goes on: each due time fires
once. Before calls that change nothing on disk `test_crash_everywhere.py` kills a node.

The story: an entry that is due a second after the start, a loop that is due at once and is told when to come again, an
entry that is added and one that is taken out.
"""

from __future__ import annotations

import collections
import os
import sqlite3
from pathlib import Path

import pytest
import trio
import trio.testing
from netsky.node.config import with_line
from netsky.node.lab.virtual import EPOCH_NS, MemorySockets, VirtualTime
from netsky.node.schedule.entries import entry_text
from netsky.node.schedule.loop import Loop, loop_text
from netsky.node.seams import Seams

from tests.node.crash_world import STEP, Client, World

CHANGING = ("sqliteledger.transaction", "memorystream.send", *(f"files.{name}" for name in (
    "replace", "write_new", "move", "remove", "append",
)))  # fmt: skip

MINUTE = 60 * 10**9
START = EPOCH_NS - EPOCH_NS % MINUTE + MINUTE - 1_500_000_000
"""One and a half seconds before a minute begins."""


class Scheduled(World):
    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self.counted = CHANGING.__contains__
        config = Path(self.home.config)
        config.write_text(with_line(config.read_text(), "tick", "seconds", 1))
        Path(self.home.at("cron.toml")).write_text(
            "# kept\n" + _entry("minutes", "* * * * *") + "# kept too\n" + _entry("gone", "0 0 1 1 *")
        )
        os.mkdir(self.home.at("loops"), 0o700)
        loop = Loop("watch", "agent0", "look", "dynamic", None, "2026-11-26T00:00:00Z")
        Path(self.home.at("loops", "watch.toml")).write_text(loop_text(loop))

    def seams(self, sockets: MemorySockets) -> Seams:
        made = super().seams(sockets)
        return Seams(
            files=made.files,
            ledger=made.ledger,
            processes=made.processes,
            sockets=made.sockets,
            transport=made.transport,
            time=VirtualTime(START),
            chance=made.chance,
        )

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        database = sqlite3.connect(f"file:{self.home.database}?mode=ro", uri=True)
        found = database.execute(sql).fetchall()
        database.close()
        return found


def _entry(label: str, schedule: str) -> str:
    return entry_text({"label": label, "schedule": schedule, "target": "agent0", "prompt": f"do {label}"})


async def story(world: World, sockets: MemorySockets) -> None:
    client = Client(world, sockets)
    labels = [one["label"] for one in (await client.call("cron_ls"))["entries"]]
    if "gone" in labels:
        await client.call("cron_rm", label="gone")
    if "added" not in labels:
        await client.call("cron_add", label="added", schedule="0 0 1 2 *", target="agent0", prompt="later")
    [loop] = (await client.call("loop_ls"))["loops"]
    while loop["fired"] is None:
        await trio.sleep(0.3)
        [loop] = (await client.call("loop_ls"))["loops"]
    await client.call("loop_reschedule", id="watch", **{"in": 7_200})
    while not any(one["fired"] for one in (await client.call("cron_ls"))["entries"]):  # noqa: ASYNC110
        await trio.sleep(0.3)
    await client.call("cron_tick")


def play(folder: Path, kill_before: int | None) -> tuple[Scheduled, list[str], bool]:
    async def lives() -> tuple[Scheduled, list[str], bool]:
        world = Scheduled(str(folder))
        calls = await world.live(story, kill_before)
        alive = kill_before is None or len(calls) < kill_before
        if not alive:
            await world.live(story, None)
        return world, calls, alive

    return trio.run(lives, clock=trio.testing.MockClock(autojump_threshold=0))


def judge(world: Scheduled) -> None:
    keys = [str(key) for (key,) in world.rows("SELECT key FROM idempotency ORDER BY key")]
    sent = world.rows("SELECT kind, sender, recipient FROM messages WHERE kind IN ('cron', 'loop') ORDER BY kind")
    assert sent == [("cron", "agentcron", "agent0"), ("loop", "agentloop", "agent0")]
    assert keys[0] == f"cron/minutes/{START + 1_500_000_000}"
    assert keys[1].startswith("loop/watch/")
    assert len(keys) == 2
    [(due, fired)] = world.rows("SELECT due, fired FROM schedules WHERE kind = 'loop'")
    assert keys[1] == f"loop/watch/{fired}"
    assert isinstance(due, int)
    assert due >= START + 7_200 * 10**9
    text = Path(world.home.at("cron.toml")).read_text()
    added = {"label": "added", "schedule": "0 0 1 2 *", "target": "agent0", "prompt": "later"}
    assert text == f"# kept\n{_entry('minutes', '* * * * *')}# kept too\n\n{entry_text(added)}"
    assert {name for (name,) in world.rows("SELECT id FROM schedules")} == {"minutes", "added", "watch"}


def test_the_story_is_told_when_nobody_dies(tmp_path: Path) -> None:
    world, calls, alive = play(tmp_path / "home", None)
    assert alive
    judge(world)
    assert len(calls) > 50


def test_a_node_killed_between_any_two_states_of_its_disk_fires_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kinds: collections.Counter[str] = collections.Counter()
    number, alive = 0, False
    while not alive:
        number += STEP
        world, calls, alive = play(tmp_path / f"home{number}", number)
        kinds[calls[-1]] += not alive
        try:
            judge(world)
        except AssertionError as wrong:
            raise AssertionError(f"killed before call {number}, {calls[-1]}") from wrong
    assert kinds["sqliteledger.transaction"] > 40 // STEP
    assert kinds["files.replace"] >= 1
    with capsys.disabled():
        print(f"\nkilled before every {STEP}. of {number - 1} seam calls that change the disk: {dict(kinds)}")
