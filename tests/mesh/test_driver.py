from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest
import trio
import trio.testing
from netsky.envelope.kinds import Lane
from netsky.mesh.channel import Channel, open_channels
from netsky.mesh.driver import run_link
from netsky.mesh.effects import Acked, Answered, Arrived, Close, Enrolled, Holds, Numbered, Record, Stored, Up
from netsky.mesh.frames import (
    CONTROL,
    Ack,
    Bye,
    Credit,
    Frame,
    Hello,
    Hold,
    Open,
    Ping,
    Pong,
    RosterPiece,
    encode_frame,
)
from netsky.mesh.inbox import Inbox
from netsky.mesh.limits import (
    ACK_WAITS_NS,
    ALPN,
    CONTROL_FRAME_BYTES_MAX,
    CONTROL_QUEUE_MAX,
    DEAD_AFTER_NS,
    LANE_INBOX_BYTES_MAX,
    RECORDS_WAIT_NS,
    WRITE_BYTES_MAX,
)
from netsky.mesh.link import Link
from netsky.mesh.outlet import Outlet
from netsky.mesh.roster import Roster
from netsky.mesh.transport import Connection, TransportError, TransportOptions
from netsky.node.lab.network import MemoryNetwork, MemoryStream, MemoryTransport

from tests.mesh.pair import Pair, both_ways
from tests.mesh.world import NOW, OTHER, ROOT, SIBLING, Node, Side, outcome, roster, sealed


class TrioClock:
    def monotonic(self) -> int:
        return int(trio.current_time() * 1e9)

    def wall(self) -> int:
        return NOW + self.monotonic()

    async def sleep_until(self, monotonic_ns: int) -> None:
        await trio.sleep_until(monotonic_ns / 1e9)


class BrokenError(Exception):
    """What a store says that could not."""


@dataclass
class Couple:
    """Two nodes on a network in memory; `linked` runs one connection between them, with both real drivers.

    The left one sends in most stories: up to the root, or down from it.
    """

    down: bool = False
    left: Side = field(init=False)
    right: Side = field(init=False)
    net: MemoryNetwork = field(default_factory=MemoryNetwork)
    ends: dict[str, Close | Exception] = field(default_factory=dict)
    transports: list[MemoryTransport] = field(default_factory=list)

    def __post_init__(self) -> None:
        one, two = (ROOT, SIBLING) if self.down else (SIBLING, ROOT)
        self.left, self.right = Side(one, two), Side(two, one)

    async def connect(self) -> tuple[Connection, Connection]:
        if not self.transports:
            for side in (self.left, self.right):
                self.transports.append(await self.net.open(side.node.secret, [ALPN], TransportOptions("memory:0")))
        left, right = self.transports
        accepted: list[Connection] = []

        async def accept() -> None:
            accepted.append(await (await right.next_incoming()).accept())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(accept)
            ours = await left.dial(right.addresses(), ALPN)
        return ours, accepted[0]

    async def drive(self, side: Side, connection: Connection, dialled: bool) -> None:
        try:
            ended: Close | Exception = await run_link(
                side.new_link(), connection, side.store, TrioClock(), dialled=dialled
            )
        except BrokenError as error:
            ended = error
        self.ends["left" if side is self.left else "right"] = ended

    @asynccontextmanager
    async def linked(self) -> AsyncIterator[None]:
        self.ends.clear()
        ours, theirs = await self.connect()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.drive, self.left, ours, True)
            nursery.start_soon(self.drive, self.right, theirs, False)
            yield
            nursery.cancel_scope.cancel()

    def send(self, *ids: str, text: str = "hello") -> None:
        self.left.store.add("work", self.left.node.batch(self.right.node, *ids, text=text))

    def arrived(self) -> list[str]:
        return [id_ for _, id_ in self.right.store.stored]

    def acked(self) -> int:
        return self.left.store.state.outgoing["work"].acked

    def code(self, name: str) -> str:
        end = self.ends[name]
        assert isinstance(end, Close)
        return end.code


async def settle() -> None:
    await trio.testing.wait_all_tasks_blocked()


async def rest() -> None:
    """Until what may wait for company has waited long enough."""
    await settle()
    await trio.sleep(2 * (ACK_WAITS_NS + RECORDS_WAIT_NS) / 1e9)
    await settle()


