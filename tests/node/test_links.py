from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import trio
from netsky.envelope import batch as seals
from netsky.envelope.fields import Body, Header
from netsky.envelope.wire import decode_body, decode_header, encode_body, encode_header
from netsky.mesh.effects import Acked, Arrival, Arrived, Froze, Numbered, Record
from netsky.mesh.ends import LinkState
from netsky.mesh.iroh_transport import IrohTransport
from netsky.mesh.limits import ALPN
from netsky.mesh.link import Link
from netsky.mesh.offer import Wanted
from netsky.mesh.roster import Roster
from netsky.mesh.streams import FrameState
from netsky.mesh.transport import PeerAddress, TransportError, TransportOptions
from netsky.mesh.trio_loop import trio_as_event_loop
from netsky.node.daemon.told import outbox_signal
from netsky.node.errors import NetskyError
from netsky.node.lab.network import MemoryNetwork, MemoryTransport
from netsky.node.lab.virtual import EPOCH_NS, SeededChance, VirtualTime
from netsky.node.links.last_seen import LastSeen
from netsky.node.links.offers import Offers
from netsky.node.links.slot import Slot
from netsky.node.links.store import PeerStore
from netsky.node.membership.membership import Sighting
from netsky.node.seams.ledger import LedgerFull, Row, Statement
from trio.testing import wait_all_tasks_blocked

from tests.node.stations import MESH, Station, identity, key, roster, seams_with, station

ROOT_AT = "memory:40"
WORK = "agent0@netsky1 -> agent0@netsky2: *"
BACK = "agent0@netsky2 -> agent0@netsky1: *"


@dataclass
class World:
    """netsky0 listens, the siblings dial it; virtual time, a network in memory, real databases."""

    folder: Path
    net: MemoryNetwork = field(default_factory=MemoryNetwork)
    known: tuple[Roster, bytes] = field(default_factory=lambda: roster(1, 2))

    def station(self, number: int, routes: Sequence[str] = (), **others: Any) -> Station:
        seams = seams_with(self.net, time=VirtualTime(), chance=SeededChance(number), **others)
        return Station(
            self.folder / str(number), number, seams, self.known,
            bind=ROOT_AT if number == 0 else f"memory:{40 + number}", root_at=ROOT_AT, routes=routes,
        )  # fmt: skip

    def root(self, *routes: str, **others: Any) -> Any:
        return station(self.station(0, routes, **others))

    def sibling(self, number: int = 1, **others: Any) -> Any:
        return station(self.station(number, **others))

    @asynccontextmanager
    async def both(self) -> AsyncIterator[tuple[Station, Station]]:
        async with self.root() as root, self.sibling() as sibling:
            await trio.sleep(1)
            yield root, sibling

    @asynccontextmanager
    async def three(self, *routes: str) -> AsyncIterator[tuple[Station, Station, Station]]:
        async with self.root(*(routes or (WORK, BACK))) as root, self.sibling(1) as one, self.sibling(2) as two:
            await trio.sleep(1)
            yield root, one, two


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def test_an_envelope_goes_over_the_root_and_its_sender_gets_to_know_its_fate(
    world: World, autojump_clock: object
) -> None:
    async with world.three() as (root, one, two):
        [sent] = await one.send("agent0@netsky2", "hello")
        await trio.sleep(1)
        assert await two.received() == [sent.id]
        assert len(list((two.folder / "channels/agent0/inbox").iterdir())) == 1
        delivered = [(sent.leaf, "delivered", None, two.identity.key)]
        for node in (one, two):
            assert await node.rows("SELECT leaf, fate, code, ender FROM outcomes") == delivered
        assert await one.rows("SELECT state, life, number FROM outbox") == [("done", 1, 1)]
        assert await root.one("SELECT count(*) FROM outcomes") == 0
        for table in ("forward", "flight", "answers"):
            for node in (root, one, two):
                assert await node.one(f"SELECT count(*) FROM {table}") == 0, table
        assert await two.one("SELECT count(*) FROM routes") == 1
        assert one.crashes == two.crashes == root.crashes == []


