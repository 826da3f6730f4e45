"""What a transport must do when something is half-closed, clogged or cancelled. A rule each, as in `transport.py`."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
import trio
import trio.testing
from netsky.mesh.transport import Connection, Incoming, TransportError, TransportStream

from tests.conformance.transport import ALPN, Rule, Two, exactly, opened

MUCH = 32 << 20
"""More than any window."""


async def fill(stream: TransportStream) -> None:
    """Sends until the reader, who does not read, lets it."""
    for _ in range(MUCH >> 16):
        await stream.send(bytes(1 << 16))
    raise AssertionError("it took in 32 MiB that nobody reads")


async def open_all(connection: Connection, made: list[TransportStream] | None = None) -> None:
    """Opens streams until the peer, who accepts none, lets it."""
    made = [] if made is None else made
    for _ in range(1000):
        made.append(await connection.open_stream())
        await made[-1].send(b"x")
    raise AssertionError("a thousand streams that nobody accepts")


async def raising(closed: Callable[[], Awaitable[str]]) -> None:
    raise TransportError("closed", await closed())


async def cancelled(call: Callable[[], Awaitable[object]]) -> None:
    """Calls, waits until everything stands still, cancels."""
    async with trio.open_nursery() as nursery:

        async def run() -> None:
            await call()
            raise AssertionError("it did not wait")

        nursery.start_soon(run)
        await trio.testing.wait_all_tasks_blocked(0.05)
        nursery.cancel_scope.cancel()


async def goes_on(left: Connection, right: Connection) -> None:
    """A new stream of this connection works, both ways."""
    ours, theirs = await opened(left, right)
    await theirs.send(b"back")
    assert await exactly(ours, 4) == b"back"


# Half-closed.


async def the_half_that_the_opener_finished_ends_and_the_other_goes_on(two: Two) -> None:
    ours, theirs = await two.stream()
    await ours.send(b"last")
    await ours.finish()
    assert await exactly(theirs, 4) == b"last"
    assert await theirs.receive(9) == b""
    assert await theirs.receive(9) == b"", "the end stays the end"
    await theirs.send(b"still here")
    assert await exactly(ours, 10) == b"still here"


async def the_half_that_the_accepter_finished_ends_and_the_other_goes_on(two: Two) -> None:
    ours, theirs = await two.stream()
    await theirs.send(b"last")
    await theirs.finish()
    assert await exactly(ours, 4) == b"last"
    assert await ours.receive(9) == b""
    await ours.send(b"still here")
    assert await exactly(theirs, 10) == b"still here"


async def what_was_sent_before_both_halves_finished_arrives(two: Two) -> None:
    ours, theirs = await two.stream()
    await ours.send(bytes(100_000))
    await theirs.send(bytes(100_000))
    await ours.finish()
    await theirs.finish()
    for stream in (ours, theirs):
        assert len(await exactly(stream, 100_000)) == 100_000
        assert await stream.receive(1) == b""


async def nothing_is_sent_after_a_finish_and_no_second_finish(two: Two) -> None:
    ours, _ = await two.stream()
    await ours.finish()
    with pytest.raises(TransportError):
        await ours.send(b"x")
    with pytest.raises(TransportError):
        await ours.finish()


# Clogged.


async def a_sender_waits_for_a_reader_that_does_not_read(two: Two) -> None:
    left, right = await two.connect()
    ours, theirs = await opened(left, right)
    await cancelled(lambda: fill(ours))
    await goes_on(left, right)
    with pytest.raises(TransportError):  # the rest never comes, and the reader is told so
        await exactly(theirs, MUCH)


async def clogged_streams_stop_neither_a_third_nor_the_other_direction(two: Two) -> None:
    left, right = await two.connect()
    first, back = await opened(left, right)
    second, _unread = await opened(left, right)
    ours, theirs = await opened(left, right)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(fill, first)
        nursery.start_soon(fill, second)
        await trio.testing.wait_all_tasks_blocked(0.05)
        await ours.send(b"x" * 1000)
        assert await exactly(theirs, 1000) == b"x" * 1000
        await back.send(b"y")
        assert await first.receive(1) == b"y"
        nursery.cancel_scope.cancel()


async def a_clogged_sender_goes_on_when_the_reader_reads(two: Two) -> None:
    ours, theirs = await two.stream()
    sent = bytes(range(256)) * (4 << 12)  # 4 MiB

    async def send() -> None:
        await ours.send(sent)
        await ours.finish()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert await exactly(theirs, len(sent)) == sent
        assert await theirs.receive(1) == b""


async def a_close_ends_whoever_waits(two: Two) -> None:
    left, right = await two.connect()
    quiet, theirs = await opened(left, right)
    clogged, _unread = await opened(left, right)
    over: list[str] = []

    async def wait(name: str, call: Callable[[], Awaitable[object]]) -> None:
        with pytest.raises(TransportError):
            await call()
        over.append(name)

    with trio.fail_after(10):  # and not after the half minute in which silence would end it
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait, "receive", lambda: quiet.receive(1))
            nursery.start_soon(wait, "send", lambda: fill(clogged))
            nursery.start_soon(wait, "open", lambda: open_all(left))
            nursery.start_soon(wait, "their receive", lambda: theirs.receive(1))
            nursery.start_soon(wait, "accept", left.accept_stream)
            nursery.start_soon(wait, "closed", lambda: raising(right.closed))
            await trio.testing.wait_all_tasks_blocked(0.05)
            assert not over
            left.close(0, b"")
    assert len(over) == 6


async def a_peer_that_accepts_no_streams_is_given_a_bounded_number(two: Two) -> None:
    left, right = await two.connect()
    made: list[TransportStream] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(open_all, left, made)
        while len(made) < 3:
            await trio.testing.wait_all_tasks_blocked(0.01)
        await trio.testing.wait_all_tasks_blocked(0.05)
        nursery.cancel_scope.cancel()
    assert len(made) <= 128
    first = await right.accept_stream()
    assert await first.receive(1) == b"x"
    await made[0].send(b"y")
    assert await first.receive(1) == b"y"


# Cancelled.


async def a_cancelled_receive_leaves_that_half_dead_and_the_rest_alive(two: Two) -> None:
    left, right = await two.connect()
    ours, theirs = await opened(left, right)
    await cancelled(lambda: theirs.receive(1))
    await ours.send(b"x")
    with pytest.raises(TransportError):
        await theirs.receive(1)
    await theirs.send(b"the other half")
    assert await exactly(ours, 14) == b"the other half"
    await goes_on(left, right)


async def a_cancelled_send_is_never_taken_for_a_whole_one(two: Two) -> None:
    left, right = await two.connect()
    theirs = await half_sent(left, right)
    gc.collect()  # the sender's end is forgotten, which must not finish it either
    with pytest.raises(TransportError):
        await everything(theirs)
    await goes_on(left, right)


async def half_sent(left: Connection, right: Connection) -> TransportStream:
    ours, theirs = await opened(left, right)
    await cancelled(lambda: ours.send(bytes(MUCH)))
    for call in (lambda: ours.send(b"x"), ours.finish):
        with pytest.raises(TransportError):
            await call()
    return theirs


async def everything(stream: TransportStream) -> None:
    while await stream.receive(1 << 16):
        pass


async def a_send_cancelled_before_it_began_is_dead_too(two: Two) -> None:
    left, right = await two.connect()
    ours, theirs = await opened(left, right)
    with trio.CancelScope() as scope:
        scope.cancel()
        await ours.send(b"x")
    assert scope.cancelled_caught
    with pytest.raises(TransportError):
        await ours.send(b"y")
    with pytest.raises(TransportError):
        await exactly(theirs, 2)
    await goes_on(left, right)


async def a_cancelled_accept_of_a_stream_leaves_the_connection_alive(two: Two) -> None:
    left, right = await two.connect()
    for _ in range(3):
        await cancelled(right.accept_stream)
    await goes_on(left, right)


async def a_cancelled_open_leaves_no_stream_behind(two: Two) -> None:
    left, right = await two.connect()
    made: list[TransportStream] = []

    async def open_one() -> None:
        made.append(await left.open_stream())

    for moments in range(8):
        await cancelled_after(moments, open_one)
    made.append(await left.open_stream())
    for number, stream in enumerate(made):
        await stream.send(bytes([number]))
    for number in range(len(made)):
        assert await (await right.accept_stream()).receive(1) == bytes([number])


async def cancelled_after(moments: int, call: Callable[[], Awaitable[object]]) -> None:
    """Cancels after so many turns of the loop, wherever it is then."""
    async with trio.open_nursery() as nursery:

        async def run() -> None:
            await call()

        nursery.start_soon(run)
        for _ in range(moments):
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()


async def a_receive_that_always_finds_something_can_be_cancelled(two: Two) -> None:
    ours, theirs = await two.stream()

    async def send_on() -> None:
        while True:
            await ours.send(bytes(1 << 16))

    async def receive_on() -> None:
        while True:
            await theirs.receive(1)

    with trio.move_on_after(0.05) as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send_on)
            nursery.start_soon(receive_on)
    assert scope.cancelled_caught


async def a_cancelled_wait_for_callers_leaves_the_transport_listening(two: Two) -> None:
    for _ in range(3):
        await cancelled(two.right.next_incoming)
    await goes_on(*await two.connect())


async def still_meet(two: Two) -> None:
    """A dial from left to right is answered; what an earlier one that was cancelled left behind may knock before it."""

    async def answer(incoming: Incoming) -> None:
        with suppress(TransportError):
            connection = await incoming.accept()
            stream = await connection.accept_stream()
            await stream.send(await stream.receive(1))
            await connection.closed()

    async def listen() -> None:
        while True:
            nursery.start_soon(answer, await two.right.next_incoming())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen)
        connection = await two.left.dial(two.right.addresses(), ALPN)
        stream = await connection.open_stream()
        await stream.send(b"x")
        assert await stream.receive(1) == b"x"
        connection.close(0, b"")
        nursery.cancel_scope.cancel()


async def a_cancelled_handshake_leaves_both_transports_alive(two: Two) -> None:
    async def give_up() -> None:
        incoming = await two.right.next_incoming()
        with trio.CancelScope() as scope:
            scope.cancel()
            await incoming.accept()
        nursery.cancel_scope.cancel()  # the one who dials gives up too, in the middle

    async def dial() -> None:
        with pytest.raises(TransportError):  # or it was connected, for a moment
            raise TransportError("connection", await (await two.left.dial(two.right.addresses(), ALPN)).closed())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(give_up)
        nursery.start_soon(dial)
    await still_meet(two)


async def who_was_dialled_hears_that_the_dial_was_cancelled(two: Two) -> None:
    """However far it came. Then both transports still work."""
    made: list[Connection] = []

    async def dial() -> None:
        made.append(await two.left.dial(two.right.addresses(), ALPN))

    async def let_in(incoming: Incoming) -> None:
        with suppress(TransportError):
            await (await incoming.accept()).closed()

    async def listen(*, task_status: trio.TaskStatus[trio.CancelScope]) -> None:
        with trio.CancelScope() as scope:
            task_status.started(scope)
            while True:
                nursery.start_soon(let_in, await two.right.next_incoming())

    with trio.fail_after(10):  # and not after the half minute of silence
        async with trio.open_nursery() as nursery:
            listening = await nursery.start(listen)
            for moments in range(12):
                await cancelled_after(moments, dial)
            for connection in made:
                connection.close(0, b"")
            await trio.testing.wait_all_tasks_blocked(0.05)
            listening.cancel()
    await still_meet(two)


async def a_cancelled_wait_for_the_end_leaves_the_connection_alive(two: Two) -> None:
    left, right = await two.connect()
    await cancelled(left.closed)
    await goes_on(left, right)


async def a_cancelled_close_of_the_transport_has_closed_it_all_the_same(two: Two) -> None:
    left, _ = await two.connect()
    with trio.CancelScope() as scope:
        scope.cancel()
        await two.right.close()
    await two.right.close()
    assert (await left.closed()).startswith("closed by peer")


RULES: tuple[Rule, ...] = (
    the_half_that_the_opener_finished_ends_and_the_other_goes_on,
    the_half_that_the_accepter_finished_ends_and_the_other_goes_on,
    what_was_sent_before_both_halves_finished_arrives,
    nothing_is_sent_after_a_finish_and_no_second_finish,
    a_sender_waits_for_a_reader_that_does_not_read,
    clogged_streams_stop_neither_a_third_nor_the_other_direction,
    a_clogged_sender_goes_on_when_the_reader_reads,
    a_close_ends_whoever_waits,
    a_peer_that_accepts_no_streams_is_given_a_bounded_number,
    a_cancelled_receive_leaves_that_half_dead_and_the_rest_alive,
    a_cancelled_send_is_never_taken_for_a_whole_one,
    a_send_cancelled_before_it_began_is_dead_too,
    a_cancelled_accept_of_a_stream_leaves_the_connection_alive,
    a_cancelled_open_leaves_no_stream_behind,
    a_receive_that_always_finds_something_can_be_cancelled,
    a_cancelled_wait_for_callers_leaves_the_transport_listening,
    a_cancelled_handshake_leaves_both_transports_alive,
    who_was_dialled_hears_that_the_dial_was_cancelled,
    a_cancelled_wait_for_the_end_leaves_the_connection_alive,
    a_cancelled_close_of_the_transport_has_closed_it_all_the_same,
)
