"""The published incidents, each told in both directions: it pages when it must, and it does not when it must not."""

from __future__ import annotations

import json

import trio
from netsky.node.db import node_state
from netsky.node.lab.virtual import EPOCH_NS
from netsky.node.watch import memory
from netsky.node.watch.alarms import Alarm
from netsky.node.watch.limits import HANDLED_SECONDS, HANG_SECONDS, REVIVE_SECONDS
from netsky.node.watch.progress import Watched

from tests.node.watch.world import HOUR, MINUTE, World

AGENT0 = "alarm.hang.agent0"
AGENT1 = "alarm.hang.agent1"
LATEST = HANG_SECONDS + 2 * MINUTE
"""A hang is seen within two rounds of the ticker."""
DAY = 86_400 * 10**9


# 1. A permission dialog froze agent0 at night; the watchdog saw it, and nobody was told for nine hours and 45 minutes.


async def test_incident_1_nine_hours_of_silence_are_paged_in_the_first_and_again(
    world: World, autojump_clock: object
) -> None:
    async with world.life():
        await world.add("agent0")
        await world.send("agent0", "a brief", sender="owner")
        await world.claim("agent0")  # then comes the dialog
        await world.send("agent0", "a blocker", sender="agent1@netsky2")
        frozen = trio.current_time()
        await trio.sleep(9.75 * HOUR)
        pages = [at - frozen for at in world.pages.of(AGENT0)]
        assert pages[0] <= LATEST
        assert len(pages) == 4
        assert "agent0 has not moved for 30 min: 2 envelopes wait" in world.pages.all[0].subject
        assert await world.events("raised") == [("hang.agent0", "agent0")]
        [(name, marker)] = world.markers().items()
        assert (name, marker["owner"]) == (AGENT0, "agentinfinity")
        assert marker["expires"] > world.node.now()
        assert marker["clear"]
        [fault] = [one for one in (await world.data("status"))["faults"] if one["code"] == "alarm"]
        assert "the owner was told 4 times" in fault["sentence"]
        await world.take("agent0")
        await trio.sleep(2 * MINUTE)
        assert (world.alarms(), world.markers()) == ([], {})
        assert len(world.pages.all) == 4


async def test_incident_1_who_works_through_the_night_is_not_paged_for(world: World, autojump_clock: object) -> None:
    async with world.life(), trio.open_nursery() as nursery:
        await world.add("agent0")
        nursery.start_soon(world.works, "agent0", 25 * MINUTE)
        for _ in range(10):
            await world.send("agent0", "a brief", sender="owner")
            await trio.sleep(HOUR)
        nursery.cancel_scope.cancel()
    assert world.pages.all == []


async def test_incident_1_a_hung_agent_is_told_to_agent0_and_paged_when_agent0_does_not_take_it(
    world: World, autojump_clock: object
) -> None:
    async with world.life(), trio.open_nursery() as nursery:
        await world.add("agent0", mode="none")
        await world.add("agent1")
        await world.send("agent1", "a brief")
        sent = trio.current_time()
        await trio.sleep(LATEST)
        [(sender, kind)] = await world.rows("SELECT sender, kind FROM messages WHERE recipient = 'agent0'")
        assert (sender, kind) == ("agentinfinity", "escalation")
        assert world.pages.all == []
        await trio.sleep(HANDLED_SECONDS + MINUTE)
        [paged] = world.pages.of(AGENT1)
        assert 0 <= paged - sent - HANG_SECONDS - HANDLED_SECONDS <= 2 * MINUTE
        nursery.cancel_scope.cancel()


async def test_incident_1_what_agent0_takes_and_mends_pages_nobody(world: World, autojump_clock: object) -> None:
    async with world.life():
        await world.add("agent1")
        await world.send("agent1", "a brief")
        await trio.sleep(LATEST)
        assert await world.take("agent0") == 1
        await world.take("agent1")
        await trio.sleep(4 * HOUR)
        assert (world.pages.all, world.alarms()) == ([], [])


# 2. Two false urgent pages: a nap of 55 minutes, and a loop that was stopped.


async def test_incident_2_a_nap_that_was_declared_pages_nobody(world: World, autojump_clock: object) -> None:
    async with world.life():
        await world.add("agent0")
        await world.send("agent0", sender="owner")
        await world.claim("agent0")
        said = await world.data("quiet", actor="agent0", seconds=55 * MINUTE, reason="a long build")
        assert said["actor"] == "agent0"
        await trio.sleep(54 * MINUTE)
        [quiet] = (await world.data("status"))["quiet"]
        assert (quiet["actor"], quiet["by"], quiet["reason"]) == ("agent0", "agent0", "a long build")
        assert (await world.data("watchdog"))["actors"][0]["standing"] == "quiet"
        await world.take("agent0")
        await trio.sleep(2 * HOUR)
        assert world.pages.all == []
        assert world.markers() == {}  # it lapsed, and is removed


