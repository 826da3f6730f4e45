"""`netsky.node.api` on a simulated machine: the same object in the hand of an agent, without threads and real sockets.

    async with attached(Seat(machine, "agent1", client, reader)) as node, node.inbox() as inbox:
        async for item in inbox:
            ...

What is sent, shown and taken here is told to the history by whoever did it, never by a node.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import trio
from netsky.envelope.address import parse_address, whole
from netsky.envelope.file import read_file
from netsky.envelope.limits import FILE_BYTES_MAX
from netsky.node.api import IN_HAND_MAX, Done, Inbox, Line, Node
from netsky.node.bus.drain import LOCK, Drained
from netsky.node.bus.folders import Channel, open_folder_of
from netsky.node.client import CALL_SECONDS
from netsky.node.errors import Conflict, Unreachable
from netsky.node.lab.history import Writer, digest
from netsky.node.lab.machine import Machine
from netsky.node.lab.programs import Body, Running, note_shown, which


@dataclass(frozen=True, slots=True)
class Seat:
    """Where somebody sits: as an actor of a machine, or as its operator."""

    machine: Machine
    actor: str | None
    client: Writer
    reader: Writer
    """Who writes down what was sent from there, and what was read."""

    @property
    def socket(self) -> str:
        home = self.machine.home
        return home.operator_socket if self.actor is None else home.actor_socket(self.actor)


@asynccontextmanager
async def attached(seat: Seat) -> AsyncIterator[SimulatedNode]:
    """Raises Unreachable if nobody answers."""
    node = SimulatedNode(seat, await _open(seat))
    try:
        yield node
    finally:
        node.close()


def live(seat: Seat, program: Callable[[Node], Awaitable[object]]) -> Body:
    """The program of an actor in the mode resident."""

    async def body(_: Running) -> None:
        async with attached(seat) as node:
            await program(node)

    return body


async def _open(seat: Seat) -> Line:
    try:
        return Line(await seat.machine.sockets.connect(seat.socket), seat.socket)
    except ConnectionError:
        name = seat.machine.name
        raise Unreachable(
            f"nobody answers as {seat.actor or 'the node'} at {name}: it is down, or there is no such actor",
            next=f"await mesh.start({name!r}), or await mesh.agent('{seat.actor or 'agent1'}@{name}')",
            code="not_running",
        ) from None


class SimulatedNode(Node):
    def __init__(self, seat: Seat, line: Line) -> None:
        home, actor = seat.machine.home, seat.actor
        super().__init__(seat.socket, line, {} if actor is None else {"NETSKY_CHANNEL": home.channel(actor)})
        self._seat = seat

    async def call(self, verb: str, /, *, seconds: float = CALL_SECONDS, **args: Any) -> dict[str, Any]:
        data = await super().call(verb, seconds=seconds, **args)
        if verb == "send":
            drafts = args.get("drafts", [args])
            results = data["results"] if "drafts" in args else [{"ok": True, "data": data}]
            for draft, result in zip(drafts, results, strict=True):
                if result["ok"]:
                    self._tell(draft, result["data"])
        return data

    def _tell(self, draft: dict[str, Any], got: dict[str, Any]) -> None:
        here = self._seat.machine.name
        self._seat.client.note(
            "submit_ok", id=got["id"], origin=here, hash=got["leaf"], value=digest(draft["text"]),
            dest=whole(str(parse_address(draft["to"])), here),
        )  # fmt: skip

    async def _aside(self, work: Callable[[], Done]) -> Done:
        """Here and now: while a thread works the clock would jump."""
        await trio.lowlevel.checkpoint()
        return work()

    async def _again(self) -> Line:
        return await _open(self._seat)

    async def _reader(self, actor: str, folder: str, bell: Line) -> SimulatedInbox:
        return SimulatedInbox(self._seat, actor, folder, bell, await self._again())


class SimulatedInbox(Inbox):
    def __init__(self, seat: Seat, actor: str, folder: str, bell: Line, line: Line) -> None:
        super().__init__("", actor, folder, bell)
        self.most = IN_HAND_MAX
        self._machine, self._said, self._line = seat.machine, seat.reader, line
        self._channel: Channel | None = None
        self._lock: int | None = None
        self._in_hand: dict[str, Drained] = {}

    def open(self) -> None:
        files = self._machine.files
        channel = self._channel = open_folder_of(files, self._folder)
        self._lock = files.lock(channel.folder, LOCK)
        if self._lock is None:
            self.close()
            raise Conflict(
                f"somebody else is reading the inbox of {self.actor}@{self._machine.name}",
                next="let one reader end before the next one begins",
                code="drain_running",
            )

    def close(self) -> None:
        self._line.close()
        if self._lock is not None:
            self._machine.files.close(self._lock)
        if self._channel is not None:
            self._channel.close()
        self._lock = self._channel = None

    async def ack(self, *names: str) -> None:
        channel = self._opened()
        async with self._files:
            taken = (await self._line.ask("ack", {"actor": self.actor, "ids": list(names)}))["taken"]
            done = [self._in_hand.pop(name).envelope for name in names if name in taken and name in self._in_hand]
            self._said.note_all("archive", [which(one, self._machine.name) for one in done])
            for name in names:
                self._machine.files.move(channel.claimed, name, channel.archive, name)

    async def _look(self) -> bool:
        async with self._files:
            for again, place in ((True, "claimed"), (False, "inbox")):
                await self._take_in_hand(place, again=again)
        return bool(self._waiting)

    async def _take_in_hand(self, place: str, *, again: bool) -> None:
        channel, files = self._opened(), self._machine.files
        found = files.names(getattr(channel, place), 1_000)
        names = [name for name in found if name[0] != "." and name not in self._in_hand]
        names = names[: self.most - len(self._waiting)]
        if not names:
            return
        states = (await self._line.ask("claim", {"actor": self.actor, "files": names}))["files"]
        for name in names:
            if states[name] == "taken":
                files.move(getattr(channel, place), name, channel.archive, name)
            elif states[name] == "ok" and (again or files.move(channel.inbox, name, channel.claimed, name)):
                data = files.read(channel.claimed, name, FILE_BYTES_MAX)
                drained = self._in_hand[name] = Drained(read_file(data), name, data, "checked", again)
                self._waiting.append(drained)
                note_shown(self._said, [drained.envelope])

    def _opened(self) -> Channel:
        assert self._channel is not None, "the inbox is open"
        return self._channel