async def test_what_is_sent_while_the_peer_is_away_arrives_when_it_is_back_in_order(
    world: World, autojump_clock: object
) -> None:
    async with world.sibling() as sibling:
        sent = [(await sibling.send("agent0@netsky0", f"n{at}"))[0].id for at in range(5)]
        await trio.sleep(60)
        assert sibling.links.status()[0]["up"] is False
        assert "nobody" in sibling.links.status()[0]["trouble"]
        async with world.root() as root:
            await trio.sleep(6)
            assert await root.received() == sent
    # Away for a minute is one row, not one for each try.
    async with world.sibling() as sibling:
        events = await sibling.rows("SELECT event, json_extract(detail, '$.code') FROM iroh_events ORDER BY id")
        assert events[:2] == [("down", "unreachable"), ("up", None)]
        assert len(events) <= 4


async def test_a_group_of_two_hundred_goes_out_batch_by_batch_and_nothing_twice(
    world: World, autojump_clock: object
) -> None:
    async with world.both() as (root, sibling):
        sent = await sibling.send("agent0@netsky0", *(f"n{at}" for at in range(200)))
        await trio.sleep(5)
        assert await root.received() == [one.id for one in sent]
        assert await root.one("SELECT count(*) FROM seals") == 4
        assert await root.one("SELECT max(number) FROM inbox") == 200
        assert await sibling.one("SELECT count(*) FROM outbox WHERE state = 'done'") == 200


async def test_large_envelopes_travel_in_several_frames_and_keep_their_proof(
    world: World, autojump_clock: object
) -> None:
    async with world.both() as (root, sibling):
        await sibling.send("agent0@netsky0", *(f"{at}" + "x" * 40_000 for at in range(9)))
        await trio.sleep(5)
        assert len(await root.received()) == 9
        assert await root.one("SELECT count(*) FROM seals") == 1
        assert await root.one("SELECT count(*) FROM link_window") == 2
        [(mesh, signer, signature, leaves)] = await root.rows("SELECT mesh, signer, signature, leaves FROM seals")
        bare = tuple(bytes(leaves[at : at + 32]) for at in range(0, len(leaves), 32))
        assert seals.verify_batch(seals.Batch(1, "envelope", mesh, signer, signature, bare)) is None


async def test_a_restart_of_either_side_sends_nothing_again_and_goes_on_counting(
    world: World, autojump_clock: object
) -> None:
    async with world.both() as (root, sibling):
        await sibling.send("agent0@netsky0", "one", "two")
        await trio.sleep(1)
    async with world.both() as (root, sibling):
        await sibling.send("agent0@netsky0", "three")
        await trio.sleep(1)
        assert await root.rows("SELECT life, number FROM inbox ORDER BY seq") == [(1, 1), (1, 2), (1, 3)]
        assert await root.rows("SELECT first, last FROM link_window ORDER BY first") == [(1, 2), (3, 3)]
        assert await sibling.one("SELECT count(*) FROM lives WHERE direction = 'out'") == 2


async def test_when_a_peer_was_seen_last_survives_a_restart_and_is_rarely_written(
    world: World, autojump_clock: object
) -> None:
    async with world.root() as root:
        async with world.sibling():
            await trio.sleep(100)
            gone = root.seams.time.wall()
        await trio.sleep(61 + 5)
        assert root.links.of(key(1)) == Sighting(False, gone, "1.2.3")
    await trio.sleep(1_000)
    async with world.root() as root:
        await trio.sleep(10)
        assert root.links.of(key(1)) == Sighting(False, gone, "1.2.3")
        assert root.links.of(key(2)) == Sighting(False)


def test_last_seen_of_a_quiet_mesh_is_written_every_five_minutes_and_at_once_when_somebody_went() -> None:
    seen, slot, minute = LastSeen(), Slot(key(1), up_since=1, seen=1), 60 * 10**9
    written = [at for at in range(1, 13) if seen.write([slot], at * minute) is not None]
    assert written == [1, 5, 10]
    slot.up_since, slot.seen = None, 12 * minute + 7
    assert seen.write([slot], 13 * minute) is not None
    assert seen.write([slot], 14 * minute) is None


async def test_a_link_is_back_within_a_second_of_the_peers_restart(world: World, autojump_clock: object) -> None:
    async with world.sibling() as sibling:
        await trio.sleep(300)  # by now it tries every few seconds only
        for _ in range(3):
            async with world.root():
                await trio.sleep(12)
                assert sibling.links.status()[0]["up"]
            await trio.sleep(0.05)
        async with world.root() as root:
            await trio.sleep(1)
            assert sibling.links.status()[0]["up"]
            assert root.links.status()[0]["up"]


# Broken at each commit, on the shipped store.


