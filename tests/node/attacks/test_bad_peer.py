"""What bad input gets: an enrolled peer that lies, floods, drips or never stops coming back, on whole nodes.

A reason code, a counter, a closed link or a consumed number, flat memory, untouched neighbours: `world.member` sends an
honest envelope from netsky1 to netsky2 at the end of each.
"""

from __future__ import annotations

import gc
import os
import tracemalloc
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio
from netsky.envelope.batch import decode_batch, leaves
from netsky.mesh.frames import CONTROL, Ack, Credit, Data, Evidence, Hello, Open, Ping, Position, encode_frame
from netsky.mesh.limits import NUMBER_MAX, ON_THE_WAY_MAX, WINDOW_ENVELOPES
from netsky.mesh.pieces import full_positions
from netsky.mesh.transport import PeerAddress, TransportError
from netsky.node.lab.adversary import REPLY, WORK, Wire, adversary, lying
from netsky.node.lab.network import MemoryNetwork

from tests.node.attacks.world import AttackWorld, Member3, counted, forger, goes_through, link_events
from tests.node.stations import key
from tests.node.test_links import ROOT_AT

RECONNECTS = int(os.environ.get("NETSKY_RECONNECTS", "120"))
"""10,000 take some minutes; the slope is the same."""

SLOPE_BYTES = 1_024
"""For each reconnect: what the plan allows. Anything that is kept for a connection is far more."""

DEADLINES_BYTES = 512 << 10
"""trio forgets deadlines that are over only when there are a thousand of them, and some of ours last for minutes."""


@pytest.fixture
def world(tmp_path: Path) -> AttackWorld:
    return AttackWorld(tmp_path)


def root_at() -> PeerAddress:
    return PeerAddress(key(0), (ROOT_AT,))


# Said wrong: the link ends.

Say = Callable[[Wire, Member3], Awaitable[None]]


def raw(channel: int, data: bytes) -> Say:
    async def say(wire: Wire, _: Member3) -> None:
        await wire.write(channel, data)

    return say


def frames(channel: int, *some: Any) -> Say:
    async def say(wire: Wire, _: Member3) -> None:
        await wire.say(channel, *some)

    return say


async def half_a_frame(wire: Wire, _: Member3) -> None:
    await wire.write(WORK, lying(1_000, b"x" * 10))
    await wire.finish(WORK)


async def nothing_more(wire: Wire, _: Member3) -> None:
    await wire.finish(REPLY)


async def a_fourth_stream(wire: Wire, _: Member3) -> None:
    await wire.open([0])


async def a_second_hello(wire: Wire, three: Member3) -> None:
    await wire.say(CONTROL, three.three.hello())


async def data_on_control(wire: Wire, three: Member3) -> None:
    await wire.say(CONTROL, three.three.claimed(three.batch("a"), 1, key(0)))


async def a_gap(wire: Wire, three: Member3) -> None:
    await wire.say(WORK, three.three.claimed(three.batch("a"), 2, key(0)))


async def evidence_of_nothing(wire: Wire, three: Member3) -> None:
    found = leaves(three.batch("a"))
    await wire.say(CONTROL, Evidence("work", 1, 1, three.three.claim(found, 1, key(0)), tuple(found)))


PING = encode_frame(Ping(1))

