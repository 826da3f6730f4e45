"""Attachments over links: whole nodes in virtual time, a network in memory, real databases and files."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio
import trio.lowlevel
from netsky.envelope.fields import Attachment
from netsky.mesh.iroh_transport import IrohTransport
from netsky.mesh.trio_loop import trio_as_event_loop
from netsky.node.bus.draft import Accepted
from netsky.node.daemon.told import OUTBOX_SIGNAL
from netsky.node.db import outbox
from netsky.node.lab.network import MemoryNetwork
from netsky.node.seams.real_files import RealFiles
from netsky.node.verbs.outcome import stage_of

from tests.node.stations import Station, key, roster, seams_with, station
from tests.node.test_links import World, free_port, until
from tests.node.test_trace import OPERATOR, by_name, trace

CHUNK = 256 * 1024


def sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


async def put(node: Station, data: bytes) -> None:
    digest = sha(data)
    at = await node.blobs.begin("agent0", digest, len(data))
    while at is not None and at < len(data):
        await node.blobs.append("agent0", digest, at, data[at : at + CHUNK])
        at += CHUNK


async def attach(node: Station, to: str, *datas: bytes, text: str = "see there", **more: Any) -> Accepted:
    for data in datas:
        await put(node, data)
    named = tuple(Attachment(f"file {at}", len(data), sha(data)) for at, data in enumerate(datas))
    [sent] = await node.send(to, text, attachments=named, **more)
    return sent


async def fate(node: Station, sent: Accepted) -> Any:
    rows = await node.rows("SELECT fate, code FROM outcomes WHERE leaf = ?", sent.leaf)
    return rows[0] if rows else None


def note_begins(node: Station) -> list[int | None]:
    """From which bytes on its store wants blobs, from now on."""
    begun: list[int | None] = []
    begin = node.blobs.begin

    async def noting(source: str, digest: bytes, size: int) -> int | None:
        begun.append(await begin(source, digest, size))
        return begun[-1]

    node.blobs.begin = noting  # type: ignore[method-assign]
    return begun


def holds(node: Station, data: bytes) -> bool:
    path = Path(node.blobs.path(sha(data)))
    return path.exists() and path.read_bytes() == data


async def stage(node: Station, sent: Accepted) -> str:
    asked = SimpleNamespace(
        ledger=node.ledger, identity=node.identity, is_held=node.is_held, called=lambda key: key.hex()
    )
    return str((await stage_of(cast("Any", asked), OPERATOR, sent.id))["stage"])


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def test_an_attachment_goes_over_the_root_and_is_there_before_its_envelope(
    world: World, autojump_clock: object
) -> None:
    data = os.urandom(3 * CHUNK + 5)
    async with world.three() as (root, one, two):
        sent = await attach(one, "agent0@netsky2", data)
        await trio.sleep(2)
        assert await two.received() == [sent.id]
        assert holds(root, data)
        assert holds(two, data)
        assert await fate(one, sent) == ("delivered", None)
        assert await two.rows("SELECT holder, hash FROM blob_names") == [("message", sha(data))]
        assert await root.one("SELECT count(*) FROM blob_names") == 0, "acknowledged onward: the root names it no more"
        assert root.crashes == one.crashes == two.crashes == []


async def test_an_envelope_with_attachments_stands_aside_and_the_others_pass_it(
    world: World, autojump_clock: object
) -> None:
    async with world.both() as (root, one):
        root.floor = 1 << 60  # it takes no blob for now
        waits = await attach(one, "agent0@netsky0", os.urandom(CHUNK))
        [passes] = await one.send("agent0@netsky0", "nothing attached")
        await trio.sleep(2)
        assert await root.received() == [passes.id]
        assert await one.rows("SELECT state FROM outbox ORDER BY seq") == [("open",), ("done",)]
        assert await stage(one, waits) == "attaching"
        assert by_name(await trace(one, waits.id))["numbered"]["detail"] == "to netsky0, once its attachments are there"
        [pending] = outbox.pending_rows((await one.ledger.transaction([outbox.pending()]))[0])
        assert (pending.open, pending.attaching) == (1, 1)
        root.floor = 0
        await trio.sleep(31)
        assert await root.received() == [passes.id, waits.id]
        assert await stage(one, waits) == "ended"


async def test_the_root_says_that_what_it_passes_on_waits_for_its_attachments(
    world: World, autojump_clock: object
) -> None:
    async with world.three() as (root, one, two):
        two.floor = 1 << 60  # it takes no blob for now
        waits = await attach(one, "agent0@netsky2", os.urandom(CHUNK))
        await trio.sleep(3)
        assert by_name(await trace(root, waits.id))["routed"]["detail"] == "its attachments go to netsky2 first"
        assert await stage(one, waits) == "at_root"


async def test_sixteen_attachments_arrive_and_one_content_travels_once(world: World, autojump_clock: object) -> None:
    datas = [os.urandom(1_000 + at) for at in range(15)] + [b""]
    async with world.three() as (root, one, two):
        first = await attach(one, "agent0@netsky2", *datas)
        await trio.sleep(3)
        again = await attach(one, "agent0@netsky2", *datas)
        await trio.sleep(3)
        assert await two.received() == [first.id, again.id]
        assert all(holds(two, data) for data in datas)
        assert await two.one("SELECT count(*) FROM blobs") == 16
        assert await two.one("SELECT count(*) FROM blob_names") == 32
        assert await root.one("SELECT count(*) FROM blobs") == 16


async def test_forty_envelopes_with_attachments_all_have_their_turn(world: World, autojump_clock: object) -> None:
    async with world.three() as (_, one, two):
        sent = [await attach(one, "agent0@netsky2", os.urandom(100), os.urandom(101)) for _ in range(40)]
        await trio.sleep(20)
        assert sorted(await two.received()) == sorted(one.id for one in sent)


async def test_after_a_cut_it_goes_on_at_the_byte_that_the_receiver_has(tmp_path: Path, autojump_clock: object) -> None:
    net = MemoryNetwork(latency=(0.01, 0.01), window=CHUNK // 4)
    world = World(tmp_path, net)
    data = os.urandom(40 * CHUNK)
    async with world.both() as (root, one):
        begun = note_begins(root)
        await attach(one, "agent0@netsky0", data)
        await trio.sleep(0.5)
        net.cut(key(0), key(1))
        await trio.sleep(10)
        assert len(await root.received()) == 1
        assert holds(root, data)
        assert begun[0] == 0
        assert begun[1] is not None
        assert 0 < begun[1] < len(data)


async def test_a_receiver_that_was_killed_goes_on_from_what_was_surely_on_disk(
    tmp_path: Path, autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("netsky.node.blobs.store.SETTLE_BYTES", 4 * CHUNK)
    net = MemoryNetwork(latency=(0.01, 0.01), window=CHUNK // 4)
    world = World(tmp_path, net)
    data = os.urandom(40 * CHUNK)
    async with world.sibling() as one:
        async with world.root() as root:
            await trio.sleep(1)
            sent = await attach(one, "agent0@netsky0", data)
            await trio.sleep(0.5)
            [(durable,)] = await root.rows("SELECT durable FROM blob_parts")
            assert 0 < durable < len(data)
        async with world.root() as root:
            begun = note_begins(root)
            await trio.sleep(40)
            assert begun[0] == durable
            assert await root.received() == [sent.id]
            assert holds(root, data)


async def test_wrong_bytes_are_refused_by_hash_and_counted_and_the_origin_ends_what_it_cannot_send(
    world: World, autojump_clock: object
) -> None:
    data = os.urandom(2 * CHUNK)
    async with world.both() as (root, one):
        root.floor = 1 << 60
        sent = await attach(one, "agent0@netsky0", data)
        path = Path(one.blobs.path(sha(data)))
        path.write_bytes(bytes(len(data)))  # noqa: ASYNC240 - a test's own file
        root.floor = 0
        await trio.sleep(32)
        assert await root.received() == []
        assert await root.rows("SELECT peer, code, count FROM refused_counts") == [(key(1), "attachment_hash", 1)]
        assert await root.one("SELECT count(*) FROM blobs") == 0
        assert await fate(one, sent) == ("dead", "attachment_lost")


@pytest.mark.parametrize("was_acked", [False, True])
async def test_a_blob_that_is_gone_at_the_origin_ends_its_envelope(
    world: World, autojump_clock: object, was_acked: bool
) -> None:
    data = os.urandom(CHUNK)
    async with world.sibling() as one:
        sent = await attach(one, "agent0@netsky0", data)
        if was_acked:  # and put back into the outbox, as after a restore of the root
            await one.rows("UPDATE outbox SET life = 1")
        os.unlink(one.blobs.path(sha(data)))
        async with world.root() as root:
            await trio.sleep(10)
            assert await fate(one, sent) == ("in_doubt" if was_acked else "dead", "attachment_lost")
            assert await root.received() == []
            [error] = await one.rows("SELECT kind FROM inbox JOIN messages USING (seq)")
            assert error == ("error",)


async def test_a_blob_that_is_gone_at_the_root_ends_what_waits_for_it_there(
    world: World, autojump_clock: object
) -> None:
    data = os.urandom(CHUNK)
    async with world.root("agent0@netsky1 -> agent0@netsky2: *") as root, world.sibling(1) as one:
        await trio.sleep(1)
        sent = await attach(one, "agent0@netsky2", data)
        await trio.sleep(2)
        assert await root.one("SELECT count(*) FROM forward WHERE attached = 1") == 1
        assert await root.rows("SELECT holder FROM blob_names") == [("forward",)]
        os.unlink(root.blobs.path(sha(data)))
        async with world.sibling(2) as two:
            await trio.sleep(5)
            assert await fate(one, sent) == ("dead", "attachment_lost")
            assert await two.received() == []
            assert await root.one("SELECT count(*) FROM blob_names") == 0


async def test_an_envelope_whose_blobs_are_not_there_is_never_delivered(world: World, autojump_clock: object) -> None:
    data = os.urandom(CHUNK)
    async with world.three() as (root, one, two):
        await trio.sleep(1)
        for station in (root, two):
            station.floor = 1 << 60
        sent = [await attach(one, to, data) for to in ("agent0@netsky0", "agent0@netsky2")]
        await one.rows("UPDATE outbox SET attached = 0")  # a sender that does not wait
        one.signals.ring(OUTBOX_SIGNAL)
        await trio.sleep(3)
        assert await root.one("SELECT count(*) FROM blobs") == 0
        assert [await fate(one, each) for each in sent] == [("dead", "attachment_missing")] * 2
        assert await root.received() == await two.received() == []


async def test_over_iroh_more_blobs_go_than_a_connection_may_have_streams_and_a_large_one(tmp_path: Path) -> None:
    """The handshake grants a hundred streams; those of blobs that are over make room for others."""
    at, known, seams = f"127.0.0.1:{free_port()}", roster(1), seams_with(IrohTransport, files=RealFiles())
    small = [[os.urandom(100 + at) for at in range(15)] for _ in range(8)]
    large = os.urandom(64 << 20)
    with trio.fail_after(120), trio_as_event_loop():
        root = Station(tmp_path / "0", 0, replace(seams), known, bind=at, root_at=at)
        one = Station(tmp_path / "1", 1, replace(seams), known, bind="127.0.0.1:0", root_at=at)
        async with station(root), station(one):
            sent = [await attach(one, "agent0@netsky0", *datas) for datas in small]

            async def there() -> bool:
                return len(await root.received()) == len(sent)

            await until(there)
            began = trio.current_time()
            await put(one, large)
            stored = trio.current_time() - began
            began = trio.current_time()
            sent.append(await attach(one, "agent0@netsky0", large))
            await until(there)
            took = trio.current_time() - began
            print(f"\n64 MiB: {64 / stored:.0f} MiB/s into the store, {64 / took:.0f} MiB/s over one hop, one process")
            assert all(holds(root, data) for datas in small for data in datas)
            assert holds(root, large)
            assert root.crashes == one.crashes == []


async def test_a_slow_blob_delays_neither_envelopes_nor_heartbeats(tmp_path: Path, autojump_clock: object) -> None:
    net = MemoryNetwork(latency=(0.2, 0.2), window=CHUNK // 4)
    world = World(tmp_path, net)
    async with world.both() as (root, one):
        slow = await attach(one, "agent0@netsky0", os.urandom(8 * CHUNK))
        for at in range(5):
            [quick] = await one.send("agent0@netsky0", f"n{at}")
            await trio.sleep(1)
            assert quick.id in await root.received()
            assert slow.id not in await root.received()
        await trio.sleep(60)
        assert slow.id in await root.received()
        events = await one.rows("SELECT event FROM iroh_events ORDER BY id")
        assert events == [("up",)], "the link lived all the time"