@dataclass
class Breaking:
    """Raises, once, at a record of this kind, before or after it is committed."""

    kind: type
    after: bool
    broke: int = 0

    def around(self, really: Callable[..., Any]) -> Callable[..., Any]:
        async def persist(store: PeerStore, records: tuple[Record, ...]) -> None:
            hit = not self.broke and any(isinstance(record, self.kind) for record in records)
            self.broke += hit
            if hit and not self.after:
                raise RuntimeError("broken before the commit")
            await really(store, records)
            if hit:
                raise RuntimeError("broken after the commit")

        return persist


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("kind", [Numbered, Arrived, Acked])
async def test_broken_at_a_commit_the_envelope_still_arrives_exactly_once(
    world: World, autojump_clock: object, monkeypatch: pytest.MonkeyPatch, kind: type, after: bool
) -> None:
    breaking = Breaking(kind, after)
    monkeypatch.setattr(PeerStore, "persist", breaking.around(PeerStore.persist))
    async with world.both() as (root, sibling):
        sent = await sibling.send("agent0@netsky0", "a", "b")
        await trio.sleep(20)
        assert breaking.broke == 1
        assert len(root.crashes) + len(sibling.crashes) == 1
        assert await root.received() == [one.id for one in sent]
        assert await root.rows("SELECT life, number FROM inbox") == [(1, 1), (1, 2)]
        assert await sibling.rows("SELECT state, number FROM outbox") == [("done", 1), ("done", 2)]
        assert await root.one("SELECT count(*) FROM link_window WHERE lane = 'work'") == 1


async def test_what_is_loaded_is_what_the_machine_had(world: World, autojump_clock: object) -> None:
    async with world.both() as (root, sibling):
        await sibling.send("agent0@netsky0", "a", "b")
        await sibling.send("agent0@netsky0", "c", kind="reply")
        await root.send("agent0@netsky1", "d")
        await trio.sleep(1)
        for one, other in ((root, 1), (sibling, 0)):
            slot = one.links._slots[key(other)]
            assert slot.link is not None
            loaded = Link(one.links._ends(key(other)), await store_of(one, other).load(), *one.book.roster())
            assert loaded.start(0).send == slot.link.start(0).send


def store_of(one: Station, other: int) -> PeerStore:
    offers = Offers(key(other), one.identity.key, one.group, is_root=one.identity.root)
    return PeerStore(Slot(key(other)), f"netsky{other}", offers, one.links._ways, lambda *_: None)


async def test_the_loaded_state_has_the_leaves_that_are_not_acknowledged_yet(
    world: World, autojump_clock: object
) -> None:
    async with world.sibling() as sibling:
        sent = await sibling.send("agent0@netsky0", "a", "b", "c")
        store = store_of(sibling, 0)
        await store.load()
        rows = [int(row[0]) for row in await sibling.rows("SELECT seq FROM outbox ORDER BY seq")]  # type: ignore[arg-type]
        leaves = tuple(one.leaf for one in sent)
        await store.persist([Numbered("work", 1, 1, leaves[:1], b"seal", "own", (rows[0],))])
        await store.persist([Numbered("work", 1, 2, leaves[1:], b"seal", "own", tuple(rows[1:]))])
        await store.persist([Acked("work", 1, 1, leaves[0])])
        out = (await store.load()).outgoing["work"]
        assert (out.acked, out.acked_leaf) == (1, sent[0].leaf)
        assert out.frames == (FrameState(2, leaves[1:]),)
        [again] = await store.offers("work", Wanted(1, 2, 64, 1 << 20))
        assert (again.first, again.seal, again.rows) == (2, b"seal", tuple(rows[1:]))
        await store.persist([Froze("work", "out", "diverged")])
        await store.persist([Froze("work", "out", "later")])
        assert (await store.load()).outgoing["work"].frozen == "diverged"


async def test_a_connection_that_is_over_writes_nothing_behind_the_newer_one(
    world: World, autojump_clock: object
) -> None:
    async with world.sibling() as sibling:
        [first, second] = await sibling.send("agent0@netsky0", "a", "b")
        old, new = store_of(sibling, 0), store_of(sibling, 0)
        await old.load()
        rows = [int(row[0]) for row in await sibling.rows("SELECT seq FROM outbox ORDER BY seq")]  # type: ignore[arg-type]
        await new.persist([Numbered("work", 1, 1, (first.leaf,), b"seal", "own", (rows[0],))])
        with pytest.raises(NetskyError) as refused:
            await old.persist([Numbered("work", 1, 1, (second.leaf,), b"seal", "own", (rows[1],))])
        assert refused.value.code == "link_replaced"
        assert await sibling.rows("SELECT number FROM outbox ORDER BY seq") == [(1,), (None,)]


