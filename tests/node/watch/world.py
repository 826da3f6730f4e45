"""A whole node in virtual time whose programs are told by the test what to do, and whose pages are written down."""

from __future__ import annotations

import json
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import trio
from netsky.node.actors.wanted import wanted_row
from netsky.node.bus.draft import Accepted, Draft, Via
from netsky.node.daemon.build import Surroundings
from netsky.node.daemon.node import Node
from netsky.node.daemon.run import run
from netsky.node.db.ledger import SqliteLedgers
from netsky.node.home import Home
from netsky.node.init import init_home
from netsky.node.lab.network import MemoryNetwork
from netsky.node.lab.virtual import EPOCH_NS, MemorySockets, SeededChance, VirtualTime
from netsky.node.seams import Seams
from netsky.node.seams.ledger import Ledger, Row, Statement
from netsky.node.seams.processes import CannotStart, Exit, Process
from netsky.node.seams.real import RealTime
from netsky.node.seams.real_files import RealFiles

MINUTE = 60.0
HOUR = 3_600.0
QUICK = 10**9


@dataclass
class Program:
    """It does nothing by itself and ends when it is told to."""

    actor: str
    pid: int
    stubborn: bool = False
    """It ends only by SIGKILL."""
    exited: trio.Event = field(default_factory=trio.Event)
    exit: Exit = field(default_factory=lambda: Exit(1, None))

    async def send(self, data: bytes) -> None: ...

    def close_input(self) -> None: ...

    async def receive(self, limit: int) -> bytes:
        await self.exited.wait()
        return b""

    async def wait(self) -> Exit:
        await self.exited.wait()
        return self.exit

    def signal_group(self, number: int) -> None:
        if number == signal.SIGKILL or (number == signal.SIGTERM and not self.stubborn):
            self.end(Exit(None, number))

    def end(self, how: Exit | None = None) -> None:
        self.exit = how or self.exit
        self.exited.set()


class Machine:
    python = "/usr/bin/python3"
    uid = 1_000

    def is_folder(self, path: str) -> bool:
        return True


@dataclass
class Programs:
    """Starts what is asked for, unless that actor's cannot start or crashes at once."""

    started: list[Program] = field(default_factory=list)
    crashing: set[str] = field(default_factory=set)
    missing: set[str] = field(default_factory=set)

    async def start(self, argv: Sequence[str], *, log: str, **_: object) -> Process:
        actor = log.rpartition("/")[2].removesuffix(".log")
        if actor in self.missing:
            raise CannotStart(f"{argv[0]} is gone")
        made = Program(actor, 1_000 + len(self.started))
        self.started.append(made)
        if actor in self.crashing:
            made.end()
        return made

    def which(self, program: str) -> str | None:
        return program if program.startswith("/") else None

    def world(self) -> Any:
        return Machine()

    def of(self, actor: str) -> list[Program]:
        return [program for program in self.started if program.actor == actor]


class Hanging:
    """A ledger that answers nothing that `hangs` says, until it says otherwise."""

    def __init__(self, inner: Ledger, world: Ledgers) -> None:
        self._inner, self._world = inner, world

    async def transaction(self, statements: Sequence[Statement]) -> list[list[Row]]:
        while self._world.hangs(statements):  # noqa: ASYNC110 - what ends it rings no bell
            await trio.sleep(1)
        return await self._inner.transaction(statements)

    def close(self) -> None:
        self._inner.close()


class Ledgers:
    def __init__(self) -> None:
        self.hangs: Callable[[Sequence[Statement]], bool] = lambda _: False

    def open(self, path: str) -> Hanging:
        return Hanging(SqliteLedgers().open(path), self)


class JumpingTime(VirtualTime):
    """The wall clock can be set by hand, the other one cannot; and a machine may stand still while both go on."""

    def __init__(self) -> None:
        super().__init__()
        self.jumped = self.stood_still = 0

    def wall(self) -> int:
        return super().wall() + self.jumped

    def monotonic(self) -> int:
        return super().monotonic() + self.stood_still

    async def sleep_until(self, monotonic_ns: int) -> None:
        await super().sleep_until(monotonic_ns - self.stood_still)


@dataclass(frozen=True)
class Page:
    at: float
    """Virtual seconds since the test began."""
    subject: str
    body: str
    severity: str
    key: str


class Pages:
    def __init__(self) -> None:
        self.all: list[Page] = []
        self.withdrawn: list[str] = []

    def page(self, subject: str, body: str, *, severity: str, key: str) -> None:
        self.all.append(Page(trio.current_time(), subject, body, severity, key))

    def withdraw(self, key: str) -> None:
        self.withdrawn.append(key)

    def of(self, key: str) -> list[float]:
        return [page.at for page in self.all if page.key == key]


