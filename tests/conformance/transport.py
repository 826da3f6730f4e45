"""What every transport must do. Each function is one rule, run for iroh on loopback and for the network in memory.

A test module makes `Two`, two open transports that can reach each other, and calls `RULES` by parameter. What must hold
when something is half-closed, clogged or cancelled stands in `transport_trouble.py`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

import pytest
import trio
from netsky.mesh.transport import Connection, PeerAddress, Transport, TransportError, TransportStream

ALPN = b"netsky/test"


@dataclass
class Two:
    left: Transport
    right: Transport  # listens to ALPN

    async def connect(self, at: PeerAddress | None = None) -> tuple[Connection, Connection]:
        """The left one dials; both ends."""
        ends: dict[str, Connection] = {}

        async def accept() -> None:
            ends["right"] = await (await self.right.next_incoming()).accept()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(accept)
            ends["left"] = await self.left.dial(at or self.right.addresses(), ALPN)
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


async def an_empty_send_is_nothing_and_not_the_end(two: Two) -> None:
    ours, theirs = await two.stream()
    await ours.send(b"")
    await ours.send(b"x")
    assert await theirs.receive(9) == b"x"


async def streams_are_accepted_in_the_order_in_which_they_were_opened(two: Two) -> None:
    left, right = await two.connect()
    streams = [await left.open_stream() for _ in range(3)]
    for number, stream in enumerate(streams):
        await stream.send(bytes([number]))
    assert [await (await right.accept_stream()).receive(1) for _ in streams] == [b"\0", b"\1", b"\2"]


async def either_side_opens_streams_if_the_other_accepts_them(two: Two) -> None:
    left, right = await two.connect()
    ours, theirs = await opened(left, right)
    await theirs.send(b"x")
    assert await ours.receive(1) == b"x"


async def a_close_is_heard_with_its_reason_and_ends_everything(two: Two) -> None:
    left, right = await two.connect()
    ours, theirs = await opened(left, right)
    left.close(7, b"enough")
    assert await right.closed() == "closed by peer: enough (code 7)"
    assert await left.closed() == "closed", "the peer did not do it"

    async def use_a_new_stream() -> None:  # opening may be a promise that only sending keeps
        await (await right.open_stream()).send(b"x")

    for broken in (theirs.receive(1), right.accept_stream(), ours.send(b"x"), use_a_new_stream()):
        with pytest.raises(TransportError):
            await broken


async def closing_twice_is_nothing(two: Two) -> None:
    left, right = await two.connect()
    left.close(0, b"first")
    left.close(1, b"second")
    assert "first" in await right.closed()


async def a_reason_of_two_hundred_bytes_and_a_large_code_arrive_whole(two: Two) -> None:
    left, right = await two.connect()
    left.close(2**40, b"r" * 200)
    assert await right.closed() == f"closed by peer: {'r' * 200} (code {2**40})"


async def a_peer_of_another_version_is_told_so_with_both_versions(two: Two) -> None:
    async def accept() -> None:
        incoming = await two.right.next_incoming()
        with pytest.raises(TransportError) as refused:
            await incoming.accept()
        assert refused.value.code == "alpn"
        assert ALPN.decode() in str(refused.value)

    async def keep_listening() -> None:
        await accept()
        while True:  # the one who dialled may ask what is spoken here
            with suppress(TransportError):
                await (await two.right.next_incoming()).accept()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(keep_listening)
        with pytest.raises(TransportError) as failed:
            await two.left.dial(two.right.addresses(), b"netsky/other")
        nursery.cancel_scope.cancel()
    assert failed.value.code == "alpn"
    assert str(failed.value).startswith(f"this node speaks netsky/other, the other one only {ALPN.decode()}: ")


async def a_wrong_address_beside_the_right_one_does_no_harm(two: Two) -> None:
    right = two.right.addresses()
    nowhere = ("nonsense", "0.0.0.0:9", "127.0.0.1:9", "[2001:db8::1]:9")
    left, _ = await two.connect(PeerAddress(right.key, nowhere + right.direct))
    assert left.reached().direct == right.direct, "what answered is what is worth remembering"


async def a_peer_without_an_address_is_refused_at_once(two: Two) -> None:
    with pytest.raises(TransportError) as failed:
        await two.left.dial(PeerAddress(two.right.key), ALPN)
    assert failed.value.code == "address"


async def who_was_dialled_can_be_dialled_back_where_it_was_reached_from(two: Two) -> None:
    _, right = await two.connect()
    assert right.reached() == two.left.addresses()


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
    with pytest.raises(TransportError) as ended:
        await two.right.next_incoming()
    assert ended.value.code == "closed"
    assert (await left.closed()).startswith("closed by peer")
    with pytest.raises(TransportError):
        await two.right.dial(two.left.addresses(), ALPN)
    await two.right.close()


async def two_connections_of_one_key_live_beside_each_other(two: Two) -> None:
    first, second = await two.connect(), await two.connect()
    for left, right in (first, second):
        await opened(left, right)
    first[0].close(0, b"")
    await first[1].closed()
    await opened(*second)


async def a_hundred_connections_at_once_each_carry_their_own(two: Two) -> None:
    async def serve() -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(100):
                nursery.start_soon(echo, await (await two.right.next_incoming()).accept())

    async def echo(connection: Connection) -> None:
        stream = await connection.accept_stream()
        await stream.send(await exactly(stream, 2))
        await connection.closed()

    async def ask(number: int) -> None:
        connection = await two.left.dial(two.right.addresses(), ALPN)
        stream = await connection.open_stream()
        await stream.send(number.to_bytes(2))
        assert await exactly(stream, 2) == number.to_bytes(2)
        connection.close(0, b"")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        for number in range(100):
            nursery.start_soon(ask, number)


STRANGER = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")  # RFC 8032, test 1

Rule = Callable[[Two], Awaitable[None]]
RULES: tuple[Rule, ...] = (
    both_ends_have_proven_their_keys,
    bytes_arrive_whole_and_in_order_both_ways,
    a_receive_gives_no_more_than_asked_for,
    an_empty_send_is_nothing_and_not_the_end,
    streams_are_accepted_in_the_order_in_which_they_were_opened,
    either_side_opens_streams_if_the_other_accepts_them,
    a_close_is_heard_with_its_reason_and_ends_everything,
    closing_twice_is_nothing,
    a_reason_of_two_hundred_bytes_and_a_large_code_arrive_whole,
    a_peer_of_another_version_is_told_so_with_both_versions,
    a_wrong_address_beside_the_right_one_does_no_harm,
    a_peer_without_an_address_is_refused_at_once,
    who_was_dialled_can_be_dialled_back_where_it_was_reached_from,
    another_key_is_not_reached_at_this_address,
    bytes_that_are_no_key_are_refused,
    a_closed_transport_listens_no_more_and_its_connections_end,
    two_connections_of_one_key_live_beside_each_other,
    a_hundred_connections_at_once_each_carry_their_own,
)