async def test_what_the_connection_before_still_wanted_stored_is_loaded_by_the_next(
    tmp_path: Path, autojump_clock: object
) -> None:
    root = World(tmp_path).station(0)
    await root.open()
    loaded: list[LinkState] = []

    async def load() -> None:
        loaded.append(await store_of(root, 1).load())
        nursery.cancel_scope.cancel()

    # All three stand in one group, and plain writes come first in it.
    async with trio.open_nursery() as nursery:
        nursery.start_soon(root.rows, "SELECT 1")
        await wait_all_tasks_blocked()
        nursery.start_soon(store_of(root, 1).persist, arrived(1, batch_of("a")))
        await wait_all_tasks_blocked()
        nursery.start_soon(load)
        await wait_all_tasks_blocked()
        nursery.start_soon(root.group.run)
    assert loaded[0].incoming["work"].mark == 1
    root.log.close()
    root.ledger.close()


async def test_offers_are_frames_and_take_no_more_than_is_wanted_but_one_always(
    world: World, autojump_clock: object
) -> None:
    async with world.sibling() as sibling:
        await sibling.send("agent0@netsky0", *(f"{at}" + "x" * 40_000 for at in range(12)))
        store = store_of(sibling, 0)
        for size, counts in ((10, [6]), (250_000, [6, 6]), (1 << 20, [6, 6])):
            offers = await store.offers("work", Wanted(1, None, 64, size))
            assert [len(offer.rows) for offer in offers] == counts
        [offer] = await store.offers("work", Wanted(1, None, 5, 1 << 20))
        assert len(offer.rows) == 5


# What arrives, judged.


def arrived(first: int, *batches: seals.Batch, life: int = 1) -> list[Record]:
    """As if the machine had let these in, one frame for each batch."""
    records: list[Record] = []
    for batch in batches:
        leaves = tuple(seals.leaves(batch))
        arrivals = []
        for at, stated in enumerate(batch.statements):
            assert isinstance(stated, seals.Statement)
            header, body = decode_header(stated.header), decode_body(stated.body)
            arrivals.append(Arrival(first + at, leaves[at], at, header, body, None))
        records.append(Arrived("work", life, b"L" * 16, batch, tuple(arrivals), b"claim", first, leaves, 1, None))
        first += len(leaves)
    return records


def batch_of(*ids: str, text: str = "hello", **changed: Any) -> seals.Batch:
    """Sealed by netsky1 for agent0@netsky0."""
    one = identity(1)
    statements = []
    for id_ in ids:
        values: dict[str, Any] = {
            "v": 1, "id": id_, "origin": one.key, "sender": "agent0@netsky1", "destination": identity(0).key,
            "to": "agent0@netsky0", "kind": None, "in_reply_to": None, "thread": None, "swarm": None,
            "idempotency_key": None, "requires_ack": False, "ts": EPOCH_NS, "clock": EPOCH_NS,
            "expires": EPOCH_NS + 3600 * 10**9, "parent": None,
        }  # fmt: skip
        statements.append(seals.Statement(encode_header(Header(**(values | changed))), encode_body(Body(text))))
    return seals.seal(one.sign, one.key, "envelope", MESH, statements)


async def test_a_second_arrival_under_another_number_changes_nothing(world: World, autojump_clock: object) -> None:
    async with world.root() as root:
        store = store_of(root, 1)
        await store.persist(arrived(1, batch_of("a"), batch_of("b"), batch_of("a")))
        await store.persist(arrived(4, batch_of("a", "c")))
        await store.persist(arrived(1, batch_of("a"), life=2))
        assert await root.received() == ["a", "b", "c"]
        assert await root.rows("SELECT life, number FROM streams WHERE direction = 'in'") == [(2, 1)]
        assert await root.rows("SELECT life FROM lives WHERE direction = 'in' ORDER BY life") == [(1,), (2,)]
        assert await root.one("SELECT count(*) FROM outcomes") == 3


