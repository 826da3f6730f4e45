"""A program is started anew with what was handed on: in order, proved, and finished whatever dies in between."""

from __future__ import annotations

import collections
from pathlib import Path

import pytest
from netsky.envelope.file import FileEnvelope
from netsky.node.handoff.limits import OWN_PER_HOUR, STEADY_SECONDS, TRIES_MAX
from netsky.node.handoff.trouble import marker_name
from netsky.node.seams.ledger import Statement

from tests.node.crash_world import STEP, file_at
from tests.node.handoff.programs import Running
from tests.node.handoff.world import Here, World, play


def texts(run: Running) -> list[str]:
    return [envelope.text.partition("\n\n")[2] or envelope.text for envelope in run.shown]


def test_the_new_life_sees_the_handoff_first_then_what_the_old_one_had_in_hand(tmp_path: Path) -> None:
    world = World(tmp_path / "home")
    world.reader.keeps = lambda run, envelope: run is world.programs.runs[0] and envelope.text == "one"

    async def story(here: Here) -> None:
        await here.add()
        for text in ("one", "two"):
            await here.call("send", to="agent1", text=text, kind="brief", **{"from": "agent0"})
        await here.until(lambda: _said(len(world.programs.runs[0].shown) == 2))
        await here.call("restart_actor", actor="agent1", handoff="I was at two", reason="context is full")
        row = await here.ended()
        assert (row["state"], row["open"], row["tries"], row["returned"]) == ("proved", False, 1, 1)
        assert (row["by"], row["why"], row["handoff"]) == ("operator", "context is full", "I was at two")
        assert row["ran"]["pid"] == world.programs.runs[0].pid
        assert row["ran"]["claimed"] == 1
        await here.until(lambda: _said(len(world.programs.runs[1].shown) == 2))
        assert texts(world.programs.runs[1]) == ["I was at two", "one"]
        handed = world.programs.runs[1].shown[0]
        assert (handed.sender, handed.kind) == ("agent1", "report")
        assert handed.text.startswith("Handoff from operator: your program was started anew (context is full).")
        assert world.programs.most_at_once == 1

    play(lambda: world.tell(story))


async def _said(so: bool) -> bool:
    return so


def test_without_a_handoff_it_is_proved_by_a_program_that_stays_up(tmp_path: Path) -> None:
    world = World(tmp_path / "home")

    async def story(here: Here) -> None:
        await here.add()
        await here.call("restart_actor", actor="agent1")
        row = await here.ended()
        assert row["state"] == "proved"
        assert row["ended_at"] - row["restarted_at"] >= STEADY_SECONDS * 10**9
        assert len(world.programs.runs) == 2

    play(lambda: world.tell(story))


def test_what_is_not_taken_in_time_is_tried_again_and_then_it_says_so(tmp_path: Path) -> None:
    world = World(tmp_path / "home")

    async def story(here: Here) -> None:
        await here.add()
        world.programs.behaviour = _asleep
        await here.call("restart_actor", actor="agent1", handoff="take this", within=5)
        row = await here.ended()
        assert (row["state"], row["open"], row["tries"]) == ("failed", True, TRIES_MAX)
        assert "not taken within 5 s" in row["said"]
        assert here.node is not None
        assert here.node.markers.get(marker_name("agent1"), here.node.now()) is not None
        asked = "SELECT count(*) FROM watchdog_events WHERE event LIKE '%page%' AND status = 'asked'"
        assert await here.node.ledger.transaction([Statement(asked)]) == [[(1,)]]
        assert [fault["code"] for fault in (await here.call("status"))["faults"]] == ["restart"]
        assert (await here.state())["state"] == "running"  # the last life is left alone: it may only be slow

        world.programs.behaviour = world.reader
        await here.call("restart_actor", actor="agent1", handoff="take that", within=5)
        row = await here.ended()
        assert row["state"] == "proved"
        assert texts(world.programs.runs[-1])[:2] == ["take this", "take that"]
        assert (await here.call("status"))["faults"] == []
        assert here.node.markers.get(marker_name("agent1"), here.node.now()) is None
        older = (await here.rows())[1]
        assert (older["state"], older["open"]) == ("failed", False)

    play(lambda: world.tell(story))


async def _asleep(run: Running) -> None:
    del run
    await _forever()


async def _forever() -> None:
    import trio

    await trio.sleep_forever()


