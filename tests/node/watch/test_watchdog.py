"""The task that looks: what it costs, what it shows to whom, and what does not stop it."""

from __future__ import annotations

import errno
from time import thread_time
from typing import Any

import pytest
import trio
from netsky.envelope.wire import decode_body
from netsky.node.daemon.node import Fault
from netsky.node.db import actors, inbox, messages
from netsky.node.db.actors import ActorRow
from netsky.node.seams.ledger import Statement
from netsky.node.watch import carry
from netsky.node.watch.alarms import Alarm
from netsky.node.watch.limits import HANG_SECONDS, QUIET_SECONDS_MAX, QUIETS_MAX

from tests.node.db.rows import arrival, message
from tests.node.watch.world import HOUR, MINUTE, World

LATEST = HANG_SECONDS + 2 * MINUTE


async def standings(world: World) -> dict[str, str]:
    return {one["actor"]: one["standing"] for one in (await world.data("watchdog"))["actors"]}


async def test_an_actor_sees_itself_and_agent0_and_the_operator_see_all(world: World, autojump_clock: object) -> None:
    async with world.life():
        await world.add("agent0")
        await world.add("agent1")
        await world.add("worker1")
        await world.send("worker1", kind="brief")
        await trio.sleep(LATEST)
        for actor in (None, "agent0"):
            seen = await world.data("watchdog", actor=actor)
            names = [one["actor"] for one in seen["actors"]]
            assert names == ["agent0", "agent1", "agentcron", "agentinfinity", "agentloop", "worker1"]
            assert [alarm["key"] for alarm in seen["alarms"]] == ["hang.worker1"]
            assert [marker["name"] for marker in seen["markers"]] == ["alarm.hang.worker1"]
        own = await world.data("watchdog", actor="agent1")
        assert [one["actor"] for one in own["actors"]] == ["agent1"]
        assert (own["alarms"], own["markers"]) == ([], [])


async def test_an_actor_is_quiet_for_itself_alone_within_the_hour_and_says_why(
    world: World, autojump_clock: object
) -> None:
    async with world.life():
        await world.add("agent1")
        for args, code in (
            ({"seconds": 60, "reason": "r", "actor": "agent0"}, "not_you"),
            ({"seconds": QUIET_SECONDS_MAX + 1, "reason": "r"}, "bad_argument"),
            ({"seconds": 0, "reason": "r"}, "bad_argument"),
            ({"seconds": 60}, "bad_argument"),
            ({"seconds": 60, "reason": "two\nlines"}, "bad_argument"),
            ({"seconds": 60, "reason": "r" * 201}, "bad_argument"),
            ({"clear": True, "reason": "r"}, "bad_argument"),
        ):
            answer = await world.ask("quiet", actor="agent1", **_renamed(args))
            assert answer["error"]["code"] == code, (args, answer)
        unknown = await world.ask("quiet", seconds=60, reason="r", of="agent7")
        assert unknown["error"]["code"] == "unknown_actor"
        for count in range(QUIETS_MAX):
            said = await world.data("quiet", actor="agent1", seconds=60 + count, reason="r")
        assert said["quiet"][-1]["left_s"] == 60 + QUIETS_MAX - 1
        full = await world.ask("quiet", actor="agent1", seconds=60, reason="r")
        assert full["error"]["code"] == "too_many_quiets"
        assert (await world.data("quiet", actor="agent1", clear=True))["cleared"] == QUIETS_MAX
        assert (await world.data("quiet", seconds=60, reason="by hand"))["actor"] == "agent0"


def _renamed(args: dict[str, Any]) -> dict[str, Any]:
    return {("of" if name == "actor" else name): value for name, value in args.items()}


async def test_who_declares_quiet_is_alive_and_an_alarm_that_stands_ends_by_it(
    world: World, autojump_clock: object
) -> None:
    async with world.life():
        await world.add("agent0")
        await world.send("agent0", sender="owner")
        await trio.sleep(LATEST)
        assert world.alarms() == ["hang.agent0"]
        await world.data("quiet", seconds=600, reason="the operator says so")
        await trio.sleep(2 * MINUTE)
        assert (world.alarms(), world.node.watchdog.alarms["hang.agent0"].calm) == (["hang.agent0"], True)
        await world.data("quiet", actor="agent0", seconds=600, reason="it says so itself")
        await trio.sleep(2 * MINUTE)
        assert world.alarms() == []


