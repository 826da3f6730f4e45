"""One simulated machine: a whole node as it ships, its home on disk, its sockets in memory, and what befalls a machine.

await machine.start(nursery)                   returns once it serves
sent = await machine.ask("send", to="agent0@netsky1", text="hello", **{"from": "agent0"})
await machine.stop()                           in order
await machine.crash()                          at once: nothing that it does from here on is heard
machine.pause(), machine.go_on()               every seam call that waits is held back
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio
from netsky.envelope.file import FileEnvelope, read_file
from netsky.mesh.join import Admission
from netsky.mesh.ticket import read_ticket
from netsky.node.backup import Asked, make_backup, put_back
from netsky.node.config import with_line
from netsky.node.daemon.build import Surroundings
from netsky.node.daemon.run import run
from netsky.node.db.ledger import SqliteLedgers
from netsky.node.home import Home, take_lock
from netsky.node.identity import public_key, read_key
from netsky.node.init import init_home
from netsky.node.lab import books
from netsky.node.lab.clock import MachineTime
from netsky.node.lab.interpose import Counts, Life, was_killed
from netsky.node.lab.network import MemoryNetwork
from netsky.node.lab.programs import Programs
from netsky.node.lab.virtual import MemorySockets, SeededChance
from netsky.node.membership import joining
from netsky.node.seams import Seams
from netsky.node.seams.ledger import Row, Statement
from netsky.node.seams.processes import Processes
from netsky.node.seams.real_files import RealFiles

if TYPE_CHECKING:
    from netsky.node.daemon.node import Node, Watch
    from netsky.node.lab.disk import Disk
    from netsky.node.seams.files import Files
    from netsky.node.seams.ledger import OpenLedger

CRASH_SECONDS = 5.0
"""An idle node makes hundreds of seam calls in this time."""

BIND = "127.0.0.1:{}"
FIRST_PORT = 7000


class Down(Exception):
    """The node is not there, or went while it was asked."""


class Machine:
    """Its home outlives the lives of its node."""

    def __init__(self, folder: Path, network: MemoryNetwork, number: int, time: MachineTime, *, seed: int = 0) -> None:
        self.number = number
        self.name = f"netsky{number}"
        self.home = Home(str(folder / f"home{number}"))
        self.files: Files = RealFiles()
        self.ledgers: OpenLedger = SqliteLedgers()
        self.disk: Disk | None = None
        self.sockets = MemorySockets()
        self.programs = Programs(self.name)
        self.processes: Processes = self.programs
        self.time = time
        self.watch: Watch | None = None
        """Who writes down what its node stores."""
        self.service: Callable[[BaseException], None] | None = None
        """Hears why its node ended by itself; without one that ends the whole run."""
        self.serves: Callable[[Node], None] | None = None
        """Hears of each life that serves."""
        self.lives = 0
        self.life: Life | None = None
        """The one that is being lived."""
        self.is_off = False
        """It has no power: nobody works there either."""
        self.databases: list[tuple[str, int]] = [(self.home.database, 0)]
        """The one in use last; before it those that a restore set aside. Each with the time at which its use began."""
        self.fell: BaseException | None = None
        """What ended the last life, if that was neither an order nor a crash."""
        self._seed = seed
        self._network = network
        self._node: Node | None = None
        self._key: bytes | None = None
        self._stop = trio.Event()
        self._ended = trio.Event()
        self._scope = trio.CancelScope()
        self._chance = SeededChance(seed + number)
        init_home(self.home, self.files, self._chance, time, root=number == 0)
        self.configure("link", "bind", BIND.format(FIRST_PORT + number))

    @property
    def node(self) -> Node:
        assert self._node is not None, "it is down"
        return self._node

    @property
    def is_up(self) -> bool:
        return self._node is not None

    @property
    def key(self) -> bytes:
        if self._key is None:
            self._key = public_key(read_key(self.home, self.files))
        return self._key

    def configure(self, section: str, name: str, value: object) -> None:
        config = Path(self.home.config)
        config.write_text(with_line(config.read_text(), section, name, value))

    def put_on(self, disk: Disk) -> None:
        """From here on it writes to a disk that can lose power. What is there already is durable."""
        self.disk, self.files, self.ledgers = disk, disk.files, disk.ledger

    # Its lives.

    async def start(self, nursery: trio.Nursery) -> None:
        """Returns once it serves. Raises what refused its start."""
        self.lives += 1
        self.programs.nursery = nursery
        self._stop, self._ended, self._scope = trio.Event(), trio.Event(), trio.CancelScope()
        life = self.life = Life(
            Seams(
                files=self.files,
                ledger=self.ledgers,
                processes=self.processes,
                sockets=self.sockets,
                transport=self._network,
                time=self.time,
                chance=SeededChance(self._seed + self.number * 1_000 + self.lives),
            ),
            remembers=False,
            killed=self._died,
        )
        ready = trio.Event()
        nursery.start_soon(self._live, life, ready)
        await ready.wait()
        if self._node is None and self.fell is not None:
            raise self.fell

    async def _live(self, life: Life, ready: trio.Event) -> None:
        def serves(node: Node) -> None:
            self._node = node
            if self.serves is not None:
                self.serves(node)
            ready.set()

        around = Surroundings(pid=self.number + 7, watch=self.watch)
        self.fell = None
        try:
            with self._scope:
                await run(self.home, life.seams, around, ready=serves, stop=self._stop)
        except BaseException as error:
            if not (life.dead and was_killed(error)):
                if _is_over(error):
                    raise
                self.fell = error
                if ready.is_set() and self.service is None:
                    raise
        finally:
            started = ready.is_set()
            self._node = None
            self.programs.cut()
            self.sockets.cut()
            self._ended.set()
            ready.set()
        if started and self.service is not None and self.fell is not None:
            self.service(self.fell)

    async def stop(self) -> None:
        """In order."""
        self._stop.set()
        await self._ended.wait()

    async def crash(self, calls: int = 0, only: Counts | None = None, within: float = CRASH_SECONDS) -> None:
        """Nothing of it reaches the world any more, and what it had sent is on its way still. With `calls`, before its
        so-manieth seam call from now, of those that count; or when so many seconds have passed without it."""
        assert self.life is not None
        if calls:
            self.life.kill_in(calls, only)
            with trio.move_on_after(within):
                await self._ended.wait()
        self.life.kill()
        await self._ended.wait()

    def _died(self) -> None:
        if self.disk is not None:
            self.disk.let_go()
        self._network.kill(self.key)
        self._node = None
        self.programs.cut()
        self.sockets.cut()
        self._scope.cancel()

    def pause(self) -> None:
        assert self.life is not None
        self.life.pause()

    def go_on(self) -> None:
        if self.life is not None:
            self.life.go_on()

    async def join(self, ticket: str) -> Admission:
        lock = take_lock(self.home, self.files)
        assert lock is not None
        around = joining.Around(self.files, self._chance, self.time, self._network)
        try:
            return await joining.join(
                self.home, around, read_ticket(ticket), program="test", listener=_Silent(), wait_seconds=60
            )
        finally:
            lock.release()

    # What a person or a program there does.

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
        """Raises Down if nobody answers."""
        path = self.home.operator_socket if by is None else self.home.actor_socket(by)
        data = b""
        try:
            stream = await self.sockets.connect(path)
            try:
                await stream.send(json.dumps({"n": 1, "verb": verb, "args": args}).encode() + b"\n")
                while not data.endswith(b"\n"):
                    more = await stream.receive(65_536)
                    if not more:
                        raise Down(f"{self.name} went while it was asked")
                    data += more
            finally:
                stream.close()
        except ConnectionError as error:
            raise Down(f"{self.name} does not answer") from error
        answer: dict[str, Any] = json.loads(data)
        return answer

    async def rows(self, sql: str, *values: Any) -> list[Row]:
        """Through the group commit, so that it sees what was stored before it was asked."""
        [found] = await self.node.group.write([Statement(sql, tuple(values))])
        return found

    async def inbox(self, actor: str) -> list[dict[str, Any]]:
        waiting: list[dict[str, Any]] = (await self.ask("inbox", actor=actor))["waiting"]
        return waiting

    def envelope(self, actor: str, file: str) -> FileEnvelope | None:
        """As it stands in the actor's folder for whoever reads it; None if it does not, or not yet."""
        for place in ("inbox", "claimed"):
            with suppress(FileNotFoundError):
                return read_file(Path(self.home.channel(actor), place, file).read_bytes())
        return None

    # What a backup of it knows.

    def backup(self, file: str) -> None:
        """As `netsky backup`."""
        asked = Asked(path=file, with_key=False, now=self.time.wall(), name=self.name)
        make_backup(self.home, self.files, asked, lambda to: books.copy(self.home.database, to))

    def put_back(self, file: str) -> None:
        """As `netsky restore`, while the node is down."""
        put_back(self.home, self.files, file, self.time.wall())

    def logged(self, event: str) -> list[dict[str, Any]]:
        lines = map(json.loads, Path(self.home.node_log).read_text().splitlines())
        return [line for line in lines if line["event"] == event]


def _is_over(error: BaseException) -> bool:
    """The whole run ends."""
    if isinstance(error, BaseExceptionGroup):
        return any(_is_over(part) for part in error.exceptions)
    return isinstance(error, trio.Cancelled | KeyboardInterrupt)


class _Silent:
    def words(self, words: tuple[str, ...]) -> None: ...

    def clock(self, behind_ns: int) -> None: ...

    def pending(self) -> None: ...

    def trouble(self, sentence: str) -> None: ...