async def test_incident_2_who_sleeps_on_beyond_the_declared_end_is_paged_for(
    world: World, autojump_clock: object
) -> None:
    async with world.life():
        await world.add("agent0")
        await world.send("agent0", sender="owner")
        await world.data("quiet", actor="agent0", seconds=55 * MINUTE, reason="a long build")
        said = trio.current_time()
        await trio.sleep(3 * HOUR)
        [first, *_] = world.pages.of(AGENT0)
        assert 55 * MINUTE + HANG_SECONDS - MINUTE <= first - said <= 55 * MINUTE + LATEST


async def test_incident_2_a_quiet_that_is_cleared_is_over_at_once(world: World, autojump_clock: object) -> None:
    async with world.life():
        await world.add("agent0")
        await world.send("agent0", sender="owner")
        await world.data("quiet", actor="agent0", seconds=HOUR, reason="a loop")
        await world.data("quiet", actor="agent0", clear=True)
        said = trio.current_time()
        await trio.sleep(LATEST + MINUTE)
        assert world.pages.of(AGENT0)[0] - said <= LATEST


# 3. More than fifteen false pages for agents that had finished.


async def test_incident_3_who_has_finished_is_not_paged_for(world: World, autojump_clock: object) -> None:
    async with world.life():
        names = [f"agent{number}" for number in range(1, 8)]
        for name in names:
            await world.add(name)
            await world.send(name, "a brief")
            await world.take(name)
        await trio.sleep(6 * HOUR)
        found = {one["actor"]: one for one in (await world.data("watchdog"))["actors"]}
        assert {(found[name]["standing"], found[name]["drain"]) for name in names} == {("idle", "drained")}
        assert (world.pages.all, world.alarms()) == ([], [])


async def test_incident_3_one_envelope_more_for_who_has_finished_is_due_like_any(
    world: World, autojump_clock: object
) -> None:
    async with world.life():
        await world.add("agent1")
        await world.send("agent1", "a brief")
        await world.take("agent1")
        await trio.sleep(6 * HOUR)
        await world.send("agent1", "one more")
        await trio.sleep(LATEST)
        assert world.alarms() == ["hang.agent1"]


# 4. Hiding who has finished hid an agent that had never read its brief.


async def test_incident_4_a_brief_that_was_never_read_is_an_alarm_also_after_a_restart(
    world: World, autojump_clock: object
) -> None:
    async with world.life():
        await world.add("agent1")
        await world.send("agent1", "a brief")
        await trio.sleep(20 * MINUTE)
    async with world.life():
        await trio.sleep(8 * MINUTE)
        assert world.alarms() == []
        await trio.sleep(4 * MINUTE)
        assert world.alarms() == ["hang.agent1"]  # it went on from what was owed before


async def test_incident_4_an_inbox_that_is_empty_because_the_brief_was_put_away_is_an_alarm(
    world: World, autojump_clock: object
) -> None:
    async with world.life():
        await world.add("agent1")
        sent = await world.send("agent1", "a brief")
        [(file,)] = await world.rows("SELECT file FROM inbox JOIN messages USING (seq) WHERE id = ?", sent.id)
        from netsky.node.db import inbox

        await world.node.group.write([inbox.take_files("agent1", [file], world.node.now(), "quarantine")])
        await trio.sleep(LATEST)
        assert world.alarms() == ["hang.agent1"]
        assert "never read" in world.node.watchdog.alarms["hang.agent1"].sentence
        await world.send("agent1", "the same again")
        await world.take("agent1")
        await trio.sleep(2 * MINUTE)
        assert world.alarms() == []


async def test_incident_4_that_a_brief_was_read_is_known_over_restarts(world: World, autojump_clock: object) -> None:
    async with world.life():
        await world.add("agent1")
        await world.send("agent1", "a brief")
        await world.take("agent1")
        await trio.sleep(2 * MINUTE)
    async with world.life():
        await trio.sleep(5 * HOUR)
        found = {one["actor"]: one["drain"] for one in (await world.data("watchdog"))["actors"]}
        assert (found["agent1"], world.alarms()) == ("drained", [])


# 5. After the owner had reset everything by hand, an old marker made every tick do nothing.