async def test_the_same_id_with_other_content_is_refused_and_somebody_is_told(
    world: World, autojump_clock: object
) -> None:
    async with world.root() as root:
        with root.events.subscribe() as events:
            await store_of(root, 1).persist(arrived(1, batch_of("a"), batch_of("a", text="other")))
            event = await events.next()
            assert (event["kind"], event["id"], event["peer"]) == ("link_alarm", "a", "netsky1")
        assert await root.received() == ["a"]
        assert await root.one("SELECT number FROM streams WHERE direction = 'in' AND lane = 'work'") == 2


DEAD: dict[str, tuple[dict[str, Any], str]] = {
    "expired": ({"expires": EPOCH_NS + 1}, "expired"),
    "unknown actor": ({"to": "agent7@netsky0"}, "unknown_actor"),
    "another node's actor": ({"to": "agent0@netsky5"}, "address"),
    "not in the table": ({"sender": "worker1@netsky1", "to": "agent0@netsky0", "kind": "control"}, "authority"),
}


@pytest.mark.parametrize(("changed", "code"), DEAD.values(), ids=DEAD)
async def test_what_cannot_be_delivered_is_dead_with_a_reason(
    world: World, autojump_clock: object, changed: dict[str, Any], code: str
) -> None:
    async with world.root() as root:
        await trio.sleep(1)
        with root.events.subscribe() as events:
            await store_of(root, 1).persist(arrived(1, batch_of("a", **changed)))
            assert (await events.next())["code"] == code
        assert await root.received() == []
        assert await root.rows("SELECT fate, code FROM outcomes") == [("dead", code)]


async def test_an_expiry_beyond_all_bounds_is_dead_and_not_remembered(world: World, autojump_clock: object) -> None:
    async with world.root() as root:
        far = 2**63 - 1
        await store_of(root, 1).persist(arrived(1, batch_of("a", ts=far - 10**9, clock=far, expires=far)))
        assert await root.rows("SELECT code, count FROM refused_counts") == [("expires_range", 1)]
        assert await root.one("SELECT count(*) FROM answers") == 1
        assert await root.received() == []
        assert await root.one("SELECT count(*) FROM outcomes") == 0


async def test_a_refused_number_is_stored_and_the_mark_moves(world: World, autojump_clock: object) -> None:
    async with world.root() as root:
        batch = batch_of("a")
        refused = Arrival(1, seals.leaves(batch)[0], 0, None, None, "seal_invalid")
        record = Arrived("work", 1, b"L" * 16, batch, (refused,), b"c", 1, (refused.leaf,), 1, None)
        await store_of(root, 1).persist([record])
        assert await root.rows("SELECT peer, life, number, code FROM link_refusals") == [
            (identity(1).key, 1, 1, "seal_invalid")
        ]
        assert await root.one("SELECT number FROM streams WHERE direction = 'in'") == 1


async def test_windows_and_refusals_are_kept_for_one_window_only(world: World, autojump_clock: object) -> None:
    async with world.root() as root:
        store = store_of(root, 1)
        for number in range(0, 1_280, 64):
            await store.persist(arrived(number + 1, batch_of(*(f"n{number + at}" for at in range(64)))))
        [(first, last, count)] = await root.rows("SELECT min(first), max(last), count(*) FROM link_window")
        assert (first, last, count) == (257, 1_280, 16)
        await store.persist(arrived(1, batch_of("x"), life=2))
        assert await root.rows("SELECT life, first FROM link_window") == [(2, 1)]


# Connections.


async def stranger(net: MemoryNetwork, number: int) -> MemoryTransport:
    return await net.open(identity(number).secret, [ALPN], TransportOptions("memory:0"))


async def test_a_stranger_is_closed_on_its_key_before_any_stream_is_accepted(
    world: World, autojump_clock: object
) -> None:
    async with world.root() as root:
        await trio.sleep(1)
        transport = await stranger(world.net, 7)
        connection = await transport.dial(PeerAddress(root.identity.key, (ROOT_AT,)), ALPN)
        assert "not_allowed" in await connection.closed()
        await trio.sleep(1)
        [(event, hashed, label)] = await root.rows("SELECT event, peer_hash, label FROM iroh_events")
        assert (event, label) == ("refused", None)
        assert identity(7).key.hex()[:16] != hashed


