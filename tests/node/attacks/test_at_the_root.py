"""What an enrolled sibling cannot do through the root, whatever it says: tried on whole nodes.

netsky3 is the adversary; after each attack an honest envelope goes from netsky1 to netsky2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio
from netsky.envelope.batch import Batch, encode_batch, leaves
from netsky.mesh.frames import CONTROL, Ack, Data, Evidence, Frame, Hold, Outcomes, RosterPiece
from netsky.mesh.outcome import Outcome, unpack_outcome
from netsky.mesh.roster import seal_roster
from netsky.mesh.transport import PeerAddress
from netsky.node.lab.adversary import REPLY, WORK, Wire, adversary
from netsky.node.lab.forgery import bare, under_key, with_leaf, without

from tests.node.attacks.world import (
    NOW,
    AttackWorld,
    Member3,
    Stored,
    after,
    alarm,
    counted,
    enrolled,
    forger,
    goes_through,
    link_events,
    linked,
)
from tests.node.stations import Station, key, private_key
from tests.node.test_links import BACK, ROOT_AT
from tests.node.test_links import WORK as WORK_LINE

YEAR = 365 * 24 * 3_600 * 10**9


@pytest.fixture
def world(tmp_path: Path) -> AttackWorld:
    return AttackWorld(tmp_path)


# Who may connect.


async def test_a_revoked_origin_is_closed_before_a_byte_is_read(tmp_path: Path, autojump_clock: object) -> None:
    world = AttackWorld(tmp_path, known=enrolled(1, 2, 3, version=2, revoked=[3]))
    async with world.three() as stations, adversary(world.net, forger(3).secret) as peer:
        wire = await peer.dial(PeerAddress(key(0), (ROOT_AT,)))
        assert (await wire.ended()).code == "revoked"
        assert await link_events(stations[0], "refused") == ["revoked"]
        await goes_through(*stations)


async def test_a_name_enrolled_again_with_another_key_is_a_stranger(world: AttackWorld, autojump_clock: object) -> None:
    async with world.three() as stations, adversary(world.net, forger(9).secret) as peer:
        wire = await peer.dial(PeerAddress(key(0), (ROOT_AT,)))
        assert (await wire.ended()).code == "not_allowed"
        assert await link_events(stations[0], "refused") == ["not_allowed"]
        await goes_through(*stations)


# Frames that belong to nobody, or to somebody else: the link ends.


def of_anothers_link(three: Member3) -> Frame:
    by = forger(1)
    return by.claimed(by.envelopes(by.header("a", to="agent0@netsky2", destination=key(2), now=NOW)), 1, key(0))


def under_a_route(three: Member3) -> Frame:
    return forger(0).routed(three.batch("a"), 1, key(0))


def claimed(**changed: Any) -> Callable[[Member3], Frame]:
    def made(three: Member3) -> Frame:
        receiver = changed.get("receiver", key(0))
        return three.three.claimed(
            three.batch("a"), 1, receiver, **{k: v for k, v in changed.items() if k != "receiver"}
        )

    return made


def another_batch(three: Member3) -> Frame:
    frame = three.three.claimed(three.batch("b"), 1, key(0))
    return Data(frame.seal, encode_batch(three.batch("a")))


def more_than_claimed(three: Member3) -> Frame:
    frame = three.three.claimed(bare(three.batch("a", "b"), 1), 1, key(0))
    return Data(frame.seal, encode_batch(three.batch("a", "b")))


def less_than_claimed(three: Member3) -> Frame:
    frame = three.three.claimed(three.batch("a", "b"), 1, key(0))
    return Data(frame.seal, encode_batch(bare(three.batch("a", "b"), 1)))


UNCLAIMED: dict[str, tuple[Callable[[Member3], Frame], str]] = {
    "recorded on another's link": (of_anothers_link, "claim"),
    "under a route": (under_a_route, "claim"),
    "for another receiver": (claimed(receiver=key(2)), "claim"),
    "of an old reign": (claimed(reign=2), "claim"),
    "of another life": (claimed(life=2), "claim"),
    "of the other lane": (claimed(lane="reply"), "claim"),
    "a seal of something else": (another_batch, "claim"),
    "more than was sealed": (more_than_claimed, "claim"),
    "less than was sealed": (less_than_claimed, "claim"),
}


@pytest.mark.parametrize(("frame", "code"), UNCLAIMED.values(), ids=UNCLAIMED)
async def test_a_frame_under_a_wrong_link_seal_ends_the_link(
    world: AttackWorld, autojump_clock: object, frame: Callable[[Member3], Frame], code: str
) -> None:
    async with world.member() as three:
        before = await Stored.of(three.root)
        wire = await three.link()
        await wire.say(WORK, frame(three))
        assert (await wire.ended()).code == code
        await trio.sleep(1)
        assert wire.all_heard(Ack) == []
        assert await Stored.of(three.root) == before
        assert await three.root.one("SELECT count(*) FROM forward") == 0
        assert code in await link_events(three.root, "down")


# What it may not say for others: the number is consumed.


def another_key(three: Member3) -> Batch:
    return under_key(three.batch("a"), key(1))


def of_another(three: Member3) -> Batch:
    by = forger(1)
    return by.envelopes(by.header("a", to="agent0@netsky2", destination=key(2), now=NOW))


def typed(type_: str) -> Callable[[Member3], Batch]:
    def made(three: Member3) -> Batch:
        head = three.three.header("a", to="agent0@netsky0", destination=key(0), now=NOW)
        return three.three.envelopes(head, type_=type_)

    return made


REFUSED: dict[str, tuple[Callable[[Member3], Batch], str]] = {
    "another key in its own batch": (another_key, "origin_not_peer"),
    "another's batch, rightly sealed": (of_another, "origin_not_peer"),
    "another's key as its origin": (lambda three: three.batch("a", origin=key(1)), "origin_mismatch"),
    "another's name": (lambda three: three.batch("a", sender="agent0@netsky1"), "sender_name"),
    "the root's name": (lambda three: three.batch("a", sender="agent0@netsky0"), "sender_name"),
    "the owner of the root": (lambda three: three.batch("a", sender="owner@netsky0"), "sender_name"),
    "a surplus leaf": (lambda three: with_leaf(three.batch("a"), 1, b"x" * 32), "seal_invalid"),
    "a missing leaf": (lambda three: without(bare(three.batch("a", "b"), 1), 1), "seal_invalid"),
    "sealed as a route": (typed("route"), "batch_type"),
    "sealed as a charter": (typed("charter"), "batch_type"),
    "a reply among the work": (lambda three: three.batch("a", kind="reply"), "lane_wrong"),
}


@pytest.mark.parametrize(("made", "code"), REFUSED.values(), ids=REFUSED)
async def test_what_a_sibling_may_not_say_for_others_consumes_its_number_and_is_counted(
    world: AttackWorld, autojump_clock: object, made: Callable[[Member3], Batch], code: str
) -> None:
    async with world.member() as three:
        wire = await three.link()
        await three.acked(wire, three.batch("before"), 1)
        stored, batch = await Stored.of(three.root), made(three)
        await wire.say(WORK, three.three.claimed(batch, 2, key(0)))
        await wire.answer(Ack, lambda ack: ack.number == 2)
        assert await Stored.of(three.root) == stored
        assert await counted(three.root) == {code: 1}
        assert await three.root.rows("SELECT peer, number, code FROM link_refusals") == [(key(3), 2, code)]
        await three.acked(wire, three.batch("next"), 3)
        assert await three.root.received() == ["before", "next"]


# What it may not ask to be routed: dead at the root, and told to its origin alone.


UNROUTABLE: dict[str, tuple[dict[str, Any], str]] = {
    "to another sibling without a line": ({"to": "agent0@netsky1", "destination": key(1)}, "authority"),
    "to an actor of another's line": ({"to": "agent0@netsky2", "destination": key(2)}, "authority"),
    "to a key that is nobody's": ({"to": "agent0@netsky2", "destination": key(9)}, "dest_unknown"),
    "to a name with another's key": ({"to": "agent0@netsky1", "destination": key(2)}, "address"),
    "a clock a year ahead": (
        {
            "to": "agent0@netsky2",
            "destination": key(2),
            "ts": NOW + YEAR,
            "clock": NOW + YEAR,
            "expires": NOW + YEAR + 1,
        },
        "expires_range",
    ),
    "a clock a year behind": (
        {
            "to": "agent0@netsky2",
            "destination": key(2),
            "ts": NOW - YEAR,
            "clock": NOW - YEAR,
            "expires": NOW - YEAR + 1,
        },
        "expired",
    ),
}


@pytest.mark.parametrize(("changed", "code"), UNROUTABLE.values(), ids=UNROUTABLE)
async def test_what_may_not_pass_is_dead_at_the_root_and_its_origin_is_told(
    world: AttackWorld, autojump_clock: object, changed: dict[str, Any], code: str
) -> None:
    async with world.member() as three:
        wire = await three.link()
        head = three.three.header("a", **({"now": NOW} | changed))
        batch = three.three.envelopes(head)
        await three.acked(wire, batch, 1)
        told = [unpack_outcome(one) for one in (await wire.answer(Outcomes)).outcomes]
        assert [(one.id, one.leaf, one.fate, one.code, one.ender) for one in told] == [
            ("a", leaves(batch)[0], "dead", code, key(0))
        ]
        assert await counted(three.root) == {code: 1}
        assert await three.root.one("SELECT count(*) FROM forward") == 0
        assert three.one.links.status()[0]["up"]


# Outcomes.


async def open_at(one: Station) -> tuple[str, bytes]:
    """An envelope of netsky1 for netsky2 that is on its way: its id and leaf."""
    [sent] = await one.send("agent0@netsky2", "mine")
    await trio.sleep(1)
    assert await one.one("SELECT state FROM outbox") != "done"
    return sent.id, sent.leaf


async def test_an_outcome_from_who_may_not_end_that_envelope_changes_nothing(
    world: AttackWorld, autojump_clock: object
) -> None:
    async with world.member(both=False) as three:
        id_, leaf = await open_at(three.one)
        wire, by = await three.link(), three.three
        said = [
            by.outcome(key(1), id_, leaf, now=NOW, code="unknown_actor", ender=key(2)),  # as if netsky2 had
            by.outcome(key(1), id_, leaf, now=NOW, code="expired", ender=key(0)),  # as if the root had
            by.outcome(key(1), id_, leaf, now=NOW, code="expired", ender=key(1)),  # as if its origin had
            by.outcome(key(1), id_, leaf, now=NOW, ender=key(2)),  # delivered, says nobody
        ]
        await wire.say(REPLY, by.outcomes(*said, first=1, receiver=key(0)))
        await wire.answer(Ack, lambda ack: ack.lane == "reply")
        assert await counted(three.root) == {"outcome_not_its_own": 4}
        # What it says in its own name the root passes on, and the origin does not believe it.
        with three.one.events.subscribe() as events:
            mine = [
                by.outcome(key(1), id_, leaf, now=NOW, code="expired"),
                by.outcome(key(1), id_, leaf, now=NOW, code="expired", via=key(2)),  # the root writes that itself
            ]
            await wire.say(REPLY, by.outcomes(*mine, first=5, receiver=key(0)))
            for _ in mine:
                event = await alarm(events)
                assert (event["id"], event["code"]) == (id_, "not_its_to_end")
        assert await three.one.one("SELECT count(*) FROM outcomes") == 0
        async with world.sibling(2) as two:
            await trio.sleep(8)
            assert await two.received() == [id_]
            assert await three.one.rows("SELECT fate, ender FROM outcomes") == [("delivered", key(2))]
            await goes_through(three.root, three.one, two)


async def test_a_refusal_cannot_kill_anothers_envelope_by_its_id(world: AttackWorld, autojump_clock: object) -> None:
    async with world.member(both=False, lines=(WORK_LINE, BACK, "agent0@netsky3 -> agent0@netsky2: text")) as three:
        id_, leaf = await open_at(three.one)
        wire = await three.link()
        # The same id, refused at the root for what it says; and once more, let pass.
        await three.acked(wire, three.batch(id_, to=1), 1)
        told = [unpack_outcome(one) for one in (await wire.answer(Outcomes)).outcomes]
        assert [(one.origin, one.id, one.code) for one in told] == [(key(3), id_, "authority")]
        assert told[0].leaf != leaf
        await three.acked(wire, three.batch(id_, to=2), 2)
        assert await three.one.one("SELECT count(*) FROM outcomes") == 0
        async with world.sibling(2) as two:
            await trio.sleep(8)
            assert await two.received() == [id_, id_]
            assert sorted(str(row) for row in await two.rows("SELECT origin FROM messages")) == sorted(
                str((one,)) for one in (key(1), key(3))
            )
            assert await three.one.rows("SELECT leaf, fate FROM outcomes") == [(leaf, "delivered")]
            await goes_through(three.root, three.one, two)


async def test_a_destination_ends_only_the_content_that_it_was_sent(world: AttackWorld, autojump_clock: object) -> None:
    """netsky2 itself lies: about another content, about what it was never sent, about its own first word."""
    async with world.root(WORK_LINE) as root, world.sibling(1) as one:
        await trio.sleep(1)
        with one.events.subscribe() as events:
            async with adversary(world.net, forger(2).secret) as peer:
                wire, by = await peer.dial(PeerAddress(key(0), (ROOT_AT,))), forger(2)
                await linked(wire, by)
                id_, leaf = await open_at(one)
                said = [
                    by.outcome(key(1), id_, b"o" * 32, now=NOW, code="expired"),
                    by.outcome(key(1), "never-sent", leaf, now=NOW, code="expired"),
                    by.outcome(key(1), id_, leaf, now=NOW, code="unknown_actor"),
                    by.outcome(key(1), id_, leaf, now=NOW),
                ]
                await wire.say(REPLY, by.outcomes(*said, first=1, receiver=key(0)))
                event = await alarm(events)
                assert (event["id"], event["code"]) == (id_, "other_content")
                await trio.sleep(1)
                assert await one.rows("SELECT leaf, fate, code FROM outcomes") == [(leaf, "dead", "unknown_actor")]
        async with world.sibling(3):
            await trio.sleep(1)
            assert root.crashes == one.crashes == []


async def test_an_outcome_of_what_has_not_left_is_not_believed(world: AttackWorld, autojump_clock: object) -> None:
    async with world.sibling(1) as one:
        [sent] = await one.send("agent0@netsky2", "mine")
        async with adversary(world.net, forger(0).secret, bind=ROOT_AT) as peer:
            wire, by = await peer.accept(), forger(0)
            await wire.greet(by.hello())  # and no credit, so that nothing leaves
            with one.events.subscribe() as events:
                dead: Outcome = by.outcome(key(1), sent.id, sent.leaf, now=NOW, code="expired")
                await wire.say(REPLY, by.outcomes(dead, first=1, receiver=key(1)))
                event = await alarm(events)
                assert event["code"] == "never_sent"
            assert await one.one("SELECT count(*) FROM outcomes") == 0
            # Nor is one about somebody else's envelope, whoever ended it.
            other = by.outcome(key(2), "x", b"o" * 32, now=NOW, code="expired")
            await wire.say(REPLY, by.outcomes(other, first=2, receiver=key(1)))
            await wire.answer(Ack, lambda ack: ack.number == 2)
            assert await counted(one) == {"outcome_not_ours": 1}


# Only the root says these.


async def roster_of_a_sibling(wire: Wire, _: Member3) -> None:
    sealed = seal_roster(enrolled(1, 2, 3, 7, version=2)[0], private_key(3).sign)
    await wire.say(CONTROL, RosterPiece(2, len(sealed), 0, sealed))


async def hold_of_another(wire: Wire, _: Member3) -> None:
    await wire.say(CONTROL, Hold(((key(2), "", "work"),)))


@pytest.mark.parametrize(("say", "code"), [(roster_of_a_sibling, "roster"), (hold_of_another, "frame")])
async def test_what_only_the_root_says_ends_the_link_when_a_sibling_says_it(
    world: AttackWorld, autojump_clock: object, say: Any, code: str
) -> None:
    async with world.member() as three:
        wire = await three.link()
        await say(wire, three)
        assert (await wire.ended()).code == code
        await trio.sleep(1)
        assert three.root.book.roster() == world.known
        assert three.one.links.status()[0]["held"] == []
        assert code in await link_events(three.root, "down")


# Sessions.


async def test_replayed_bytes_in_a_new_session_change_nothing_at_the_root(
    world: AttackWorld, autojump_clock: object
) -> None:
    async with world.member() as three:
        wire, batch = await three.link(), three.batch("a", "b")
        await three.acked(wire, batch, 1)
        recorded = list(wire.sent)
        before = await Stored.of(three.root)
        wire.close()
        hello = three.three.hello()
        wire = await three.link(work=replace(hello.work, sends=after(batch, 2)))
        for _ in range(20):
            await wire.repeat([one for one in recorded if one[0] == WORK])
        await trio.sleep(2)
        assert {ack.number for ack in wire.all_heard(Ack) if ack.lane == "work"} == {2}
        assert await Stored.of(three.root) == before
        # The same envelopes under new numbers, rightly sealed: answered as before.
        await three.acked(wire, batch, 3)
        assert await Stored.of(three.root) == before
        assert await counted(three.root) == {}


async def test_equivocation_freezes_the_stream_of_who_equivocates_and_nobody_elses(
    world: AttackWorld, autojump_clock: object
) -> None:
    async with world.member() as three:
        wire = await three.link()
        await three.acked(wire, three.batch("a"), 1)
        with three.root.events.subscribe() as events:
            await wire.say(WORK, three.three.claimed(three.batch("b"), 1, key(0)))
            event = await alarm(events)
            assert (event["peer"], event["code"]) == ("netsky3", "diverged")
        shown = await wire.answer(Evidence)
        assert (shown.number, shown.leaves) == (1, tuple(leaves(three.batch("a"))))
        await wire.say(WORK, three.three.claimed(three.batch("c"), 2, key(0)))
        await trio.sleep(2)
        assert [ack.number for ack in wire.all_heard(Ack)] == [1]
        assert await three.root.received() == ["a"]
        assert await link_events(three.root, "frozen") == ["diverged"]
