"""Loops of whole nodes: fixed and dynamic, their files, who may say when they are due."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from netsky.node.lab.clock import HOUR, MINUTE, MachineTime, moment
from netsky.node.lab.machine import Machine
from netsky.node.lab.mesh import open_mesh, until
from trio.testing import MockClock

NOON = moment("2026-03-28T12:00:30")

START = moment("2026-03-28T12:00:30")


async def minutes(machine: Machine, count: int) -> None:
    for _ in range(count):
        assert isinstance(machine.time, MachineTime)
        machine.time.moved += MINUTE
        await machine.ask("loop_tick")


async def fired(machine: Machine, id_: str) -> list[int]:
    """The minutes after the start of the due times that were sent."""
    rows = await machine.rows(
        "SELECT key FROM idempotency JOIN messages USING (id) WHERE actor = 'agentloop' ORDER BY seq"
    )
    keys = [str(key).split("/") for (key,) in rows]
    return [round((int(due) - START) / MINUTE) for _, which, due in keys if which == id_]


async def create(machine: Machine, **args: Any) -> dict[str, Any]:
    return await machine.ask("loop_create", **{"id": "watch", "target": "agent0", "prompt": "look", **args})


async def test_a_fixed_loop_fires_at_once_and_keeps_its_step_over_sleep_and_restart(
    tmp_path: Path, jumping_clock: MockClock
) -> None:
    time = MachineTime(NOON)
    async with open_mesh(tmp_path, 0, times=[time]) as mesh:
        [root] = mesh.machines
        made = await create(root, every=600)
        assert (made["mode"], made["interval_s"]) == ("fixed", 600)
        await minutes(root, 25)
        assert await fired(root, "watch") == [0, 10, 20]
        [found, *_] = await root.inbox("agent0")
        assert (found["from"], found["kind"]) == ("agentloop", "loop")
        time.moved += 24 * HOUR
        await minutes(root, 10)
        assert await fired(root, "watch") == [0, 10, 20, 30, 1470]
        await mesh.restart(root)
        await minutes(root, 10)
        assert (await fired(root, "watch"))[-1] == 1480
        time.moved -= HOUR  # it waits no longer than its step
        await minutes(root, 11)
        assert len(await fired(root, "watch")) == 7


async def test_a_dynamic_loop_fires_and_waits_for_word_or_for_25_minutes(
    tmp_path: Path, jumping_clock: MockClock
) -> None:
    async with open_mesh(tmp_path, 0, times=[MachineTime(NOON)]) as mesh:
        [root] = mesh.machines
        await root.ask("agent_add", actor="agent1", mode="none")
        await create(root, target="agent1")
        await minutes(root, 1)
        await root.ask("loop_reschedule", by="agent1", id="watch", **{"in": 7_200})
        await minutes(root, 119)
        assert len(await fired(root, "watch")) == 1
        await mesh.restart(root)
        await minutes(root, 3)
        assert len(await fired(root, "watch")) == 2
        await minutes(root, 20)
        assert len(await fired(root, "watch")) == 2
        await minutes(root, 4)
        assert len(await fired(root, "watch")) == 3
        await root.ask("loop_reschedule", id="watch")
        await minutes(root, 24)
        assert len(await fired(root, "watch")) == 3
        await minutes(root, 2)
        assert len(await fired(root, "watch")) == 4


async def test_only_the_one_it_is_for_and_the_operator_have_a_say(tmp_path: Path, jumping_clock: MockClock) -> None:
    async with open_mesh(tmp_path, 0) as mesh:
        [root] = mesh.machines
        for name in ("agent1", "worker1"):
            await root.ask("agent_add", actor=name, mode="none")
        await create(root)
        own = {"id": "own", "target": "agent1", "prompt": "x"}
        await root.ask("loop_create", by="agent1", **own)
        assert (await root.refusal("loop_create", by="agent1", **(own | {"id": "b", "target": "agent0"})))[
            "code"
        ] == "authority"
        assert (await root.refusal("loop_create", by="worker1", **(own | {"target": "worker1"})))["code"] == "authority"
        for verb in ("loop_reschedule", "loop_rm"):
            assert (await root.refusal(verb, by="agent1", id="watch"))["code"] == "no_loop"
        assert [one["id"] for one in (await root.ask("loop_ls", by="agent1"))["loops"]] == ["own"]
        assert (await root.refusal("loop_create", **own))["code"] == "id_taken"
        await root.ask("loop_rm", by="agent1", id="own")
        assert (await root.refusal("loop_rm", id="own"))["code"] == "no_loop"
        assert await root.rows("SELECT id FROM schedules") == [("watch",)]
        assert "60" in (await root.refusal("loop_create", **own, every=5))["message"]


async def test_a_file_that_is_broken_by_hand_leaves_its_last_good_loop_in_force(
    tmp_path: Path, jumping_clock: MockClock
) -> None:
    async with open_mesh(tmp_path, 0, times=[MachineTime(NOON)]) as mesh:
        [root] = mesh.machines
        await create(root, every=600)
        await create(root, id="other", every=600)
        await minutes(root, 1)
        change(root, "watch", "600", "5")
        await minutes(root, 10)
        assert [len(await fired(root, id_)) for id_ in ("watch", "other")] == [2, 2]
        [fault] = (await root.ask("status"))["faults"]
        assert "watch.toml, line 5: interval_s: must be from 60" in fault["sentence"]
        assert "line 5" in root.logged("loops.refused")[0]["faults"][0]
        assert (await root.ask("loop_ls"))["faults"][0]["line"] == 5
        await mesh.restart(root)
        await minutes(root, 10)
        assert [len(await fired(root, id_)) for id_ in ("watch", "other")] == [2, 3]
        change(root, "watch", "5", "600")
        await minutes(root, 1)
        assert (await root.ask("status"))["faults"] == []
        assert len(await fired(root, "watch")) == 3
        await root.ask("loop_rm", id="watch")
        await minutes(root, 30)
        assert [len(await fired(root, id_)) for id_ in ("watch", "other")] == [3, 6]


def change(machine: Machine, id_: str, old: str, new: str) -> None:
    path = Path(machine.home.at("loops", f"{id_}.toml"))
    path.write_text(path.read_text().replace(f"interval_s = {old}\n", f"interval_s = {new}\n"))


async def test_a_loop_of_a_sibling_goes_through_the_root(tmp_path: Path, jumping_clock: MockClock) -> None:
    async with open_mesh(tmp_path, 1, times=[MachineTime(NOON)] * 2) as mesh:
        _, one = mesh.machines
        made = await create(one, every=600)
        assert made["through_root"] is True
        await minutes(one, 1)

        async def there() -> list[dict[str, Any]] | None:
            return await one.inbox("agent0") or None

        [found] = await until(there)
        assert (found["from"], found["kind"]) == ("agentloop@netsky0", "loop")


async def test_a_target_that_is_gone_is_a_fault_that_heals(tmp_path: Path, jumping_clock: MockClock) -> None:
    async with open_mesh(tmp_path, 0, times=[MachineTime(NOON)]) as mesh:
        [root] = mesh.machines
        await root.ask("agent_add", actor="agent1", mode="none")
        await create(root, target="agent1", every=600)
        await root.ask("agent_rm", actor="agent1")
        await minutes(root, 1)
        assert "there is no actor agent1" in (await root.ask("loop_ls"))["loops"][0]["fault"]["sentence"]
        await root.ask("agent_add", actor="agent1", mode="none")
        await minutes(root, 10)
        assert len(await root.inbox("agent1")) == 1
        assert (await root.ask("status"))["faults"] == []