async def plant(world: World) -> None:
    """What an earlier life could have left: markers without an end, and memory that puts everything off."""
    world.put_marker(AGENT0, expires=None)
    world.put_marker("alarm.revive-failed.agent0", owner="operator")
    world.put_marker("hang-paged.agent0", reason="of another program")
    alarm = Alarm("hang.agent0", "old", "old", "agent0", EPOCH_NS + 10**18, age=1, pages=9, paged_age=10**30)
    kept = memory.Kept({"agent0": Watched(drain="drained", owed=-(10**30))}, {alarm.key: alarm})
    await world.node.group.write([node_state.put(memory.KEY, memory.encode(kept))])


async def test_incident_5_a_stale_marker_makes_no_look_do_nothing(world: World, autojump_clock: object) -> None:
    async with world.life():
        await world.add("agent0")
        await trio.sleep(MINUTE)
        world.node.watchdog._keep = lambda: None  # type: ignore[method-assign]
        await plant(world)
    async with world.life():
        await trio.sleep(2 * MINUTE)
        assert world.alarms() == []  # agent0 owes nothing: that outranks what is written
        assert set(world.markers()) == {"hang-paged.agent0"}  # which is not ours, and nobody reads it
        await world.send("agent0", sender="owner")
        sent = trio.current_time()
        await trio.sleep(LATEST)
        assert [at - sent <= LATEST for at in world.pages.of(AGENT0)] == [True]


async def test_incident_5_a_marker_of_what_is_so_stays_and_pages_nobody_twice(
    world: World, autojump_clock: object
) -> None:
    async with world.life():
        await world.add("agent0")
        await world.send("agent0", sender="owner")
        await trio.sleep(LATEST)
        assert len(world.pages.all) == 1
    async with world.life():
        await trio.sleep(30 * MINUTE)
        assert (world.alarms(), list(world.markers())) == (["hang.agent0"], [AGENT0])
        assert len(world.pages.all) == 1
        world.node.markers.clear(AGENT0)
        await trio.sleep(2 * MINUTE)
        assert list(world.markers()) == [AGENT0]


# 6. A revive that failed was never tried again; one that half succeeded counted as success.


async def test_incident_6_a_revive_that_fails_is_tried_again_and_again_and_pages(
    world: World, autojump_clock: object
) -> None:
    async with world.life(), trio.open_nursery() as nursery:
        nursery.start_soon(world.works, "agent0", 2 * MINUTE)  # agent0 knows, and cannot help
        await world.add("agent1")
        world.programs.crashing.add("agent1")
        world.programs.of("agent1")[0].end()
        await trio.sleep(3 * MINUTE)
        assert [fault["code"] for fault in (await world.data("status"))["faults"]] == ["actor", "alarm", "restart"]
        tries = [len(await world.events("revived"))]
        for _ in range(6):
            await trio.sleep(HOUR)
            tries.append(len(await world.events("revived")))
        assert tries[1] >= 3
        assert tries == sorted(set(tries))
        assert tries[-1] < 12
        assert world.pages.of("alarm.down.agent1")
        assert "has failed" not in world.pages.all[0].subject
        nursery.cancel_scope.cancel()


async def test_incident_6_that_a_program_runs_again_is_no_success_before_it_stays_up_and_moves(
    world: World, autojump_clock: object
) -> None:
    async with world.life():
        await world.add("agent1")
        await world.send("agent1", "a brief")
        world.programs.missing.add("agent1")
        world.programs.of("agent1")[0].end()
        await trio.sleep(3 * MINUTE)
        assert world.alarms() == ["down.agent1"]
        world.programs.missing.clear()
        await trio.sleep(REVIVE_SECONDS + 2 * MINUTE)
        [state] = [one for one in world.node.actors.states() if one["name"] == "agent1"]
        assert state["state"] == "running"
        assert world.alarms() == ["down.agent1"]  # it runs, and what waits for it does not move
        assert "has not been up" in world.node.watchdog.alarms["down.agent1"].sentence
        await world.take("agent1")
        await trio.sleep(4 * MINUTE)
        assert world.alarms() == []
        assert world.pages.all == []


async def test_incident_6_a_program_that_hangs_is_started_again_and_the_alarm_stands_until_it_moves(
    world: World, autojump_clock: object
) -> None:
    async with world.life():
        await world.add("agent0")
        await world.send("agent0", sender="owner")
        await trio.sleep(LATEST)
        assert len(world.programs.of("agent0")) == 1
        await trio.sleep(HANG_SECONDS + MINUTE)
        assert len(world.programs.of("agent0")) == 2
        assert world.alarms() == ["hang.agent0"]
        await world.take("agent0")
        await trio.sleep(2 * HOUR)
        assert (world.alarms(), len(world.programs.of("agent0"))) == ([], 2)