LIES: dict[str, tuple[Say, str]] = {
    "four gigabytes on the control stream": (raw(CONTROL, lying(0xFFFFFFFF)), "frame"),
    "four gigabytes on the work stream": (raw(WORK, lying(0xFFFFFFFF)), "frame"),
    "a byte above the cap on the reply stream": (raw(REPLY, lying((256 << 10) + 1)), "frame"),
    "a frame of nothing": (raw(CONTROL, lying(0)), "frame"),
    "a frame with something behind it": (raw(CONTROL, lying(len(PING) - 3, PING[4:] + b"\0")), "frame"),
    "a frame shorter than its length": (raw(CONTROL, lying(len(PING) - 5, PING[4:])), "frame"),
    "a frame that never ends": (half_a_frame, "frame"),
    "no more replies": (nothing_more, "stream"),
    "no msgpack": (raw(WORK, lying(5, b"hello")), "frame"),
    "a kind that nobody knows": (raw(CONTROL, lying(2, b"\x91\x63")), "frame"),
    "a map": (raw(CONTROL, lying(3, b"\x81\x04\x01")), "frame"),
    "a number not in its shortest form": (raw(CONTROL, lying(4, b"\x92\x04\xcc\x01")), "frame"),
    "a stream that is no blob asked for": (a_fourth_stream, "frame"),
    "a second hello": (a_second_hello, "hello"),
    "a stream opened once more": (frames(CONTROL, Open(0)), "hello"),
    "data on the control stream": (data_on_control, "frame"),
    "control on the work stream": (frames(WORK, Ping(1)), "frame"),
    "an ack of what was never sent": (frames(CONTROL, Ack("work", 1, 1)), "ack"),
    "an ack of everything": (frames(CONTROL, Ack("reply", 1, NUMBER_MAX)), "ack"),
    "an ack of another life": (frames(CONTROL, Ack("work", 2, 0)), "ack"),
    "credit for another life": (frames(CONTROL, Credit("work", NUMBER_MAX, 1, 1)), "credit"),
    "a number that is not next": (a_gap, "gap"),
    "evidence that proves nothing": (evidence_of_nothing, "claim"),
}


@pytest.mark.parametrize(("say", "code"), LIES.values(), ids=LIES)
async def test_a_lie_ends_the_link_with_its_code(
    world: AttackWorld, autojump_clock: object, say: Say, code: str
) -> None:
    async with world.member() as three:
        wire = await three.link()
        await say(wire, three)
        assert (await wire.ended()).code == code
        await trio.sleep(2)
        assert code in await link_events(three.root, "down")
        assert await three.root.received() == []


HELLOS: dict[str, tuple[dict[str, Any], str]] = {
    "of another version": ({"version": 2}, "version"),
    "of another mesh": ({"mesh": b"some other mesh."}, "mesh"),
    "of an old reign": ({"reign": 0}, "reign"),
    "of a reign to come": ({"reign": NUMBER_MAX}, "reign"),
}


@pytest.mark.parametrize(("changed", "code"), HELLOS.values(), ids=HELLOS)
async def test_a_hello_that_does_not_fit_ends_the_link(
    world: AttackWorld, autojump_clock: object, changed: dict[str, Any], code: str
) -> None:
    async with world.member() as three:
        wire = await three.peer.dial(root_at())
        await wire.open()
        await wire.say(CONTROL, three.three.hello(**changed))
        assert (await wire.ended()).code == code


@pytest.mark.parametrize(
    ("channels", "first", "code"),
    [((), None, "hello"), ((0, 0), None, "frame"), ((0, 1, 2), None, "hello"), ((0, 1, 2), Ping(1), "hello")],
    ids=["no stream", "a stream twice", "no word", "another word first"],
)
async def test_who_says_no_hello_is_let_go_in_seconds(
    world: AttackWorld, autojump_clock: object, channels: tuple[int, ...], first: Any, code: str
) -> None:
    async with world.member() as three:
        wire, began = await three.peer.dial(root_at()), trio.current_time()
        await wire.open(channels)
        if first is not None:
            await wire.say(CONTROL, first)
        assert (await wire.ended()).code == code
        assert trio.current_time() - began < 6


# Acks, credit, and where it says that it is.


async def test_an_ack_beyond_what_was_sent_ends_the_link_and_what_was_sent_goes_again(
    world: AttackWorld, autojump_clock: object
) -> None:
    async with world.member() as three:
        wire = await three.link()
        [sent] = await three.root.send("agent0@netsky3", "for you")
        await wire.answer(Data)
        await wire.say(CONTROL, Ack("work", 1, 2))
        assert (await wire.ended()).code == "ack"
        assert await three.root.rows("SELECT state FROM outbox") == [("numbered",)]
        wire = await three.link()
        frame = await wire.answer(Data)
        await wire.say(CONTROL, Ack("work", 1, 1))
        await trio.sleep(1)
        assert sent.leaf in leaves_of(frame)
        assert await three.root.rows("SELECT state FROM outbox") == [("acked",)]


