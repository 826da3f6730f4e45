"""Siblings accept only routed work: every way around it that ends at a sibling, tried on a whole node.

The adversary mostly sits in the root's place and has its key: what anybody with less can say is refused earlier.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio
from netsky.envelope.batch import encode_batch, leaves
from netsky.mesh.frames import CONTROL, Ack, Data, Evidence, Frame, Outcomes, RosterPiece
from netsky.mesh.limits import ROSTER_PIECE_BYTES_MAX
from netsky.mesh.roster import Member
from netsky.mesh.transport import PeerAddress, TransportError
from netsky.node.bus.draft import Draft
from netsky.node.errors import NetskyError
from netsky.node.lab.adversary import WORK, adversary
from netsky.node.lab.forgery import bare, under_key, with_leaf, without

from tests.node.attacks.world import (
    NOW,
    AttackWorld,
    Seat,
    Stored,
    after,
    counted,
    enrolled,
    forger,
    goes_through,
    link_events,
)
from tests.node.stations import MESH, key
from tests.node.test_links import ROOT_AT

YEAR = 365 * 24 * 3_600 * 10**9


@pytest.fixture
def world(tmp_path: Path) -> AttackWorld:
    return AttackWorld(tmp_path)


# At the connection.


@pytest.mark.parametrize("number", [1, 3, 7], ids=["another sibling", "a stolen key", "a stranger"])
async def test_whoever_dials_a_sibling_is_closed_before_a_byte_is_read(
    world: AttackWorld, autojump_clock: object, number: int
) -> None:
    async with world.three() as stations:
        two = stations[2]
        before = await Stored.of(two)
        async with adversary(world.net, forger(number).secret) as peer:
            wire = await peer.dial(PeerAddress(key(2), ("memory:42",)))
            assert (await wire.ended()).code == "not_allowed"
        await trio.sleep(1)
        assert await link_events(two, "refused") == ["not_allowed"]
        assert two.book.strangers == [(key(number), "not_allowed")]
        assert await Stored.of(two) == before
        await goes_through(*stations)


async def test_nobody_but_the_roots_key_is_spoken_with_in_the_roots_place(
    world: AttackWorld, autojump_clock: object
) -> None:
    async with adversary(world.net, forger(3).secret, bind=ROOT_AT) as peer, world.sibling(2) as two:
        for _ in range(3):
            with pytest.raises(TransportError):
                await peer.accept()
        assert not two.links.status()[0]["up"]
    await world.go_on()


# Under a wrong seal: the link ends, and nothing is stored.


def of_another(seat: Seat) -> Frame:
    return seat.routed(seat.honest("a"), 1, destination=key(1))


def under_a_link_seal(seat: Seat) -> Frame:
    return seat.root.claimed(seat.honest("a"), 1, key(2))


def under_its_origins_link_seal(seat: Seat) -> Frame:
    return forger(1).claimed(seat.honest("a"), 1, key(2))


def without_any_seal(seat: Seat) -> Frame:
    return Data(b"", encode_batch(seat.honest("a")))


def under_the_batch_itself(seat: Seat) -> Frame:
    packed = encode_batch(seat.honest("a"))
    return Data(packed[:512], packed)


def routed_by_its_origin(seat: Seat) -> Frame:
    return forger(1).routed(seat.honest("a"), 1, key(2))


def routed_by_a_sibling(seat: Seat) -> Frame:
    return forger(3).routed(seat.honest("a"), 1, key(2))


def a_route_for_another_envelope(seat: Seat) -> Frame:
    frame = seat.routed(seat.honest("b"), 1)
    assert isinstance(frame, Data)
    return Data(frame.seal, encode_batch(seat.honest("a")))


def a_route_with_a_leaf_for_its_envelope(seat: Seat) -> Frame:
    frame = seat.routed(seat.honest("a", "b"), 1)
    assert isinstance(frame, Data)
    return Data(frame.seal, encode_batch(bare(seat.honest("a", "b"), 1)))


def a_route_with_nothing(seat: Seat) -> Frame:
    frame = seat.routed(seat.honest("a"), 1)
    assert isinstance(frame, Data)
    return Data(frame.seal, b"")


def surplus(seat: Seat) -> Frame:
    frame = seat.routed(seat.honest("a", "b"), 1)
    assert isinstance(frame, Data)
    return Data(frame.seal, encode_batch(with_leaf(seat.honest("a", "b"), 2, b"x" * 32)))


def missing(seat: Seat) -> Frame:
    batch = bare(seat.honest("a", "b"), 1)
    frame = seat.routed(batch, 1)
    assert isinstance(frame, Data)
    return Data(frame.seal, encode_batch(without(batch, 1)))


def turned_round(seat: Seat) -> Frame:
    batch = seat.honest("a", "b")
    frame = seat.routed(batch, 1)
    assert isinstance(frame, Data)
    return Data(frame.seal, encode_batch(replace(batch, statements=batch.statements[::-1])))


def more_than_the_route_lets_pass(seat: Seat) -> Frame:
    frame = seat.routed(bare(seat.honest("a", "b"), 1), 1)
    assert isinstance(frame, Data)
    return Data(frame.seal, encode_batch(seat.honest("a", "b")))


UNROUTED: dict[str, tuple[Callable[[Seat], Frame], str]] = {
    "a route for another key": (of_another, "route"),
    "a route of another life": (lambda seat: seat.routed(seat.honest("a"), 1, life=2), "route"),
    "a route of the other lane": (lambda seat: seat.routed(seat.honest("a"), 1, lane="reply"), "route"),
    "a route of another reign": (lambda seat: seat.routed(seat.honest("a"), 1, reign=2), "reign"),
    "a valid envelope without a route": (without_any_seal, "route"),
    "under the root's link seal": (under_a_link_seal, "route"),
    "under its origin's link seal": (under_its_origins_link_seal, "route"),
    "under the head of its own batch": (under_the_batch_itself, "route"),
    "a route sealed by the origin": (routed_by_its_origin, "route"),
    "a route sealed by another sibling": (routed_by_a_sibling, "route"),
    "a route of another envelope": (a_route_for_another_envelope, "route"),
    "a route without its envelope": (a_route_with_nothing, "frame"),
    "a route with a leaf in its envelope's place": (a_route_with_a_leaf_for_its_envelope, "route"),
    "a surplus leaf": (surplus, "route"),
    "a missing leaf": (missing, "route"),
    "leaves in another order": (turned_round, "route"),
    "more than the route lets pass": (more_than_the_route_lets_pass, "route"),
    "a number that is not next": (lambda seat: seat.routed(seat.honest("a"), 2), "gap"),
}


@pytest.mark.parametrize(("frame", "code"), UNROUTED.values(), ids=UNROUTED)
async def test_what_is_not_routed_ends_the_link_and_is_not_stored(
    world: AttackWorld, autojump_clock: object, frame: Callable[[Seat], Frame], code: str
) -> None:
    async with world.seat() as seat:
        before = await Stored.of(seat.two)
        await seat.wire.say(WORK, frame(seat))
        assert (await seat.wire.ended()).code == code
        await trio.sleep(1)
        assert await Stored.of(seat.two) == before
        assert seat.wire.all_heard(Ack) == []
        assert code in await link_events(seat.two, "down")
    await world.go_on()


async def test_a_route_of_an_old_reign_ends_the_link(tmp_path: Path, autojump_clock: object) -> None:
    world = AttackWorld(tmp_path, known=enrolled(1, 2, 3, reign=2), reign=2)
    async with world.seat() as seat:
        await seat.wire.say(WORK, seat.routed(seat.honest("a"), 1, reign=1))
        assert (await seat.wire.ended()).code == "reign"
        wire = await seat.peer.accept()
        await wire.say(CONTROL, replace(seat.root.hello(), reign=1))
        assert (await wire.ended()).code == "reign"
        await trio.sleep(1)
        assert await seat.two.received() == []
        assert await link_events(seat.two, "down") == ["reign"]
    await world.go_on()


# A stream that was counted before.


async def test_a_lower_life_is_shown_the_seal_of_the_higher_and_nothing_of_it_is_taken(
    world: AttackWorld, autojump_clock: object
) -> None:
    async with world.seat() as seat:
        [hello] = [seat.root.hello()]
        seat.wire.close()
        wire = await seat.link(work=replace(hello.work, sends=replace(hello.work.sends, life=2)))
        await seat.acked(seat.routed(seat.honest("a"), 1, life=2), 1)
        wire.close()
        before = await Stored.of(seat.two)

        seat.wire = wire = await seat.peer.accept()
        await wire.greet(hello)
        shown = await wire.answer(Evidence)
        assert (shown.lane, shown.life, shown.number) == ("work", 2, 1)
        await wire.say(WORK, seat.routed(seat.honest("b"), 1))
        await trio.sleep(5)
        assert wire.all_heard(Ack) == []
        assert await Stored.of(seat.two) == before
        # The other lane goes on.
        reply = seat.honest("c", kind="reply")
        await wire.say(1, seat.routed(reply, 1, lane="reply"))
        await wire.answer(Ack, lambda ack: ack.lane == "reply")
        assert await seat.two.received() == [*before.inbox, "c"]


async def test_replayed_bytes_in_a_new_session_are_acknowledged_and_change_nothing(
    world: AttackWorld, autojump_clock: object
) -> None:
    async with world.seat() as seat:
        batch = seat.honest("a", "b")
        await seat.acked(seat.routed(batch, 1), 2)
        before, recorded = await Stored.of(seat.two), [one for one in seat.wire.sent if one[0] == WORK]
        seat.wire.close()
        hello = seat.root.hello()
        wire = await seat.link(work=replace(hello.work, sends=after(batch, 2)))
        for _ in range(20):
            await wire.repeat(recorded)
        await wire.answer(Ack)
        await trio.sleep(2)
        assert {ack.number for ack in wire.all_heard(Ack)} == {2}
        assert await Stored.of(seat.two) == before
        # In a life of its own the same bytes are another stream's, and the same envelopes the same envelopes.
        wire.close()
        begun = replace(hello.work, sends=replace(hello.work.sends, life=2))
        wire = await seat.link(work=begun)
        await wire.repeat(recorded)
        assert (await wire.ended()).code == "route"
        await seat.link(work=begun)
        await seat.acked(seat.routed(batch, 1, life=2), 2)
        assert await Stored.of(seat.two) == before
        await seat.acked(seat.routed(seat.honest("c"), 3, life=2), 3)
        assert await seat.two.received() == ["a", "b", "c"]


# Behind a right route: the number is consumed, and the next envelope goes through.


def another_key_in_a_verified_batch(seat: Seat) -> tuple[Any, ...]:
    return (under_key(seat.honest("first"), key(3)),)


def signed_by_nobody(seat: Seat) -> tuple[Any, ...]:
    return (replace(seat.honest("a"), signature=bytes(64)),)


def with_one_leaf_more(seat: Seat) -> tuple[Any, ...]:
    return (with_leaf(seat.honest("a"), 1, b"x" * 32),)


def with_one_leaf_less(seat: Seat) -> tuple[Any, ...]:
    return (without(bare(seat.honest("a", "b"), 1), 1),)


def typed_otherwise(type_: str) -> Callable[[Seat], tuple[Any, ...]]:
    def made(seat: Seat) -> tuple[Any, ...]:
        by = forger(1)
        header = by.header("a", to="agent0@netsky2", destination=key(2), now=NOW)
        return (by.envelopes(header, type_=type_),)

    return made


def for_another_node(_: Seat) -> tuple[Any, ...]:
    by = forger(3)
    return (by.envelopes(by.header("a", to="agent0@netsky1", destination=key(1), now=NOW)),)


def in_anothers_name(_: Seat) -> tuple[Any, ...]:
    by = forger(3, name="netsky1")
    return (by.envelopes(by.header("a", to="agent0@netsky2", destination=key(2), now=NOW)),)


def with_anothers_key_as_origin(_: Seat) -> tuple[Any, ...]:
    by = forger(3)
    return (by.envelopes(by.header("first", to="agent0@netsky2", destination=key(2), now=NOW, origin=key(1))),)


def from_another_mesh(_: Seat) -> tuple[Any, ...]:
    by = replace(forger(1), mesh=b"some other mesh.")
    return (by.envelopes(by.header("a", to="agent0@netsky2", destination=key(2), now=NOW)),)


REFUSED: dict[str, tuple[Callable[[Seat], tuple[Any, ...]], str]] = {
    "another key in a verified batch": (another_key_in_a_verified_batch, "seal_invalid"),
    "nobody's signature": (signed_by_nobody, "seal_invalid"),
    "a leaf more than its origin sealed": (with_one_leaf_more, "seal_invalid"),
    "a leaf less than its origin sealed": (with_one_leaf_less, "seal_invalid"),
    "sealed as a route": (typed_otherwise("route"), "batch_type"),
    "sealed as a link seal": (typed_otherwise("link"), "batch_type"),
    "sealed as a roster": (typed_otherwise("roster"), "batch_type"),
    "sealed as a charter": (typed_otherwise("charter"), "batch_type"),
    "for another node": (for_another_node, "destination_other"),
    "in another's name": (in_anothers_name, "sender_name"),
    "with another's key as its origin": (with_anothers_key_as_origin, "origin_mismatch"),
    "by a stranger": (lambda seat: (seat.honest("a", origin=7),), "origin_unknown"),
    "by a name with another key": (
        lambda seat: (replace(seat.honest("a"), key=key(7)),),
        "origin_unknown",
    ),
    "of another mesh": (from_another_mesh, "batch_mesh"),
    "a reply among the work": (lambda seat: (seat.honest("a", kind="reply"),), "lane_wrong"),
}


@pytest.mark.parametrize(("made", "code"), REFUSED.values(), ids=REFUSED)
async def test_what_its_origin_may_not_say_consumes_its_number_and_is_counted(
    world: AttackWorld, autojump_clock: object, made: Callable[[Seat], tuple[Any, ...]], code: str
) -> None:
    async with world.seat() as seat:
        await seat.acked(seat.routed(seat.honest("first"), 1), 1)  # verified once, and remembered as such
        before = await Stored.of(seat.two)
        [batch] = made(seat)
        await seat.acked(seat.routed(batch, 2), 2)
        assert await Stored.of(seat.two) == before
        assert await counted(seat.two) == {code: 1}
        assert await seat.two.rows("SELECT number, leaf, code FROM link_refusals") == [
            (2, next(leaf for leaf in leaves(batch)), code)
        ]
        # No outcome is told of what nobody is known to have sealed, and the stream goes on.
        await trio.sleep(1)
        assert sum(len(frame.outcomes) for frame in seat.wire.all_heard(Outcomes)) == 1
        await seat.acked(seat.routed(seat.honest("next"), 3), 3)
        assert await seat.two.received() == ["first", "next"]


async def test_a_revoked_origin_is_refused_even_if_the_root_routes_it(tmp_path: Path, autojump_clock: object) -> None:
    world = AttackWorld(tmp_path, known=enrolled(1, 2, 3, version=2, revoked=[3]))
    async with world.seat() as seat:
        await seat.acked(seat.routed(seat.honest("a", origin=3), 1), 1)
        assert await counted(seat.two) == {"origin_revoked": 1}
        assert await Stored.of(seat.two) == Stored([], [], [])
        await seat.acked(seat.routed(seat.honest("b"), 2), 2)
        assert await seat.two.received() == ["b"]


# Rosters.


async def tell_roster(seat: Seat, sealed: bytes, version: int) -> None:
    for at in range(0, len(sealed), ROSTER_PIECE_BYTES_MAX):
        piece = sealed[at : at + ROSTER_PIECE_BYTES_MAX]
        await seat.wire.say(CONTROL, RosterPiece(version, len(sealed), at, piece))


def named_again() -> bytes:
    return enrolled(1, 2, 3, version=2, keys={1: 9})[1]


def forgotten() -> bytes:
    return enrolled(2, 3, version=2)[1]


def sealed_by(number: int, mesh: bytes = MESH) -> Callable[[], bytes]:
    def made() -> bytes:
        return replace(forger(number), mesh=mesh).resealed(enrolled(1, 2, 3, 7, version=2)[1])

    return made


def older() -> bytes:
    return enrolled(1, 2, 3, version=1)[1]


def of_another_reign() -> bytes:
    return enrolled(1, 2, 3, version=2, reign=2)[1]


ROSTERS: dict[str, Callable[[], bytes]] = {
    "a name enrolled again with another key": named_again,
    "a member forgotten": forgotten,
    "sealed by a sibling": sealed_by(3),
    "sealed by itself": sealed_by(2),
    "of another mesh": sealed_by(0, b"some other mesh."),
    "an older one under a newer number": older,
    "of another reign": of_another_reign,
}


@pytest.mark.parametrize("made", ROSTERS.values(), ids=ROSTERS)
async def test_a_roster_that_breaks_a_rule_ends_the_link_and_is_not_adopted(
    world: AttackWorld, autojump_clock: object, made: Callable[[], bytes]
) -> None:
    async with world.seat() as seat:
        await tell_roster(seat, made(), 2)
        assert (await seat.wire.ended()).code == "roster"
        await trio.sleep(1)
        assert seat.two.book.roster() == world.known
        assert await seat.two.rows("SELECT 1 FROM node_state WHERE key = 'roster'") == []
        assert "roster" in await link_events(seat.two, "down")
    await world.go_on()


async def test_a_revocation_is_never_undone(tmp_path: Path, autojump_clock: object) -> None:
    world = AttackWorld(tmp_path, known=enrolled(1, 2, 3, version=2, revoked=[3]))
    async with world.seat() as seat:
        await tell_roster(seat, enrolled(1, 2, 3, version=3)[1], 3)
        assert (await seat.wire.ended()).code == "roster"
        await trio.sleep(1)
        assert isinstance(seat.two.book.roster()[0].by_name["netsky3"], Member)
        assert seat.two.book.roster()[0].by_name["netsky3"].revoked


# Clocks.


async def test_a_clock_a_year_ahead_ends_what_would_be_remembered_for_a_year_and_moves_nobody_elses(
    world: AttackWorld, autojump_clock: object
) -> None:
    async with world.seat() as seat:
        ahead = {"ts": NOW + YEAR, "clock": NOW + YEAR}
        late = seat.honest("late", **ahead, expires=NOW + YEAR + 10**9)
        await seat.acked(seat.routed(late, 1), 1)
        assert await seat.two.received() == []
        assert await counted(seat.two) == {"expires_range": 1}
        assert await seat.two.one("SELECT count(*) FROM outcomes") == 0
        # One that only says that it comes from next year is delivered, and not followed.
        await seat.acked(seat.routed(seat.honest("ahead", **ahead, expires=NOW + YEAR + 1), 2), 2)
        [sent] = await seat.two.send("agent0", "an answer", kind="reply", in_reply_to="ahead")
        assert sent.clock < NOW + 3_600 * 10**9


# Work typed on the sibling.


@pytest.mark.parametrize("via", ["operator", "actor"])
@pytest.mark.parametrize("to", ["agent0", "agent0@netsky2", "agent0@netsky1"])
async def test_work_typed_on_a_sibling_is_nobodys_in_the_owners_name(
    world: AttackWorld, autojump_clock: object, to: str, via: Any
) -> None:
    async with world.seat() as seat:
        for sender in ("owner", "owner@netsky0", "agent0@netsky0"):
            [answer] = await seat.two.bus.accept(sender, via, [Draft(to, "do it")])
            assert isinstance(answer, NetskyError), sender
        assert await Stored.of(seat.two) == Stored([], [], [])


async def test_work_typed_on_a_sibling_for_another_one_ends_at_the_root(
    world: AttackWorld, autojump_clock: object
) -> None:
    async with world.three("agent7@netsky2 -> agent0@netsky1: text") as (root, one, two):
        await two.bus.accept("agent0", "operator", [Draft("agent0@netsky1", "do it")])
        await trio.sleep(2)
        assert await one.received() == []
        assert await counted(root) == {"authority": 1}
        assert await two.rows("SELECT fate, code FROM outcomes") == [("dead", "authority")]