@both_ways
async def test_an_envelope_crosses_and_the_node_is_told_after_it_is_stored(down: bool, autojump_clock: object) -> None:
    couple = Couple(down)
    couple.send("a", "b")
    async with couple.linked():
        await rest()
        assert couple.arrived() == ["a", "b"]
        assert couple.acked() == 2
    number = couple.left.node.name[-1]
    up = Up(f"1.{number}", (f"127.0.0.{number}:7",))
    assert couple.right.store.notices == [up, Holds(frozenset()), Stored("work", 2)]


async def test_what_is_put_into_the_outbox_later_goes_out_at_once(autojump_clock: object) -> None:
    couple = Couple()
    async with couple.linked():
        await settle()
        for id_ in ("a", "b", "c"):
            couple.send(id_)
            await settle()
        assert couple.arrived() == ["a", "b", "c"]
        await rest()
        assert couple.acked() == 3


Fault = Callable[[Sequence[Record]], None]


def fail_at(kind: type) -> Fault:
    def fail(records: Sequence[Record]) -> None:
        if any(isinstance(record, kind) for record in records):
            raise BrokenError

    return fail


def nothing(_: Sequence[Record]) -> None:
    """Lets it pass."""


# Where it breaks -> what is stored there, what the sender believes to be acknowledged, before the next connection.
STEPS: dict[str, tuple[str, type, str, list[str], list[int | None]]] = {
    "before the receiver's commit": ("right", Arrived, "before_commit", [], [1, 2]),
    "between the receiver's commit and its ack": ("right", Arrived, "after_commit", ["a", "b"], [1, 2]),
    "before the sender's commit": ("left", Numbered, "before_commit", [], [None, None]),
    "between the sender's commit and its data": ("left", Numbered, "after_commit", [], [1, 2]),
}


@both_ways
@pytest.mark.parametrize(("who", "kind", "when", "stored", "given"), STEPS.values(), ids=STEPS)
async def test_broken(
    down: bool, who: str, kind: type, when: str, stored: list[str], given: list[int | None], autojump_clock: object
) -> None:
    """Nothing depends on what was not stored, and the next connection ends with each envelope there once."""
    couple = Couple(down)
    couple.send("a", "b")
    side = couple.left if who == "left" else couple.right
    setattr(side.store, when, fail_at(kind))
    async with couple.linked():
        await rest()
        assert isinstance(couple.ends[who], BrokenError)
        assert couple.arrived() == stored
        assert couple.acked() == 0
        assert [row.number for row in couple.left.store.rows] == given
    setattr(side.store, when, nothing)
    async with couple.linked():
        await rest()
        assert couple.arrived() == ["a", "b"]
        assert couple.acked() == 2
        assert [row.number for row in couple.left.store.rows] == [1, 2]
    arrivals = [record for record in couple.right.store.log if isinstance(record, Arrived)]
    assert len(arrivals) == 1


# Where it breaks -> the outcomes that are stored there, how many are acknowledged, before the next connection.
OUTCOME_STEPS: dict[str, tuple[str, type, str, list[str], int]] = {
    "before the receiver's commit": ("right", Answered, "before_commit", [], 0),
    "between the receiver's commit and its ack": ("right", Answered, "after_commit", ["a", "b"], 0),
    "before the sender's commit": ("left", Numbered, "before_commit", [], 0),
    "between the sender's commit and the frame": ("left", Numbered, "after_commit", [], 0),
    "before the ack is stored": ("left", Acked, "before_commit", ["a", "b"], 0),
    "after the ack is stored": ("left", Acked, "after_commit", ["a", "b"], 2),
}


@both_ways
@pytest.mark.parametrize(("who", "kind", "when", "stored", "acked"), OUTCOME_STEPS.values(), ids=OUTCOME_STEPS)
async def test_broken_while_outcomes_go(
    down: bool, who: str, kind: type, when: str, stored: list[str], acked: int, autojump_clock: object
) -> None:
    couple = Couple(down)
    couple.left.store.answer(outcome("a"), outcome("b"))
    side = couple.left if who == "left" else couple.right
    setattr(side.store, when, fail_at(kind))
    async with couple.linked():
        await rest()
        assert isinstance(couple.ends[who], BrokenError)
        assert couple.right.store.outcomes == stored
        assert couple.left.store.state.outgoing["reply"].acked == acked
    setattr(side.store, when, nothing)
    async with couple.linked():
        await rest()
    assert couple.right.store.outcomes == ["a", "b"]
    assert couple.left.store.state.outgoing["reply"].acked == 2


