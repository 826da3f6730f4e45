"""A node from a program of your own, on trio.

    async with connect() as node:
        sent = await node.send("agent1", "count the words of README.md", kind="brief")
        reply = await node.wait_reply(sent.id, seconds=300)
        print(reply["text"])

        sent = await node.send("agent4@netsky2", "focus on replay")     # to another machine
        outcome = await node.wait_outcome(sent.id, seconds=60)
        if not outcome.delivered:
            print(outcome.reason)

    async with connect() as node, node.inbox("agent0") as inbox:
        async for item in inbox:                    # old ones first, then as they come
            print(item.envelope.sender, item.envelope.text)
            await item.ack()                        # only this takes it; else it is shown again

Inside an actor `connect()` finds the node by NETSKY_SOCKET; elsewhere by NETSKY_HOME, or name a home. Everything that
a node refuses is raised as one of `netsky.node.errors`, with what to do about it in `next`.
"""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeVar

import trio
from netsky.envelope.file import FileEnvelope
from netsky.node.attaching import look_at, next_step, steps
from netsky.node.bus.drain import Drain, Drained
from netsky.node.client import CALL_SECONDS, Client, error_from
from netsky.node.errors import NetskyError, Refused, TimedOut, Unreachable, Usage
from netsky.node.home import Home
from netsky.node.limits import CONTROL_ANSWER_BYTES_MAX
from netsky.node.seams.real_files import RealFiles
from netsky.node.seams.real_sockets import RealSockets
from netsky.node.seams.sockets import Stream

IN_HAND_MAX = 64
"""Envelopes claimed at once: 4 MiB of text at most."""

_READ_BYTES = 64 * 1024
_WAIT_GRACE = 10.0
Done = TypeVar("Done")


@dataclass(frozen=True, slots=True)
class Sent:
    """A stored envelope: nothing of it is lost from here on."""

    id: str
    clock: int
    duplicate: bool
    """The same idempotency key was used before; these are the facts of the first use."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an envelope: said once, by the one node that ended it."""

    id: str
    fate: Literal["delivered", "dead", "in_doubt"]
    """`in_doubt`: it may have arrived, and nobody is left who could say."""
    code: str | None
    """The reason, for programs; None when it was delivered."""
    reason: str
    """The same as a sentence."""
    ended_by: str
    ended_at: int
    """Nanoseconds since 1970, by the clock of that node."""

    @property
    def delivered(self) -> bool:
        return self.fate == "delivered"


@asynccontextmanager
async def connect(home: str | None = None, environ: Mapping[str, str] = os.environ) -> AsyncIterator[Node]:
    """A connection to the node of this home, or of the actor that we are. Raises Unreachable if it does not run."""
    path = environ.get("NETSKY_SOCKET") if home is None else None
    if path is None:
        path = Home.find(home, environ).operator_socket
    node = Node(path, await _open(path), environ)
    try:
        yield node
    finally:
        node.close()


