from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
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
from netsky.mesh.iroh_transport import IrohTransport
from netsky.mesh.limits import ALPN
from netsky.mesh.link import Ends, Link, LinkState, Wanted
from netsky.mesh.transport import PeerAddress, TransportError, TransportOptions
from netsky.mesh.trio_loop import trio_as_event_loop
from netsky.node.daemon.told import OUTBOX_SIGNAL
from netsky.node.errors import NetskyError, Usage
from netsky.node.lab.network import MemoryNetwork, MemoryTransport
from netsky.node.lab.virtual import EPOCH_NS, SeededChance, VirtualTime
from netsky.node.link_store import PeerStore
from netsky.node.peers import Peer, dials, parse_peers
from netsky.node.seams import Seams
from netsky.node.seams.ledger import LedgerFull, Row, Statement
from trio.testing import wait_all_tasks_blocked

from tests.node.stations import Station, identity, peer, seams_with, station

ROOT_AT, SIBLING_AT = "memory:40", "memory:41"


@dataclass
class World:
    """netsky0 listens, netsky1 dials it; virtual time, a network in memory, real databases."""

    folder: Path
    net: MemoryNetwork = field(default_factory=MemoryNetwork)

    def seams(self, number: int, **others: Any) -> Seams:
        return seams_with(self.net, time=VirtualTime(), chance=SeededChance(number), **others)

    def root(self, **others: Any) -> Any:
        return station(self.folder / "0", 0, self.seams(0, **others), [peer(1)], ROOT_AT)

    def sibling(self, **others: Any) -> Any:
        return station(self.folder / "1", 1, self.seams(1, **others), [peer(0, ROOT_AT)], SIBLING_AT)

    @asynccontextmanager
    async def both(self) -> AsyncIterator[tuple[Station, Station]]:
        async with self.root() as root, self.sibling() as sibling:
            await trio.sleep(1)
            yield root, sibling


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def test_an_envelope_is_in_the_inbox_with_its_number_and_outcome_before_the_sender_counts_it(
    world: World,
    autojump_clock: object,
) -> None:
    async with world.both() as (root, sibling):
        [sent] = await sibling.send("agent0@netsky0", "hello")
        await trio.sleep(1)
        assert await root.received() == [sent.id]
        assert await root.rows("SELECT state, life, number FROM inbox") == [("projected", 1, 1)]
        assert await root.rows("SELECT leaf, fate, ender FROM outcomes") == [
            (sent.leaf, "delivered", root.identity.key)
        ]
        assert await sibling.rows("SELECT state, life, number FROM outbox") == [("acked", 1, 1)]
        assert len(list((root.folder / "channels/agent0/inbox").iterdir())) == 1


async def test_both_directions_and_lanes_go_over_one_connection(world: World, autojump_clock: object) -> None:
    async with world.both() as (root, sibling):
        [asked] = await root.send("agent0@netsky1", "do it", kind="ticket")
        await trio.sleep(1)
        await sibling.send("agent0@netsky0", "done", kind="reply", in_reply_to=asked.id)
        await trio.sleep(1)
        assert len(await root.received()) == len(await sibling.received()) == 1
        assert await sibling.one("SELECT lane FROM outbox") == "reply"
        assert len(world.net.places["memory:40"].connections) == 1


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
        assert await sibling.one("SELECT count(*) FROM outbox WHERE state = 'acked'") == 200


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
        assert await sibling.rows("SELECT state, number FROM outbox") == [("acked", 1), ("acked", 2)]
        assert await root.one("SELECT count(*) FROM link_window") == 1


async def test_what_is_loaded_is_what_the_machine_had(world: World, autojump_clock: object) -> None:
    async with world.both() as (root, sibling):
        await sibling.send("agent0@netsky0", "a", "b")
        await sibling.send("agent0@netsky0", "c", kind="reply")
        await trio.sleep(1)
        for one, other in ((root, peer(1)), (sibling, peer(0))):
            slot = one.links._slots[other.key]
            assert slot.link is not None
            store = store_of(one, other)
            loaded = Link(Ends(one.identity.key, other.key, seals.ZERO_MESH, one.identity.sign, {}), await store.load())
            assert loaded.start(0).send == slot.link.start(0).send


def store_of(one: Station, other: Peer) -> PeerStore:
    return PeerStore(
        other,
        group=one.group,
        planner=one.links._planner,
        signals=one.signals,
        time=one.seams.time,
        chance=one.seams.chance,
        notice=lambda *_: None,
    )


