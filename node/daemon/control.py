"""The sockets of a daemon: one for the operator, one for each actor.

Lines of JSON both ways. The requests of one connection are worked off one after the other, so their effects have the
order in which they were sent; whoever wants more at once sends more in one request, or opens more connections. What
was read ahead is bounded by count and by bytes, then the socket is read no further.

Who asks is decided by the socket. Which verbs there are, and who may call them, stands in one table; everything else
is refused.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import trio
from netsky.envelope.invalid import Invalid
from netsky.node.daemon.caller import Caller
from netsky.node.daemon.lines import Answer, Request, check_letters, encode, failure, parse_request
from netsky.node.errors import NetskyError, NotFound, Refused, TimedOut, TryLater, Usage
from netsky.node.limits import (
    CONTROL_CONNECTIONS_MAX,
    CONTROL_LINE_BYTES_MAX,
    CONTROL_PIPELINE_MAX,
    CONTROL_QUEUE_BYTES_MAX,
    CONTROL_WRITE_SECONDS,
)
from netsky.node.seams.ledger import LedgerBroken
from netsky.node.seams.sockets import Listener, Sockets, Stream
from netsky.node.verbs.args import Args
from netsky.node.verbs.verb import Emit, Verb

_READ_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Called:
    """One finished request, for whoever keeps the books."""

    caller: Caller
    verb: str
    exit: int
    code: str | None
    duration_ns: int


@dataclass(frozen=True, slots=True)
class Desk:
    """What every connection needs: the table, how to run a verb, and who is told what."""

    table: Mapping[str, Verb]
    run: Callable[[Verb, Caller, Args, Emit], Awaitable[dict[str, Any]]]
    crashed: Callable[[str, Exception], NetskyError]
    """Told of a mistake of ours in a verb; gives the sentence for the client."""
    called: Callable[[Called], None]
    hung_up: Callable[[Caller, str], None]
    """Told why we closed a connection that its client had not."""
    monotonic: Callable[[], int]


class ControlServer:
    """Listens on the sockets it is given, each for one caller, until it is cancelled."""

    def __init__(self, sockets: Sockets, desk: Desk) -> None:
        self._sockets = sockets
        self._desk = desk
        self._doors: dict[str, _Door] = {}
        self._nursery: trio.Nursery | None = None

    async def run(self, ready: Callable[[], None], doors: Sequence[tuple[str, Caller]]) -> None:
        """Opens these doors and serves them, and those opened later, until it is cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            try:
                for path, caller in doors:
                    await self.open(path, caller)
                ready()
                await trio.sleep_forever()
            finally:
                for path in list(self._doors):
                    self.close(path)
                self._nursery = None

    async def open(self, path: str, caller: Caller) -> None:
        """Listens at this path for this caller; another door there is closed first."""
        assert self._nursery is not None, "the server runs before a door is opened"
        self.close(path)
        listener = await self._sockets.listen(path)
        door = self._doors[path] = _Door(caller, listener, self._desk)
        self._nursery.start_soon(door.serve, name=f"control {caller.name}")

    def close(self, path: str) -> None:
        """No more connections there, and the open ones end; nothing happens if there is no such door."""
        door = self._doors.pop(path, None)
        if door is not None:
            door.scope.cancel()  # first: whoever waits in accept is to be cancelled, not to fail
            door.listener.close()

    @property
    def paths(self) -> list[str]:
        return sorted(self._doors)


@dataclass(eq=False)
class _Door:
    caller: Caller
    listener: Listener
    desk: Desk
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    open: int = 0

    async def serve(self) -> None:
        with self.scope:
            async with trio.open_nursery() as nursery:
                while True:
                    stream = await self.listener.accept()
                    nursery.start_soon(self._one, stream)

    async def _one(self, stream: Stream) -> None:
        self.open += 1
        try:
            connection = _Connection(self.desk, self.caller, stream)
            if self.open > CONTROL_CONNECTIONS_MAX:
                await connection.refuse(_too_many())
                return
            await connection.serve()
        finally:
            self.open -= 1
            stream.close()


class _Requests:
    """Lines that were read and not answered, bounded by count and by bytes."""

    def __init__(self) -> None:
        self._lines: deque[bytes] = deque()
        self._bytes = 0
        self._changed = trio.Event()
        self._ended = False

    async def put(self, line: bytes) -> None:
        while len(self._lines) >= CONTROL_PIPELINE_MAX or self._bytes > CONTROL_QUEUE_BYTES_MAX:
            await self._change()
        self._lines.append(line)
        self._bytes += len(line)
        self._tell()

    def end(self) -> None:
        self._ended = True
        self._tell()

    async def next(self) -> bytes | None:
        """The oldest, None when no more will come."""
        while not self._lines:
            if self._ended:
                return None
            await self._change()
        line = self._lines.popleft()
        self._bytes -= len(line)
        self._tell()
        return line

    async def _change(self) -> None:
        await self._changed.wait()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


