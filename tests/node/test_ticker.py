"""The ticker: rounds on time, one at a time, and a part that fails or hangs costs itself alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import trio
from netsky.node.daemon.ticker import PART_SECONDS
from netsky.node.lab.machine import Machine
from netsky.node.lab.mesh import Mesh, open_mesh, until
from trio.testing import MockClock


class Slow:
    """A part that takes so long, round by round; nothing once that is used up."""

    name = "slow"

    def __init__(self, *seconds: float) -> None:
        self.seconds = list(seconds)
        self.began: list[float] = []

    async def tick(self, now: int) -> Mapping[str, object]:
        self.began.append(trio.current_time())
        if self.seconds:
            await trio.sleep(self.seconds.pop(0))
        return {"looked": now}


class Broken:
    name = "broken"

    async def tick(self, now: int) -> Mapping[str, object]:
        raise ValueError(f"at {now}")


def sign_of(machine: Machine) -> dict[str, Any]:
    sign: dict[str, Any] = json.loads(Path(machine.home.at("state", "tick.json")).read_text())
    return sign


async def rounds(machine: Machine, count: int) -> list[dict[str, object]]:
    async def look() -> list[dict[str, object]] | None:
        rows = await machine.rows("SELECT detail FROM ticks ORDER BY id")
        return [json.loads(str(row[0])) for row in rows] if len(rows) >= count else None

    return await until(look, every=1)


async def test_a_round_is_done_at_the_start_and_every_minute_and_leaves_a_row_and_a_sign(
    tmp_path: Path, jumping_clock: MockClock
) -> None:
    async with open_mesh(tmp_path, 0) as mesh:
        [root] = mesh.machines
        found = await rounds(root, 3)
        starts = [int(str(one["at"])) for one in found]
        assert [(one - starts[0]) // 10**9 for one in starts[:3]] == [0, 60, 120]
        sign = sign_of(root)
        assert (sign["pid"], sign["seconds"]) == (7, 60)
        assert sign["monotonic"] == sign["at"] - root.time.wall() + root.time.monotonic()
        assert (await root.ask("status"))["tick"]["round"] >= 3


async def test_the_period_is_a_setting_and_a_round_can_be_asked_for(tmp_path: Path, jumping_clock: MockClock) -> None:
    def prepare(mesh: Mesh) -> None:
        mesh.machines[0].configure("tick", "seconds", 600)

    async with open_mesh(tmp_path, 0, prepare=prepare) as mesh:
        [root] = mesh.machines
        first = (await rounds(root, 1))[0]["round"]
        assert (await root.ask("tick"))["round"] == int(str(first)) + 1
        assert len(await rounds(root, 2)) == 2


async def test_a_part_that_fails_or_hangs_is_a_crash_row_and_the_others_are_asked_all_the_same(
    tmp_path: Path, jumping_clock: MockClock
) -> None:
    async with open_mesh(tmp_path, 0) as mesh:
        [root] = mesh.machines
        await rounds(root, 1)
        hangs = Slow(PART_SECONDS + 1)
        hangs.name = "hangs"
        root.node.ticker.parts += [Broken(), hangs, Slow()]
        parts = (await root.ask("tick"))["parts"]
        assert (parts["broken"]["failed"], parts["hangs"]["failed"]) == ("ValueError", "hung")
        assert parts["slow"]["looked"] == (await root.ask("status"))["tick"]["at"]
        crashes = await root.rows("SELECT task, kind FROM crashes ORDER BY id")
        assert crashes == [("tick/broken", "crashed"), ("tick/hangs", "tick_hung")]
        assert root.logged("tick.trouble")[-1]["failed"] == ["broken", "hangs"]


async def test_a_round_that_overruns_is_seen_and_those_due_meanwhile_are_left_out(
    tmp_path: Path, jumping_clock: MockClock
) -> None:
    def prepare(mesh: Mesh) -> None:
        mesh.machines[0].configure("tick", "seconds", 2)

    async with open_mesh(tmp_path, 0, prepare=prepare) as mesh:
        [root] = mesh.machines
        slow = Slow(7)
        before = len(await rounds(root, 1))
        root.node.ticker.parts.append(slow)
        found = await rounds(root, before + 3)
        overrun = next(one for one in found if one["skipped"])
        assert overrun["skipped"] == 3
        assert slow.began[1] - slow.began[0] == 8
        assert root.logged("tick.trouble")[0]["skipped"] == 3
        assert max(sum(a < b < a + 1.5 for b in slow.began) for a in slow.began) == 0