async def test_absurd_credit_is_worth_what_may_be_on_its_way(world: AttackWorld, autojump_clock: object) -> None:
    async with world.member() as three:
        wire = await three.link()
        for lane in ("work", "reply"):
            await wire.say(CONTROL, Credit(lane, 1, NUMBER_MAX, NUMBER_MAX))
        for _ in range(12):
            await three.root.send("agent0@netsky3", *(f"{at}" for at in range(100)))
        await trio.sleep(10)
        assert sum(len(leaves_of(frame)) for frame in wire.all_heard(Data)) <= ON_THE_WAY_MAX
        assert await three.root.one("SELECT count(*) FROM outbox WHERE state = 'open'") >= 1_200 - ON_THE_WAY_MAX


@pytest.mark.parametrize("lane", ["work", "reply"])
async def test_who_claims_to_be_ahead_without_proof_waits_alone_and_freezes_nothing(
    world: AttackWorld, autojump_clock: object, lane: str
) -> None:
    async with world.member() as three:
        hello = three.three.hello()
        ahead = replace(hello.work, received=Position(1, b"never heard of  ", 7, b"x" * 32))
        wire = await three.peer.dial(root_at())
        await wire.greet(replace(hello, **{lane: ahead}))
        await trio.sleep(2)
        assert await link_events(three.root, "frozen") == []
        # What it sends itself still counts as before.
        await three.acked(wire, three.batch("a"), 1)
        assert await three.root.received() == ["a"]


async def test_who_claims_to_have_sent_less_than_it_did_is_shown_its_own_seal_and_gets_nothing_through(
    world: AttackWorld, autojump_clock: object
) -> None:
    async with world.member() as three:
        wire = await three.link()
        await three.acked(wire, three.batch("a"), 1)
        wire.close()
        wire = await three.peer.dial(root_at())
        await wire.greet(three.three.hello())
        await wire.say(WORK, three.three.claimed(three.batch("b"), 1, key(0)))
        shown = await wire.answer(Evidence)
        assert (shown.lane, shown.number) == ("work", 1)
        await trio.sleep(2)
        assert wire.all_heard(Ack) == []
        assert await three.root.received() == ["a"]


async def test_who_was_granted_nothing_may_send_nothing(world: AttackWorld, autojump_clock: object) -> None:
    async with world.member() as three:
        three.root.takes_work = False
        await trio.sleep(2)
        wire = await three.peer.dial(root_at())
        await wire.greet(three.three.hello())
        await wire.say(WORK, three.three.claimed(three.batch("a"), 1, key(0)))
        assert (await wire.ended()).code == "credit"
        assert await three.root.received() == []
        three.root.takes_work = True
        three.root.signals.ring("outbox")


# Slow, many, and again and again.


async def test_one_byte_a_minute_holds_up_nobody_and_without_a_heartbeat_not_even_itself(
    world: AttackWorld, autojump_clock: object
) -> None:
    async with world.member() as three:
        wire = await three.link()
        for byte in lying(200 << 10, b"\x93\x02"):
            await wire.write(WORK, bytes([byte]))
            await trio.sleep(60)
        assert wire.over is None
        wire.beats = False
        await trio.sleep(0.7)  # the last beat is out, so nothing comes between the bytes
        for byte in PING[:-1]:
            if wire.over is None:
                await wire.write(CONTROL, bytes([byte]))
                await trio.sleep(2)
        assert (await wire.ended()).code == "silent"


async def test_who_reads_nothing_of_what_it_asks_for_is_let_go(tmp_path: Path, autojump_clock: object) -> None:
    world = AttackWorld(tmp_path, net=MemoryNetwork(window=16 << 10))
    async with world.member() as three:
        wire = await three.link()
        wire.be_deaf()
        with trio.fail_after(60), pytest.raises(TransportError):
            await without_end(wire, PING * 512)
        await trio.sleep(2)
        assert "slow" in await link_events(three.root, "down")