class _Connection:
    def __init__(self, desk: Desk, caller: Caller, stream: Stream) -> None:
        self._desk = desk
        self._caller = caller
        self._stream = stream
        self._requests = _Requests()
        self._patience = trio.CancelScope()
        """Around a verb that waits or streams: ended when the client sends no more, for it reads no more either."""
        self._client_ended = False

    async def serve(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._read)
            with suppress(ConnectionError):  # the client went away in the middle of an answer: nobody is left to tell
                while (line := await self._requests.next()) is not None:
                    await self._answer(line)
            nursery.cancel_scope.cancel()

    async def refuse(self, error: NetskyError) -> None:
        with suppress(ConnectionError):
            await self._send(failure(None, error))

    async def _read(self) -> None:
        buffer = bytearray()
        while data := await self._stream.receive(_READ_BYTES):
            searched = max(0, len(buffer))
            buffer += data
            while (end := buffer.find(b"\n", searched)) >= 0:
                searched = 0
                if end > CONTROL_LINE_BYTES_MAX:
                    break
                await self._requests.put(bytes(buffer[:end]))
                del buffer[: end + 1]
            if len(buffer) > CONTROL_LINE_BYTES_MAX:
                buffer.clear()
                await self._requests.put(_TOO_LONG)
                break
        self._client_ended = True
        self._patience.cancel()
        self._requests.end()

    async def _answer(self, line: bytes) -> None:
        if line is _TOO_LONG:
            await self._send(failure(None, _line_too_long()))
            self._desk.hung_up(self._caller, "a line was longer than the cap")
            return
        number: int | str | None = None
        began = self._desk.monotonic()
        name = ""
        try:
            request = parse_request(line)
            number = request.number
            verb = _allowed(self._desk.table, request.verb, self._caller)
            name = request.verb
            if b"\\u" in line:  # the line is UTF-8: only an escape can have brought half a character
                check_letters(request)
            data = await self._run(verb, request)
            answer = {"n": number, "ok": True, "data": data}
            error = None
        except NetskyError as caught:
            error = caught
        except Invalid as invalid:
            error = Usage(invalid.sentence, next="netsky help envelope", code=invalid.code)
        if error is not None:
            answer = failure(number, error)
        await self._send(answer)
        took = self._desk.monotonic() - began
        self._desk.called(Called(self._caller, name, error.exit if error else 0, error.code if error else None, took))

    async def _run(self, verb: Verb, request: Request) -> dict[str, Any]:
        async def emit(event: dict[str, Any]) -> None:
            await self._send({"n": request.number, "event": event})

        args = Args(request.verb, request.args)
        try:
            if verb.stream is None and not verb.waits and "wait_s" not in request.args:
                return await self._desk.run(verb, self._caller, args, emit)
            self._patience = trio.CancelScope()
            if self._client_ended:
                self._patience.cancel()
            with self._patience:
                return await self._desk.run(verb, self._caller, args, emit)
            raise _hung_up_first(request.verb)
        except (NetskyError, Invalid, ConnectionError, LedgerBroken):
            raise
        except Exception as mistake:
            raise self._desk.crashed(request.verb, mistake) from mistake

    async def _send(self, answer: Answer) -> None:
        data = encode(answer)
        with trio.move_on_after(CONTROL_WRITE_SECONDS) as patience:
            await self._stream.send(data)
        if patience.cancelled_caught:
            self._desk.hung_up(self._caller, f"an answer was not read for {CONTROL_WRITE_SECONDS} s")
            raise ConnectionError("the client reads nothing")


def _allowed(table: Mapping[str, Verb], name: str, caller: Caller) -> Verb:
    verb = table.get(name)
    if verb is None:
        raise NotFound(f"there is no verb {name[:64]!r}", next="netsky help sockets", code="unknown_verb")
    if not caller.is_operator and not verb.actors:
        raise Refused(
            f"the verb {name} is for the operator; you are {caller.name}",
            next="ask the operator, or send a message to agent0",
            code="not_for_actors",
        )
    return verb


def _line_too_long() -> Usage:
    return Usage(
        f"a line has more than {CONTROL_LINE_BYTES_MAX} bytes; the connection is closed",
        next="send less at once; larger things are attachments",
        code="line_too_long",
    )


def _too_many() -> TryLater:
    return TryLater(
        f"this socket has {CONTROL_CONNECTIONS_MAX} open connections already",
        next="close some of them",
        code="too_many_connections",
    )


def _hung_up_first(verb: str) -> TimedOut:
    return TimedOut(f"{verb}: you hung up before there was an answer", next="ask again", code="hung_up")


_TOO_LONG = b"\n"  # no line holds one: a mark that stands in the queue in the place of a line
