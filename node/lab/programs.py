"""The programs of one simulated machine: async functions, which its node starts and ends as it does any program.

    programs.put("agent1", for_each(answer))          answer(envelope) → what goes back, or None: once for each envelope
    programs.put("agent2", live(seat, program))       program(node): a resident one, with `netsky.node.api` in its hand

What a function raises is a program that ended with exit code 1: the node offers the envelope again, or starts the
program again, as often as it would any other.
"""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import trio
from netsky.envelope.file import FileEnvelope, read_file
from netsky.node.lab.history import Writer, digest
from netsky.node.seams.processes import CannotStart, Exit, Process, World
from netsky.node.seams.real_processes import RealWorld

FIRST_PID = 1_000
FOLDER = "/simulated/"
FAILURES_MAX = 20
"""So many are kept to be told."""

_OURS = frozenset({__file__, os.path.join(os.path.dirname(__file__), "attached.py")})

Handler = Callable[[FileEnvelope], Awaitable[str | None]]
Body = Callable[["Running"], Awaitable[None]]


@dataclass(eq=False)
class Running:
    """One run of a program: a task, which a signal cancels."""

    pid: int
    actor: str
    env: Mapping[str, str]
    said: Writer | None
    given: bytearray = field(default_factory=bytearray)
    answer: bytes = b""
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    fed: trio.Event = field(default_factory=trio.Event)
    ended: trio.Event = field(default_factory=trio.Event)
    exit: Exit = field(default_factory=lambda: Exit(0, None))

    async def send(self, data: bytes) -> None:
        self.given += data
        await trio.lowlevel.checkpoint()

    def close_input(self) -> None:
        self.fed.set()

    async def receive(self, limit: int) -> bytes:
        await self.ended.wait()
        some, self.answer = self.answer[:limit], self.answer[limit:]
        return some

    async def wait(self) -> Exit:
        await self.ended.wait()
        return self.exit

    def signal_group(self, number: int) -> None:
        if not self.ended.is_set() and not self.scope.cancel_called:
            self.exit = Exit(None, number, 1)
            self.scope.cancel()


@dataclass(frozen=True, slots=True)
class Failure:
    """A program raised."""

    actor: str
    at: float
    """Seconds since the run began."""
    error: Exception

    def text(self) -> str:
        """From the program's own first line on."""
        trace = self.error.__traceback__
        while trace is not None and trace.tb_next is not None and trace.tb_frame.f_code.co_filename in _OURS:
            trace = trace.tb_next
        return "".join(traceback.format_exception(type(self.error), self.error, trace))


class Programs:
    """A machine's processes seam, for all lives of its node."""

    def __init__(self, name: str) -> None:
        self.nursery: trio.Nursery | None = None
        self.said: Callable[[str], Writer] | None = None
        """Who writes down what an actor of this name was shown."""
        self.failures: list[Failure] = []
        self._name = name
        self._bodies: dict[str, Body] = {}
        self._alive: list[Running] = []
        self._pids = FIRST_PID

    def put(self, actor: str, body: Body) -> list[str]:
        """The command by which its node starts it."""
        self._bodies[actor] = body
        return [FOLDER + actor]

    def cut(self) -> None:
        """The node is gone, and with it whatever it ran."""
        for running in self._alive:
            running.signal_group(signal.SIGKILL)

    async def start(self, argv: Sequence[str], *, env: Mapping[str, str], **_: object) -> Process:
        await trio.lowlevel.checkpoint()
        actor = argv[0].removeprefix(FOLDER)
        body = self._bodies.get(actor)
        if body is None or self.nursery is None:
            raise CannotStart(f"there are no programs here but functions, not even {argv[0]}")
        self._pids += 1
        running = Running(self._pids, actor, env, None if self.said is None else self.said(actor))
        self._alive.append(running)
        self.nursery.start_soon(self._live, running, body, name=f"{actor}@{self._name}")
        return running

    async def _live(self, running: Running, body: Body) -> None:
        try:
            with running.scope:
                await body(running)
        except Exception as error:  # noqa: BLE001 - it is somebody else's program, and what it raises is how it ended
            running.exit = Exit(1, None)
            if len(self.failures) < FAILURES_MAX:
                self.failures.append(Failure(f"{running.actor}@{self._name}", trio.current_time(), error))
        finally:
            self._alive.remove(running)
            running.ended.set()

    def which(self, program: str) -> str | None:
        return program if program.removeprefix(FOLDER) in self._bodies else None

    def world(self) -> World:
        return RealWorld(uid=0, python="python")


def for_each(handler: Handler) -> Body:
    """The program of an actor in the mode per-envelope: envelope in, answer out."""

    async def body(running: Running) -> None:
        await running.fed.wait()
        envelope = read_file(bytes(running.given))
        note_shown(running.said, [envelope])
        answer = await handler(envelope)
        if answer is not None and not isinstance(answer, str):
            raise TypeError(f"an agent answers with a text or with None, not with {type(answer).__name__}")
        running.answer = (answer or "").encode()

    return body


def note_shown(said: Writer | None, envelopes: Sequence[FileEnvelope]) -> None:
    """An actor has read them. No `dest`: what a test leaves unread at its end is no loss."""
    if said is not None:
        said.note_all("claim", [{**which(one, said.node), "value": digest(one.text)} for one in envelopes])


def which(envelope: FileEnvelope, here: str) -> dict[str, str | None]:
    return {"id": envelope.id, "origin": envelope.proof.origin.hex() if envelope.proof else here}
