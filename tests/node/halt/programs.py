"""Programs in virtual time: they run until a test or a signal ends them, and each stands for so many processes.

prog PROCESSES            answers nothing, until it is ended
prog PROCESSES stubborn   the same, and only SIGKILL ends it
"""

from __future__ import annotations

import itertools
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import trio
from netsky.node.seams.processes import Exit, World
from netsky.node.seams.real_processes import RealWorld

STOP_SECONDS = 0.5


@dataclass(eq=False)
class Program:
    pid: int
    actor: str
    processes: int
    stubborn: bool
    given: bytes = b""
    exit: Exit | None = None
    ended: trio.Event = field(default_factory=trio.Event)

    @property
    def runs(self) -> bool:
        return not self.ended.is_set()

    def say(self, text: str, code: int = 0) -> None:
        """It ends by itself, with these words."""
        self._said = text.encode()
        self.end(Exit(code, None))

    def end(self, how: Exit) -> None:
        if self.exit is None:
            self.exit = how
            self.ended.set()

    async def send(self, data: bytes) -> None:
        self.given += data

    def close_input(self) -> None: ...

    async def receive(self, limit: int) -> bytes:
        await self.ended.wait()
        said, self._said = getattr(self, "_said", b""), b""
        return said

    async def wait(self) -> Exit:
        await self.ended.wait()
        assert self.exit is not None
        return self.exit

    def signal_group(self, number: int) -> None:
        if number == signal.SIGKILL or not self.stubborn:
            self.end(Exit(None, number, self.processes))


class Programs:
    """A machine's processes seam, over all lives of its node."""

    def __init__(self) -> None:
        self.started: list[Program] = []
        self._pids = itertools.count(1_000)

    def running(self, actor: str | None = None) -> list[Program]:
        return [one for one in self.started if one.runs and actor in {None, one.actor}]

    def die(self) -> None:
        """The node was killed, and with it whatever it ran."""
        for one in self.running():
            one.end(Exit(None, signal.SIGKILL))

    async def start(self, argv: Sequence[str], *, env: Mapping[str, str], **_: Any) -> Program:
        words = list(argv[1:])
        program = Program(next(self._pids), env["NETSKY_ACTOR"], int(words[0]), "stubborn" in words)
        self.started.append(program)
        return program

    def which(self, program: str) -> str | None:
        return program if program.endswith("prog") else None

    def world(self) -> World:
        return RealWorld(0, "/usr/bin/python")