@pytest.mark.parametrize(("when", "stored"), [("before_commit", 0), ("after_commit", 1)])
async def test_broken_while_a_roster_is_stored_with_what_came_by_it(
    when: str, stored: int, autojump_clock: object
) -> None:
    couple = Couple(down=True)
    couple.left.store.known = sealed(roster(6, numbers=(0, 1, 2, 3)))
    couple.left.store.forward("work", Node(3).batch(SIBLING, "a"))
    setattr(couple.right.store, when, fail_at(Enrolled))
    async with couple.linked():
        await rest()
        assert isinstance(couple.ends["right"], BrokenError)
        known, _ = couple.right.store.known
        assert known is not None
        assert known.version == 5 + stored
        assert couple.acked() == 0
    setattr(couple.right.store, when, nothing)
    async with couple.linked():
        await rest()
    assert couple.arrived() == ["a"]
    assert couple.acked() == 1
    assert couple.right.store.known == couple.left.store.known


async def test_cancelled_in_the_middle_of_a_commit_no_ack_leaves(autojump_clock: object) -> None:
    couple = Couple()
    couple.send("a")
    waiting = trio.Event()
    really = couple.right.store.persist

    async def stuck(records: Sequence[Record]) -> None:
        if any(isinstance(record, Arrived) for record in records):
            waiting.set()
            await trio.sleep_forever()
        await really(records)

    couple.right.store.persist = stuck  # type: ignore[method-assign]
    async with couple.linked():
        await waiting.wait()
        await rest()
        assert couple.acked() == 0
    couple.right.store.persist = really  # type: ignore[method-assign]
    assert couple.acked() == 0
    async with couple.linked():
        await rest()
        assert (couple.arrived(), couple.acked()) == (["a"], 1)


# What the node says in between.


async def test_a_window_that_opens_or_closes_is_told_at_once() -> None:
    couple = Couple()
    couple.right.store.windows["work"] = (0, 0)
    couple.send("a")
    async with couple.linked():
        await settle()
        assert couple.arrived() == []
        couple.right.store.windows["work"] = (64, 1_000)
        couple.right.store.changed.set()
        await settle()
        assert couple.arrived() == ["a"]
        assert couple.left.machine.credit("work") == (65, 1_000)
        couple.right.store.windows["work"] = (0, 0)
        couple.right.store.changed.set()
        await settle()
        couple.send("b")
        await settle()
        assert couple.arrived() == ["a"]


async def test_holds_are_told_when_they_change_and_again_with_heartbeats(autojump_clock: object) -> None:
    couple = Couple(down=True)
    held: frozenset[tuple[bytes, str, Lane]] = frozenset({(OTHER.key, "agent4", "work")})
    async with couple.linked():
        await settle()
        couple.left.store.holds = held
        couple.left.store.changed.set()
        await settle()
        assert couple.right.store.told_holds() == [frozenset(), held]
        await trio.sleep(31)
        assert couple.right.store.told_holds() == [frozenset(), *[held] * 3]
        couple.left.store.holds = frozenset()
        couple.left.store.changed.set()
        await trio.sleep(31)
        assert couple.right.store.told_holds() == [frozenset(), held, held, held, frozenset()]
        assert Holds(held) in couple.right.store.notices


def large(version: int) -> Roster:
    return roster_of(version, 4_096)