def test_who_takes_it_later_is_well_again(tmp_path: Path) -> None:
    world = World(tmp_path / "home")

    async def slow(run: Running) -> None:
        import trio

        await trio.sleep(100)
        await world.reader(run)

    async def story(here: Here) -> None:
        await here.add()
        world.programs.behaviour = slow
        await here.call("restart_actor", actor="agent1", handoff="take this", within=5)
        assert (await here.ended())["state"] == "failed"

        async def proved() -> bool:
            return (await here.rows())[0]["state"] == "proved"

        await here.until(proved)
        assert "later than it should" in (await here.rows())[0]["said"]
        assert (await here.call("status"))["faults"] == []

    play(lambda: world.tell(story))


def test_a_program_that_does_not_stay_up_is_given_up_without_waiting_for_the_whole_time(tmp_path: Path) -> None:
    world = World(tmp_path / "home")

    async def ends(run: Running) -> None:
        del run

    async def story(here: Here) -> None:
        await here.add()
        world.programs.behaviour = ends
        await here.call("restart_actor", actor="agent1", handoff="take this", within=3_600)
        row = await here.ended()
        assert row["state"] == "failed"
        assert "does not stay up" in row["said"]
        assert row["ended_at"] - row["at"] < 600 * 10**9
        codes = {fault["code"]: fault["next"] for fault in (await here.call("status"))["faults"]}
        assert codes["actor"] == "netsky restart agent1"
        world.programs.behaviour = world.reader
        await here.call("restart_actor", actor="agent1", handoff="now")
        assert (await here.ended())["state"] == "proved"
        assert (await here.state())["state"] == "running"
        assert (await here.call("status"))["faults"] == []

    play(lambda: world.tell(story))


def test_a_program_that_was_given_up_and_stays_up_again_is_no_longer_called_broken(tmp_path: Path) -> None:
    world = World(tmp_path / "home")

    async def ends(run: Running) -> None:
        del run

    async def story(here: Here) -> None:
        world.programs.behaviour = ends
        await here.add()

        async def degraded() -> bool:
            return (await here.state())["state"] == "degraded"

        await here.until(degraded)
        assert here.node is not None
        marker = here.node.markers.get(marker_name("agent1"), here.node.now())
        assert marker is not None
        assert "ended with exit code 0" in marker.reason
        world.programs.behaviour = world.reader
        await here.add()  # the same words again: another chance

        async def well() -> bool:
            assert here.node is not None
            return here.node.markers.get(marker_name("agent1"), here.node.now()) is None

        await here.until(well)
        assert (await here.state())["up_ns"] >= 60 * 10**9

    play(lambda: world.tell(story))


@pytest.mark.parametrize(
    ("actor", "asks", "code"),
    [("agent1", "agent0", "not_you"), ("worker1", "worker1", "not_for_workers")],
)
def test_nobody_restarts_somebody_else_and_no_worker_itself(actor: str, asks: str, code: str, tmp_path: Path) -> None:
    world = World(tmp_path / "home")

    async def story(here: Here) -> None:
        await here.add()
        await here.add("worker1")
        client = type(here.client)(world, here.sockets)
        client._path = world.home.actor_socket(asks)
        with pytest.raises(AssertionError, match=code):
            await client.call("restart_actor", actor=actor)
        assert await here.rows() == []

    play(lambda: world.tell(story))


def test_a_manager_restarts_itself_a_few_times_an_hour(tmp_path: Path) -> None:
    world = World(tmp_path / "home")

    async def story(here: Here) -> None:
        await here.add()
        client = type(here.client)(world, here.sockets)
        client._path = world.home.actor_socket("agent1")
        for count in range(OWN_PER_HOUR):
            await client.call("restart_actor", actor="agent1", handoff=f"the {count}th")
            row = await here.ended()
            assert (row["state"], row["by"]) == ("proved", "agent1")
            assert world.programs.runs[-1].shown[0].text.startswith("Handoff from your last life")
        with pytest.raises(AssertionError, match="too_many_restarts"):
            await client.call("restart_actor", actor="agent1", handoff="once more")
        await here.call("restart_actor", actor="agent1", handoff="a person may")
        assert (await here.ended())["state"] == "proved"

    play(lambda: world.tell(story))