async def test_a_worker_whose_manager_waits_for_the_owner_is_not_late_and_its_manager_is_not(
    world: World, autojump_clock: object
) -> None:
    async with world.life():
        await world.add("agent0")
        await world.add("worker1", manager="agent0")
        await world.send("worker1", kind="brief")
        await world.claim("worker1")
        question = {"to": "agent0", "text": "which one?", "kind": "question", "requires_ack": True}
        asked = await world.data("send", actor="worker1", **question)
        await world.take("agent0")  # that it was taken is no answer
        await world.send("agent0", "and more", sender="owner")
        await world.claim("agent0")
        await world.data("send", actor="agent0", to="owner", text="which one?", kind="question")
        await trio.sleep(6 * HOUR)
        assert {(await standings(world))[name] for name in ("agent0", "worker1")} == {"asks"}
        assert world.pages.all == []
        await world.data("send", actor="agent0", to="worker1", text="that", kind="reply", in_reply_to=asked["id"])
        await trio.sleep(LATEST)
        assert "hang.worker1" in world.alarms()


async def test_who_holds_one_envelope_for_long_and_moves_others_moves(world: World, autojump_clock: object) -> None:
    async with world.life():
        await world.add("agent1")
        held = await world.send("agent1", "a long one")
        await world.claim("agent1")
        for _ in range(12):
            sent = await world.send("agent1", "a short one")
            await trio.sleep(20 * MINUTE)
            await world.data("ack", actor="agent1", ids=[sent.id])
        assert world.alarms() == []
        await trio.sleep(LATEST)
        assert world.alarms() == ["hang.agent1"]
        await world.data("ack", actor="agent1", ids=[held.id])
        await trio.sleep(2 * MINUTE)
        assert world.alarms() == []


async def test_what_a_program_sends_shows_that_it_lives_and_what_is_sent_in_its_name_does_not(
    world: World, autojump_clock: object
) -> None:
    async with world.life():
        await world.add("agent1")
        await world.send("agent1", "a long one")
        await world.claim("agent1")
        for _ in range(6):
            await world.data("send", actor="agent1", to="agent0", text="still at it", kind="report")
            await trio.sleep(25 * MINUTE)
        assert "hang.agent1" not in world.alarms()
        for _ in range(6):
            await world.data("send", to="agent0", text="says the operator", kind="report", **{"from": "agent1"})
            await trio.sleep(10 * MINUTE)
        assert "hang.agent1" in world.alarms()


async def test_a_person_is_not_watched_and_a_program_that_follows_its_channel_is(
    world: World, autojump_clock: object
) -> None:
    async with world.life():
        await world.send("agent0", sender="owner")
        await trio.sleep(3 * HOUR)
        assert (await standings(world))["agent0"] == "person"
        stream = await world.sockets.connect(world.home.actor_socket("agent0"))
        await stream.send(b'{"n": 1, "verb": "follow", "args": {}}\n')
        await trio.sleep(LATEST)
        assert world.alarms() == ["hang.agent0"]
        stream.close()
        await world.send("agent0", sender="owner")  # it writes to whoever is gone, and notices
        await trio.sleep(2 * MINUTE)
        assert world.alarms() == []


async def test_the_owner_is_no_actor_that_is_watched(world: World, autojump_clock: object) -> None:
    async with world.life():
        await world.send("owner", "a report", kind="report")
        await trio.sleep(3 * HOUR)
        assert "owner" not in await standings(world)


async def test_a_look_while_a_program_is_started_again_takes_it_for_no_other_actor(
    world: World, autojump_clock: object
) -> None:
    async with world.life(), trio.open_nursery() as nursery:
        await world.add("agent0")
        await world.send("agent0", sender="owner")
        await trio.sleep(LATEST)
        world.programs.of("agent0")[0].stubborn = True
        nursery.start_soon(world.node.actors.renew, "agent0", trio.lowlevel.checkpoint)
        await trio.sleep(1)
        assert not world.node.actors.serving
        owed = world.node.watchdog.actors["agent0"].owed
        await world.node.watchdog.look()
        assert world.alarms() == ["hang.agent0"]
        assert world.node.watchdog.actors["agent0"].owed >= owed
        await trio.sleep(5)
        assert len(world.programs.of("agent0")) == 2


async def test_an_alarm_of_an_actor_that_is_removed_ends(world: World, autojump_clock: object) -> None:
    async with world.life():
        await world.add("agent1")
        await world.send("agent1")
        await trio.sleep(LATEST)
        assert world.alarms() == ["hang.agent1"]
        await world.node.actors.remove("agent1")
        await trio.sleep(2 * MINUTE)
        assert (world.alarms(), world.markers()) == ([], {})


