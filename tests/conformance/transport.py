"""What every transport must do. Each function is one rule, run for iroh on loopback and for the network in memory.

A test module makes `Two`, two open transports that can reach each other, and calls `RULES` by parameter.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest
import trio
import trio.testing
from netsky.mesh.transport import Connection, PeerAddress, Transport, TransportError, TransportStream

ALPN = b"netsky/test"


@dataclass
class Two:
    left: Transport
    right: Transport  # listens to ALPN

    async def connect(self) -> tuple[Connection, Connection]:
        """The left one dials; both ends."""
        ends: dict[str, Connection] = {}

        async def accept() -> None:
            ends["right"] = await (await self.right.next_incoming()).accept()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(accept)
            ends["left"] = await self.left.dial(self.right.addresses(), ALPN)
        return ends["left"], ends["right"]

    async def stream(self) -> tuple[TransportStream, TransportStream]:
        left, right = await self.connect()
        return await opened(left, right)


async def opened(left: Connection, right: Connection) -> tuple[TransportStream, TransportStream]:
    """A stream exists for the other side once something was sent on it."""
    ours = await left.open_stream()
    await ours.send(b"!")
    theirs = await right.accept_stream()
    assert await theirs.receive(1) == b"!"
    return ours, theirs


async def exactly(stream: TransportStream, size: int) -> bytes:
    got = b""
    while len(got) < size:
        piece = await stream.receive(size - len(got))
        assert piece
        got += piece
    return got


async def both_ends_have_proven_their_keys(two: Two) -> None:
    left, right = await two.connect()
    assert (left.peer, right.peer) == (two.right.key, two.left.key)
    assert left.alpn == right.alpn == ALPN


async def bytes_arrive_whole_and_in_order_both_ways(two: Two) -> None:
    ours, theirs = await two.stream()
    sent = bytes(range(256)) * 4096

    async def echo() -> None:
        await theirs.send(await exactly(theirs, len(sent)))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(echo)
        await ours.send(sent)
        assert await exactly(ours, len(sent)) == sent


async def a_receive_gives_no_more_than_asked_for(two: Two) -> None:
    ours, theirs = await two.stream()
    await ours.send(b"abcdef")
    assert len(await theirs.receive(2)) <= 2


async def a_finished_half_ends_and_the_other_half_goes_on(two: Two) -> None:
    ours, theirs = await two.stream()
    await ours.send(b"last")
    await ours.finish()
    assert await exactly(theirs, 4) == b"last"
    assert await theirs.receive(9) == b""
    await theirs.send(b"still here")
    assert await exactly(ours, 10) == b"still here"


async def a_cancelled_receive_leaves_the_other_streams_alone(two: Two) -> None:
    left, right = await two.connect()
    _, dead = await opened(left, right)
    ours, theirs = await opened(left, right)
    with trio.move_on_after(0.01) as scope:
        await dead.receive(1)
    assert scope.cancelled_caught
    await ours.send(b"x")
    assert await theirs.receive(1) == b"x"


async def a_cancelled_accept_leaves_the_transport_listening(two: Two) -> None:
    with trio.move_on_after(0.01) as scope:
        await two.right.next_incoming()
    assert scope.cancelled_caught
    left, right = await two.connect()
    await opened(left, right)


async def streams_do_not_wait_for_each_other(two: Two) -> None:
    left, right = await two.connect()
    clogged, _unread = await opened(left, right)
    ours, theirs = await opened(left, right)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(clogged.send, bytes(8 << 20))
        await ours.send(b"x")
        assert await theirs.receive(1) == b"x"
        nursery.cancel_scope.cancel()


async def a_sender_waits_for_a_reader_that_does_not_read(two: Two) -> None:
    ours, theirs = await two.stream()
    size = 32 << 20
    with trio.move_on_after(0.5) as scope:
        for _ in range(size >> 16):
            await ours.send(bytes(1 << 16))
    assert scope.cancelled_caught, "it took in 32 MiB that nobody reads"
    assert await theirs.receive(1) == b"\0"


async def a_close_is_heard_with_its_reason_and_ends_everything(two: Two) -> None:
    left, right = await two.connect()
    ours, theirs = await opened(left, right)
    left.close(7, b"enough")
    assert "enough" in await right.closed()
    await left.closed()

    async def use_a_new_stream() -> None:  # opening may be a promise that only sending keeps
        await (await right.open_stream()).send(b"x")

    for broken in (theirs.receive(1), right.accept_stream(), ours.send(b"x"), use_a_new_stream()):
        with pytest.raises(TransportError):
            await broken


async def a_waiting_receive_is_ended_by_a_close(two: Two) -> None:
    left, right = await two.connect()
    _, theirs = await opened(left, right)

    async def wait() -> None:
        with pytest.raises(TransportError):
            await theirs.receive(1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked(0.01)
        left.close(0, b"")


async def closing_twice_is_nothing(two: Two) -> None:
    left, right = await two.connect()
    left.close(0, b"first")
    left.close(1, b"second")
    assert "first" in await right.closed()


async def another_alpn_is_refused_at_both_ends(two: Two) -> None:
    async def accept() -> None:
        with pytest.raises(TransportError):
            await (await two.right.next_incoming()).accept()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(accept)
        with pytest.raises(TransportError):
            await two.left.dial(two.right.addresses(), b"netsky/other")


async def another_key_is_not_reached_at_this_address(two: Two) -> None:
    async def accept() -> None:
        with pytest.raises(TransportError):
            await (await two.right.next_incoming()).accept()

    wrong = PeerAddress(STRANGER, two.right.addresses().direct)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(accept)
        with pytest.raises(TransportError):
            await two.left.dial(wrong, ALPN)
        nursery.cancel_scope.cancel()


async def bytes_that_are_no_key_are_refused(two: Two) -> None:
    with pytest.raises(TransportError):
        await two.left.dial(PeerAddress(b"\x02" * 32, two.right.addresses().direct), ALPN)


async def a_closed_transport_listens_no_more_and_its_connections_end(two: Two) -> None:
    left, _ = await two.connect()
    await two.right.close()
    with pytest.raises(TransportError):
        await two.right.next_incoming()
    await left.closed()


async def two_connections_of_one_key_live_beside_each_other(two: Two) -> None:
    first, second = await two.connect(), await two.connect()
    for left, right in (first, second):
        await opened(left, right)
    first[0].close(0, b"")
    await first[1].closed()
    await opened(*second)


STRANGER = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")  # RFC 8032, test 1

Rule = Callable[[Two], Awaitable[None]]
RULES: tuple[Rule, ...] = (
    both_ends_have_proven_their_keys,
    bytes_arrive_whole_and_in_order_both_ways,
    a_receive_gives_no_more_than_asked_for,
    a_finished_half_ends_and_the_other_half_goes_on,
    a_cancelled_receive_leaves_the_other_streams_alone,
    a_cancelled_accept_leaves_the_transport_listening,
    streams_do_not_wait_for_each_other,
    a_sender_waits_for_a_reader_that_does_not_read,
    a_close_is_heard_with_its_reason_and_ends_everything,
    a_waiting_receive_is_ended_by_a_close,
    closing_twice_is_nothing,
    another_alpn_is_refused_at_both_ends,
    another_key_is_not_reached_at_this_address,
    bytes_that_are_no_key_are_refused,
    a_closed_transport_listens_no_more_and_its_connections_end,
    two_connections_of_one_key_live_beside_each_other,
)
