"""A whole node under a virtual clock whose actors have programs: it can be killed before any of its seam calls."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import trio
import trio.testing
from netsky.node.daemon.build import Surroundings
from netsky.node.daemon.node import Node
from netsky.node.daemon.run import run
from netsky.node.home import Home
from netsky.node.init import init_home
from netsky.node.lab.interpose import Life, was_killed
from netsky.node.lab.virtual import MemorySockets, SeededChance
from netsky.node.seams import Seams
from netsky.node.seams.real import RealTime
from netsky.node.seams.real_files import RealFiles

from tests.node import crash_world
from tests.node.crash_world import Client
from tests.node.handoff.programs import Programs, Reader

LIFE_SECONDS = 900.0

Chosen = Callable[[str], bool]
"""Whether the node dies before this seam call."""


class Doomed(Life):
    """Dies before the call that was chosen, by its kind and by what people have done so far."""

    def __init__(self, seams: Seams, chosen: Chosen) -> None:
        self._chosen = chosen
        super().__init__(seams)

    def _before(self, call: str, args: tuple[Any, ...]) -> None:
        if not self.dead and self._chosen(call):
            self.calls.append(call)
            self.kill()
        super()._before(call, args)


Story = Callable[["Here"], Awaitable[None]]


class Here:
    """The node of this life, and the words of the tests."""

    def __init__(self, world: World, sockets: MemorySockets, life: Life) -> None:
        self.world = world
        self.sockets = sockets
        self.life = life
        self.node: Node | None = None
        self.client = Client(world, sockets)

    async def call(self, verb: str, **args: Any) -> dict[str, Any]:
        return await self.client.call(verb, **args)

    async def add(self, name: str = "agent1") -> None:
        await self.call(
            "agent_add", actor=name, command=["reader"], mode="resident", unfenced=True, confirm=name, cwd="/"
        )

    async def rows(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.call("handoffs"))["handoffs"]
        return found

    async def until(self, look: Callable[[], Awaitable[Any]], seconds: float = 600) -> Any:
        with trio.fail_after(seconds):
            while not (found := await look()):  # noqa: ASYNC110 - virtual time, and what it looks at rings no bell
                await trio.sleep(0.25)
        return found

    async def ended(self) -> dict[str, Any]:
        """The newest restart, once it has ended."""

        async def look() -> dict[str, Any] | None:
            rows = await self.rows()
            return rows[0] if rows and rows[0]["ended_at"] else None

        found: dict[str, Any] = await self.until(look)
        return found

    async def state(self, name: str = "agent1") -> dict[str, Any]:
        actors = (await self.call("agent_ls"))["actors"]
        return next(actor for actor in actors if actor["name"] == name)


class World(crash_world.World):
    def __init__(self, folder: Path) -> None:
        self.home = Home(str(folder))
        self.lives = 0
        init_home(self.home, RealFiles(), SeededChance(1), RealTime(), root=True)
        self.now = MemorySockets()
        self.reader = Reader(self.home, lambda: self.now)
        self.programs = Programs(self.reader)
        self.pid = 4_242
        self.notes: dict[str, Any] = {}
        """What people know from one life to the next."""

    def seams(self, sockets: MemorySockets) -> Seams:
        return replace(super().seams(sockets), processes=self.programs)

    async def tell(self, story: Story, chosen: Chosen = lambda _: False) -> Life:
        """One life, until the story is told or the node is killed."""
        sockets = self.now = MemorySockets()
        life = Doomed(self.seams(sockets), chosen)
        here, stop, ready = Here(self, sockets, life), trio.Event(), trio.Event()
        self.pid += 1

        def serves(node: Node) -> None:
            here.node = node
            ready.set()

        async def node() -> None:
            try:
                await run(self.home, life.seams, Surroundings(pid=self.pid), ready=serves, stop=stop)
            except BaseException as error:
                if not (life.dead and was_killed(error)):
                    raise
            finally:
                sockets.cut()
                self.programs.cut()
                people.cancel()

        with trio.fail_after(LIFE_SECONDS):
            async with trio.open_nursery() as nursery:
                people = trio.CancelScope()
                machine = await nursery.start(self._machine)
                async with trio.open_nursery() as inner:
                    inner.start_soon(node)
                    with people:
                        await ready.wait()
                        try:
                            await story(here)
                        except ConnectionError:
                            await trio.sleep_forever()  # the node dies: its end ends this scope too
                        stop.set()
                machine.cancel()
        return life

    async def _machine(self, *, task_status: trio.TaskStatus[trio.CancelScope]) -> None:
        with trio.CancelScope() as scope:
            task_status.started(scope)
            await self.programs.keep()


def play(lives: Callable[[], Awaitable[Any]]) -> Any:
    return trio.run(lives, clock=trio.testing.MockClock(autojump_threshold=0))


__all__ = ["Here", "Home", "World", "play"]