class Node:
    """What a program can ask. One request at a time; several tasks may share it and wait for each other."""

    def __init__(self, path: str, line: Line, environ: Mapping[str, str]) -> None:
        self._path = path
        self._line = line
        self._environ = environ
        self._turn = trio.Lock()

    async def call(self, verb: str, /, *, seconds: float = CALL_SECONDS, **args: Any) -> dict[str, Any]:
        """Any verb (`netsky help sockets`). After TimedOut or a cancellation the connection is closed."""
        async with self._turn:
            finished = False
            try:
                with trio.move_on_after(seconds):
                    answer = await self._line.ask(verb, args)
                    finished = True
                    return answer
            except NetskyError:
                finished = True
                raise
            finally:
                if not finished:
                    self._line.close()  # an answer may still be under way, and would be taken for the next one's
        raise TimedOut(f"the node at {self._path} did not answer within {seconds:g} s", next="netsky doctor")

    async def send(
        self,
        to: str,
        text: str,
        *,
        kind: str | None = None,
        sender: str | None = None,
        in_reply_to: str | None = None,
        thread: str | None = None,
        idempotency_key: str | None = None,
        requires_ack: bool = False,
        data: Mapping[str, Any] | None = None,
        attachments: Sequence[str] = (),
        expires_in: float | None = None,
        wait: float = 0,
    ) -> Sent:
        """Stores one envelope. `attachments`: paths of files; `wait`: so many seconds for room, where there is none;
        `sender` for operators only."""
        draft = {
            "to": to,
            "text": text,
            "kind": kind,
            "from": sender,
            "in_reply_to": in_reply_to,
            "thread": thread,
            "idempotency_key": idempotency_key,
            "requires_ack": requires_ack or None,
            "data": None if data is None else dict(data),
            "attachments": await self._attach(attachments) if attachments else None,
            "expires_in": expires_in,
            "wait_s": wait or None,
        }
        said = {name: value for name, value in draft.items() if value is not None}
        found = await self.call("send", seconds=CALL_SECONDS + wait, **said)
        return Sent(found["id"], found["clock"], found["duplicate"])

    async def _attach(self, paths: Sequence[str]) -> list[dict[str, Any]]:
        """Brings the files into the node's store, read piece by piece."""
        sources = await self._aside(lambda: look_at(paths))
        for source in sources:
            walk = steps(source)
            request = await self._aside(partial(next_step, walk, None))
            while request is not None:
                verb, args = request
                try:
                    answer = await self.call(verb, **args)
                except Refused as refused:
                    raise (source.changed() if refused.code == "attachment_hash" else refused) from None
                request = await self._aside(partial(next_step, walk, answer))
        return [source.fields for source in sources]

    async def attachments(self, id: str) -> list[dict[str, Any]]:  # noqa: A002 - the envelope's word
        """Name, size, SHA-256 and, where we may open it, path of each."""
        found: list[dict[str, Any]] = (await self.call("attachments", id=id))["attachments"]
        return found

    async def wait_taken(self, id: str, seconds: float = 60) -> dict[str, Any]:  # noqa: A002 - the envelope's word
        """Until its reader said that it has it. Raises TimedOut."""
        return await self.call("wait", seconds=seconds + _WAIT_GRACE, what="taken", id=id, timeout=seconds)

    async def wait_outcome(self, id: str, seconds: float = 60) -> Outcome:  # noqa: A002
        """Until it is known what became of it: stored in the inbox it was for, dead, or in doubt. Raises TimedOut; what
        has no outcome yet is kept and goes on."""
        found = await self.call("wait", seconds=seconds + _WAIT_GRACE, what="outcome", id=id, timeout=seconds)
        return Outcome(
            *(found["id"], found["fate"], found["code"], found["reason"], found["ended_by"], found["ended_at"])
        )

    async def wait_reply(self, id: str, seconds: float = 60) -> dict[str, Any]:  # noqa: A002
        """The first envelope that answers it, with the fields of its file. Raises TimedOut."""
        found = await self.call("wait", seconds=seconds + _WAIT_GRACE, what="reply", id=id, timeout=seconds)
        reply: dict[str, Any] = found["reply"]
        return reply

    async def trace(self, id: str) -> dict[str, Any]:  # noqa: A002
        """Every step of one envelope, with times."""
        return await self.call("trace", id=id)

    async def status(self) -> dict[str, Any]:
        return await self.call("status")

    async def query(self, sql: str) -> list[list[Any]]:
        """Rows of one SELECT on meta.db; operators only."""
        rows: list[list[Any]] = (await self.call("query", sql=sql))["rows"]
        return rows

    @asynccontextmanager
    async def inbox(self, actor: str | None = None) -> AsyncIterator[Inbox]:
        """An actor's envelopes, by one consumer at a time. Inside an actor: its own."""
        you = (await self.call("ping"))["you"]
        name = actor or (you if you != "operator" else None)
        if name is None:
            raise Usage("say whose inbox is meant", next='node.inbox("agent0")', code="no_actor")
        folder = self._environ.get("NETSKY_CHANNEL") if you == name else None
        if folder is None:
            status = await self.status()
            if "home" not in status:
                raise Unreachable(f"the channel folder of {name} is not known", next="set NETSKY_CHANNEL")
            folder = Home(status["home"]).channel(name)
        bell = await self._again()
        inbox = await self._reader(name, folder, bell)
        try:
            await self._aside(inbox.open)
            yield inbox
        finally:
            bell.close()
            with trio.CancelScope(shield=True):
                await self._aside(inbox.close)

    async def _aside(self, work: Callable[[], Done]) -> Done:
        return await trio.to_thread.run_sync(work)

    async def _again(self) -> Line:
        return await _open(self._path)

    async def _reader(self, actor: str, folder: str, bell: Line) -> Inbox:
        return Inbox(self._path, actor, folder, bell)

    def close(self) -> None:
        self._line.close()