async def test_a_folder_of_markers_that_cannot_be_read_or_written_silences_nobody(
    world: World, autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world.life():
        await world.add("agent0")
        await world.send("agent0", sender="owner")

        def full(*_: object) -> Any:
            raise OSError(errno.ENOSPC, "no space left")

        monkeypatch.setattr(world.node.markers, "put", full)
        monkeypatch.setattr(world.node.markers, "live", full)
        await trio.sleep(LATEST)
        assert len(world.pages.all) == 1
        monkeypatch.setattr(world.node.markers, "live", lambda _: [])
        refused = await world.ask("quiet", actor="agent0", seconds=60, reason="r")
        assert refused["error"]["code"] == "no_marker"


async def test_a_part_that_cannot_say_what_is_wrong_with_it_stops_no_look(world: World, autojump_clock: object) -> None:
    async with world.life():
        await world.add("agent0")
        await world.send("agent0", sender="owner")

        def broken() -> list[Fault]:
            raise ValueError("it is")

        world.node.complaints.insert(0, broken)
        await trio.sleep(LATEST)
        assert len(world.pages.all) == 1


async def test_a_bus_that_takes_nothing_keeps_no_page_back(
    world: World, autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world.life():
        await world.add("agent1")
        await world.send("agent1")

        async def stuck(*_: object) -> Any:
            await trio.sleep_forever()

        monkeypatch.setattr(world.node.bus, "accept", stuck)
        await trio.sleep(LATEST + 12 * MINUTE)
        assert len(world.pages.of("alarm.hang.agent1")) == 1


async def test_the_task_that_crashes_goes_on_where_it_was(
    world: World, autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world.life():
        await world.add("agent0")
        await world.send("agent0", sender="owner")
        await trio.sleep(20 * MINUTE)
        looked, crashes = world.node.watchdog.look, []

        async def crash() -> None:
            crashes.append(1)
            monkeypatch.setattr(world.node.watchdog, "look", looked)
            raise ValueError("once")

        monkeypatch.setattr(world.node.watchdog, "look", crash)
        await trio.sleep(12 * MINUTE)
        assert (len(crashes), len(world.pages.all)) == (1, 1)


async def test_a_broken_schedule_is_told_to_agent0_and_other_faults_are_left_to_status(
    world: World, autojump_clock: object
) -> None:
    async with world.life(), trio.open_nursery() as nursery:
        nursery.start_soon(world.works, "agent0", 2 * MINUTE)
        said: list[Fault] = [
            {"code": "cron_file", "sentence": "cron.toml, line 7: no such zone", "next": "correct it"},
            {"code": "folder_replaced", "sentence": "something else", "next": "look"},
        ]
        world.node.complaints.append(lambda: said)
        await trio.sleep(3 * MINUTE)
        assert world.alarms() == ["schedule.cron-file"]
        [(body,)] = await world.rows("SELECT body FROM messages WHERE sender = 'agentinfinity'")
        assert "cron.toml, line 7: no such zone" in decode_body(body).text
        said.clear()
        await trio.sleep(2 * MINUTE)
        assert (world.alarms(), world.pages.all) == ([], [])
        nursery.cancel_scope.cancel()


async def test_an_idle_watchdog_writes_nothing_of_its_own(world: World, autojump_clock: object) -> None:
    async with world.life():
        await world.add("agent1")
        await world.send("agent1")
        await world.take("agent1")
        await trio.sleep(5 * MINUTE)
        written: list[str] = []
        ride = world.node.group.ride

        def heard(statement: Any) -> None:
            written.append(statement.sql.split()[2])
            ride(statement)

        world.node.group.ride = heard  # type: ignore[method-assign]
        await trio.sleep(HOUR)
        assert set(written) == {"ticks"}


async def test_a_look_at_a_hundred_actors_with_full_inboxes_costs_a_few_milliseconds(
    world: World, autojump_clock: object, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [f"agent{number}" for number in range(1, 100)]
    async with world.life():
        for name in names:
            await world.node.group.write([actors.put(ActorRow(name, (), "none", None, False, True, {}, 1))])
        await world.node.group.write(_rows(names, 40))
    async with world.life():
        await trio.sleep(2 * MINUTE)
        took = []
        for _ in range(20):
            began = thread_time()
            await world.node.watchdog.look()
            took.append(thread_time() - began)
        found = await standings(world)
        assert len(found) == 103
    with capsys.disabled():
        median = sorted(took)[len(took) // 2] * 1e3
        print(f"\n  a look at 103 actors, 40 envelopes waiting for each: {median:.1f} ms")


def _rows(names: list[str], each: int) -> list[Statement]:
    owed = [(name, f"e{number}-{name}") for name in names for number in range(each)]
    made = [message(own, recipient=name, header=b"h", body=b"b") for name, own in owed]
    waiting = [arrival(seq, own, name) for seq, (name, own) in enumerate(owed, 1)]
    return [messages.insert(made), inbox.insert(waiting), Statement("UPDATE inbox SET state = 'projected'")]


def test_a_marker_of_an_alarm_names_its_owner_its_end_and_what_clears_it() -> None:
    alarm = Alarm("hang.agent0", "agent0 has not moved", "look", "agent0", 5, pages=2)
    made = carry._marker("alarm.hang.agent0", alarm, 10)
    assert (made.owner, made.at, made.data["pages"]) == ("agentinfinity", 5, 2)
    assert made.expires is not None
    assert "moves again" in made.clear