def roster_of(version: int, count: int) -> Roster:
    first = roster(version)
    more = (
        replace(first.members[2], key=bytes([1, at // 256, at % 256]) + bytes(29), name=f"netsky{at}")
        for at in range(3, count)
    )
    return replace(first, members=(*first.members, *more))


async def test_the_largest_roster_goes_through_while_envelopes_come_and_go() -> None:
    couple = Couple(down=True)
    async with couple.linked():
        await settle()
        for side, peer in ((couple.left, couple.right), (couple.right, couple.left)):
            for at in range(5):
                side.store.add("work", side.node.batch(peer.node, *(f"n{at}-{i}" for i in range(64))))
        couple.left.store.known = sealed(large(6))
        couple.left.store.changed.set()
        await settle()
        assert couple.ends == {}
        assert couple.right.store.known == sealed(large(6))
        assert len(couple.left.store.stored) == len(couple.right.store.stored) == 320


async def test_who_is_revoked_is_so_for_the_frames_of_the_same_turn() -> None:
    couple = Couple()
    async with against(couple) as channels:
        pair = await met(couple, channels)
        couple.right.store.known = sealed(roster(6, revoked=[1]))
        await channels[2].send(pair.data(pair.batch("a"), 1))
        bye = await until(channels[CONTROL], Bye)
        assert isinstance(bye, Bye)
        assert bye.code == "revoked"
        assert couple.arrived() == []


async def test_two_nodes_that_flood_each_other_with_slow_disks_do_not_lock_up(autojump_clock: object) -> None:
    couple = Couple()
    text = "x" * 3_000
    for side, peer in ((couple.left, couple.right), (couple.right, couple.left)):
        for at in range(25):
            side.store.add("work", side.node.batch(peer.node, *(f"n{at}-{i}" for i in range(64)), text=text))
        really = side.store.persist

        async def slow(records: Sequence[Record], really: Callable[..., object] = really) -> None:
            await trio.sleep(0.05)
            await really(records)  # type: ignore[misc]

        side.store.persist = slow  # type: ignore[method-assign]
    async with couple.linked():
        await trio.sleep(600)
        assert couple.ends == {}
    assert len(couple.left.store.stored) == len(couple.right.store.stored) == 1600


async def test_an_idle_link_stays_and_knows_its_way(autojump_clock: object) -> None:
    couple = Couple()
    async with couple.linked():
        await trio.sleep(60)
        assert couple.ends == {}
        assert couple.left.machine.round_trip_ns is not None
        assert couple.left.machine.clock_offset_ns == 0


async def test_a_commit_that_takes_a_minute_is_no_dead_node(autojump_clock: object) -> None:
    couple = Couple()
    couple.send("a")
    really = couple.right.store.persist

    async def slow(records: Sequence[Record]) -> None:
        await trio.sleep(60)
        await really(records)

    couple.right.store.persist = slow  # type: ignore[method-assign]
    async with couple.linked():
        await trio.sleep(130)  # one commit for the meeting, one for what came
        assert couple.ends == {}
        assert (couple.arrived(), couple.acked()) == (["a"], 1)


# A peer written by hand.


@asynccontextmanager
async def against(couple: Couple) -> AsyncIterator[dict[int, Channel]]:
    """The right node runs its driver; the left one is this test, on channels of its own."""
    ours, theirs = await couple.connect()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(couple.drive, couple.right, theirs, False)
        yield await open_channels(ours, dialled=True)
        nursery.cancel_scope.cancel()


def hello_of(side: Side) -> Hello:
    link: Link = side.new_link()
    [(_, frame)] = link.start(0).send
    assert isinstance(frame, Hello)
    return frame


async def received(channel: Channel) -> Frame:
    found = await channel.receive()
    assert found is not None
    return found[0]


async def until(channel: Channel, kind: type[Frame]) -> Frame:
    """The next frame of this kind; the others are what a link says beside it."""
    while not isinstance(frame := await received(channel), kind):
        pass
    return frame


async def met(couple: Couple, channels: dict[int, Channel]) -> Pair:
    """Says hello. What makes frames by hand, in the direction of this couple."""
    await channels[CONTROL].send(hello_of(couple.left))
    await settle()
    return Pair(down=couple.down)


async def test_data_waits_unread_for_the_roster_by_which_it_was_routed() -> None:
    couple = Couple(down=True, net=MemoryNetwork(window=64 * 1024))
    async with against(couple) as channels:
        pair = await met(couple, channels)
        batches = [pair.batch(*(f"n{at}-{i}" for i in range(4)), text="x" * 48_000) for at in range(9)]
        frames = [pair.data(batch, 1 + 4 * at, roster=6) for at, batch in enumerate(batches)]

        async def flood() -> None:
            for frame in frames:
                await channels[2].send(frame)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(flood)
            await settle()
            await channels[CONTROL].send(Ping(7))  # a turn, in which nothing of it is looked at
            await settle()
            assert couple.ends == {}
            assert couple.arrived() == []
            assert couple.right.machine.waits_for_roster
            assert nursery.child_tasks  # the reader has stopped
            known, data = sealed(roster(6, numbers=(0, 1, 2, 3)))
            half = len(data) // 2
            await channels[CONTROL].send(
                RosterPiece(6, len(data), 0, data[:half]), RosterPiece(6, len(data), half, data[half:])
            )
        await settle()
        assert couple.ends == {}
        assert len(couple.arrived()) == 36
        assert couple.right.store.known == (known, data)


async def test_a_peer_that_goes_before_the_roster_came_is_gone(autojump_clock: object) -> None:
    couple = Couple(down=True)
    async with against(couple) as channels:
        pair = await met(couple, channels)
        for number in (1, 2):
            await channels[2].send(pair.data(pair.batch("a"), number, roster=6))
            await settle()
        await channels[CONTROL]._stream.finish()
        await trio.sleep(2)
        assert couple.code("right") == "stream"
        assert couple.arrived() == []


async def test_a_roster_that_never_comes_ends_the_link(autojump_clock: object) -> None:
    couple = Couple(down=True)
    async with against(couple) as channels:
        pair = await met(couple, channels)
        await channels[2].send(pair.data(pair.batch("a"), 1, roster=6))

        async def live_on() -> None:
            while True:
                await channels[CONTROL].send(Ping(1))
                await trio.sleep(1)

        with pytest.raises(TransportError, match="did not come in time"):
            await live_on()
        assert couple.code("right") == "roster"


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (Credit("work", 9, 1, 1), "credit"),
        (Hold(((b"k" * 32, "agent1", "work"),)), "frame"),
        (RosterPiece(9, 1, 0, b"x"), "roster"),
    ],
)
async def test_what_a_sibling_may_not_say_ends_the_link(frame: Frame, code: str) -> None:
    couple = Couple()
    async with against(couple) as channels:
        await met(couple, channels)
        await channels[CONTROL].send(frame)
        bye = await until(channels[CONTROL], Bye)
        assert isinstance(bye, Bye)
        assert bye.code == code


async def test_what_is_queued_together_is_written_in_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    couple = Couple()
    async with against(couple) as channels:
        await met(couple, channels)
        writes: list[int] = []
        really = MemoryStream.send

        async def counted(stream: MemoryStream, data: bytes) -> None:
            writes.append(len(data))
            await really(stream, data)

        pings = [Ping(count) for count in range(30)]
        await channels[CONTROL].send(*pings)
        monkeypatch.setattr(MemoryStream, "send", counted)
        await settle()
        for ping in pings:
            pong = await until(channels[CONTROL], Pong)
            assert isinstance(pong, Pong)
            assert pong.count == ping.count
        assert len(writes) <= 3


async def test_no_write_grows_beyond_its_bound() -> None:
    outlet = Outlet(64)
    hold = Hold(((b"k" * 32, "a" * 32, "work"),) * 64)
    assert all(outlet.put(hold) for _ in range(64))
    assert not outlet.put(hold)
    size = len(encode_frame(hold))
    first, second = await outlet.take(), await outlet.take()
    assert outlet.is_empty
    assert WRITE_BYTES_MAX <= len(first) < WRITE_BYTES_MAX + size
    assert len(first) + len(second) == 64 * size


async def test_a_roster_waits_while_the_peer_does_not_read() -> None:
    couple = Couple(net=MemoryNetwork(window=2_000))
    couple.right.store.known = sealed(large(6))
    async with against(couple) as channels:
        await met(couple, channels)
        for count in range(20):  # each is a turn
            await channels[CONTROL].send(Ping(count))
            await settle()
        assert couple.ends == {}


async def test_a_peer_that_falls_silent_is_dead_in_under_five_seconds(autojump_clock: object) -> None:
    couple = Couple()
    async with against(couple) as channels:
        await channels[CONTROL].send(hello_of(couple.left))
        await settle()
        await trio.sleep(DEAD_AFTER_NS / 1e9 - 0.01)
        assert couple.ends == {}
        await trio.sleep(0.9)
        assert couple.code("right") == "silent"


async def test_a_peer_that_opens_no_streams_or_says_no_hello_is_let_go(autojump_clock: object) -> None:
    couple = Couple()
    _, theirs = await couple.connect()
    with trio.fail_after(5):
        await couple.drive(couple.right, theirs, False)
    assert couple.code("right") == "hello"
    async with against(couple):
        await trio.sleep(6)
        assert couple.code("right") == "hello"


async def test_a_goodbye_says_why_before_the_connection_goes() -> None:
    couple = Couple()
    async with against(couple) as channels:
        await channels[CONTROL].send(hello_of(couple.left))
        assert isinstance(await received(channels[CONTROL]), Hello)
        await channels[CONTROL].send(Ack("work", 1, 5))
        bye = await until(channels[CONTROL], Bye)
        assert isinstance(bye, Bye)
        assert bye.code == "ack"


@pytest.mark.parametrize("raw", [b"\x00\x00\x00\x00", b"\xff\xff\xff\xff", b"\x00\x00\x00\x02\x92\x63"])
async def test_bytes_that_are_no_frame_end_the_connection(raw: bytes, autojump_clock: object) -> None:
    couple = Couple()
    async with against(couple) as channels:
        await channels[CONTROL]._stream.send(raw)
        await trio.sleep(2)
        assert couple.code("right") == "frame"


async def test_a_stream_that_ends_ends_the_link_and_in_the_middle_of_a_frame_it_is_a_fault(
    autojump_clock: object,
) -> None:
    for raw, code in ((b"", "stream"), (b"\x00\x00", "frame")):
        couple = Couple()
        async with against(couple) as channels:
            await channels[CONTROL].send(hello_of(couple.left))
            if raw:
                await channels[CONTROL]._stream.send(raw)
            await channels[CONTROL]._stream.finish()
            await trio.sleep(2)
            assert couple.code("right") == code


async def test_a_fourth_stream_ends_the_link() -> None:
    couple = Couple()
    ours, theirs = await couple.connect()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(couple.drive, couple.right, theirs, False)
        channels = await open_channels(ours, dialled=True)
        await channels[CONTROL].send(hello_of(couple.left))
        await (await ours.open_stream()).send(b"x")
        assert "stream" in await ours.closed()


@pytest.mark.parametrize("frames", [[Open(0), Open(0)], [Open(3)], [Ping(1)]], ids=["twice", "unknown", "none"])
async def test_streams_that_do_not_say_which_they_are_end_the_link(frames: list[Frame], autojump_clock: object) -> None:
    couple = Couple()
    ours, theirs = await couple.connect()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(couple.drive, couple.right, theirs, False)
        for frame in frames:
            await Channel(await ours.open_stream(), CONTROL).send(frame)
        await ours.closed()
    assert couple.code("right") == "frame"


async def test_a_peer_that_does_not_read_its_answers_is_let_go(autojump_clock: object) -> None:
    couple = Couple(net=MemoryNetwork(window=2_000))
    async with against(couple) as channels:
        await channels[CONTROL].send(hello_of(couple.left))
        pings = b"".join(encode_frame(Ping(count)) for count in range(2_000))
        with pytest.raises(TransportError):
            await channels[CONTROL]._stream.send(pings)
        assert couple.code("right") == "slow"


async def test_data_before_the_peers_hello_waits_for_it() -> None:
    couple = Couple()
    couple.send("a")
    pair_left = couple.left.new_link()
    async with against(couple) as channels:
        # A hello that is slower than the data on another stream: the frames are those of a real machine.
        right_hello = await received(channels[CONTROL])
        start = pair_left.start(0)
        pair_left.receive(CONTROL, right_hello, 0, NOW)
        pair_left.receive(CONTROL, Credit("work", 1, 64, 1_000), 0, NOW)
        wanted = pair_left.wanted("work")
        assert wanted is not None
        effects = pair_left.submit("work", couple.left.store.find("work", wanted), NOW)
        for channel, frame in effects.send:
            await channels[channel].send(frame)
        await settle()
        assert couple.ends == {}
        assert couple.arrived() == []
        for channel, frame in start.send:
            await channels[channel].send(frame)
        assert await until(channels[CONTROL], Ack) == Ack("work", 1, 1)
        assert couple.arrived() == ["a"]


async def test_no_more_is_taken_from_the_outbox_than_the_peer_reads() -> None:
    couple = Couple(net=MemoryNetwork(window=64 * 1024))
    for at in range(20):
        ids = (f"n{at}-{i}" for i in range(64))
        batch = couple.right.node.batch(couple.left.node, *ids, text="x" * 3_000)
        couple.right.store.add("work", batch)
    really = couple.right.store.find
    couple.right.store.find = lambda lane, wanted: really(lane, wanted)[:1]  # type: ignore[method-assign]
    async with against(couple) as channels:
        granted = Credit("work", 1, 1_024, 2 << 20)
        await channels[CONTROL].send(hello_of(couple.left), granted)
        for _ in range(8):  # each is a turn in which more could be taken
            await channels[CONTROL].send(granted)
            await settle()
        given = [row for row in couple.right.store.rows if row.number is not None]
        assert len(given) == 2 * 64


# The inbox.


async def test_a_reader_waits_while_what_was_read_is_not_looked_at() -> None:
    inbox = Inbox()
    half = LANE_INBOX_BYTES_MAX // 2
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(inbox.put, 1, Ping(0), half)
        await settle()
        assert len((await inbox.take()).frames) == 2
        await settle()
        assert len((await inbox.take()).frames) == 1


async def test_no_more_than_its_bound_waits_of_a_lane() -> None:
    inbox = Inbox()
    await inbox.put(1, Ping(0), LANE_INBOX_BYTES_MAX - 1)
    with trio.move_on_after(0) as scope:
        await inbox.put(1, Ping(1), 2)
    assert scope.cancelled_caught
    await inbox.put(1, Ping(2), 1)
    await inbox.put(2, Ping(3), LANE_INBOX_BYTES_MAX)  # the other lane has its own
    assert len((await inbox.take()).frames) == 3


async def test_data_can_be_left_waiting_and_the_end_is_not_held_back_by_it() -> None:
    inbox = Inbox()
    await inbox.put(1, Ping(0), 5)
    async with trio.open_nursery() as nursery:
        turns: list[object] = []

        async def take() -> None:
            turns.append(await inbox.take(data=False))

        await inbox.put(CONTROL, Ping(1), 5)
        nursery.start_soon(take)
        await settle()
        nursery.start_soon(take)
        await settle()
        assert len(turns) == 1  # it waits, with data there
        inbox.end(Close("stream", "x"))
    [first, second] = turns
    assert first.frames == [(CONTROL, Ping(1))]  # type: ignore[attr-defined]
    assert (second.frames, second.ended) == ([], Close("stream", "x"))  # type: ignore[attr-defined]
    assert (await inbox.take()).frames == [(1, Ping(0))]


async def test_control_is_taken_before_data_and_has_room_of_its_own() -> None:
    inbox = Inbox()
    await inbox.put(2, Ping(0), LANE_INBOX_BYTES_MAX)
    await inbox.put(CONTROL, Pong(1, 1), CONTROL_FRAME_BYTES_MAX)
    assert (await inbox.take()).frames == [(CONTROL, Pong(1, 1)), (2, Ping(0))]
    async with trio.open_nursery() as nursery:
        for count in range(CONTROL_QUEUE_MAX + 1):
            nursery.start_soon(inbox.put, CONTROL, Ping(count), 1)
        await settle()
        assert len((await inbox.take()).frames) == CONTROL_QUEUE_MAX


async def test_the_end_comes_after_all_that_came_before_it_and_the_first_reason_stands() -> None:
    inbox = Inbox()
    for count in range(20):
        await inbox.put(1, Ping(count), 1)
    inbox.end(Close("frame", "first"))
    inbox.end(Close("stream", "second"))
    inbox.wake("work")
    inbox.tick()
    turn = await inbox.take()
    assert (len(turn.frames), turn.woken, turn.ticked, turn.ended) == (16, {"work"}, True, None)
    turn = await inbox.take()
    assert (len(turn.frames), turn.woken, turn.ticked, turn.ended) == (4, set(), False, Close("frame", "first"))
