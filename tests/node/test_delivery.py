"""What senders and operators see of delivery: outcomes, dead letters, acknowledgements, shares and holds."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import trio
from netsky.envelope.kinds import Lane
from netsky.envelope.wire import decode_body, decode_header
from netsky.node.bus.draft import Accepted, Draft
from netsky.node.bus.limits import OUTBOX_ENVELOPES_MAX, OUTBOX_REPLY_RESERVE
from netsky.node.bus.telling import TOLD_MAX
from netsky.node.daemon.caller import OPERATOR, Caller
from netsky.node.daemon.told import TAKEN_SIGNAL
from netsky.node.db import inbox
from netsky.node.errors import NetskyError, NotFound, TimedOut, TryLater, Usage
from netsky.node.links.trouble import troubles
from netsky.node.seams.ledger import Statement
from netsky.node.verbs import control, dead
from netsky.node.verbs.args import Args
from netsky.node.verbs.status import delivery_of, mesh_faults
from netsky.relay.acks import ack_id
from netsky.relay.holds import Load
from trio.testing import MockClock

from tests.node.cli.test_real_node import validator
from tests.node.stations import Station, key, roster
from tests.node.test_links import BACK, WORK, World
from tests.node.test_relay import SECOND, add, revoke


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@dataclass
class Desk:
    """A station as its verbs see it."""

    station: Station
    caller: Caller = OPERATOR
    membership: Any = None
    ledger: Any = field(init=False)
    group: Any = field(init=False)
    bus: Any = field(init=False)
    events: Any = field(init=False)
    signals: Any = field(init=False)
    links: Any = field(init=False)
    identity: Any = field(init=False)

    def __post_init__(self) -> None:
        for name in ("ledger", "group", "bus", "events", "signals", "links", "identity"):
            setattr(self, name, getattr(self.station, name))

    def now(self) -> int:
        return self.station.seams.time.wall()

    def is_held(self, destination: bytes, recipient: str, lane: Lane) -> bool:
        return self.station.links.holds.keeps(destination, recipient, lane)

    def called(self, of: bytes) -> str:
        member = self.station.book.roster()[0].by_key.get(of)  # type: ignore[union-attr]
        return member.name if member is not None else of.hex()[:16]

    async def __call__(self, verb: Any, **args: Any) -> Any:
        return await verb(self, self.caller, Args(verb.__name__, args))


async def take(node: Station, actor: str = "agent0", by: str = "ack") -> None:
    """All that waits for it."""
    rows = await node.rows("SELECT file FROM inbox WHERE actor = ? AND state != 'taken'", actor)
    files = [str(file) for (file,) in rows]
    await node.group.write([inbox.take_files(actor, files, node.seams.time.wall(), by)])
    node.signals.ring(TAKEN_SIGNAL)


async def acks(node: Station) -> list[Any]:
    return await node.rows(
        "SELECT in_reply_to, sender, recipient, id, header, body FROM messages JOIN inbox USING (seq) "
        "WHERE id LIKE 'ack-%' ORDER BY seq"
    )


# Acknowledgements.


async def test_a_sender_on_the_same_node_hears_once_that_it_was_taken(world: World, autojump_clock: object) -> None:
    async with world.root() as root:
        await add(root, "agent1")
        [asked] = await root.send("agent1", "read this", requires_ack=True, thread="t")
        await root.send("agent1", "and this")
        await trio.sleep(1)
        assert await acks(root) == []
        at = root.seams.time.wall()
        await take(root, "agent1")
        await trio.sleep(1)
        [(answers, sender, recipient, ack, header, body)] = await acks(root)
        assert (answers, sender, recipient) == (asked.id, "agent1", "agent0")
        assert ack == ack_id(root.identity.key, asked.id)
        assert decode_header(header).thread == "t"
        assert json.loads(decode_body(body).data or b"") == {"ack": True, "taken_at": at}
        assert await root.rows(inbox.acks_due(0, 9).sql, 0, 9) == []
        await root.bus.replay("agent1", asked.id)  # read once more, it is not acknowledged once more
        await take(root, "agent1")
        await trio.sleep(1)
        assert len(await acks(root)) == 1


async def test_what_went_to_quarantine_or_was_given_up_is_not_acknowledged(
    world: World, autojump_clock: object
) -> None:
    async with world.root() as root:
        await add(root, "agent1")
        for by in ("quarantine", "given_up", "archive"):
            await root.send("agent1", by, requires_ack=True)
            await take(root, "agent1", by)
        await trio.sleep(1)
        assert len(await acks(root)) == 1


async def test_an_ack_that_finds_no_room_waits_and_keeps_no_other_waiting(
    world: World, autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("netsky.node.bus.room.INGRESS_RESERVE_AT_ROOT", 99)
    async with world.root() as root:
        await add(root, "agent1", "agent2")
        root.config = replace(root.config, inbox_envelopes_max=1)
        for at in range(101):  # all the room that it has for replies
            await root.send("agent0", f"n{at}", kind="reply")
        root.config = replace(root.config, inbox_envelopes_max=1_000)
        await root.send("agent1", *(f"from agent0, {at}" for at in range(TOLD_MAX + 1)), requires_ack=True)
        root.config = replace(root.config, inbox_envelopes_max=1)
        await take(root, "agent1")
        await trio.sleep(1)
        await root.send("agent1", "from agent2", sender="agent2", requires_ack=True)
        await take(root, "agent1")
        await trio.sleep(30)
        assert [row[2] for row in await acks(root)] == ["agent2"]
        await take(root, "agent0")
        await trio.sleep(30)
        assert [row[2] for row in await acks(root)] == ["agent2", *["agent0"] * (TOLD_MAX + 1)]


@pytest.mark.parametrize("lines", [(WORK,), (WORK, BACK)], ids=["one way open", "both"])
async def test_an_ack_between_siblings_goes_back_the_way_its_envelope_came(
    world: World, autojump_clock: object, lines: tuple[str, ...]
) -> None:
    async with world.three(*lines) as (_, one, two):
        [asked] = await one.send("agent0@netsky2", "read this", requires_ack=True)
        await one.send("agent0@netsky2", "and this")
        await trio.sleep(1)
        await take(two)
        await trio.sleep(2)
        [(answers, sender, recipient, ack, _, _)] = await acks(one)
        assert (answers, sender, recipient) == (asked.id, "agent0@netsky2", "agent0@netsky1")
        assert await two.rows("SELECT state FROM outbox") == [("done",)]
        assert await two.one("SELECT count(*) FROM dead_letters") == 0
        assert ack == ack_id(one.identity.key, asked.id)


async def test_acks_between_root_and_sibling_need_no_row(world: World, autojump_clock: object) -> None:
    async with world.both() as (root, one):
        await add(root, "owner")
        await root.send("agent0@netsky1", "work", requires_ack=True)
        await one.send("owner@netsky0", "a report", kind="report", requires_ack=True)
        await trio.sleep(1)
        await take(one)
        await take(root, "owner")
        await trio.sleep(2)
        assert [row[1:3] for row in await acks(root)] == [("agent0@netsky1", "agent0@netsky0")]
        assert [row[1:3] for row in await acks(one)] == [("owner@netsky0", "agent0@netsky1")]


async def forged(node: Station, to: str, answers: str, sender: str = "agent0", **changes: Any) -> str:
    """An ack as only a daemon sends it, by a node that lies; the code it dies of at its origin, or ''."""
    of = key(int(to[-1]))
    facts = {"kind": "reply", "in_reply_to": answers, "data": {"ack": True, "taken_at": 1}, "id": ack_id(of, answers)}
    [sent] = await node.bus.accept(sender, "node", [Draft(to, **({"text": "Taken."} | facts | changes))])
    assert isinstance(sent, Accepted), sent
    assert not sent.duplicate
    await trio.sleep(2)
    found = await node.rows("SELECT coalesce(code, '') FROM outcomes WHERE leaf = ?", sent.leaf)
    return str(found[0][0])


NO_ACKS: list[dict[str, Any]] = [
    {"text": "And another thing."}, {"data": {"ack": True, "taken_at": 1, "more": "words"}}, {"data": {}},
    {"data": {"ack": True, "taken_at": "words"}}, {"kind": "report"}, {"id": "ack-" + "0" * 32}, {"swarm": "words"},
    {"parent": "words"}, {"idempotency_key": "words"}, {"requires_ack": True},
]  # fmt: skip


async def test_no_other_reply_passes_in_the_form_of_an_ack(world: World, autojump_clock: object) -> None:
    async with world.three(WORK) as (root, one, two):
        await add(two, "agent7")
        asked = [
            (await one.send("agent0@netsky2", f"read {at}", requires_ack=True))[0].id for at in range(len(NO_ACKS) + 3)
        ]
        [silent] = await one.send("agent0@netsky2", "and this")
        await trio.sleep(1)
        to = "agent0@netsky1"
        # What is not of the one form is a reply like any other: the root knows no row for it.
        for changes in NO_ACKS:
            assert await forged(two, to, asked.pop(), **changes) == "authority", changes
        # Of the form, but the origin knows nothing of it, or it is not that actor's to say.
        assert await forged(two, to, "words-to-agent0") == "ack_unasked"
        assert await forged(two, to, silent.id) == "ack_unasked"
        assert await forged(two, to, asked.pop(), sender="agent7") == "authority", "nothing leads from here to agent7"
        assert await forged(two, to, asked.pop(), thread="words") == "ack_unasked"
        assert await forged(root, to, asked.pop()) == "ack_unasked"
        assert await acks(one) == []
        assert await one.received() == []
        for liar in (root, two):  # none of these is an actor's word: nobody waits for it, nobody can deal with it
            assert await liar.one("SELECT count(*) FROM dead_letters") == 0
            assert await liar.one("SELECT count(*) FROM messages WHERE kind = 'error'") == 0


# Dead letters.


async def test_what_died_is_listed_shown_sent_again_and_dropped(world: World, autojump_clock: object) -> None:
    async with world.three("agent0@netsky1 -> *@netsky2: *") as (_, one, two):
        desk = Desk(one)
        assert await desk(dead.dead_ls) == {"letters": [], "older": None, "total": 0}
        [sent] = await one.send("agent7@netsky2", "are you there?", kind="question", thread="t", data={"n": 1})
        await trio.sleep(2)
        page = await desk(dead.dead_ls)
        [letter] = page["letters"]
        check("dead-ls", page)
        assert (letter["id"], letter["to"], letter["code"], letter["fate"]) == (
            sent.id, "agent7@netsky2", "unknown_actor", "dead",
        )  # fmt: skip
        assert letter["ended_by"] == "netsky2"
        shown = await desk(dead.dead_show, id=sent.id)
        check("dead-show", shown)
        assert shown["envelope"]["text"] == "are you there?"
        await add(two, "agent7")
        answer = await desk(dead.dead_retry, ids=[sent.id])
        [result] = answer["results"]
        check("dead-retry", {"sent": [{"id": result["id"], **result["data"]}]})
        await trio.sleep(2)
        [new] = await two.received()
        assert new == result["data"]["retry"] != sent.id
        [(header, body)] = await two.rows("SELECT header, body FROM messages")
        got = decode_header(header)
        assert (got.parent, got.kind, got.thread) == (sent.id, "question", "t")
        assert (decode_body(body).text, decode_body(body).data) == ("are you there?", b'{"n":1}')
        [again] = (await desk(dead.dead_retry, ids=[sent.id]))["results"]
        assert again["error"]["code"] == "retried"
        assert "--again" in again["error"]["next"]
        [again] = (await desk(dead.dead_retry, ids=[sent.id], again=True))["results"]
        await trio.sleep(2)
        assert await two.received() == [new, again["data"]["retry"]]
        dropped = await desk(dead.dead_drop, ids=[sent.id])
        check("dead-drop", dropped)
        assert dropped == {"dropped": 1}
        assert (await desk(dead.dead_ls))["letters"] == []
        assert (await desk(dead.dead_show, id=sent.id))["retries"] == 2


async def test_a_retry_that_was_stored_and_not_noted_is_not_made_twice(world: World, autojump_clock: object) -> None:
    async with world.three("agent0@netsky1 -> *@netsky2: *") as (_, one, two):
        desk = Desk(one)
        [sent] = await one.send("agent7@netsky2", "x")
        await trio.sleep(2)
        await add(two, "agent7")
        await desk(dead.dead_retry, ids=[sent.id])
        await one.group.write([Statement("UPDATE dead_letters SET retries = 0, retry = NULL, retried_at = NULL")])
        await trio.sleep(1)
        await desk(dead.dead_retry, ids=[sent.id])
        await trio.sleep(2)
        assert len(await two.received()) == 1


async def test_the_list_has_pages_ages_and_is_an_actors_own_for_an_actor(
    world: World, autojump_clock: MockClock
) -> None:
    async with world.three("agent0@netsky2 -> agent0@netsky1: text") as (_, one, _two):
        await add(one, "agent1")
        ids = [(await one.send("agent0@netsky2", f"n{at}"))[0].id for at in range(3)]
        ids += [(await one.send("agent0@netsky2", "mine", sender="agent1"))[0].id]
        await trio.sleep(2)
        desk, actor = Desk(one), Desk(one, Caller("actor", "agent1"))
        mine = await actor(dead.dead_ls)
        assert [letter["id"] for letter in mine["letters"]] == [ids[3]]
        assert "total" not in mine
        with pytest.raises(NotFound):
            await actor(dead.dead_show, id=ids[0])
        assert await one.one("SELECT count(*) FROM dead_letters WHERE seen_at IS NULL") == 4, "no operator has looked"
        page = await desk(dead.dead_ls, limit=2)
        assert [letter["id"] for letter in page["letters"]] == ids[:1:-1]
        assert await one.one("SELECT count(*) FROM dead_letters WHERE seen_at IS NULL") == 2
        rest = await desk(dead.dead_ls, limit=2, before=page["older"])
        assert ([letter["id"] for letter in rest["letters"]], rest["older"]) == (ids[1::-1], None)
        with pytest.raises(NotFound):
            await desk(dead.dead_drop, ids=[ids[0], "nothing"])
        with pytest.raises(Usage):
            await desk(dead.dead_drop, ids=[ids[0]], all=True)
        assert await desk(dead.dead_drop, older=3600) == {"dropped": 0}
        autojump_clock.jump(3601)
        assert await desk(dead.dead_drop, older=3600) == {"dropped": 4}
        assert await desk(dead.dead_drop, all=True) == {"dropped": 0}


async def test_the_node_s_own_words_are_no_dead_letters_and_cause_no_error(
    world: World, autojump_clock: object
) -> None:
    async with world.three(WORK) as (root, one, two):
        await one.send("agent0@netsky2", "read this", requires_ack=True)
        await trio.sleep(1)
        await revoke(root, 1, 1, 2)
        await trio.sleep(1)
        await take(two)
        await trio.sleep(5)
        assert await two.one("SELECT count(*) FROM dead_letters") == 0
        assert await two.one("SELECT count(*) FROM messages WHERE kind = 'error'") == 0
        assert await two.one("SELECT count(*) FROM inbox WHERE wants_ack = 1") == 0


# Waiting for the outcome.


async def test_waiting_tells_how_far_it_is_and_what_became_of_it(world: World, autojump_clock: object) -> None:
    async with world.sibling(1) as one:
        desk = Desk(one)
        [sent] = await one.send("agent0@netsky2", "x")

        async def further(beyond: str) -> Any:
            return await desk(control.wait, what="outcome", id=sent.id, timeout=60, beyond=beyond)

        assert (await further("ended"))["stage"] == "queued"
        with pytest.raises(TimedOut, match="queued"):
            await desk(control.wait, what="outcome", id=sent.id, timeout=1)
        async with world.root(WORK):
            assert (await further("queued"))["stage"] in {"numbered", "at_root"}
            await trio.sleep(1)
            assert (await further("numbered"))["stage"] == "at_root"
            async with world.sibling(2):
                found = await desk(control.wait, what="outcome", id=sent.id, timeout=60)
                assert (found["fate"], found["code"], found["ended_by"]) == ("delivered", None, "netsky2")
                check("wait", {"what": "outcome", **found})
                [lost] = await one.send("agent7@netsky2", "x")
                found = await Desk(one, Caller("actor", "agent0"))(control.wait, what="outcome", id=lost.id, timeout=60)
                assert (found["fate"], found["code"]) == ("dead", "authority")
        with pytest.raises(Usage):
            await desk(control.wait, what="outcome", id=sent.id, beyond="the moon")


async def test_what_stays_here_is_delivered_when_it_is_stored(world: World, autojump_clock: object) -> None:
    async with world.root() as root:
        [sent] = await root.send("agent0", "a note", kind="text")
        found = await Desk(root)(control.wait, what="outcome", id=sent.id)
        assert (found["stage"], found["fate"]) == ("ended", "delivered")


async def test_an_ack_is_not_the_reply_that_is_waited_for(world: World, autojump_clock: object) -> None:
    async with world.three(WORK, BACK) as (_, one, two):
        [asked] = await one.send("agent0@netsky2", "how many?", requires_ack=True)
        await trio.sleep(1)
        await take(two)
        await trio.sleep(1)
        assert len(await acks(one)) == 1
        with pytest.raises(TimedOut):
            await Desk(one)(control.wait, what="reply", id=asked.id, timeout=1)
        await two.send("agent0@netsky1", "six", kind="reply", in_reply_to=asked.id)
        found = await Desk(one)(control.wait, what="reply", id=asked.id, timeout=5)
        assert found["reply"]["text"] == "six"


# The outbox.


async def fill(node: Station, number: int, count: int) -> None:
    """As if so many were waiting for that node."""
    [sent] = await node.send(f"agent0@netsky{number}", "the first")
    own = "WHERE seq = (SELECT seq FROM messages WHERE id = ?)"
    for table in ("messages", "outbox"):  # both look the first one up by an id that stays
        made = {"seq": f"seq + {number} + more.value * 100000", "id": "id || '-' || more.value"}
        columns = [str(row[1]) for row in await node.rows(f"PRAGMA table_info({table})")]
        values = ", ".join(made.get(name, name) for name in columns)
        more = f"WITH RECURSIVE more (value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM more LIMIT {count - 1})"
        await node.rows(f"{more} INSERT INTO {table} SELECT {values} FROM {table} JOIN more {own}", sent.id)


async def test_a_dead_destination_leaves_as_much_of_the_outbox_free_as_it_has(
    world: World, autojump_clock: object
) -> None:
    world.known = roster(1, 2, 3)
    async with world.sibling(1) as one:
        half = OUTBOX_ENVELOPES_MAX // 2
        await fill(one, 2, half)
        with pytest.raises(TryLater) as refused:
            await one.send("agent0@netsky2", "one more")
        assert refused.value.code == "dest_share_full"
        assert "netsky2" in refused.value.message
        await one.send("agent0@netsky2", "an answer", kind="reply")
        await fill(one, 3, half // 2)
        with pytest.raises(TryLater):
            await one.send("agent0@netsky3", "one more")
        await one.send("agent0@netsky0", "and others go on")
        assert half > OUTBOX_REPLY_RESERVE


async def test_an_outbox_that_is_full_says_so(world: World, autojump_clock: object, monkeypatch: Any) -> None:
    monkeypatch.setattr("netsky.node.bus.accept.OUTBOX_ENVELOPES_MAX", 3)
    monkeypatch.setattr("netsky.node.bus.accept.OUTBOX_REPLY_RESERVE", 1)
    world.known = roster(1, 2, 3, 4)
    async with world.sibling(1) as one:
        answers = await one.bus.accept(
            "agent0", "actor", [Draft(f"agent0@netsky{to}", "x") for to in (2, 3, 2, 4, 0, 0)]
        )
        codes = [answer.code if isinstance(answer, NetskyError) else "" for answer in answers]
        assert codes == ["", "", "dest_share_full", "", "outbox_full", "outbox_full"]
        await one.send("agent0@netsky2", "an answer", kind="reply")
        with pytest.raises(TryLater):
            await one.send("agent0@netsky3", "an answer", kind="reply")


async def test_a_destination_that_the_root_holds_is_named(
    world: World, autojump_clock: object, monkeypatch: Any
) -> None:
    monkeypatch.setattr("netsky.node.bus.accept.OUTBOX_ENVELOPES_MAX", 20)
    async with world.root(WORK) as root, world.sibling(1) as one:
        root.links.queues._mark = Load(8, 1 << 30)
        await trio.sleep(1)
        code, sent = "", 0
        while not code and sent < 20:
            [answer] = await one.bus.accept("agent0", "actor", [Draft("agent0@netsky2", f"n{sent}")])
            code, sent = answer.code if isinstance(answer, TryLater) else "", sent + 1
            await trio.sleep(1)
        assert isinstance(answer, TryLater)
        assert (code, sent) == ("dest_held", 11)
        assert "netsky2 takes no more" in answer.message
        held = await Desk(one)(control.wait, what="outcome", id=await last(one), timeout=60, beyond="ended")
        assert held["stage"] == "held"
        assert one.links.held_since()[0]["name"] == root.links.held_since()[0]["name"] == "netsky2"
        began = one.links.held_since()[0]["since"]
        await trio.sleep(700)
        assert one.links.held_since()[0]["since"] == began
        now = one.seams.time.wall()
        assert [fault[0] for fault in troubles(one.links.status(), one.links.held_since(), False, now)] == ["held"]


async def last(node: Station) -> str:
    return str(await node.one("SELECT id FROM messages ORDER BY seq DESC LIMIT 1"))


# What status says, and what it says is wrong.


async def test_status_tells_what_waits_what_died_and_what_was_refused(world: World, autojump_clock: object) -> None:
    async with world.root("agent0@netsky1 -> *@netsky2: *") as root, world.sibling(1) as one:
        await trio.sleep(1)
        await one.send("agent0@netsky2", "waits at the root")
        await trio.sleep(5)
        found = await delivery_of(Desk(one))
        check_status(found)
        [group] = found["outbox"]
        assert (group["to"], group["envelopes"], group["acked"], group["held"]) == ("netsky2", 1, 1, False)
        assert 5 * SECOND <= found["lag_ns"] <= 6 * SECOND
        assert mesh_faults(Desk(one), found) == []
        await one.send("agent0@netsky0", "no", kind="report")
        await one.send("agent7@netsky2", "yes")
        await trio.sleep(1)
        root.config = replace(root.config, routes=())
        await one.send("agent7@netsky2", "no")
        await trio.sleep(2)
        found = await delivery_of(Desk(root))
        check_status(found)
        [refused] = found["refused"]
        assert (refused["peer"], refused["code"], refused["count"]) == ("netsky1", "authority", 1)
        assert [(link["name"], link["queued"]) for link in found["links"]] == [("netsky1", 0), ("netsky2", 2)]
        found = await delivery_of(Desk(one))
        assert [fault["code"] for fault in mesh_faults(Desk(one), found)] == ["dead_letters"]
        await Desk(one)(dead.dead_ls)
        found = await delivery_of(Desk(one))
        assert found["dead"] == {"listed": 1, "unseen": 0, "unseen_since": None}
        assert mesh_faults(Desk(one), found) == []


async def test_a_frozen_stream_is_said_while_its_link_is_down_too(world: World, autojump_clock: object) -> None:
    async with world.both() as (root, one):
        await one.send("agent0@netsky0", "x")
        await trio.sleep(1)
        await root.rows("UPDATE streams SET frozen = 'diverged' WHERE lane = 'work' AND direction = 'in'")
    async with world.root() as root:
        found = await delivery_of(Desk(root))
        assert [link["frozen"] for link in found["links"]] == [{"work in": "diverged"}, {}]
        assert [fault["code"] for fault in mesh_faults(Desk(root), found)] == ["frozen"]


LINK = {
    "name": "netsky0", "up": True, "since": 1, "down_since": None, "frozen": {}, "clock_offset_ns": 0, "trouble": None,
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "root", "code", "word"),
    [
        ({"frozen": {"work out": "behind"}}, False, "frozen", "put back to an earlier state"),
        ({"frozen": {"work out": "of a newer version"}}, True, "frozen", "of a newer version"),
        ({"down_since": 0, "trouble": "nobody answers"}, False, "link_down", "nobody answers"),
        ({"down_since": 0, "trouble": "nobody answers"}, True, "", ""),
        (
            {"up": False, "down_since": 599 * SECOND, "trouble": "closed: revoked: it left"},
            False,
            "revoked",
            "no longer",
        ),
        ({"down_since": 301 * SECOND, "trouble": "nobody answers"}, False, "", ""),
        ({"clock_offset_ns": 301 * SECOND}, True, "clock", "301 s ahead of ours"),
        ({"clock_offset_ns": -400 * SECOND}, False, "clock", "400 s behind ours"),
        ({"clock_offset_ns": 299 * SECOND}, False, "", ""),
    ],
)
def test_a_link_that_somebody_has_to_look_at(changes: dict[str, Any], root: bool, code: str, word: str) -> None:
    found = troubles([LINK | changes], [], root, 600 * SECOND)
    assert [fault[0] for fault in found] == ([code] if code else [])
    assert all(word in fault[1] and fault[2] for fault in found)


async def test_a_link_is_down_since_it_went_and_no_longer_when_it_is_back(world: World, autojump_clock: object) -> None:
    async with world.sibling(1) as one:
        async with world.root():
            await trio.sleep(5)
            assert one.links.status()[0]["down_since"] is None
        await trio.sleep(1)
        began = one.links.status()[0]["down_since"]
        assert began is not None
        await trio.sleep(400)
        assert one.links.status()[0]["down_since"] == began
        async with world.root():
            await trio.sleep(15)
            assert one.links.status()[0]["down_since"] is None


def check(name: str, data: dict[str, Any]) -> None:
    """Against the part of the shipped schema that is about the answer."""
    jsonschema.validate(data, validator(name).schema["properties"]["data"])


def check_status(found: dict[str, Any]) -> None:
    for name, rule in validator("status").schema["properties"]["data"]["properties"].items():
        if name in found:
            jsonschema.validate(found[name], rule)
