"""A life of the node after a restart: it finds the intent, proves itself and clears it, or says what is missing."""

from __future__ import annotations

from pathlib import Path

import trio
from netsky.node.handoff.intent import CRASHES, RESTART_NODE, Wanted, read_intent, write_intent
from netsky.node.handoff.limits import CARRIED_OUT_SECONDS, INTENT_SECONDS, NODE_CRASHES_SECONDS
from netsky.node.lab.virtual import EPOCH_NS
from netsky.node.markers import Markers
from netsky.node.seams.real_files import RealFiles

from tests.node.handoff.programs import Running
from tests.node.handoff.world import Here, World, play


def want(world: World, pid: int, at: int = EPOCH_NS) -> None:
    ran = {"pid": pid, "links": [], "actors": {"agent1": {"state": "running", "pid": 1}}}
    write_intent(world.home, RealFiles(), Wanted("operator", "an upgrade", at, pid, False, ran))


def marker(world: World, name: str, now: int = EPOCH_NS) -> object:
    return Markers(world.home, RealFiles()).get(name, now)


def test_a_life_that_follows_a_restart_proves_itself_and_clears_the_intent(tmp_path: Path) -> None:
    world = World(tmp_path / "home")
    world.reader.keeps = lambda run, _: run is world.programs.runs[0]

    async def before(here: Here) -> None:
        await here.add()
        await here.call("send", to="agent1", text="one", kind="brief", **{"from": "agent0"})
        await here.until(lambda: _shown(world))
        want(world, world.pid)

    async def after(here: Here) -> None:
        found = await here.call("new_life", timeout=100)
        assert found["state"] == "proved"
        assert [line["what"] for line in found["lines"]] == ["serves", "ticker", "program agent1", "inputs"]
        assert "1 of them came back" in found["lines"][-1]["said"]
        (row,) = await here.rows()
        assert (row["actor"], row["by"], row["why"], row["state"]) == ("node", "operator", "an upgrade", "proved")
        assert marker(world, RESTART_NODE) is None

    async def unasked(here: Here) -> None:
        assert (await here.call("new_life"))["state"] == "unasked"
        assert len(await here.rows()) == 1

    async def lives() -> None:
        await world.tell(before)
        await world.tell(after)
        await world.tell(unasked)

    play(lives)


async def _shown(world: World) -> bool:
    return bool(world.programs.runs and world.programs.runs[0].shown)


def test_what_is_missing_is_said_and_looked_at_again(tmp_path: Path) -> None:
    world = World(tmp_path / "home")

    async def ends(run: Running) -> None:
        del run

    async def before(here: Here) -> None:
        await here.add()
        want(world, world.pid)

    async def after(here: Here) -> None:
        found = await here.call("new_life", timeout=100)
        assert found["state"] == "wanting"
        faults = {fault["code"]: fault["sentence"] for fault in (await here.call("status"))["faults"]}
        assert "program agent1: degraded" in faults["restart"]
        assert marker(world, RESTART_NODE) is not None
        world.programs.behaviour = world.reader
        await here.add()

        async def proved() -> bool:
            return bool((await here.call("new_life"))["state"] == "proved")

        await here.until(proved)
        assert "restart" not in [fault["code"] for fault in (await here.call("status"))["faults"]]
        assert marker(world, RESTART_NODE) is None

    async def lives() -> None:
        await world.tell(before)
        world.programs.behaviour = ends
        await world.tell(after)

    play(lives)


def test_a_restart_that_nobody_carries_out_is_told_by_the_life_that_goes_on(tmp_path: Path) -> None:
    world = World(tmp_path / "home")

    async def story(here: Here) -> None:
        assert here.node is not None
        want(world, world.pid, here.node.now())
        await trio.sleep(CARRIED_OUT_SECONDS - 61)
        assert await here.rows() == []
        await trio.sleep(200)
        (row,) = await here.rows()
        assert (row["actor"], row["state"], row["open"]) == ("node", "failed", False)
        assert row["said"] == "it was asked for, and the node was never stopped"
        assert marker(world, RESTART_NODE, here.node.now()) is None

    play(lambda: world.tell(story))


def test_an_intent_of_yesterday_is_no_intent(tmp_path: Path) -> None:
    world = World(tmp_path / "home")
    want(world, 1, EPOCH_NS - (INTENT_SECONDS + 1) * 10**9)
    markers = Markers(world.home, RealFiles())
    assert read_intent(markers, EPOCH_NS) is None

    async def story(here: Here) -> None:
        assert (await here.call("new_life", timeout=1))["state"] == "unasked"

    play(lambda: world.tell(story))


def test_ends_without_order_are_counted_and_forgotten_after_ten_minutes(tmp_path: Path) -> None:
    world = World(tmp_path / "home")
    codes: list[list[str]] = []

    async def dies(here: Here) -> None:
        codes.append([fault["code"] for fault in (await here.call("status"))["faults"]])
        here.life.kill()
        await trio.sleep_forever()

    async def lives_on(here: Here) -> None:
        codes.append([fault["code"] for fault in (await here.call("status"))["faults"]])
        await trio.sleep(NODE_CRASHES_SECONDS + 1)
        assert (await here.call("status"))["faults"] == []

    async def lives() -> None:
        for _ in range(3):
            with trio.move_on_after(5):
                await world.tell(dies)
        await world.tell(lives_on)

    play(lives)
    assert codes == [[], [], [], ["crash_loop"]]
    assert marker(world, CRASHES) is None
