"""Halts over a mesh of whole nodes in virtual time: root first, then who is linked, and the others once they are."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from netsky.node.bus.draft import Draft
from netsky.node.halt import state as states
from netsky.node.halt.state import Answer
from netsky.node.lab.machine import Machine
from netsky.node.lab.mesh import Mesh, open_mesh, until
from trio.testing import MockClock

from tests.node.halt.programs import Programs


@asynccontextmanager
async def halting_mesh(folder: Path, siblings: int = 2) -> AsyncIterator[Mesh]:
    """Each machine runs agent1, a resident of two processes, and agent2, started for each envelope, of three."""

    def prepare(mesh: Mesh) -> None:
        for machine in mesh.machines:
            machine.processes = Programs()

    async with open_mesh(folder, siblings, prepare=prepare) as mesh:
        for machine in mesh.machines:
            await add(machine, "agent1", "resident", "2")
            await add(machine, "agent2", "per_envelope", "3")
        await trio.sleep(3)  # the leases have begun
        yield mesh
        for machine in mesh.machines:
            assert await machine.rows("SELECT task, detail FROM crashes") == []


async def add(machine: Machine, name: str, mode: str, *words: str) -> None:
    command = ["/bin/prog", *words]
    await machine.ask("agent_add", actor=name, command=command, mode=mode, unfenced=True, confirm=name, cwd="/")


def programs(machine: Machine) -> Programs:
    assert isinstance(machine.processes, Programs)
    return machine.processes


async def send(machine: Machine, to: str, text: str, sender: str = "agent0", **more: Any) -> str:
    return str((await machine.ask("send", to=to, text=text, **{"from": sender}, **more))["id"])


async def waiting(machine: Machine, actor: str, count: int = 1) -> list[dict[str, Any]]:
    async def look() -> list[dict[str, Any]] | None:
        found = await machine.inbox(actor)
        return found if len(found) == count and all(one["state"] == "projected" for one in found) else None

    return await until(look)


async def starts(machine: Machine, actor: str, count: int = 1) -> None:
    async def look() -> bool | None:
        return len(programs(machine).running(actor)) == count or None

    await until(look)


async def state_of(machine: Machine, actor: str) -> str:
    found = (await machine.ask("agent_ls"))["actors"]
    return str(next(one["state"] for one in found if one["name"] == actor))


async def claim(machine: Machine, actor: str) -> dict[str, Any]:
    files = [one["file"] for one in await machine.inbox(actor)]
    return await machine.ask("claim", by=actor, files=files)


async def answered(root: Machine, *names: str) -> dict[str, dict[str, Any]]:
    async def look() -> dict[str, dict[str, Any]] | None:
        rows = (await root.ask("halted", nodes=list(names)))["nodes"]
        return {one["name"]: one for one in rows} if all(one["answered"] for one in rows) else None

    return await until(look)


async def test_all_are_halted_and_count_and_go_on_with_what_was_given_back(
    tmp_path: Path, jumping_clock: MockClock
) -> None:
    async with halting_mesh(tmp_path) as mesh:
        root, one, two = mesh.machines
        works = [await send(root, f"agent2@{machine.node.identity.name}", "work") for machine in (one, two)]
        works.append(await send(root, "agent2", "work"))
        held = await send(root, "agent1@netsky1", "for the resident")
        for machine in mesh.machines:
            await starts(machine, "agent2")
        await waiting(one, "agent1")
        assert set((await claim(one, "agent1"))["files"].values()) == {"ok"}

        data = await root.ask("halt", all=True, reason="the bill")
        assert data["here"] | {"at": 0} == {
            "name": "netsky0", "halted": True, "by": "the operator of netsky0", "ended": 5, "still": 0, "at": 0,
            "stored": True,
        }  # fmt: skip
        rows = await answered(root, "netsky1", "netsky2")
        assert [(row["halted"], row["ended"], row["still"]) for row in rows.values()] == [(True, 5, 0)] * 2
        for machine in mesh.machines:
            assert programs(machine).running() == []
            assert [await state_of(machine, name) for name in ("agent1", "agent2")] == ["halted", "halted"]

        for machine in (root, one):
            error = await machine.refusal("send", to="agent1", text="more", **{"from": "agent0"})
            assert (error["exit"], error["code"]) == (8, "halted")
            assert "the bill" in error["message"]
        assert error["next"] == "on netsky0: netsky resume --node netsky1"
        answer = await claim(one, "agent1")
        assert set(answer["files"].values()) == {"kept"}
        assert "netsky1 was halted" in answer["kept"]

        await root.ask("resume", all=True)
        await answered(root, "netsky1", "netsky2")
        for machine in mesh.machines:
            await starts(machine, "agent1")
            await starts(machine, "agent2")
        assert set((await claim(one, "agent1"))["files"].values()) == {"ok"}
        for machine, work in zip((one, two, root), works, strict=True):
            [program] = programs(machine).running("agent2")
            assert work.encode() in program.given
            program.say("done")
        for work in works:
            assert (await root.ask("wait", what="reply", id=work, timeout=60))["reply"]["text"] == "done"
            replies = "SELECT count(*) FROM messages WHERE in_reply_to = ?"
            assert await root.rows(replies, work) == [(1,)]
        assert await one.rows("SELECT tries, losses FROM handovers") == []
        assert (await one.ask("trace", id=held))["id"] == held


async def test_replies_and_what_the_owner_is_to_know_still_pass_a_halted_node(
    tmp_path: Path, jumping_clock: MockClock
) -> None:
    async with halting_mesh(tmp_path, 1) as mesh:
        root, one = mesh.machines
        asked = await send(root, "agent0@netsky1", "how far are you?", kind="question")
        await waiting(one, "agent0")
        await root.ask("halt", all=True)
        await answered(root, "netsky1")
        await send(one, "agent0@netsky0", "half done", kind="reply", in_reply_to=asked)
        await send(one, "owner@netsky0", "it was in the middle of a release", kind="report")
        await send(one, "owner@netsky0", "may I finish?", kind="question")
        assert len(await waiting(root, "owner", 2)) == 2
        [reply] = await waiting(root, "agent0")
        assert (await claim(root, "agent0"))["files"] == {reply["file"]: "ok"}
        await one.ask("ack", by="agent0", ids=[asked])  # what was in hand may be put down


async def test_a_halted_node_starts_nothing_after_a_restart_and_says_since_when(
    tmp_path: Path, jumping_clock: MockClock
) -> None:
    async with halting_mesh(tmp_path, 1) as mesh:
        root, one = mesh.machines
        await root.ask("halt", nodes=["machine 1"], reason="not now")
        await answered(root, "netsky1")
        since = one.node.halt.state.root
        await mesh.restart(one)
        await mesh.restart(root)
        await mesh.linked()
        await trio.sleep(100)
        assert programs(one).running() == []
        assert len(programs(root).running("agent1")) == 1
        assert one.node.halt.state.root == since
        assert since is not None
        status = await one.ask("status")
        assert status["halted"] == {"who": "netsky0", "reason": "not now", "at": since.at, "by_root": True}
        member = (await root.ask("nodes"))["members"][1]
        assert (member["halted"]["halted"], member["halted"]["answered"]) == (True, True)
        assert (await root.ask("status"))["halted"] is None
        await add(one, "agent3", "resident", "1")
        await trio.sleep(10)
        assert programs(one).running() == []
        await root.ask("resume", nodes=["netsky1"])
        await answered(root, "netsky1")
        for name in ("agent1", "agent3"):
            await starts(one, name)


async def test_a_node_that_was_away_hears_the_halt_when_it_is_back_and_answers_its_count(
    tmp_path: Path, jumping_clock: MockClock
) -> None:
    async with halting_mesh(tmp_path) as mesh:
        root, _, two = mesh.machines
        work = await send(root, "agent2@netsky2", "routed")
        own = await send(two, "agent1", "of this machine")
        await starts(two, "agent2")
        mesh.network.isolate(two.key)
        await trio.sleep(10)
        data = await root.ask("halt", all=True)
        assert [row["linked"] for row in data["nodes"]] == [True, False]
        assert (await answered(root, "netsky1"))["netsky1"]["ended"] == 2
        [row] = (await root.ask("halted", nodes=["netsky2"], wait_s=3_000))["nodes"]
        assert (row["answered"], row["linked"]) == (False, False)
        assert len(programs(two).running("agent2")) == 1

        await trio.sleep(51)  # 60 s of silence: it ends routed work by itself
        assert programs(two).running("agent2") == []
        assert len(programs(two).running("agent1")) == 1, "it holds nothing that was routed"
        assert [one["id"] for one in await waiting(two, "agent2")] == [work]
        cut = (await two.ask("status"))["cut_off"]
        assert (cut["cut"], cut["times"], cut["ended"]) == (True, 1, 3)
        assert set((await claim(two, "agent1"))["files"].values()) == {"ok"}
        assert (await two.inbox("agent1"))[0]["id"] == own

        mesh.network.heal()
        assert (await answered(root, "netsky2"))["netsky2"]["ended"] == 2
        assert programs(two).running() == []
        await root.ask("resume", all=True)
        await starts(two, "agent2")
        [program] = programs(two).running("agent2")
        assert work.encode() in program.given
        program.say("done")
        assert (await root.ask("wait", what="reply", id=work, timeout=60))["reply"]["text"] == "done"


async def test_who_joins_while_all_are_halted_is_halted(tmp_path: Path, jumping_clock: MockClock) -> None:
    async with halting_mesh(tmp_path, 1) as mesh:
        root, one = mesh.machines
        await root.ask("halt", all=True)
        await answered(root, "netsky1")
        late = Machine(tmp_path, mesh.network, 7, one.time)
        ticket = (await root.ask("invite", label="late"))["ticket"]
        await late.join(ticket)
        await late.start(mesh.nursery)
        await answered(root, "late")
        assert late.node.halt.is_halted
        await root.ask("resume", all=True)
        await answered(root, "netsky1", "late")
        assert not late.node.halt.is_halted


async def test_a_resident_that_holds_routed_work_rests_until_the_link_is_up_and_others_go_on(
    tmp_path: Path, jumping_clock: MockClock
) -> None:
    async with halting_mesh(tmp_path, 1) as mesh:
        root, one = mesh.machines
        await add(one, "agent3", "resident", "4")
        routed = await send(root, "agent1@netsky1", "routed")
        reply = await send(root, "agent3@netsky1", "a reply is no work", kind="reply")
        own = await send(one, "agent2", "of this machine")
        for actor in ("agent1", "agent3"):
            await waiting(one, actor)
            assert set((await claim(one, actor))["files"].values()) == {"ok"}
        await starts(one, "agent2")
        mesh.network.isolate(one.key)
        heard = len(one.node.events.latest())
        await trio.sleep(65)
        assert sorted(program.actor for program in programs(one).running()) == ["agent2", "agent3"]
        assert await state_of(one, "agent1") == "halted"
        lapsed = [event for event in one.node.events.latest()[heard:] if event["kind"] == "lease_lapsed"]
        assert [(event["actors"], event["processes"]) for event in lapsed] == [(["agent1"], 2)]
        assert (await claim(one, "agent1"))["files"].popitem()[1] == "kept"
        assert [item["claimed_at"] for item in await one.inbox("agent1")] == [None]
        [program] = programs(one).running("agent2")
        program.say("done")
        await starts(one, "agent2", 0)
        assert own.encode() in program.given
        mesh.network.heal()
        await trio.sleep(10)
        await starts(one, "agent1")
        assert set((await claim(one, "agent1"))["files"].values()) == {"ok"}
        assert [(await one.inbox(actor))[0]["id"] for actor in ("agent1", "agent3")] == [routed, reply]
        assert (await one.ask("status"))["cut_off"]["cut"] is False


@pytest.mark.parametrize("seconds", [5, 30, 50])
async def test_a_cut_that_heals_within_the_lease_ends_nothing(
    tmp_path: Path, jumping_clock: MockClock, seconds: float
) -> None:
    async with halting_mesh(tmp_path, 1) as mesh:
        root, one = mesh.machines
        work = await send(root, "agent2@netsky1", "routed")
        await starts(one, "agent2")
        [program] = programs(one).running("agent2")
        for _ in range(3):
            mesh.network.isolate(one.key)
            await trio.sleep(seconds)
            mesh.network.heal()
            await mesh.linked()
            await trio.sleep(5)
        assert program.runs
        program.say("done")
        assert (await root.ask("wait", what="reply", id=work, timeout=60))["reply"]["text"] == "done"
        assert (await one.ask("status"))["cut_off"]["times"] == 0
        assert await one.rows("SELECT count(*) FROM sessions WHERE actor = 'agent2'") == [(1,)]


async def test_a_life_begins_without_a_lease(tmp_path: Path, jumping_clock: MockClock) -> None:
    async with halting_mesh(tmp_path, 1) as mesh:
        root, one = mesh.machines
        await send(root, "agent1@netsky1", "routed")
        await waiting(one, "agent1")
        await root.stop()
        await mesh.restart(one)
        await starts(one, "agent1", 1)
        assert set((await claim(one, "agent1"))["files"].values()) == {"kept"}
        await root.start(mesh.nursery)
        await mesh.linked()
        await trio.sleep(2)
        assert set((await claim(one, "agent1"))["files"].values()) == {"ok"}


async def test_a_sibling_halts_itself_and_netsky0_sees_it_and_cannot_lift_it(
    tmp_path: Path, jumping_clock: MockClock
) -> None:
    async with halting_mesh(tmp_path, 1) as mesh:
        root, one = mesh.machines
        assert (await one.ask("halt", reason="smoke"))["here"]["ended"] == 2

        async def seen() -> bool | None:
            found = (await root.ask("nodes"))["members"][1]["halted"]
            return found and found["halted"]

        await until(seen)
        await root.ask("resume", all=True)
        row = (await answered(root, "netsky1"))["netsky1"]
        assert (row["ordered"], row["halted"]) == ("resume", True)
        assert one.node.halt.is_halted
        await root.ask("halt", nodes=["netsky1"])
        await answered(root, "netsky1")
        await one.ask("resume")  # his own halt; that of netsky0 stays
        error = await one.refusal("resume")
        assert (error["code"], error["exit"]) == ("root_ordered", 5)
        assert one.node.halt.is_halted
        for verb in ("halt", "resume"):
            for args in ({"all": True}, {"nodes": ["netsky0"]}):
                assert (await one.refusal(verb, **args))["code"] == "not_the_root"
        assert (await one.refusal("halt", by="agent0"))["code"] == "not_for_actors"
        assert (await root.refusal("halt", nodes=["netsky9"]))["code"] == "unknown_node"
        assert (await root.refusal("halt", nodes=["netsky1"], all=True))["code"] == "bad_argument"
        assert (await root.refusal("halt", reason="x" * 201))["code"] == "reason_invalid"


async def test_schedules_do_not_fire_while_a_node_is_halted(tmp_path: Path, jumping_clock: MockClock) -> None:
    async with halting_mesh(tmp_path, 0) as mesh:
        [root] = mesh.machines
        await root.ask("cron_add", label="often", schedule="*/5 * * * *", target="agent0", prompt="look", missed="last")
        await waiting(root, "agent0", 1)
        await root.ask("halt")
        await trio.sleep(640)
        assert len(await root.inbox("agent0")) == 1
        await root.ask("resume")
        await trio.sleep(70)
        assert len(await root.inbox("agent0")) == 2, "the newest of those that were missed, once"


async def test_a_program_that_does_not_end_is_killed_and_counted(tmp_path: Path, jumping_clock: MockClock) -> None:
    async with halting_mesh(tmp_path, 0) as mesh:
        [root] = mesh.machines
        await add(root, "agent3", "resident", "7", "stubborn")
        assert (await root.ask("halt"))["here"]["ended"] == 9
        assert programs(root).running() == []
        assert (await root.ask("halt"))["here"]["ended"] == 0


async def test_a_claim_that_is_on_its_way_when_the_node_is_halted_gets_nothing(
    tmp_path: Path, jumping_clock: MockClock
) -> None:
    async with halting_mesh(tmp_path, 0) as mesh:
        [root] = mesh.machines
        await send(root, "agent1", "work")
        await waiting(root, "agent1")
        node = root.node
        real = node.group.write

        async def write(statements: Any) -> Any:
            found = await real(statements)
            if any("SET claimed_at = coalesce" in one.sql for one in statements):
                node.halt.state = states.halted_here(node.halt.state, "me", "", node.now())
            return found

        node.group.write = write  # type: ignore[method-assign]
        assert set((await claim(root, "agent1"))["files"].values()) == {"kept"}
        assert [one["claimed_at"] for one in await root.inbox("agent1")] == [None]


async def test_work_that_is_about_to_be_handed_over_when_the_lease_ends_goes_back(
    tmp_path: Path, jumping_clock: MockClock
) -> None:
    async with halting_mesh(tmp_path, 1) as mesh:
        root, one = mesh.machines
        node = one.node
        real = node.group.write

        async def write(statements: Any) -> Any:
            found = await real(statements)
            if any("INTO handovers" in statement.sql for statement in statements):
                await root.stop()
                assert node.halt.cut._lease is not None
                node.halt.cut._lease.lapsed = True
                node.group.write = real  # type: ignore[method-assign]
            return found

        node.group.write = write  # type: ignore[method-assign]
        await send(root, "agent2@netsky1", "routed")
        await trio.sleep(40)
        assert programs(one).running("agent2") == []
        assert [(item["state"], item["claimed_at"]) for item in await one.inbox("agent2")] == [("projected", None)]
        assert await one.rows("SELECT tries, open FROM handovers") == [(0, 0)]
        await root.start(mesh.nursery)
        await starts(one, "agent2")


async def test_an_order_that_ended_without_an_answer_is_given_anew_when_the_node_is_linked(
    tmp_path: Path, jumping_clock: MockClock
) -> None:
    async with halting_mesh(tmp_path, 1) as mesh:
        root, one = mesh.machines
        lost: list[str] = []

        async def forget(handed: Any) -> None:
            lost.append(handed.header.id)

        one.node.voices._handlers["agentinfinity"]["control"] = forget
        await root.ask("halt", nodes=["netsky1"])
        await trio.sleep(100)
        assert len(lost) == 2, "once more in the same connection, and no oftener"
        await mesh.restart(one)
        await answered(root, "netsky1")
        assert one.node.halt.is_halted


# Words that are nobody's.


async def control(machine: Machine, to: str, data: dict[str, object]) -> str:
    said = await machine.node.voices.say("agentinfinity", Draft(f"agentinfinity@{to}", "x", kind="control", data=data))
    return said.id


async def test_a_sibling_halts_nobody_and_speaks_for_nobody(tmp_path: Path, jumping_clock: MockClock) -> None:
    async with halting_mesh(tmp_path) as mesh:
        root, one, two = mesh.machines
        await root.ask("halt", nodes=["netsky2"])
        row = (await answered(root, "netsky2"))["netsky2"]
        forged = await control(one, "netsky2", {"do": "resume", "reign": 1, "order": row["order"] + 1})
        found = await one.answer("wait", what="outcome", id=forged, timeout=30)
        assert "authority" in str(found), found
        await control(one, "netsky0", {"do": "resume", "reign": 1, "order": row["order"] + 1})
        await control(one, "netsky0", {"done": "resume", "order": row["order"] + 5, "ended": 0, "still": 0, "at": 1})

        async def refused() -> bool | None:
            return [line["code"] for line in root.logged("control.refused")] == ["not_an_answer"] * 2 or None

        await until(refused)
        assert two.node.halt.is_halted
        assert not root.node.halt.is_halted
        assert root.node.orders.book.answers.keys() == {two.key.hex()}


async def test_an_order_that_comes_again_or_late_changes_nothing_and_is_answered_again(
    tmp_path: Path, jumping_clock: MockClock
) -> None:
    async with halting_mesh(tmp_path, 1) as mesh:
        root, one = mesh.machines
        await root.ask("halt", nodes=["netsky1"])
        first = (await answered(root, "netsky1"))["netsky1"]["order"]
        await root.ask("resume", nodes=["netsky1"])
        second = (await answered(root, "netsky1"))["netsky1"]["order"]
        for number, reign in ((first, 1), (second, 1), (second + 1, 2), (second + 1, 0)):
            await control(root, "netsky1", {"do": "halt", "reign": reign, "order": number})
        await trio.sleep(30)
        assert not one.node.halt.is_halted
        assert [line["code"] for line in one.logged("control.refused")] == ["other_reign"] * 2
        told = "SELECT count(*) FROM messages WHERE sender LIKE 'agentinfinity@%' AND recipient LIKE '%@netsky0'"
        assert await one.rows(told) == [(4,)]
        answer = root.node.orders.book.answers[one.key.hex()]
        assert (answer.done, answer.order, answer.halted) == ("resume", second, False)
        assert isinstance(answer, Answer)


async def test_a_full_disk_hinders_no_halt_and_it_is_stored_when_there_is_room(
    tmp_path: Path, jumping_clock: MockClock
) -> None:
    async with halting_mesh(tmp_path, 0) as mesh:
        [root] = mesh.machines
        real, full = root.node.group.write, True

        async def write(statements: Any) -> Any:
            from netsky.node.errors import TryLater

            if full and any("node_state" in one.sql for one in statements):
                raise TryLater("no room", next="free some", code="disk_full")
            return await real(statements)

        root.node.group.write = write  # type: ignore[method-assign]
        here = (await root.ask("halt"))["here"]
        assert (here["ended"], here["stored"]) == (2, False)
        full = False
        await trio.sleep(10)
        assert root.node.halt.is_stored
        await mesh.restart(root)
        await trio.sleep(10)
        assert programs(root).running() == []