async def test_incident_6_what_was_noted_of_a_revive_is_there_after_a_restart(
    world: World, autojump_clock: object
) -> None:
    async with world.life():
        await world.add("agent1")
        world.programs.crashing.add("agent1")
        world.programs.of("agent1")[0].end()
        await trio.sleep(10 * MINUTE)
        before = world.node.watchdog.alarms["down.agent1"].revives
    async with world.life():
        await trio.sleep(3 * MINUTE)
        assert list(world.markers()) == ["alarm.down.agent1", "degraded-agent1"]
        assert world.node.watchdog.alarms["down.agent1"].revives >= before > 1


# 7. Among other things a child of the ticker had no bound.


class Endless:
    name = "Endless_Part"
    ends = False

    async def tick(self, now: int) -> dict[str, object]:
        if not self.ends:
            await trio.sleep_forever()
        return {}


async def test_incident_7_a_part_that_never_ends_stops_no_other_and_is_told(
    world: World, autojump_clock: object
) -> None:
    async with world.life():
        part = Endless()
        world.node.ticker.parts.insert(0, part)
        await world.add("agent0")
        await world.send("agent0", sender="owner")
        await trio.sleep(5 * MINUTE)
        assert world.alarms() == ["part.endless-part"]
        await trio.sleep(LATEST)
        assert world.pages.of(AGENT0)  # the watchdog looked all the same
        part.ends = True
        await trio.sleep(3 * MINUTE)
        assert world.alarms() == ["hang.agent0"]


async def test_incident_7_one_round_that_fails_is_no_alarm(world: World, autojump_clock: object) -> None:
    async with world.life():
        part = Endless()
        world.node.ticker.parts.insert(0, part)
        await trio.sleep(1.5 * MINUTE)
        part.ends = True
        await trio.sleep(HOUR)
        assert await world.events("raised") == []


async def test_incident_7_a_ticker_that_is_silent_is_seen_by_the_watchdogs_own_clock(
    world: World, autojump_clock: object
) -> None:
    async with world.life():
        await trio.sleep(2 * MINUTE)

        async def never(source: str) -> None:
            await trio.sleep_forever()

        world.node.ticker.round = never  # type: ignore[assignment, method-assign]
        await trio.sleep(6 * MINUTE)
        assert world.alarms() == ["ticker"]
        await trio.sleep(HANDLED_SECONDS + 2 * MINUTE)
        assert len(world.pages.of("alarm.ticker")) == 1


async def test_incident_7_a_database_that_hangs_is_paged_at_once_and_silences_nothing_else(
    world: World, autojump_clock: object
) -> None:
    async with world.life():
        await world.add("agent0")
        await world.send("agent0", sender="owner")
        await trio.sleep(LATEST)
        assert world.alarms() == ["hang.agent0"]
        world.ledgers.hangs = lambda _: True
        await trio.sleep(3 * MINUTE)
        assert world.alarms() == ["database", "hang.agent0"]  # that nobody can look makes nobody move
        assert len(world.pages.of("alarm.database")) == 1
        assert "alarm.database" in world.markers()
        world.ledgers.hangs = lambda _: False
        await trio.sleep(3 * MINUTE)
        assert world.alarms() == ["hang.agent0"]


async def test_a_clock_that_jumps_a_day_and_a_machine_that_slept_alarm_nobody(
    world: World, autojump_clock: object
) -> None:
    async with world.life():
        await world.add("agent0")
        await world.data("quiet", actor="agent0", seconds=20 * MINUTE, reason="asleep")
        await world.send("agent0", sender="owner")
        for jump in (DAY, -2 * DAY, 0):
            world.time.jumped = jump
            await trio.sleep(10 * MINUTE)
        assert (world.pages.all, world.alarms()) == ([], [])
        await trio.sleep(LATEST)
        assert len(world.pages.all) == 1


async def test_a_daemon_that_stood_still_for_a_day_alarms_nobody(world: World, autojump_clock: object) -> None:
    async with world.life():
        await world.add("agent0")
        await world.send("agent0", sender="owner")
        for _ in range(3):
            await trio.sleep(2.5 * MINUTE)
            world.time.stood_still += DAY
        await trio.sleep(5 * MINUTE)
        assert (world.pages.all, await world.events("raised")) == ([], [])
        await trio.sleep(LATEST)
        assert len(world.pages.all) == 1


async def test_what_is_kept_is_one_small_value(world: World, autojump_clock: object) -> None:
    async with world.life():
        await world.add("agent1")
        await world.send("agent1", "a brief")
        await trio.sleep(5 * MINUTE)
        [(text,)] = await world.rows("SELECT value FROM node_state WHERE key = ?", memory.KEY)
        assert json.loads(text)["actors"]["agent1"]["drain"] == "nonempty"
        assert len(text) < 2_000