@dataclass(frozen=True, slots=True)
class Item:
    """One envelope in hand. What is not acknowledged is shown again by the next consumer."""

    drained: Drained
    _inbox: Inbox

    @property
    def envelope(self) -> FileEnvelope:
        return self.drained.envelope

    @property
    def id(self) -> str | None:
        return self.drained.envelope.id

    @property
    def again(self) -> bool:
        """It was shown before and not acknowledged."""
        return self.drained.again

    async def ack(self) -> None:
        """It is taken, durably, when this returns."""
        await self._inbox.ack(self.drained.name)


class Inbox:
    """`async for item in inbox`: what waits, oldest first, then what comes, without end."""

    def __init__(self, path: str, actor: str, folder: str, bell: Line) -> None:
        self.actor = actor
        self._path = path
        self._folder = folder
        self._bell = bell
        self._asked = False
        self._waiting: deque[Drained] = deque()
        self._files = trio.Lock()
        self._client: Client | None = None
        self._drain: Drain | None = None

    def open(self) -> None:
        """In a thread: files and a plain socket, both quick, neither for the loop."""
        self._client = Client.connect_path(self._path)
        self._drain = Drain(RealFiles(), self._folder, _Link(self._client, self.actor)).__enter__()

    def close(self) -> None:
        if self._drain is not None:
            self._drain.__exit__(None, None, None)
        if self._client is not None:
            self._client.close()

    def __aiter__(self) -> Inbox:
        return self

    async def __anext__(self) -> Item:
        while not self._waiting:
            if not await self._look():
                await self._ring()
        return Item(self._waiting.popleft(), self)

    async def ack(self, *names: str) -> None:
        drain = self._drain
        assert drain is not None, "the inbox is open"
        async with self._files:
            await trio.to_thread.run_sync(lambda: drain.ack(*names))

    async def _ring(self) -> None:
        """The first event comes at once, each further one when files were written since the last."""
        if not self._asked:
            self._asked = True
            await self._bell.begin("follow", {"actor": self.actor})
        await self._bell.event()

    async def _look(self) -> bool:
        """Takes some in hand; no more, so that others may be given what we never come to."""
        drain = self._drain
        assert drain is not None, "the inbox is open"
        async with self._files:
            self._waiting.extend(await trio.to_thread.run_sync(lambda: list(drain.envelopes(IN_HAND_MAX))))
        return bool(self._waiting)


class _Link:
    """What a drain asks of the node, on its own plain connection."""

    def __init__(self, client: Client, actor: str) -> None:
        self._client = client
        self._actor = actor

    def claim(self, names: Sequence[str]) -> Mapping[str, str]:
        states: dict[str, str] = self._client.call("claim", actor=self._actor, files=list(names))["files"]
        return states

    def ack(self, names: Sequence[str]) -> object:
        return self._client.call("ack", actor=self._actor, ids=list(names))


async def _open(path: str) -> Line:
    try:
        return Line(await RealSockets().connect(path), path)
    except OSError as error:
        raise Unreachable(
            f"no node answers at {path} ({error.strerror or error})", next="netsky up", code="not_running"
        ) from None


class Line:
    """Requests and answers on one connection."""

    def __init__(self, stream: Stream, path: str) -> None:
        self._stream = stream
        self._path = path
        self._buffer = bytearray()
        self._number = 0

    async def ask(self, verb: str, args: Mapping[str, Any]) -> dict[str, Any]:
        await self.begin(verb, args)
        answer = await self._read()
        if answer.get("ok") is not True:
            raise error_from(answer.get("error"))
        data: dict[str, Any] = answer["data"]
        return data

    async def begin(self, verb: str, args: Mapping[str, Any]) -> None:
        self._number += 1
        request = {"n": self._number, "verb": verb, "args": dict(args)}
        try:
            await self._stream.send(json.dumps(request).encode() + b"\n")
        except ConnectionError:
            raise self._lost() from None

    async def event(self) -> dict[str, Any]:
        answer = await self._read()
        if "event" not in answer:
            raise error_from(answer.get("error"))
        event: dict[str, Any] = answer["event"]
        return event

    def close(self) -> None:
        self._stream.close()

    async def _read(self) -> dict[str, Any]:
        searched = 0
        while (end := self._buffer.find(b"\n", searched)) < 0:
            searched = len(self._buffer)
            data = await self._stream.receive(_READ_BYTES) if searched <= CONTROL_ANSWER_BYTES_MAX else b""
            if not data:
                raise self._lost()
            self._buffer += data
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _lost(self) -> Unreachable:
        return Unreachable(
            f"the node at {self._path} closed the connection", next="netsky status", code="connection_lost"
        )
