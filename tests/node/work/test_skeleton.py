"""Tickets from a plan to their end: on one node, and over three."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from netsky.node.lab.machine import Machine
from netsky.node.lab.mesh import open_mesh
from trio.testing import MockClock


def plan(*names: str, **more: Any) -> dict[str, Any]:
    return {"name": "demo", "ticket": [{"id": name, **more} for name in names]}


async def ended(machine: Machine, run: str) -> dict[str, Any]:
    return await machine.ask("work_wait", run=run, wait_s=600)


async def started(machine: Machine, **what: Any) -> str:
    return str((await machine.ask("work_run", **what))["run"]["id"])


async def test_a_plan_ends_with_all_of_its_tickets_committed(tmp_path: Path, jumping_clock: MockClock) -> None:
    async with open_mesh(tmp_path, 0) as mesh:
        root = mesh["netsky0"]
        steps = [{"id": "build"}, {"id": "test", "after": ["build"]}, {"id": "ship", "after": ["test", "build"]}]
        run = await started(root, plan={"name": "demo", "ticket": steps})
        found = await ended(root, run)
        assert (found["run"]["state"], found["states"]) == ("completed", {"committed": 3})
        shown = await root.ask("task_show", id="ship")
        states = [step["state"] for step in shown["story"]]
        assert states == ["waiting", "offered", "leased", "reported", "verified", "committed"]
        rows = await root.rows("SELECT event, state FROM work_checkpoints WHERE ticket IS NULL ORDER BY number")
        assert [state for _, state in rows] == [
            *("created", "planned", "dispatched", "collecting", "verifying", "committing", "completed"),
        ]  # fmt: skip


async def test_siblings_that_have_said_what_they_can_do_get_what_needs_it(
    tmp_path: Path, jumping_clock: MockClock
) -> None:
    def labelled(mesh: Any) -> None:
        mesh["netsky2"].configure("work", "labels", ["gpu"])

    async with open_mesh(tmp_path, 2, prepare=labelled) as mesh:
        root = mesh["netsky0"]
        names = [f"t{number}" for number in range(20)]
        found = await ended(root, await started(root, plan=plan(*names, needs=["gpu"])))
        assert (found["run"]["state"], found["states"]) == ("completed", {"committed": 20})
        assert await root.rows("SELECT DISTINCT node FROM work_tickets") == [("netsky2",)]
        await mesh.drained()
        assert await mesh["netsky2"].rows("SELECT * FROM work_held") == []
        for machine in mesh.machines:
            assert await machine.rows("SELECT task, detail FROM crashes") == []
