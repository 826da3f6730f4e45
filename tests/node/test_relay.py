"""Three nodes in one process: what the root lets pass, what it ends, and what senders get to know."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio
from netsky.mesh.limits import ALPN
from netsky.mesh.transport import PeerAddress, TransportOptions
from netsky.node.actors.handover import Handover
from netsky.node.actors.runtime import Verdict
from netsky.node.bus.draft import Draft
from netsky.node.daemon.told import TAKEN_SIGNAL
from netsky.node.db import actors
from netsky.node.db.actors import ActorRow
from netsky.node.errors import NotFound, Refused, TryLater
from netsky.relay.acks import GIVEN_UP_TEXT, given_up_id
from netsky.relay.holds import Load

from tests.node.stations import Station, identity, key, roster
from tests.node.test_links import BACK, WORK, World

SECOND = 10**9


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def fates(node: Station) -> list[Any]:
    return await node.rows(
        "SELECT fate, outcomes.code FROM outcomes JOIN messages ON messages.leaf = outcomes.leaf ORDER BY messages.seq"
    )


async def add(node: Station, *names: str) -> None:
    await node.group.write([actors.put(ActorRow(name, (), "none", None, False, True, {}, 0)) for name in names])


def errors(node: Station, actor: str = "agent0") -> list[dict[str, Any]]:
    found = [json.loads(path.read_text()) for path in sorted((node.folder / "channels" / actor).glob("inbox/*.json"))]
    return [one for one in found if one["kind"] == "error"]


async def test_what_no_line_lets_pass_ends_at_the_root_and_its_sender_gets_an_error_file(
    world: World, autojump_clock: object
) -> None:
    async with world.three("agent0@netsky2 -> agent0@netsky1: text") as (root, one, two):
        [sent] = await one.send("agent0@netsky2", "may I?")
        await trio.sleep(2)
        assert await two.received() == []
        assert await fates(one) == [("dead", "authority")]
        assert await root.rows("SELECT code, count FROM refused_counts") == [("authority", 1)]
        [error] = errors(one)
        assert (error["in_reply_to"], error["from"]) == (sent.id, "agentinfinity")
        assert error["data"] == {"id": sent.id, "to": "agent0@netsky2", "fate": "dead", "code": "authority"}
        assert "[routes]" in error["text"]
        assert await one.one("SELECT count(*) FROM errors_due") == 0


async def test_the_destination_ends_what_it_cannot_deliver_and_its_sender_hears_of_it(
    world: World, autojump_clock: object
) -> None:
    async with world.three("agent0@netsky1 -> *@netsky2: *") as (_, one, two):
        await one.send("agent7@netsky2", "are you there?")
        await trio.sleep(2)
        assert await fates(one) == [("dead", "unknown_actor")]
        assert await one.one("SELECT ender FROM outcomes") == key(2)
        assert [error["data"]["code"] for error in errors(one)] == ["unknown_actor"]
        assert await two.received() == []


async def test_an_error_never_causes_another(world: World, autojump_clock: object) -> None:
    async with world.three("agent0@netsky2 -> agent0@netsky1: text") as (_, one, _two):
        await one.send("agent0@netsky2", "no", kind="error")
        await trio.sleep(2)
        assert await fates(one) == [("dead", "authority")]
        assert errors(one) == []


async def test_an_error_waits_for_room_and_is_told_once(
    world: World, autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("netsky.node.bus.room.INGRESS_RESERVE", 100)
    async with world.three("agent0@netsky2 -> agent0@netsky1: text") as (_, one, _two):
        one.config = one.config.__class__(name="netsky1", inbox_envelopes_max=1)
        for at in range(102):  # the room for work, what may be on its way then, and the room for replies
            await one.send("agent0", f"n{at}", kind="reply")
        await one.send("agent0@netsky2", "may I?")
        await trio.sleep(30)
        assert errors(one) == []
        assert await one.one("SELECT count(*) FROM errors_due") == 1
        one.config = one.config.__class__(name="netsky1")
        await trio.sleep(30)
        assert len(errors(one)) == 1
        assert await one.one("SELECT count(*) FROM errors_due") == 0


async def test_a_dead_destination_blocks_nobody_and_gets_all_when_it_is_back(
    world: World, autojump_clock: object
) -> None:
    lines = (WORK, "agent0@netsky1 -> agent0@netsky3: *")
    world.known = roster(1, 2, 3)
    async with world.root(*lines) as root, world.sibling(1) as one, world.sibling(3) as three:
        await trio.sleep(1)
        waiting = [(await one.send("agent0@netsky2", f"n{at}"))[0].id for at in range(50)]
        passing = [(await one.send("agent0@netsky3", f"n{at}"))[0].id for at in range(50)]
        await trio.sleep(2)
        assert await three.received() == passing
        assert await root.one("SELECT sum(envelopes) FROM forward") == 50
        assert root.links.queues.load(key(2)).envelopes == 50
        async with world.sibling(2) as two:
            await trio.sleep(3)
            assert await two.received() == waiting
            assert root.links.queues.load(key(2)) == Load()
        assert await fates(one) == [("delivered", None)] * 100


async def test_a_full_queue_is_a_hold_the_origin_keeps_to_until_it_is_drained(
    world: World, autojump_clock: object
) -> None:
    async with world.root(WORK) as root, world.sibling(1) as one:
        root.links.queues._mark = Load(80, 1 << 30)
        await trio.sleep(1)
        for turn in range(8):
            await one.send("agent0@netsky2", *(f"n{turn} {at}" for at in range(10)))
            await trio.sleep(1)
        assert one.links.status()[0]["held"] == ["netsky2"]
        assert await root.one("SELECT sum(envelopes) FROM forward") == 20, "a quarter of the mark"
        assert await one.one("SELECT count(*) FROM outbox WHERE state = 'open'") == 60
        await one.send("agent0@netsky0", "others go on")
        await trio.sleep(100)  # longer than a hold lasts that is not said again
        assert len(await root.received()) == 1
        assert await one.one("SELECT count(*) FROM outbox WHERE state = 'open'") == 60
        async with world.sibling(2) as two:
            await trio.sleep(5)
            assert len(await two.received()) == 80
            assert one.links.status()[0]["held"] == []
        assert await fates(one) == [("delivered", None)] * 81


async def test_a_hold_lapses_when_the_root_is_gone(world: World, autojump_clock: object) -> None:
    async with world.sibling(1) as one:
        async with world.root(WORK) as root:
            root.links.queues._mark = Load(8, 1 << 30)
            await trio.sleep(7)
            await one.send("agent0@netsky2", *(f"{at}" for at in range(4)))
            await trio.sleep(1)
            assert one.links.status()[0]["held"] == ["netsky2"]
        await trio.sleep(61)
        assert one.links.status()[0]["held"] == []


async def test_a_full_actor_is_held_by_its_origin_and_its_neighbours_go_on(
    world: World, autojump_clock: object
) -> None:
    async with world.three("agent0@netsky1 -> *@netsky2: *") as (root, one, two):
        await add(two, "agent1")
        two.config = replace(two.config, inbox_envelopes_max=40)
        for turn in range(10):
            await one.send("agent1@netsky2", *(f"{turn} {at}" for at in range(20)))
            await trio.sleep(1)
        assert one.links.status()[0]["held"] == ["agent1@netsky2"]
        there = await two.one("SELECT count(*) FROM inbox")
        assert 40 <= there <= 60
        assert await one.one("SELECT count(*) FROM outbox WHERE state = 'open'") >= 120
        [passing] = await one.send("agent0@netsky2", "a neighbour")
        await trio.sleep(90)
        assert (await two.received())[-1] == passing.id
        assert await two.one("SELECT count(*) FROM inbox") == there + 1
        await root.send("agent1@netsky2", "the root holds it too")
        await trio.sleep(5)
        assert await two.one("SELECT count(*) FROM inbox") == there + 1
        await two.rows("UPDATE inbox SET state = 'taken' WHERE actor = 'agent1' RETURNING 1")
        two.config = replace(two.config, inbox_envelopes_max=1_000)
        await trio.sleep(5)
        assert await two.one("SELECT count(*) FROM inbox") == 202
        assert one.links.status()[0]["held"] == []
        assert await fates(one) == [("delivered", None)] * 201


def handover(node: Station) -> Handover:
    """Of its agent0, as a program that is started for each envelope has it."""
    row = ActorRow("agent0", ("x",), "per-envelope", None, False, True, {}, 0)
    seams = node.seams
    return Handover(
        row,
        channels=str(node.folder / "channels"),
        files=seams.files,
        time=seams.time,
        chance=seams.chance,
        group=node.group,
        accept=node.bus.accept,
        events=node.events,
        log=node.log,
        taken=lambda: node.signals.ring(TAKEN_SIGNAL),
        at_root=node.identity.root,
    )


async def answer_all(node: Station) -> None:
    """What `Place` does with a program that answers everything at once."""
    hand = handover(node)
    while True:
        handed = await hand.next()
        while handed is not None:
            try:
                await hand.conclude(handed, Verdict(True, "done"))
                handed = None
            except TryLater:
                reply = await hand.next(replies_alone=True)
                if reply is not None:
                    await hand.conclude(reply, Verdict(True))
                await trio.sleep(0.1)
        await trio.sleep(0.1)


@pytest.mark.parametrize("code", ["program_failed", "no_such_code"])
async def test_that_an_actor_gave_up_passes_between_siblings_in_the_words_of_its_daemon_alone(
    world: World, autojump_clock: object, code: str
) -> None:
    async with world.three("agent0@netsky1 -> agent0@netsky2: text") as (root, one, two):
        [sent] = await one.send("agent0@netsky2", "do this", thread="t")
        [unsent] = await two.send("agent0@netsky0", "of another")
        await trio.sleep(1)
        hand = handover(two)
        handed = await hand.next()
        assert handed is not None
        await hand.conclude(handed, Verdict(False, reason="words of its own", code=code, again=False))
        await trio.sleep(1)
        [error] = errors(one)
        assert (error["in_reply_to"], error["thread"], error["from"]) == (sent.id, "t", "agent0@netsky2")
        assert error["text"] == GIVEN_UP_TEXT
        assert error["data"] == {"error": {"code": "program_failed"}}
        assert await fates(two) == [("delivered", None), ("delivered", None), ("delivered", None)]
        # About what was never sent there, and with a word more, it is an error like any other.
        data: dict[str, object] = {"error": {"code": "poison"}}
        forged = Draft(
            "agent0@netsky1", GIVEN_UP_TEXT, "error", unsent.id, data=data, id=given_up_id(key(1), unsent.id)
        )
        worded = Draft("agent0@netsky1", GIVEN_UP_TEXT + "!", "error", sent.id, data=data, id=given_up_id(key(1), "x"))
        await two.bus.accept("agent0", "node", [forged, worded])
        await trio.sleep(1)
        assert [code for _, code in (await fates(two))[-2:]] == ["ack_unasked", "authority"]
        assert len(errors(one)) == 1
        assert root.crashes == []


async def test_two_agents_that_wait_for_each_others_replies_with_full_inboxes_still_move(
    world: World, autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("netsky.node.bus.accept.OUTBOX_ENVELOPES_MAX", 40)
    monkeypatch.setattr("netsky.node.bus.accept.OUTBOX_REPLY_RESERVE", 2)
    async with world.root() as root, world.sibling(1) as one:
        for node in (root, one):
            node.config = replace(node.config, inbox_envelopes_max=10)
        await trio.sleep(1)
        asked = {root: "agent0@netsky1", one: "agent0@netsky0"}
        for node, to in asked.items():
            with suppress(TryLater):
                while True:
                    await node.send(to, "a question")
                    await trio.sleep(0.1)
        held = [await node.one("SELECT count(*) FROM outbox WHERE state = 'open'") for node in asked]
        assert min(held) > 0, "both inboxes are full, and more waits"
        async with trio.open_nursery() as nursery:
            for node in asked:
                nursery.start_soon(answer_all, node)
            await trio.sleep(120)
            nursery.cancel_scope.cancel()
        for node in asked:
            assert await node.one("SELECT count(*) FROM outbox WHERE state != 'done'") == 0
            assert await node.one("SELECT count(*) FROM inbox WHERE state != 'taken'") == 0
            questions = await node.one("SELECT count(*) FROM outbox JOIN messages USING (seq) WHERE kind IS NULL")
            assert await node.one("SELECT count(*) FROM inbox WHERE reply = 1") == questions


async def test_who_was_full_before_a_restart_is_held_before_anything_more_comes(
    world: World, autojump_clock: object
) -> None:
    async with world.root() as root, world.sibling(1) as one:
        root.config = replace(root.config, inbox_envelopes_max=40)
        await one.send("agent0@netsky0", *(str(at) for at in range(50)))
        await trio.sleep(2)
        assert one.links.status()[0]["held"] == ["agent0@netsky0"]
    async with world.root() as root:
        root.config = replace(root.config, inbox_envelopes_max=40)
        await trio.sleep(1)
        async with world.sibling(1) as one:
            await trio.sleep(2)
            assert one.links.status()[0]["held"] == ["agent0@netsky0"]


async def test_what_expires_before_it_leaves_is_dead_and_what_expires_at_the_root_too(
    world: World, autojump_clock: object
) -> None:
    async with world.sibling(1) as one:
        await one.send("agent0@netsky2", "too late", expires_in_ns=10 * SECOND)
        await trio.sleep(20)
        assert await fates(one) == [("dead", "expired")]
        async with world.root(WORK) as root:
            await trio.sleep(6)
            await one.send("agent0@netsky2", "short", expires_in_ns=10 * SECOND)
            await one.send("agent0@netsky2", "long")
            await trio.sleep(1)
            assert await root.one("SELECT sum(envelopes) FROM forward") == 2
            await trio.sleep(20)
            assert await root.rows("SELECT envelopes FROM forward") == [(1,)]
            assert await fates(one) == [("dead", "expired"), ("dead", "expired")]
            async with world.sibling(2) as two:
                await trio.sleep(3)
                assert len(await two.received()) == 1
            assert (await fates(one))[2] == ("delivered", None)
    assert len(errors(one)) == 2


async def test_of_one_batch_that_waits_at_the_root_each_ends_in_its_own_time(
    world: World, autojump_clock: object
) -> None:
    async with world.root(WORK) as root, world.sibling(1) as one:
        await trio.sleep(1)
        from netsky.node.bus.draft import Draft

        drafts = [Draft("agent0@netsky2", f"{at}", expires_in_ns=(10 if at % 2 else 3_600) * SECOND) for at in range(6)]
        await one.bus.accept("agent0", "actor", drafts)
        await trio.sleep(20)
        assert await root.rows("SELECT envelopes FROM forward") == [(3,)]
        assert root.links.queues.load(key(2)).envelopes == 3
        async with world.sibling(2) as two:
            await trio.sleep(3)
            assert len(await two.received()) == 3
        assert await fates(one) == [("delivered", None), ("dead", "expired")] * 3
        assert root.links.queues.load(key(2)) == Load()


# Revocation.


async def revoke(root: Station, number: int, *members: int, version: int = 2) -> None:
    known = roster(*members, version=version, revoked={number: root.seams.time.wall()})
    await root.group.write([root.book.store(known[1])])
    root.book.adopt(*known)


async def test_a_revoked_node_is_cut_at_once_and_what_was_for_it_has_its_outcome(
    world: World, autojump_clock: object
) -> None:
    async with world.three(WORK) as (root, one, two):
        two.takes_work = False  # so that what is sent to it stays at the root
        await trio.sleep(7)
        await one.send("agent0@netsky2", "waits at the root")
        await root.send("agent0@netsky2", "waits in its outbox")
        await trio.sleep(1)
        assert await root.one("SELECT sum(envelopes) FROM forward") in (None, 1)
        await revoke(root, 2, 1, 2)
        await trio.sleep(2)
        assert not two.links.status()[0]["up"]
        assert "revoked" in two.links.status()[0]["trouble"]
        for node in (one, root):
            [(fate, code)] = await fates(node)
            assert code == "dest_revoked"
            assert fate in {"dead", "in_doubt"}
        for table in ("forward", "flight", "answers"):
            assert await root.one(f"SELECT count(*) FROM {table}") == 0, table
        assert one.book.roster()[0].version == 2
        with pytest.raises(Refused, match="netsky2 was revoked"):
            await one.send("agent0@netsky2", "too late")
        with pytest.raises(NotFound):
            await one.send("agent0@netsky9", "to nobody")
        await trio.sleep(5)
        assert not two.links.status()[0]["up"]


async def test_what_was_on_its_way_to_a_revoked_node_is_in_doubt_at_its_origin(
    world: World, autojump_clock: object
) -> None:
    async with world.three(WORK) as (root, one, _two):
        # As if the destination had stored it and its outcome were lost with it.
        [sent] = await one.send("agent0@netsky2", "who knows")
        await trio.sleep(1)
        await one.group.write([_reopen(one)])
        await revoke(root, 2, 1, 2)
        await trio.sleep(30)
        assert await one.one("SELECT state FROM outbox") == "acked"
        await trio.sleep(60)
        assert await one.one("SELECT state FROM outbox") == "done"
        assert await one.rows("SELECT fate, code FROM outcomes WHERE leaf = ?", sent.leaf) == [
            ("in_doubt", "dest_revoked")
        ]
        assert [error["data"]["fate"] for error in errors(one)] == ["in_doubt"]


def _reopen(node: Station) -> Any:
    from netsky.node.seams.ledger import Statement

    node.ledger._connection.execute("DELETE FROM outcomes")
    return Statement("UPDATE outbox SET state = 'acked', done_at = NULL")


async def test_a_revoked_origin_gets_nothing_more_through(world: World, autojump_clock: object) -> None:
    async with world.three(WORK) as (root, one, two):
        await revoke(root, 1, 1, 2)
        await one.send("agent0@netsky2", "still here?")
        await trio.sleep(5)
        assert await two.received() == []
        assert "revoked" in one.links.status()[0]["trouble"]


# Who may connect.


async def test_an_enrolled_sibling_that_dials_another_directly_is_closed_before_a_byte_is_read(
    world: World, autojump_clock: object
) -> None:
    async with world.three() as (_, _one, two):
        transport = await world.net.open(identity(1).secret, [ALPN], TransportOptions("memory:0"))
        connection = await transport.dial(PeerAddress(key(2), ("memory:42",)), ALPN)
        assert "not_allowed" in await connection.closed()
        await trio.sleep(1)
        assert await two.one("SELECT count(*) FROM iroh_events WHERE event = 'refused'") == 1


# Restarts.


@pytest.mark.parametrize("who", [0, 1, 2])
async def test_whoever_restarts_in_the_middle_nothing_is_lost_and_nothing_doubled(
    world: World, autojump_clock: object, who: int
) -> None:
    sent: list[str] = []
    stations: dict[int, Any] = {}

    async def live(number: int, lines: tuple[str, ...], ends: trio.Event, up: trio.Event) -> None:
        async with world.root(*lines) if number == 0 else world.sibling(number) as made:
            stations[number] = made
            up.set()
            await ends.wait()

    async with trio.open_nursery() as nursery:
        over = {number: trio.Event() for number in range(3)}
        for number in range(3):
            up = trio.Event()
            nursery.start_soon(live, number, (WORK, BACK), over[number], up)
            await up.wait()
        await trio.sleep(1)
        for turn in range(6):
            if turn in {2, 4}:
                over[who].set()
                await trio.sleep(0.02)
                over[who], up = trio.Event(), trio.Event()
                nursery.start_soon(live, who, (WORK, BACK), over[who], up)
                await up.wait()
            sent += [one.id for one in await stations[1].send("agent0@netsky2", *(f"{turn} {at}" for at in range(70)))]
            await trio.sleep(0.01)
        await trio.sleep(20)
        assert await stations[2].received() == sent
        assert await stations[1].one("SELECT count(*) FROM outbox WHERE state != 'done'") == 0
        assert await stations[0].one("SELECT count(*) FROM forward") == 0
        for number in range(3):
            assert stations[number].crashes == []
            over[number].set()
