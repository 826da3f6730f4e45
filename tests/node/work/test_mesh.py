"""Tickets over a mesh of whole nodes in virtual time: where they go, how leases end, what a fence refuses."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from netsky.node.bus import between
from netsky.node.db.limits import WORK_AGE_NS
from netsky.node.db.work_retention import prune_work
from netsky.node.lab.mesh import Mesh, open_mesh, until
from trio.testing import MockClock

from tests.node.work.scripted import Scripted, ended, plan, scripted, started, story, ticket


@asynccontextmanager
async def working_mesh(folder: Path, siblings: int = 2) -> AsyncIterator[tuple[Mesh, dict[str, Scripted]]]:
    scripts: dict[str, Scripted] = {}

    def prepare(mesh: Mesh) -> None:
        scripts.update(scripted(mesh))
        for number in range(1, siblings + 1):
            mesh[f"netsky{number}"].configure("work", "labels", [f"label{number}"])

    async with open_mesh(folder, siblings, prepare=prepare) as mesh:
        yield mesh, scripts
        for machine in mesh.machines:
            if machine.is_up:
                assert await machine.rows("SELECT task, detail FROM crashes") == []


async def held_by(mesh: Mesh, node: str, count: int = 1) -> None:
    async def look() -> bool | None:
        sql = "SELECT count(*) FROM work_tickets WHERE node = ? AND state = 'leased'"
        return (await mesh["netsky0"].rows(sql, node)) == [(count,)] or None

    await until(look)


async def test_many_short_tickets_are_spread_and_each_ends_once(tmp_path: Path, jumping_clock: MockClock) -> None:
    async with working_mesh(tmp_path) as (mesh, scripts):
        run = await started(mesh["netsky0"], *(ticket(f"t{number}", "sleep", "1") for number in range(40)))
        assert await ended(mesh["netsky0"], run) == {"state": "completed", "committed": 40}
        done = [name for script in scripts.values() for name, _ in script.ended]
        assert sorted(done) == sorted(f"t{number}" for number in range(40))
        assert all(len(script.ended) > 5 for script in scripts.values()), "all three had a share"
        await mesh.drained()
        for machine in mesh.machines:
            assert await machine.rows("SELECT * FROM work_held") == []
            assert await machine.rows("SELECT * FROM work_mail") == []


async def test_a_lease_is_renewed_as_long_as_the_work_takes(tmp_path: Path, jumping_clock: MockClock) -> None:
    async with working_mesh(tmp_path, 1) as (mesh, scripts):
        run = await started(mesh["netsky0"], ticket("long", "sleep", "600", needs=["label1"]))
        assert await ended(mesh["netsky0"], run) == {"state": "completed", "committed": 1}
        assert scripts["netsky1"].began == [("long", "netsky1", 1)]
        assert [event for event, _, _ in await story(mesh["netsky0"], "long")] == [
            *("add", "offer", "take", "report", "verify", "commit"),
        ]  # fmt: skip


async def test_what_waits_says_for_what(tmp_path: Path, jumping_clock: MockClock) -> None:
    async with working_mesh(tmp_path, 1) as (mesh, _):
        root = mesh["netsky0"]
        mesh["netsky1"].configure("work", "slots", 2)
        await trio.sleep(5)
        await started(root, *(ticket(f"t{number}", "sleep", "50", needs=["label1"]) for number in range(3)))
        await held_by(mesh, "netsky1", 2)
        waits = (await root.ask("task_show", id="t2"))["waits"]
        assert waits == "waiting: needs label1; netsky1 has it, full (2 of 2)"
        await mesh["netsky1"].stop()
        await trio.sleep(10)
        shown = await root.ask("task_add", ticket={"id": "x", "on": ["netsky1"]})
        await trio.sleep(1)
        assert (await root.ask("task_show", id=shown["ticket"]))["waits"] == "waiting: netsky1 is not linked"


async def test_a_node_that_is_silent_loses_its_lease_and_its_late_report_is_refused(
    tmp_path: Path, jumping_clock: MockClock
) -> None:
    async with working_mesh(tmp_path) as (mesh, scripts):
        root = mesh["netsky0"]
        run = await started(root, ticket("work", "sleep", "100", on=["netsky1", "netsky2"]))
        await held_by(mesh, "netsky1")
        await mesh.partition("netsky1")
        await held_by(mesh, "netsky2")
        assert [name for name, _, _ in scripts["netsky2"].began] == ["work"]
        await mesh.heal()
        assert await ended(root, run) == {"state": "completed", "committed": 1}
        await mesh.drained()
        steps = await story(root, "work")
        assert ("again", "netsky1", "lease_over") in steps
        assert [event for event, _, _ in steps].count("report") == 1
        assert [node for event, node, _ in steps if event == "report"] == ["netsky2"]
        assert [(event, code) for event, _, code in steps if event == "stale"] in [[], [("stale", "fence")]]
        reasons = (await root.ask("task_reasons"))["reasons"]
        assert {"code": "lease_over", "role": "worker", "node": "netsky1", "count": 1} in reasons


async def test_a_paused_node_that_comes_back_is_refused_by_the_fence(tmp_path: Path, jumping_clock: MockClock) -> None:
    async with working_mesh(tmp_path) as (mesh, scripts):
        root, one = mesh["netsky0"], mesh["netsky1"]
        run = await started(root, ticket("work", "sleep", "30", on=["netsky1", "netsky2"]))
        await held_by(mesh, "netsky1")
        one.pause()
        assert await ended(root, run) == {"state": "completed", "committed": 1}
        one.go_on()
        await mesh.linked()
        await mesh.drained()
        steps = await story(root, "work")
        assert ("stale", "netsky1", "fence") in steps
        assert steps[-2][0] == "commit" or steps[-1][0] == "stale"
        assert len(scripts["netsky2"].ended) == 1


async def test_a_node_that_dies_makes_suspects_and_kills_none_of_its_neighbours(
    tmp_path: Path, jumping_clock: MockClock
) -> None:
    async with working_mesh(tmp_path, 1) as (mesh, scripts):
        root, one = mesh["netsky0"], mesh["netsky1"]
        good = [ticket(f"good{number}", "sleep", "20", needs=["label1"]) for number in range(5)]
        run = await started(root, ticket("poison", "die", needs=["label1"]), *good)
        for _ in range(3):
            with trio.fail_after(400):
                await scripts["netsky1"].dies.wait()
            await trio.sleep(2)
            scripts["netsky1"].dies = trio.Event()
            await one.crash()
            await one.start(mesh.nursery)
            if (await root.ask("task_show", id="poison"))["state"] == "blocked":
                break
        assert await ended(root, run) == {"state": "blocked", "committed": 5, "blocked": 1}
        shown = await root.ask("task_show", id="poison")
        assert (shown["state"], shown["code"], shown["alone"]) == ("blocked", "poison", True)
        for number in range(5):
            assert (await root.ask("task_show", id=f"good{number}"))["tries"] == 0
        owner = await root.ask("owner", do="inbox")
        assert any("poison is blocked" in item["text"] for item in owner["items"])


async def test_failures_are_tried_again_up_to_the_ceiling_and_then_a_person_is_asked(
    tmp_path: Path, jumping_clock: MockClock
) -> None:
    async with working_mesh(tmp_path, 1) as (mesh, scripts):
        root = mesh["netsky0"]
        less = {"constraints": {"max_retries": 2}}
        run = await started(
            root, ticket("twice", "fail", "2", **less), ticket("always", "fail", "9", **less),
            ticket("behind", "sleep", "1", after=["always"]),
        )  # fmt: skip
        assert await ended(root, run) == {"state": "blocked", "committed": 1, "blocked": 1, "waiting": 1}
        assert [code for event, _, code in await story(root, "twice") if event == "again"] == ["exit_1", "exit_1"]
        shown = await root.ask("task_show", id="always")
        assert (shown["state"], shown["code"], shown["tries"]) == ("blocked", "exit_1", 3)
        assert shown["reason"].endswith("(try 3 of 3, the last)")
        await root.ask("task_unblock", id="always", fs_write=["docs/"], for_s=1)
        shown = await root.ask("task_show", id="always")
        assert [one["fs_write"] for one in shown["grants"]] == [["docs/"]]
        [(grant,)] = await root.rows(
            "SELECT json_extract(CAST(body AS TEXT), '$') FROM messages WHERE 0 UNION SELECT 1"
        )
        assert grant == 1
        assert (await ended(root, run))["state"] == "blocked"
        allowed = [scope.fs_write for script in scripts.values() for scope in script.scopes if scope.fs_write]
        assert 0 < len(allowed) < 3, "it holds for a second, and the third try is later"
        await root.ask("task_cancel", id="always")
        assert (await root.ask("task_show", id="behind"))["state"] == "dead"


async def test_what_is_parked_counts_no_try_and_outlives_a_restart(tmp_path: Path, jumping_clock: MockClock) -> None:
    async with working_mesh(tmp_path, 1) as (mesh, scripts):
        root = mesh["netsky0"]
        run = await started(root, ticket("limited", "park", "300"))

        async def parked() -> bool | None:
            return (await root.ask("task_show", id="limited"))["state"] == "parked" or None

        await until(parked)
        await root.crash()
        await root.start(mesh.nursery)
        await parked()
        assert await ended(root, run, 400) == {"state": "completed", "committed": 1}
        shown = await root.ask("task_show", id="limited")
        assert shown["tries"] == 0
        assert {script.machine for script in scripts.values()}


async def test_cancelling_reaches_who_works_on_it(tmp_path: Path, jumping_clock: MockClock) -> None:
    async with working_mesh(tmp_path, 1) as (mesh, scripts):
        root = mesh["netsky0"]
        await started(
            root, ticket("far", "sleep", "900", needs=["label1"]), ticket("near", "sleep", "900", on=["netsky0"])
        )
        await held_by(mesh, "netsky1")
        await held_by(mesh, "netsky0")
        for name in ("far", "near"):
            await root.ask("task_cancel", id=name, reason="wrong")

        async def gone() -> bool | None:
            return (await mesh["netsky1"].rows("SELECT * FROM work_held")) == [] or None

        await until(gone)
        await trio.sleep(1_000)
        assert [script.ended for script in scripts.values()] == [[], []]
        assert (await root.refusal("task_cancel", id="far"))["code"] == "too_late"


async def test_a_halted_node_gives_back_what_it_has_and_gets_nothing(tmp_path: Path, jumping_clock: MockClock) -> None:
    async with working_mesh(tmp_path) as (mesh, _):
        root = mesh["netsky0"]
        run = await started(root, ticket("work", "sleep", "200", on=["netsky1", "netsky2"]))
        await held_by(mesh, "netsky1")
        await mesh["netsky1"].ask("halt", reason="the plug")
        await held_by(mesh, "netsky2")
        assert await ended(root, run) == {"state": "completed", "committed": 1}
        assert ("stopped", "netsky1", "halted") in await story(root, "work")


async def test_work_typed_on_a_sibling_goes_to_the_root_and_comes_back_to_it_alone(
    tmp_path: Path, jumping_clock: MockClock
) -> None:
    async with working_mesh(tmp_path) as (mesh, scripts):
        one, two = mesh["netsky1"], mesh["netsky2"]
        run = await started(one, ticket("a", "sleep", "5"), ticket("b", "sleep", "5", after=["a"]))
        assert await ended(one, run) == {"state": "completed", "committed": 2}
        assert [name for name, _, _ in scripts["netsky1"].began] == ["a", "b"]
        assert [line["id"] for line in (await one.ask("task_ls"))["tickets"]] == [f"{run}.a", f"{run}.b"]
        assert (await two.ask("task_ls"))["tickets"] == []
        assert (await two.refusal("task_show", id=f"{run}.a"))["code"] == "no_run"
        refused = await one.refusal("work_run", plan={"name": "x", "ticket": [{"id": "a", "on": ["netsky0"]}]})
        assert refused["code"] == "authority"
        await mesh.partition("netsky1")
        assert (await one.refusal("task_ls"))["code"] == "root_silent"


async def test_the_root_dies_with_work_elsewhere_and_goes_on(tmp_path: Path, jumping_clock: MockClock) -> None:
    async with working_mesh(tmp_path) as (mesh, scripts):
        root = mesh["netsky0"]
        tickets = [ticket(f"t{number}", "sleep", "40", on=["netsky1", "netsky2"]) for number in range(20)]
        run = await started(root, *tickets)
        await held_by(mesh, "netsky1", 6)
        await root.crash()
        await trio.sleep(30)
        await root.start(mesh.nursery)
        assert await ended(root, run) == {"state": "completed", "committed": 20}
        done = [name for script in scripts.values() for name, _ in script.ended]
        assert sorted(done) == sorted(f"t{number}" for number in range(20)), "nothing was done twice"


@pytest.mark.parametrize("kind", ["ticket", "report", "cancel", "brief", "reply"])
async def test_no_actor_writes_words_that_nodes_say_to_each_other(
    kind: str, tmp_path: Path, jumping_clock: MockClock
) -> None:
    schema = next(s for s in (between.TICKET, between.REPORT, between.CANCEL, between.ASK, between.ANSWER)
                  if between.kind_of(s) == kind)  # fmt: skip
    async with working_mesh(tmp_path, 1) as (mesh, _):
        for machine, to in ((mesh["netsky0"], "agent0@netsky1"), (mesh["netsky1"], "agent0@netsky0")):
            data = {"schema": schema, "task_id": "x"}
            error = await machine.refusal("send", to=to, text="x", kind=kind, data=data, **{"from": "agent0"})
            assert error["code"] == "authority"


async def test_what_a_ticket_points_to_goes_along_with_it(tmp_path: Path, jumping_clock: MockClock) -> None:
    async with working_mesh(tmp_path, 1) as (mesh, scripts):
        root, one = mesh["netsky0"], mesh["netsky1"]
        first = await started(root, ticket("first", "sleep", "1"))
        await ended(root, first)
        note = (await root.ask("note", id=f"{first}.first", text="the mirror was down"))["pointer"]
        sent = (await root.ask("send", to="agent0", text="look at this", **{"from": "agent0"}))["id"]
        bad = ticket("a", "sleep", "1", context_pointers=["note:99", "task:b", "file:src/x.py", "envelope:0"])
        refused = await root.refusal("work_run", plan=plan(bad, ticket("b", "sleep", "1")))
        assert refused["code"] == "bad_context"
        assert (
            "4 pointers: a: note:99 leads nowhere; a: task:b leads nowhere: a does not come after b"
            in refused["message"]
        )
        assert len((await root.ask("task_ls"))["runs"]) == 1, "nothing was started"
        pointers = [note, f"envelope:{sent}", f"log:{first}.first", "task:b"]
        run = await started(
            root, ticket("b", "sleep", "1"),
            ticket("a", "sleep", "1", after=["b"], needs=["label1"], context_pointers=pointers),
        )  # fmt: skip
        await ended(root, run)
        [found] = scripts["netsky1"].contexts
        assert [pointer for pointer, _ in found] == pointers
        texts = dict(found)
        assert texts[note] == "operator@netsky0: the mirror was down"
        assert texts[f"envelope:{sent}"] == "look at this"
        assert all('"ended":"done"' in texts[name] for name in ("task:b", f"log:{first}.first"))
        far = await one.refusal("work_run", plan=plan(ticket("a", "sleep", "1", context_pointers=[note])))
        assert far["code"] == "bad_context", "what others wrote is not for a sibling to ask for"


async def test_a_long_queue_keeps_nobody_else_waiting(tmp_path: Path, jumping_clock: MockClock) -> None:
    async with working_mesh(tmp_path, 0) as (mesh, scripts):
        root = mesh["netsky0"]
        await started(root, *(ticket(f"many{number}", "sleep", "10") for number in range(60)))
        run = await started(root, ticket("one", "sleep", "1", on=["netsky0"]))
        assert await ended(root, run) == {"state": "completed", "committed": 1}
        assert len(scripts["netsky0"].ended) < 20


async def test_a_run_that_is_over_for_long_goes_with_all_of_it(tmp_path: Path, jumping_clock: MockClock) -> None:
    async with working_mesh(tmp_path, 0) as (mesh, _):
        root = mesh["netsky0"]
        old = await started(
            root, ticket("a", "sleep", "1", idempotency_key="k"), ticket("b", "sleep", "1", after=["a"])
        )
        await ended(root, old)
        await root.ask("note", id=f"{old}.a", text="kept as long as it")
        kept = await started(root, ticket("waits", "sleep", "1", needs=["nothing"]))
        now = root.node.now()
        while await prune_work(root.node.group, now + WORK_AGE_NS + 10**9):
            pass
        assert [run["id"] for run in (await root.ask("task_ls"))["runs"]] == [kept]
        for table in ("tickets", "checkpoints", "keys", "notes", "after"):
            rows = await root.rows(f"SELECT count(*) FROM work_{table}")
            assert rows == [({"tickets": 1, "checkpoints": 3}.get(table, 0),)], table
