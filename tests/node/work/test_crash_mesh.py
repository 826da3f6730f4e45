"""The root, or the sibling that works for it, is killed before each of its commits while tickets are on their way there
and back: each ends once, and nothing is left behind."""

from __future__ import annotations

import collections
import itertools
from pathlib import Path

import pytest
import trio
from netsky.node.lab.interpose import writes
from netsky.node.lab.mesh import Mesh, open_mesh
from trio.testing import MockClock

from tests.node.crash_world import STEP
from tests.node.work.scripted import ended, plan, scripted, ticket

TICKETS = (ticket("one", "sleep", "1", needs=["far"]),)


@pytest.mark.parametrize("who", ["netsky0", "netsky1"])
async def test_whoever_is_killed_before_any_commit_each_ticket_ends_once(
    who: str, tmp_path: Path, jumping_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in itertools.count(1, STEP):
        folder = tmp_path / str(number)
        folder.mkdir()
        if await outlived(folder, who, number):
            break
    with capsys.disabled():
        print(f"\n{who} was killed before commits 1 to {number - 1} of a ticket, every {STEP}.")
    assert number > 8


async def outlived(folder: Path, who: str, number: int) -> bool:
    """Whether the story was over before the kill."""

    def prepare(mesh: Mesh) -> None:
        scripted(mesh)
        mesh["netsky1"].configure("work", "labels", ["far"])

    async with open_mesh(folder, 1, prepare=prepare) as mesh:
        root, machine = mesh["netsky0"], mesh[who]
        await trio.sleep(3)
        assert machine.life is not None
        life = machine.life
        life.kill_in(number, writes)
        try:
            run = str((await root.ask("work_run", plan=plan(*TICKETS)))["run"]["id"])
        except Exception:  # noqa: BLE001 - whatever a client sees of a node that dies
            assert life.dead
            run = ""
        for _ in range(16):
            await trio.sleep(0.5)
            if life.dead:
                break
        died = life.dead
        if not died:
            life.kill_in(0)
        if died:
            await machine.start(mesh.nursery)
        if not run:
            runs = (await root.ask("task_ls"))["runs"]
            run = runs[0]["id"] if runs else (await root.ask("work_run", plan=plan(*TICKETS)))["run"]["id"]
        assert await ended(root, run) == {"state": "completed", "committed": 1}
        await mesh.drained()
        steps = await root.rows("SELECT ticket FROM work_checkpoints WHERE event = 'commit'")
        assert sorted(collections.Counter(steps).values()) == [1]
        assert await mesh["netsky1"].rows("SELECT * FROM work_held") == []
        for one in mesh.machines:
            assert await one.rows("SELECT task, detail FROM crashes") == []
        return not died