class World:
    def __init__(self, folder: Path) -> None:
        self.home = Home(str(folder / "home"))
        self.sockets = MemorySockets()
        self.programs = Programs()
        self.ledgers = Ledgers()
        self.pages = Pages()
        self.time = JumpingTime()
        self.lives = 0
        self._node: Node | None = None
        init_home(self.home, RealFiles(), SeededChance(1), RealTime(), root=True)

    @property
    def node(self) -> Node:
        assert self._node is not None
        return self._node

    @asynccontextmanager
    async def life(self) -> AsyncIterator[Node]:
        """One life of the node, ended in order."""
        self.lives += 1
        stop, ready = trio.Event(), trio.Event()
        seams = Seams(
            files=RealFiles(),
            ledger=self.ledgers,
            processes=self.programs,
            sockets=self.sockets,
            transport=MemoryNetwork(),
            time=self.time,
            chance=SeededChance(self.lives),
        )

        def started(node: Node) -> None:
            self._node = node
            node.pager = self.pages  # type: ignore[assignment]
            ready.set()

        async def live() -> None:
            await run(self.home, seams, Surroundings(pid=7), ready=started, stop=stop)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(live)
            await ready.wait()
            try:
                yield self.node
            finally:
                self.ledgers.hangs = lambda _: False  # else a test that fails never ends
            stop.set()

    async def add(self, name: str, *, mode: str = "resident", timeout: int = 1_800, manager: str | None = None) -> None:
        wanted = wanted_row(
            name,
            command=() if mode == "none" else ("/bin/agent",),
            mode=mode,
            manager=manager,
            unfenced=True,
            environment={},
            cwd="",
            timeout=timeout,
            now=self.node.now(),
        )
        await self.node.actors.add(wanted, name)
        await trio.sleep(1)  # its program runs

    async def send(
        self, to: str, text: str = "work", *, sender: str = "agent0", via: Via = "node", **more: Any
    ) -> Accepted:
        [result] = await self.node.bus.accept(sender, via, [Draft(to, text, **more)])
        assert isinstance(result, Accepted), result
        await trio.sleep(1)  # its file is there
        return result

    async def ask(self, verb: str, *, actor: str | None = None, **args: Any) -> dict[str, Any]:
        """On the operator's socket, or on that of an actor. `of`: the argument that verbs call actor."""
        args = {"actor" if name == "of" else name: value for name, value in args.items()}
        path = self.home.operator_socket if actor is None else self.home.actor_socket(actor)
        stream = await self.sockets.connect(path)
        await stream.send(json.dumps({"n": 1, "verb": verb, "args": args}).encode() + b"\n")
        data = b""
        while not data.endswith(b"\n"):
            more = await stream.receive(65_536)
            assert more, "hung up"
            data += more
        stream.close()
        answer: dict[str, Any] = json.loads(data)
        return answer

    async def data(self, verb: str, *, actor: str | None = None, **args: Any) -> Any:
        answer = await self.ask(verb, actor=actor, **args)
        assert answer["ok"], answer
        return answer["data"]

    async def claim(self, actor: str) -> list[str]:
        """All that waits is in its hands."""
        waiting = (await self.data("inbox", actor=actor, limit=1_000))["waiting"]
        files = [one["file"] for one in waiting]
        if files:
            await self.data("claim", actor=actor, files=files[:256])
        return files

    async def take(self, actor: str) -> int:
        """All that waits is taken, as a program that works does."""
        files = await self.claim(actor)
        if files:
            await self.data("ack", actor=actor, ids=files[:256])
        return len(files)

    async def works(self, actor: str, every: float = 5 * MINUTE) -> None:
        while True:
            await self.take(actor)
            await trio.sleep(every)

    async def rows(self, sql: str, *values: Any) -> list[Any]:
        [found] = await self.node.ledger.transaction([Statement(sql, values)])
        return found

    async def events(self, status: str) -> list[Any]:
        await self.node.group.write([])
        return await self.rows("SELECT event, actor FROM watchdog_events WHERE status = ? ORDER BY id", status)

    def markers(self) -> dict[str, dict[str, Any]]:
        found = {}
        for path in sorted(Path(self.home.path, "state").glob("*.json")):
            said = json.loads(path.read_text())
            if said.get("name") == path.stem:
                found[path.stem] = said
        return found

    def put_marker(self, name: str, **fields: Any) -> None:
        given = {"owner": "agentinfinity", "reason": "old", "at": EPOCH_NS, "expires": None, "clear": "", "data": {}}
        Path(self.home.path, "state").mkdir(exist_ok=True, mode=0o700)
        path = Path(self.home.path, "state", f"{name}.json")
        path.write_text(json.dumps({"name": name} | given | fields))
        path.chmod(0o600)

    def alarms(self) -> list[str]:
        return sorted(self.node.watchdog.alarms)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Looks that are about files and not about time come once a minute: these are stories of days."""
    monkeypatch.setattr("netsky.node.config.Config.sweep_ns", 60 * QUICK)
    monkeypatch.setattr("netsky.node.bus.sweep.SWEEP_PAUSE_NS_MAX", 60 * QUICK)
    monkeypatch.setattr("netsky.node.daemon.care.CONFIG_LOOK_NS", 600 * QUICK)
    monkeypatch.setattr("netsky.node.actors.hands.LOOK_SECONDS", 600.0)
    return World(tmp_path)
