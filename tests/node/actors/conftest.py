"""A node with bus, sockets and actors, without the rest of its tree; its programs are real processes."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
import trio
from netsky.envelope.wire import decode_body
from netsky.node.actors.manager import Actors
from netsky.node.actors.wanted import wanted_row
from netsky.node.bus.draft import Accepted, Draft
from netsky.node.daemon.build import Surroundings, open_node
from netsky.node.daemon.control import ControlServer, Desk
from netsky.node.daemon.node import Node
from netsky.node.db import messages
from netsky.node.db.actors import ActorRow
from netsky.node.errors import NetskyError
from netsky.node.home import Home
from netsky.node.init import init_home
from netsky.node.seams.ledger import Statement
from netsky.node.seams.real import real_seams

PATIENCE = 20
Found = TypeVar("Found")


@dataclass
class Running:
    """The node and the words that the tests use."""

    node: Node
    folder: Path

    async def add(self, name: str, *command: str, confirm: str | None = None, **more: Any) -> ActorRow:
        given: dict[str, Any] = {
            "command": command, "mode": "resident" if command else "none", "manager": None, "unfenced": True,
            "environment": {}, "cwd": str(self.folder), "timeout": 30, "now": self.node.now(),
        }  # fmt: skip
        row, _ = await self.node.actors.add(wanted_row(name, **(given | more)), confirm)
        return row

    async def add_script(self, name: str, script: str, *, mode: str = "per_envelope", **more: Any) -> ActorRow:
        return await self.add(name, sys.executable, "-c", script, mode=mode, **more)

    async def send(self, to: str, text: str, *, sender: str = "agent0", kind: str = "brief", **more: Any) -> str:
        [result] = await self.node.bus.accept(sender, "operator", [Draft(to, text, kind, **more)])
        assert isinstance(result, Accepted), result
        return result.id

    async def answers(self, sent: str, count: int = 1) -> list[tuple[str, str | None, str]]:
        """(sender, kind, text) of the replies to an envelope, once there are so many."""

        async def look() -> list[tuple[str, str | None, str]] | None:
            [found] = await self.node.group.write([messages.replies_to([sent], 10)])
            rows = messages.rows(found)
            if len(rows) < count:
                return None
            return [(row.sender, row.kind, decode_body(row.body).text) for row in rows if row.body is not None]

        return await until(look)

    async def taken_by(self, sent: str) -> str | None:
        async def look() -> str | None:
            taken = "SELECT taken_by FROM inbox JOIN messages USING (seq) WHERE id = ? AND state = 'taken'"
            [rows] = await self.node.group.write([Statement(taken, (sent,))])
            return str(rows[0][0]) if rows else None

        return await until(look)

    async def made(self, name: str) -> None:
        """Waits for a file that a program makes in its working folder."""

        async def look() -> bool | None:
            return (self.folder / name).exists() or None

        await until(look)

    async def until(self, look: Callable[[], Awaitable[Any | None]]) -> Any:
        return await until(look)

    def state(self, name: str) -> dict[str, Any]:
        return next(state for state in self.node.actors.states() if state["name"] == name)

    async def wait_state(self, name: str, state: str) -> dict[str, Any]:
        async def look() -> dict[str, Any] | None:
            found = self.state(name)
            return found if found["state"] == state else None

        return await until(look)

    def names(self, actor: str, folder: str) -> list[str]:
        return sorted(os.listdir(os.path.join(self.node.home.channel(actor), folder)))


async def until(look: Callable[[], Awaitable[Found | None]]) -> Found:
    """What `look` gives once it gives something: these are real processes, they take real time."""
    with trio.fail_after(PATIENCE):
        while (found := await look()) is None:  # noqa: ASYNC110 - what it waits for rings no bell here
            await trio.sleep(0.01)
    return found


@asynccontextmanager
async def running(home: Home, folder: Path) -> AsyncIterator[Running]:
    def crashed(verb: str, error: Exception) -> NetskyError:
        raise AssertionError(verb) from error

    async with open_node(home, real_seams(), Surroundings(os.getpid())) as node:  # noqa: SIM117 - one inside the other
        async with trio.open_nursery() as nursery:
            desk = Desk({}, None, crashed, lambda _: None, lambda *_: None, node.seams.time.monotonic)  # type: ignore[arg-type]
            node.control = ControlServer(node.seams.sockets, desk)
            node.actors = Actors(node, {**os.environ, "HOME": str(folder)})
            nursery.start_soon(node.group.run)

            served, ready = trio.Event(), trio.Event()
            nursery.start_soon(node.control.run, served.set, [])
            await served.wait()
            nursery.start_soon(node.bus.projector.run)
            async with trio.open_nursery() as programs:
                programs.start_soon(node.actors.run, ready.set)
                await ready.wait()
                yield Running(node, folder)
                programs.cancel_scope.cancel()
            nursery.cancel_scope.cancel()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    seams = real_seams()
    home = Home(str(tmp_path / "home"))
    init_home(home, seams.files, seams.chance, seams.time, root=False, name=None, label="")
    return home


@pytest.fixture
def start(home: Home, tmp_path: Path) -> Callable[[], AbstractAsyncContextManager[Running]]:
    folder = tmp_path / "work"
    folder.mkdir()
    return lambda: running(home, folder)