async def test_the_newest_connection_of_a_key_wins_and_the_older_is_closed_first(
    world: World, autojump_clock: object
) -> None:
    async with world.root() as root:
        await trio.sleep(1)
        transport = await stranger(world.net, 1)
        address = PeerAddress(root.identity.key, (ROOT_AT,))
        first = await transport.dial(address, ALPN)
        await trio.sleep(0.1)
        second = await transport.dial(address, ALPN)
        assert "replaced" in await first.closed()
        third = await transport.dial(address, ALPN)
        assert "replaced" in await second.closed()
        await trio.sleep(0.1)
        assert root.links._slots[identity(1).key].connection is not None
        # Two more at once: the one in between is never driven.
        fourth, fifth = await transport.dial(address, ALPN), await transport.dial(address, ALPN)
        assert "replaced" in await third.closed()
        assert "replaced" in await fourth.closed()
        await trio.sleep(0.1)
        assert root.links._slots[identity(1).key].connection is fifth.far
        fifth.close(0, b"done")
        await trio.sleep(1)
        assert root.links._slots[identity(1).key].connection is None


async def test_a_failed_handshake_and_a_peer_that_never_finishes_one_hurt_nobody(
    world: World, autojump_clock: object
) -> None:
    async with world.root() as root:
        await trio.sleep(1)
        transport = await stranger(world.net, 7)
        with pytest.raises(TransportError):
            await transport.dial(PeerAddress(root.identity.key, (ROOT_AT,)), b"other")
        async with world.sibling() as sibling:
            await trio.sleep(1)
            assert sibling.links.status()[0]["up"]


async def test_a_disk_that_is_full_ends_the_link_without_an_ack_and_it_comes_back(
    world: World, autojump_clock: object
) -> None:
    async with world.both() as (root, sibling):
        really = root.ledger.transaction
        full = True

        async def transaction(statements: Any) -> list[list[Row]]:
            if full and any(isinstance(one, Statement) and "INTO inbox" in one.sql for one in statements):
                raise LedgerFull("no room")
            return await really(statements)

        root.ledger.transaction = transaction  # type: ignore[method-assign]
        [sent] = await sibling.send("agent0@netsky0", "a")
        await trio.sleep(10)
        assert await sibling.one("SELECT state FROM outbox") == "numbered"
        assert root.crashes == []
        full = False
        await trio.sleep(10)
        assert await root.received() == [sent.id]
        assert await sibling.one("SELECT state FROM outbox") == "done"


async def test_a_new_outbox_row_wakes_the_link_even_if_it_comes_while_the_last_ones_are_read(
    world: World, autojump_clock: object
) -> None:
    async with world.sibling() as sibling:
        store = store_of(sibling, 0)
        bell = outbox_signal(key(0), "work")
        before = sibling.signals.count(bell)
        await sibling.send("agent0@netsky0", "a")
        assert sibling.signals.count(bell) == before + 1
        with trio.fail_after(1):
            await store.more("work")
        with trio.move_on_after(1) as scope:
            await store.more("work")
        assert scope.cancelled_caught


# Over iroh.


async def until(check: Callable[[], Any]) -> None:
    with trio.fail_after(20):
        while not await check():  # noqa: ASYNC110 - the other end is a socket
            await trio.sleep(0.02)


async def test_three_nodes_over_iroh_exchange_envelopes_and_link_again_after_a_restart(tmp_path: Path) -> None:
    with trio_as_event_loop():
        at, known, seams = f"127.0.0.1:{free_port()}", roster(1, 2), seams_with(IrohTransport)

        def made(number: int) -> Any:
            bind = at if number == 0 else "127.0.0.1:0"
            one = Station(tmp_path / str(number), number, replace(seams), known, bind=bind, root_at=at, routes=(WORK,))
            return station(one)

        async with made(1) as one, made(2) as two:
            for turn in range(2):
                async with made(0) as root:
                    await one.send("agent0@netsky2", f"across {turn}")
                    await root.send("agent0@netsky1", f"down {turn}")

                    async def there(turn: int = turn) -> bool:
                        return len(await one.received()) == len(await two.received()) == turn + 1

                    async def known_to_be(root: Station = root) -> bool:
                        both = [
                            await node.one("SELECT count(*) FROM outbox WHERE state != 'done'") for node in (one, root)
                        ]
                        return both == [0, 0]

                    await until(there)
                    await until(known_to_be)
                    assert root.links.address is not None
                    assert one.book.remembered == list(root.links.address.direct)
                    assert root.crashes == []
        assert one.crashes == two.crashes == []


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
