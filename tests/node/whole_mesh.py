"""Whole nodes as they ship, several in one trio run, joined over a network in memory: root and siblings, each with its
home on disk, its tree of tasks and its sockets in memory. Under a MockClock an hour passes when nobody has work.

    async with whole_mesh(tmp_path, siblings=2) as mesh:
        root, one, two = mesh.machines
        sent = await root.ask("send", to="agent0@netsky1", text="hello", **{"from": "agent0"})
        await two.stop()
        mesh.network.part(root.key, one.key)
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import trio
from netsky.mesh.join import Admission
from netsky.mesh.ticket import read_ticket
from netsky.node.config import with_line
from netsky.node.daemon.build import Surroundings
from netsky.node.daemon.node import Node
from netsky.node.daemon.run import run
from netsky.node.db.ledger import SqliteLedgers
from netsky.node.home import Home, take_lock
from netsky.node.identity import public_key, read_key
from netsky.node.init import init_home
from netsky.node.lab.network import MemoryNetwork
from netsky.node.lab.virtual import MemorySockets, NoPrograms, SeededChance, VirtualTime
from netsky.node.membership import joining
from netsky.node.seams import Seams
from netsky.node.seams.ledger import Row, Statement
from netsky.node.seams.processes import Processes
from netsky.node.seams.real_files import RealFiles
from netsky.node.seams.time import Time

PATIENCE = 3_600
"""Seconds of virtual time that nothing here takes."""

Found = TypeVar("Found")


class Whole:
    """One machine. Its home outlives its lives."""

    def __init__(self, folder: Path, network: MemoryNetwork, number: int, time: Time) -> None:
        self.home = Home(str(folder / f"home{number}"))
        self.number = number
        self.sockets = MemorySockets()
        self.processes: Processes = NoPrograms()
        self.time = time
        self.lives = 0
        self._network = network
        self._node: Node | None = None
        self._stop = trio.Event()
        self._ended = trio.Event()
        self._chance = SeededChance(number)
        init_home(self.home, RealFiles(), self._chance, time, root=number == 0)
        self.configure("link", "bind", f"127.0.0.1:{7000 + number}")

    @property
    def node(self) -> Node:
        assert self._node is not None, "it is down"
        return self._node

    @property
    def key(self) -> bytes:
        return public_key(read_key(self.home, RealFiles()))

    def configure(self, section: str, name: str, value: object) -> None:
        config = Path(self.home.config)
        config.write_text(with_line(config.read_text(), section, name, value))

    async def start(self, nursery: trio.Nursery) -> None:
        """Returns once it serves."""
        self.lives += 1
        self._stop, self._ended, ready = trio.Event(), trio.Event(), trio.Event()
        seams = Seams(
            files=RealFiles(),
            ledger=SqliteLedgers(),
            processes=self.processes,
            sockets=self.sockets,
            transport=self._network,
            time=self.time,
            chance=SeededChance(self.number * 1_000 + self.lives),
        )

        def serves(node: Node) -> None:
            self._node = node
            ready.set()

        async def live() -> None:
            try:
                await run(self.home, seams, Surroundings(pid=self.number + 7), ready=serves, stop=self._stop)
            finally:
                self._node = None
                self._ended.set()

        nursery.start_soon(live)
        await ready.wait()

    async def stop(self) -> None:
        """In order."""
        self._stop.set()
        await self._ended.wait()

    async def join(self, ticket: str) -> Admission:
        lock = take_lock(self.home, RealFiles())
        assert lock is not None
        around = joining.Around(RealFiles(), self._chance, self.time, self._network)
        try:
            return await joining.join(
                self.home, around, read_ticket(ticket), program="test", listener=_Silent(), wait_seconds=60
            )
        finally:
            lock.release()

    async def ask(self, verb: str, *, by: str | None = None, **args: Any) -> dict[str, Any]:
        """The answer's data, asked by the operator or on an actor's socket; a refusal is a failure of the test."""
        answer = await self.answer(verb, by=by, **args)
        assert answer["ok"], answer
        data: dict[str, Any] = answer["data"]
        return data

    async def refusal(self, verb: str, *, by: str | None = None, **args: Any) -> dict[str, Any]:
        answer = await self.answer(verb, by=by, **args)
        assert not answer["ok"], answer
        error: dict[str, Any] = answer["error"]
        return error

    async def answer(self, verb: str, *, by: str | None = None, **args: Any) -> dict[str, Any]:
        path = self.home.operator_socket if by is None else self.home.actor_socket(by)
        stream = await self.sockets.connect(path)
        await stream.send(json.dumps({"n": 1, "verb": verb, "args": args}).encode() + b"\n")
        data = b""
        while not data.endswith(b"\n"):
            more = await stream.receive(65_536)
            if not more:
                raise EOFError
            data += more
        stream.close()
        answer: dict[str, Any] = json.loads(data)
        return answer

    async def rows(self, sql: str, *values: Any) -> list[Row]:
        """Through the group commit, so that it sees what was stored before it was asked."""
        [found] = await self.node.group.write([Statement(sql, tuple(values))])
        return found

    async def inbox(self, actor: str) -> list[dict[str, Any]]:
        waiting: list[dict[str, Any]] = (await self.ask("inbox", actor=actor))["waiting"]
        return waiting

    def logged(self, event: str) -> list[dict[str, Any]]:
        lines = map(json.loads, Path(self.home.node_log).read_text().splitlines())
        return [line for line in lines if line["event"] == event]


class WholeMesh:
    def __init__(self, folder: Path, siblings: int, times: Sequence[Time] | None) -> None:
        self.network = MemoryNetwork()
        clocks = times or [VirtualTime() for _ in range(siblings + 1)]
        self.machines = [Whole(folder, self.network, number, clocks[number]) for number in range(siblings + 1)]
        self.nursery: trio.Nursery

    async def build(self) -> None:
        """The root up, the others joined and up, all linked."""
        root, *siblings = self.machines
        await root.start(self.nursery)
        for sibling in siblings:
            ticket = (await root.ask("invite", label=f"machine {sibling.number}"))["ticket"]
            await sibling.join(ticket)
            await sibling.start(self.nursery)
        await self.linked()

    async def linked(self) -> None:
        siblings = self.machines[1:]

        async def look() -> bool | None:
            links = [link for one in siblings for link in (await one.ask("status"))["links"]]
            return all(link["up"] for link in links) or None

        await until(look)

    async def restart(self, machine: Whole) -> None:
        await machine.stop()
        await machine.start(self.nursery)


@asynccontextmanager
async def whole_mesh(
    folder: Path,
    siblings: int = 2,
    *,
    times: Sequence[Time] | None = None,
    prepare: Callable[[WholeMesh], None] = lambda _: None,
) -> AsyncIterator[WholeMesh]:
    """`prepare` comes after the homes are made and before any node runs: configs, programs."""
    mesh = WholeMesh(folder, siblings, times)
    prepare(mesh)
    async with trio.open_nursery() as nursery:
        mesh.nursery = nursery
        with trio.fail_after(365 * 86_400.0):
            await mesh.build()
            yield mesh
        nursery.cancel_scope.cancel()


async def until(look: Callable[[], Awaitable[Found | None]], seconds: float = PATIENCE, every: float = 0.1) -> Found:
    """What `look` gives once it gives something."""
    with trio.fail_after(seconds):
        while (found := await look()) is None:  # noqa: ASYNC110 - time is virtual, and what it waits for rings no bell
            await trio.sleep(every)
    return found


class _Silent:
    def words(self, words: tuple[str, ...]) -> None: ...

    def clock(self, behind_ns: int) -> None: ...

    def pending(self) -> None: ...

    def trouble(self, sentence: str) -> None: ...
