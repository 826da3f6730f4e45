"""Programs without a machine: a resident reader of a channel that runs as a task, under the node's own clock."""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import trio
from netsky.envelope.file import FileEnvelope
from netsky.node.home import Home
from netsky.node.lab.virtual import MemorySockets
from netsky.node.seams.processes import CannotStart, Exit

from tests.node.crash_world import asked, file_at


class World:
    uid = 1_000
    python = "/usr/bin/python3"

    def real(self, path: str) -> str | None:
        return path

    def is_folder(self, path: str) -> bool:
        return bool(path)

    def link(self, path: str) -> str | None:
        del path

    def writable(self, folder: str) -> bool:
        return bool(folder)

    def matching(self, pattern: str) -> list[str]:
        del pattern
        return []


class Running:
    """One run of a program; what it does is a task of its own, which its end cancels."""

    def __init__(self, pid: int, actor: str) -> None:
        self.pid = pid
        self.actor = actor
        self.deaf = False
        """It does not end by SIGTERM."""
        self.scope = trio.CancelScope()
        self.ended = trio.Event()
        self.exit = Exit(0, None)
        self.shown: list[FileEnvelope] = []

    async def send(self, data: bytes) -> None:
        del data

    def close_input(self) -> None:
        return

    async def receive(self, limit: int) -> bytes:
        del limit
        await self.ended.wait()
        return b""

    async def wait(self) -> Exit:
        await self.ended.wait()
        return self.exit

    def signal_group(self, number: int) -> None:
        if number == signal.SIGKILL or (number == signal.SIGTERM and not self.deaf):
            self.exit = Exit(None, number)
            self.scope.cancel()


Behaviour = Callable[[Running], Awaitable[None]]


class Programs:
    """A machine on which one thing can be started; every run of it is remembered."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.runs: list[Running] = []
        self.most_at_once = 0
        self._nursery: trio.Nursery | None = None

    async def keep(self) -> None:
        """Runs what is started, until cancelled."""
        async with trio.open_nursery() as self._nursery:
            await trio.sleep_forever()

    @property
    def alive(self) -> list[Running]:
        return [run for run in self.runs if not run.ended.is_set()]

    def cut(self) -> None:
        """The node died: the leash ends everything."""
        for run in self.alive:
            run.scope.cancel()
            run.ended.set()

    async def start(self, argv: Sequence[str], *, env: Mapping[str, str], **_: object) -> Running:
        if "NETSKY_ACTOR" not in env:
            raise CannotStart("there is no program here but the actors'")
        assert self._nursery is not None
        run = Running(1_000 + len(self.runs), env["NETSKY_ACTOR"])
        self.runs.append(run)
        self.most_at_once = max(self.most_at_once, len([one for one in self.alive if one.actor == run.actor]))
        self._nursery.start_soon(self._live, run, name=" ".join(argv))
        return run

    async def _live(self, run: Running) -> None:
        try:
            with run.scope:
                await self.behaviour(run)
        finally:
            run.ended.set()

    def which(self, program: str) -> str | None:
        return f"/usr/bin/{program}" if program == "reader" else None

    def world(self) -> World:
        return World()


class Reader:
    """Claims, notes what it was shown, acknowledges; what `keeps` says of an envelope it claims and never ends."""

    def __init__(self, home: Home, sockets: Callable[[], MemorySockets]) -> None:
        self._home = home
        self._sockets = sockets
        self.keeps: Callable[[Running, FileEnvelope], bool] = lambda *_: False
        self.taken: list[str] = []
        """Ids, in the order in which they were acknowledged."""

    async def __call__(self, run: Running) -> None:
        folder = self._home.channel(run.actor)
        while True:
            # The node is dying, or a file was given back under our hands: then this life is about to end.
            with suppress(ConnectionError, FileNotFoundError):
                await self._pass(run, folder)
            await trio.sleep(0.1)

    async def _pass(self, run: Running, folder: str) -> None:
        in_hand = {envelope.id for envelope in run.shown}
        for place in ("claimed", "inbox"):
            for name in sorted(os.listdir(os.path.join(folder, place))):
                if name.startswith("."):
                    continue
                state = (await self._ask(run, "claim", files=[name]))["files"][name]
                assert state != "unknown", name
                claimed = os.path.join(folder, "claimed", name)
                os.rename(os.path.join(folder, place, name), claimed)
                if state == "ok":
                    envelope = file_at(claimed)
                    if envelope.id in in_hand:
                        continue
                    run.shown.append(envelope)
                    if self.keeps(run, envelope):
                        continue
                    await self._ask(run, "ack", ids=[name])
                    assert envelope.id is not None
                    self.taken.append(envelope.id)
                os.rename(claimed, os.path.join(folder, "archive", name))

    async def _ask(self, run: Running, verb: str, **args: Any) -> dict[str, Any]:
        return await asked(self._sockets(), self._home.actor_socket(run.actor), verb, args)