async def test_the_loaded_state_has_the_leaves_that_are_not_acknowledged_yet(
    world: World, autojump_clock: object
) -> None:
    async with world.sibling() as sibling:
        sent = await sibling.send("agent0@netsky0", "a", "b", "c")
        store = store_of(sibling, peer(0))
        await store.load()
        rows = [int(row[0]) for row in await sibling.rows("SELECT seq FROM outbox ORDER BY seq")]  # type: ignore[arg-type]
        await store.persist([Numbered("work", 1, 1, tuple(rows), sent[2].leaf)])
        await store.persist([Acked("work", 1, 1)])
        out = (await store.load()).outgoing["work"]
        assert (out.acked, out.acked_leaf) == (1, sent[0].leaf)
        assert out.leaves == (sent[1].leaf, sent[2].leaf)
        await store.persist([Froze("work", "out", "diverged")])
        await store.persist([Froze("work", "out", "later")])
        assert (await store.load()).outgoing["work"].frozen == "diverged"


async def test_a_connection_that_is_over_writes_nothing_behind_the_newer_one(
    world: World, autojump_clock: object
) -> None:
    async with world.sibling() as sibling:
        [first, second] = await sibling.send("agent0@netsky0", "a", "b")
        old, new = store_of(sibling, peer(0)), store_of(sibling, peer(0))
        await old.load()
        rows = [int(row[0]) for row in await sibling.rows("SELECT seq FROM outbox ORDER BY seq")]  # type: ignore[arg-type]
        await new.persist([Numbered("work", 1, 1, (rows[0],), first.leaf)])
        with pytest.raises(NetskyError) as refused:
            await old.persist([Numbered("work", 1, 1, (rows[1],), second.leaf)])
        assert refused.value.code == "link_replaced"
        assert await sibling.rows("SELECT number FROM outbox ORDER BY seq") == [(1,), (None,)]


async def test_what_the_connection_before_still_wanted_stored_is_loaded_by_the_next(
    tmp_path: Path, autojump_clock: object
) -> None:
    seams = seams_with(MemoryNetwork(), time=VirtualTime(), chance=SeededChance(0))
    root = Station(tmp_path / "0", 0, seams, [peer(1)], ROOT_AT)
    await root.open()
    loaded: list[LinkState] = []

    async def load() -> None:
        loaded.append(await store_of(root, peer(1)).load())
        nursery.cancel_scope.cancel()

    # All three stand in one group, and plain writes come first in it.
    async with trio.open_nursery() as nursery:
        nursery.start_soon(root.rows, "SELECT 1")
        await wait_all_tasks_blocked()
        nursery.start_soon(store_of(root, peer(1)).persist, arrived(1, batch_of("a")))
        await wait_all_tasks_blocked()
        nursery.start_soon(load)
        await wait_all_tasks_blocked()
        nursery.start_soon(root.group.run)
    assert loaded[0].incoming["work"].mark == 1
    root.log.close()
    root.ledger.close()


async def test_offers_take_no_more_bytes_than_are_wanted_but_one_envelope_always(
    world: World, autojump_clock: object
) -> None:
    async with world.sibling() as sibling:
        await sibling.send("agent0@netsky0", *(f"{at}" + "x" * 40_000 for at in range(5)))
        store = store_of(sibling, peer(0))
        for size, count in ((100_000, 2), (10, 1), (1 << 20, 5)):
            [offer] = await store.offers("work", Wanted(1, None, 64, size))
            assert len(offer.rows) == count
        [offer] = await store.offers("work", Wanted(1, None, 3, 1 << 20))
        assert len(offer.rows) == 3


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
        records.append(Arrived("work", life, b"L" * 16, batch, tuple(arrivals), b"claim", first, leaves, 0))
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
    return seals.seal(one.sign, one.key, "envelope", seals.ZERO_MESH, statements)


async def test_a_second_arrival_under_another_number_changes_nothing(world: World, autojump_clock: object) -> None:
    async with world.root() as root:
        store = store_of(root, peer(1))
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
            await store_of(root, peer(1)).persist(arrived(1, batch_of("a"), batch_of("a", text="other")))
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
            await store_of(root, peer(1)).persist(arrived(1, batch_of("a", **changed)))
            assert (await events.next())["code"] == code
        assert await root.received() == []
        assert await root.rows("SELECT fate, code FROM outcomes") == [("dead", code)]


async def test_an_expiry_beyond_all_bounds_is_refused_by_number(world: World, autojump_clock: object) -> None:
    async with world.root() as root:
        far = 2**63 - 1
        await store_of(root, peer(1)).persist(arrived(1, batch_of("a", ts=far - 10**9, clock=far, expires=far)))
        assert await root.rows("SELECT number, code FROM link_refusals") == [(1, "expires_range")]
        assert await root.received() == []
        assert await root.one("SELECT count(*) FROM outcomes") == 0