def test_an_actor_that_goes_takes_its_restart_with_it(tmp_path: Path) -> None:
    world = World(tmp_path / "home")

    async def story(here: Here) -> None:
        await here.add()
        world.programs.behaviour = _asleep
        await here.call("restart_actor", actor="agent1", handoff="take this")
        await here.until(lambda: _said(len(world.programs.runs) == 2))
        await here.call("agent_rm", actor="agent1")
        row = await here.ended()
        assert (row["state"], row["open"]) == ("failed", False)
        assert (await here.call("status"))["faults"] == []

    play(lambda: world.tell(story))


def test_an_actor_without_a_program_has_none_to_restart(tmp_path: Path) -> None:
    world = World(tmp_path / "home")

    async def story(here: Here) -> None:
        with pytest.raises(AssertionError, match="no_program"):
            await here.call("restart_actor", actor="agent0", handoff="x")
        with pytest.raises(AssertionError, match="unknown_actor"):
            await here.call("restart_actor", actor="agent7")

    play(lambda: world.tell(story))


# Killed before every seam call, from the moment on at which the restart is asked for.

CHANGING = frozenset(
    {
        *("sqliteledger.transaction", "memorystream.send", "processes.start", "running.signal_group"),
        *(f"files.{word}" for word in ("write_new", "replace", "move", "remove", "sync_folder")),
    }
)
"""Between two of these nothing changes that the next life could see."""

STREAM = ("before", "held", "after", "later")


class Tale:
    """Four envelopes, of which the first life holds one, and a restart in their middle."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.asked = False
        world.reader.keeps = self._keeps

    def _keeps(self, run: Running, envelope: FileEnvelope) -> bool:
        """Held until some life was told by the handoff."""
        del run
        told = any(one.text.startswith("Handoff") for other in self.world.programs.runs for one in other.shown)
        return envelope.text == "held" and not told

    async def __call__(self, here: Here) -> None:
        await here.add()
        await self._send(here, STREAM[:2])
        await here.until(lambda: _said(self._held()))
        if not await here.rows():
            self.asked = True
            await here.call("restart_actor", actor="agent1", handoff="go on", reason="a drill", within=30)
        await self._send(here, STREAM[2:])
        row = await here.ended()
        assert row["state"] == "proved", row
        await here.until(lambda: _said(len(archived(self.world)) == len(STREAM) + 1))

    async def _send(self, here: Here, stream: tuple[str, ...]) -> None:
        for text in stream:
            await here.call("send", to="agent1", text=text, kind="brief", idempotency_key=text, **{"from": "agent0"})

    def _held(self) -> bool:
        shown = [envelope.text for run in self.world.programs.runs for envelope in run.shown]
        return "held" in shown


def archived(world: World) -> list[str]:
    return sorted(
        file_at(str(path)).text.partition("\n")[0]
        for path in Path(world.home.channel("agent1"), "archive").glob("*.json")
    )


def told(world: World) -> None:
    """Nothing lost, nothing taken twice, one handoff, seen first by a life of its own, and never two at once."""
    first = "Handoff from operator: your program was started anew (a drill)."
    assert archived(world) == sorted([first, *STREAM])
    assert len(world.reader.taken) == len(set(world.reader.taken))
    assert world.programs.most_at_once == 1
    with_it = [run for run in world.programs.runs if any(one.text.startswith("Handoff") for one in run.shown)]
    assert with_it
    for run in with_it:
        assert run.shown[0].text.startswith("Handoff"), [one.text for one in run.shown]
    assert len({run.shown[0].id for run in with_it}) == 1


def test_a_restart_that_is_cut_off_at_any_point_is_finished_by_the_next_life(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    points: collections.Counter[str] = collections.Counter()

    def lives(folder: Path, number: int) -> bool:
        """With a death before that change, counted from the asking on; whether there were so many."""
        world = World(folder)
        tale, seen = Tale(world), 0

        def chosen(call: str) -> bool:
            nonlocal seen
            seen += tale.asked and call in CHANGING
            return bool(tale.asked and call in CHANGING and seen == number)

        async def run() -> bool:
            life = await world.tell(tale, chosen)
            if life.dead:
                points[life.calls[-1]] += 1
                await world.tell(tale)
            return life.dead

        died: bool = play(run)
        told(world)
        return died

    number = 1
    while lives(tmp_path / f"home{number}", number):
        number += STEP
    assert points["sqliteledger.transaction"] > 10 // STEP
    with capsys.disabled():
        print(f"\nkilled before every {STEP}. change of a restart, {sum(points.values())} of them: {dict(points)}")