async def test_a_flood_fills_an_inbox_and_what_is_kept_for_windows_and_no_more(
    world: AttackWorld, autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("netsky.node.bus.room.INGRESS_RESERVE_AT_ROOT", 200)
    async with world.member() as three:
        wire = await three.link()
        inbox_max = three.root.config.inbox_envelopes_max
        first = 1
        for turn in range(2 * inbox_max // 64):
            batch = three.batch(*(f"n{turn}-{at}" for at in range(64)))
            credit = await wire.answer(
                Credit, lambda credit, last=first + 63: credit.lane == "work" and credit.number >= last
            )
            assert credit.number - first <= 2 * WINDOW_ENVELOPES
            await wire.say(WORK, three.three.claimed(batch, first, key(0)))
            first += 64
        await wire.answer(Ack, lambda ack: ack.number == first - 1)
        there = len(await three.root.received())
        assert there == inbox_max + 200
        codes = dict(await three.root.rows("SELECT code, count(*) FROM outcomes WHERE fate = 'dead' GROUP BY code"))  # type: ignore[arg-type]
        assert codes == {"inbox_full": first - 1 - there}


async def without_end(wire: Wire, data: bytes) -> None:
    while True:
        await wire.write(CONTROL, data)


async def churn(dial: Callable[[], Awaitable[Wire]], say: Callable[[Wire], Awaitable[None]], times: int) -> None:
    for _ in range(times):
        wire = await dial()
        await say(wire)
        wire.close()
        await trio.sleep(0.01)


async def grown(turn: Callable[[int], Awaitable[None]], times: int) -> int:
    """Bytes that stay from the second half, beyond what trio keeps of deadlines that are over."""
    await turn(times // 4)
    gc.collect()
    tracemalloc.start()
    try:
        await turn(times // 4)
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        await turn(times // 2)
        gc.collect()
        return tracemalloc.get_traced_memory()[0] - before - DEADLINES_BYTES
    finally:
        tracemalloc.stop()


async def test_thousands_of_reconnects_leave_nothing_behind(world: AttackWorld, autojump_clock: object) -> None:
    async with world.member() as three:

        async def greet(wire: Wire) -> None:
            await wire.open()
            await wire.say(CONTROL, three.three.hello())
            await wire.answer(Hello)

        stays = await grown(lambda times: churn(lambda: three.peer.dial(root_at()), greet, times), RECONNECTS)
        print(f"\n{RECONNECTS} reconnects: {stays} bytes stay")
        assert stays < SLOPE_BYTES * RECONNECTS // 2
        await trio.sleep(10)
        assert three.root.links._slots[key(3)].connection is None
        assert not three.root.links._handshakes


async def test_thousands_of_strangers_leave_nothing_behind_and_are_counted(
    world: AttackWorld, autojump_clock: object
) -> None:
    async with world.member() as three, adversary(world.net, forger(7).secret) as peer:

        async def refused(wire: Wire) -> None:
            assert (await wire.ended()).code == "not_allowed"

        three.root.book.note_stranger = lambda *_: None  # type: ignore[method-assign] # the test's keeps them all
        stays = await grown(lambda times: churn(lambda: peer.dial(root_at()), refused, times), RECONNECTS)
        print(f"\n{RECONNECTS} strangers: {stays} bytes stay")
        assert stays < SLOPE_BYTES * RECONNECTS // 2
        assert len(await link_events(three.root, "refused")) == RECONNECTS
        assert await counted(three.root) == {}


async def test_each_dial_before_it_is_answered_replaces_the_last_and_the_last_one_is_served(
    world: AttackWorld, autojump_clock: object
) -> None:
    async with world.three() as stations, adversary(world.net, forger(3).secret) as peer:
        wires = [await peer.dial(root_at()) for _ in range(100)]
        for wire in wires[:-1]:
            assert (await wire.ended()).code == "replaced"
        await wires[-1].greet(forger(3).hello())
        await goes_through(*stations)


def leaves_of(frame: Data) -> list[bytes]:
    batch = decode_batch(frame.batch)
    every = leaves(batch)
    return [every[at] for at in full_positions(batch)]