async def test_a_refused_number_is_stored_and_the_mark_moves(world: World, autojump_clock: object) -> None:
    async with world.root() as root:
        batch = batch_of("a")
        refused = Arrival(1, seals.leaves(batch)[0], 0, None, None, "seal_invalid")
        record = Arrived("work", 1, b"L" * 16, batch, (refused,), b"c", 1, (refused.leaf,), 0)
        await store_of(root, peer(1)).persist([record])
        assert await root.rows("SELECT peer, life, number, code FROM link_refusals") == [
            (identity(1).key, 1, 1, "seal_invalid")
        ]
        assert await root.one("SELECT number FROM streams WHERE direction = 'in'") == 1


async def test_windows_and_refusals_are_kept_for_one_window_only(world: World, autojump_clock: object) -> None:
    async with world.root() as root:
        store = store_of(root, peer(1))
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
        assert await sibling.one("SELECT state FROM outbox") == "acked"


async def test_a_new_outbox_row_wakes_the_link_even_if_it_comes_while_the_last_ones_are_read(
    world: World, autojump_clock: object
) -> None:
    async with world.sibling() as sibling:
        store = store_of(sibling, peer(0))
        before = sibling.signals.count(OUTBOX_SIGNAL)
        await sibling.send("agent0@netsky0", "a")
        assert sibling.signals.count(OUTBOX_SIGNAL) == before + 1
        with trio.fail_after(1):
            await store.more()
        with trio.move_on_after(1) as scope:
            await store.more()
        assert scope.cancelled_caught


# peers.toml.

KEY = identity(1).key.hex()


def test_peers_are_read_by_key() -> None:
    text = f'[netsky1]\nkey = "{KEY}"\naddress = "127.0.0.1:4433"\n[netsky2]\nkey = "{identity(2).key.hex()}"\n'
    peers = parse_peers(text.encode(), "peers.toml", "netsky0", identity(0).key)
    assert peers[identity(1).key] == Peer("netsky1", identity(1).key, "127.0.0.1:4433")
    assert peers[identity(2).key].address is None
    assert parse_peers(b"", "peers.toml", "netsky0", identity(0).key) == {}
    assert parse_peers(f'[netsky1]\nkey = "{KEY}"\naddress = "[::1]:1"'.encode(), "p", "netsky0", bytes(32))


WRONG = {
    "is not TOML": "[netsky1",
    "no node": "[studio]\n",
    "which is this node": "[netsky0]\n",
    "must be a section": "netsky1 = 1\n",
    "unknown key 'port'": f'[netsky1]\nkey = "{KEY}"\nport = 1\n',
    "64 hex digits": '[netsky1]\nkey = "12"\n',
    "small order": f'[netsky1]\nkey = "{"00" * 32}"\n',
    "key of this node": f'[netsky1]\nkey = "{identity(0).key.hex()}"\n',
    "is the key of netsky1 too": f'[netsky1]\nkey = "{KEY}"\n[netsky2]\nkey = "{KEY}"\n',
    "IP address": f'[netsky1]\nkey = "{KEY}"\naddress = "root.example:4433"\n',
    '"host:port"': f'[netsky1]\nkey = "{KEY}"\naddress = "127.0.0.1:70000"\n',
}


@pytest.mark.parametrize(("sentence", "text"), WRONG.items(), ids=WRONG)
def test_a_peers_file_that_breaks_a_rule_gets_a_sentence(sentence: str, text: str) -> None:
    with pytest.raises(Usage) as refused:
        parse_peers(text.encode(), "peers.toml", "netsky0", identity(0).key)
    assert sentence in refused.value.message


def test_of_two_nodes_the_one_with_the_higher_number_dials() -> None:
    assert dials("netsky2", peer(1))
    assert not dials("netsky1", peer(2))


# Over iroh.


async def until(check: Callable[[], Any]) -> None:
    with trio.fail_after(20):
        while not await check():  # noqa: ASYNC110 - the other end is a socket
            await trio.sleep(0.02)


async def test_two_nodes_over_iroh_exchange_envelopes_and_link_again_after_a_restart(tmp_path: Path) -> None:
    with trio_as_event_loop():
        port = free_port()
        seams = seams_with(IrohTransport)
        sibling_seams = replace(seams)
        async with station(tmp_path / "1", 1, sibling_seams, [peer(0, f"127.0.0.1:{port}")], "127.0.0.1:0") as sibling:
            for turn in range(2):
                async with station(tmp_path / "0", 0, seams, [peer(1)], f"127.0.0.1:{port}") as root:
                    await sibling.send("agent0@netsky0", f"up {turn}")
                    await root.send("agent0@netsky1", f"down {turn}")

                    async def there(root: Station = root, turn: int = turn) -> bool:
                        return len(await root.received()) == len(await sibling.received()) == turn + 1

                    await until(there)
                    assert root.links.address is not None
        assert root.crashes == sibling.crashes == []


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
