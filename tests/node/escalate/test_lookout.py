"""A silent root, in whole nodes: each sibling marks it, the deputy alone speaks, once an hour, and the link ends it."""

from __future__ import annotations

from pathlib import Path

import trio
from netsky.node.escalate.lookout import ROOT_SILENT
from netsky.node.escalate.place import Facts, read_facts
from netsky.node.lab.machine import Machine
from netsky.node.lab.mesh import Mesh, open_mesh, until
from trio.testing import MockClock

from tests.node.escalate.owner_channel import HANGS
from tests.node.escalate.test_pager import channels, state

SPOKEN = "--silent-root"


def facts(machine: Machine) -> Facts:
    found = read_facts(machine.home.path)
    assert found is not None
    return found


async def named(mesh: Mesh, deputy: int) -> None:
    """Everybody knows."""
    name = f"netsky{deputy}"
    await mesh.machines[0].ask("deputy", who=name)

    async def known() -> bool | None:
        return all(facts(machine).deputy == name for machine in mesh.machines) or None

    await until(known)


async def test_what_the_program_needs_stands_in_a_file_and_follows_config_and_roster(
    tmp_path: Path, jumping_clock: MockClock
) -> None:
    with channels(2) as (_, prepare):
        async with open_mesh(tmp_path, 1, prepare=prepare) as mesh:
            root, sibling = mesh.machines
            await trio.sleep(6)
            assert facts(root) == Facts("netsky0", "root", False, None, 2, ())
            assert facts(sibling) == Facts("netsky1", "sibling", False, None, 2, ())
            root.configure("owner", "command", ("/bin/tell", "me"))
            await named(mesh, 1)
            assert facts(root) == Facts("netsky0", "root", False, "netsky1", 2, ("/bin/tell", "me"))
            assert facts(sibling) == Facts("netsky1", "sibling", True, "netsky1", 2, ())
            root.configure("owner", "command", "no list")
            await trio.sleep(10)
            assert facts(root).command == ("/bin/tell", "me")


async def test_a_root_that_is_silent_for_five_minutes_is_marked_by_each_sibling_and_said_by_the_deputy_alone(
    tmp_path: Path, jumping_clock: MockClock
) -> None:
    with channels(3) as (made, prepare):
        async with open_mesh(tmp_path, 2, prepare=prepare) as mesh:
            root, one, two = mesh.machines
            await named(mesh, 2)
            await root.stop()
            stopped = trio.current_time()
            await trio.sleep(290)
            assert (state(one, "root-silent.json"), state(two, "root-silent.json")) == (None, None)
            await trio.sleep(25)
            for machine in (one, two):
                marker = state(machine, "root-silent.json")
                assert marker is not None
                assert marker["clear"] == "the link to netsky0 comes up"
                assert ROOT_SILENT in {fault["code"] for fault in (await machine.ask("status"))["faults"]}
            assert [len(channel.told) for channel in made] == [0, 0, 1]
            [told] = made[2].told
            assert told.words[-1] == SPOKEN
            assert 300 <= told.at - stopped < 315
            await root.start(mesh.nursery)
            await mesh.linked()
            await trio.sleep(6)
            assert (state(one, "root-silent.json"), state(two, "root-silent.json")) == (None, None)
            assert (await two.ask("status"))["faults"] == []
            found = await two.rows("SELECT event FROM watchdog_events WHERE event LIKE 'root%' ORDER BY id")
            assert [row[0] for row in found] == ["root_silent", "root_heard"]


async def test_the_deputy_says_it_once_an_hour_over_its_own_restarts_and_over_links_that_come_and_go(
    tmp_path: Path, jumping_clock: MockClock
) -> None:
    def prepare_short(mesh: Mesh) -> None:
        prepare(mesh)
        for machine in mesh.machines:
            machine.configure("root", "silent_s", 30)

    with channels(2) as (made, prepare):
        async with open_mesh(tmp_path, 1, prepare=prepare_short) as mesh:
            root, deputy = mesh.machines
            await named(mesh, 1)
            for _ in range(3):
                await root.stop()
                await trio.sleep(60)
                await mesh.restart(deputy)
                await trio.sleep(60)
                await root.start(mesh.nursery)
                await mesh.linked()
            assert len(made[1].told) == 1
            cooling = state(deputy, "pages.json")
            assert cooling is not None
            assert 3_000 < (cooling["root-silent"] - deputy.time.wall()) / 1e9 < 3_600


async def test_a_deputy_that_dies_while_it_speaks_keeps_to_its_hour(tmp_path: Path, jumping_clock: MockClock) -> None:
    """Whether it was heard nobody knows: at most once is its rule."""
    with channels(2) as (made, prepare):
        made[1].ends.append(HANGS)
        async with open_mesh(tmp_path, 1, prepare=prepare) as mesh:
            root, deputy = mesh.machines
            await named(mesh, 1)
            await root.stop()

            async def speaks() -> bool | None:
                return bool(made[1].tried) or None

            await until(speaks)
            await mesh.restart(deputy)
            await trio.sleep(400)
            assert state(deputy, "root-silent.json") is not None
            assert len(made[1].tried) == 1


async def test_without_a_deputy_nobody_speaks_and_a_marker_of_yesterday_accuses_nobody(
    tmp_path: Path, jumping_clock: MockClock
) -> None:
    with channels(2) as (made, prepare):
        async with open_mesh(tmp_path, 1, prepare=prepare) as mesh:
            root, sibling = mesh.machines
            await root.stop()
            await trio.sleep(400)
            assert state(sibling, "root-silent.json") is not None
            assert made[1].tried == []
            await sibling.stop()
            await root.start(mesh.nursery)
            await sibling.start(mesh.nursery)
            await mesh.linked()
            await named(mesh, 1)
            await trio.sleep(30)
            assert state(sibling, "root-silent.json") is None
            assert made[1].tried == []


async def test_a_machine_that_was_revoked_does_not_call_the_root_silent(
    tmp_path: Path, jumping_clock: MockClock
) -> None:
    with channels(2) as (made, prepare):
        async with open_mesh(tmp_path, 1, prepare=prepare) as mesh:
            root, sibling = mesh.machines
            await named(mesh, 1)
            await root.ask("revoke", who="netsky1")
            await trio.sleep(400)
            assert made[1].tried == []
            assert state(sibling, "root-silent.json") is None
