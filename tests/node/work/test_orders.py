"""What people ask of work on one node: adding within caps, keys, cancelling, trying again, looking."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from netsky.node.lab.machine import Machine
from netsky.node.lab.mesh import open_mesh
from netsky.node.work.limits import DEPTH_MAX, FAN_OUT_MAX
from trio.testing import MockClock

from tests.node.work.scripted import ended, plan, scripted, started, ticket


@asynccontextmanager
async def root_alone(folder: Path) -> AsyncIterator[Machine]:
    async with open_mesh(folder, 0, prepare=scripted) as mesh:
        yield mesh["netsky0"]
        assert await mesh["netsky0"].rows("SELECT task, detail FROM crashes") == []


async def add(machine: Machine, name: str, **more: Any) -> str:
    where = {key: more.pop(key) for key in ("run", "parent") if key in more}
    return str((await machine.ask("task_add", ticket={"id": name, **more}, **where))["ticket"])


async def test_a_ticket_has_so_many_children_and_they_go_so_deep(tmp_path: Path, jumping_clock: MockClock) -> None:
    async with root_alone(tmp_path) as root:
        top = await add(root, "top", needs=["nowhere"])
        for number in range(FAN_OUT_MAX):
            await add(root, f"child{number}", parent=top, needs=["nowhere"])
        refused = await root.refusal("task_add", ticket={"id": "more"}, parent=top)
        assert (refused["exit"], refused["code"]) == (8, "fan_out")
        run = top.partition(".")[0]
        await root.ask("task_cancel", id=f"{run}.child0")
        below = await add(root, "below", parent=top, needs=["nowhere"])
        for depth in range(2, DEPTH_MAX + 1):
            below = await add(root, f"deep{depth}", parent=below, needs=["nowhere"])
        refused = await root.refusal("task_add", ticket={"id": "deeper"}, parent=below)
        assert (refused["exit"], refused["code"]) == (7, "depth")
        tree = (await root.ask("task_tree", run=run))["tickets"]
        assert max(line["depth"] for line in tree) == DEPTH_MAX
        await root.ask("task_cancel", id=top)
        refused = await root.refusal("task_add", ticket={"id": "late"}, parent=top)
        assert refused["code"] == "parent_ended"


async def test_one_more_ticket_of_a_run_comes_after_those_that_it_names(
    tmp_path: Path, jumping_clock: MockClock
) -> None:
    async with root_alone(tmp_path) as root:
        run = await started(root, ticket("a", "sleep", "1"), ticket("b", "sleep", "500"))
        await ended(root, run, 5)
        last = await add(root, "c", run=run, after=["a", "b"])
        assert (await root.ask("task_show", id=last))["waits"] == f"waiting: comes after {run}.b (leased)"
        for bad, code in (
            ({"id": "c"}, "ticket_there"),
            ({"id": "d", "after": ["x"]}, "no_ticket"),
            ({"id": "D"}, "bad_ticket"),
        ):
            assert (await root.refusal("task_add", ticket=bad, run=run))["code"] == code
        assert await ended(root, run) == {"state": "completed", "committed": 3}
        await add(root, "d", run=run, after=["c"])
        assert await ended(root, run) == {"state": "completed", "committed": 4}


async def test_a_key_stands_for_one_piece_of_work(tmp_path: Path, jumping_clock: MockClock) -> None:
    async with root_alone(tmp_path) as root:
        keyed = ticket("a", "sleep", "100", idempotency_key="k")
        first = await started(root, keyed)
        refused = await root.refusal("work_run", plan=plan(keyed))
        assert (refused["exit"], refused["code"]) == (7, "key_in_use")
        await ended(root, first)
        second = await started(root, keyed, ticket("b", "sleep", "1", after=["a"]))
        assert await ended(root, second) == {"state": "completed", "committed": 2}
        shown = await root.ask("task_show", id=f"{second}.a")
        assert (shown["code"], shown["fence"], shown["reason"]) == ("done_before", "", f"done before, as {first}.a")
        third = await started(root, keyed)
        assert await ended(root, third) == {"state": "completed", "committed": 1}
        refused = await root.refusal("work_run", plan=plan(ticket("a", "sleep", "9", idempotency_key="k")))
        assert refused["code"] == "idempotency_conflict"
        cancelled = await started(root, ticket("x", "sleep", "100", idempotency_key="other"))
        await root.ask("task_cancel", run=cancelled)
        free = await started(root, ticket("x", "sleep", "100", idempotency_key="other"))
        assert await ended(root, free) == {"state": "completed", "committed": 1}


async def test_what_comes_after_a_cancelled_one_is_dead_and_comes_back_with_it(
    tmp_path: Path, jumping_clock: MockClock
) -> None:
    async with root_alone(tmp_path) as root:
        run = await started(
            root, ticket("a", "sleep", "100"), ticket("b", "sleep", "1", after=["a"]),
            ticket("c", "sleep", "1", after=["b"]), ticket("d", "sleep", "1"),
        )  # fmt: skip
        await root.ask("task_cancel", id=f"{run}.a", reason="wrong branch")
        assert await ended(root, run) == {"state": "blocked", "cancelled": 1, "dead": 2, "committed": 1}
        assert (await root.ask("task_show", id=f"{run}.c"))["code"] == "dependency"
        assert (await root.ask("task_retry", id=f"{run}.a"))["retried"] == [f"{run}.a", f"{run}.b", f"{run}.c"]
        assert await ended(root, run) == {"state": "completed", "committed": 4}


async def test_an_actor_finds_what_it_was_about(tmp_path: Path, jumping_clock: MockClock) -> None:
    async with root_alone(tmp_path) as root:
        run = await started(root, ticket("a", "sleep", "100"), ticket("b", "sleep", "1", needs=["nowhere"]))
        await ended(root, run, 3)
        mine = (await root.ask("task_ls", owner="agent0", open=True))["tickets"]
        assert [(line["id"], line["state"]) for line in mine] == [(f"{run}.a", "leased"), (f"{run}.b", "waiting")]
        assert (await root.ask("task_ls", owner="agent7", open=True))["tickets"] == []
        assert (await root.refusal("task_show", id="nothing"))["code"] == "no_ticket"
        assert (await root.ask("task_show", id="b"))["id"] == f"{run}.b"
