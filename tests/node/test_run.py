"""A whole node in this process: what it does when its disk, its parts or its people fail it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from netsky.mesh.transport import OpenTransport, TransportOptions
from netsky.node.daemon.build import Surroundings
from netsky.node.daemon.node import Node
from netsky.node.daemon.run import run
from netsky.node.db.ledger import SqliteLedgers
from netsky.node.errors import Conflict
from netsky.node.home import Home, take_lock
from netsky.node.init import init_home
from netsky.node.lab.network import MemoryNetwork, MemoryTransport
from netsky.node.lab.virtual import MemorySockets, NoPrograms, SeededChance, VirtualTime
from netsky.node.seams import Seams
from netsky.node.seams.ledger import Ledger, LedgerBroken, Row, Statement
from netsky.node.seams.real import RealTime
from netsky.node.seams.real_files import RealFiles
from netsky.node.supervise import GaveUp, MustStop


class Breaking:
    """A ledger whose disk fails when told to."""

    def __init__(self, inner: Ledger, opened: Breakings) -> None:
        self._inner = inner
        self._opened = opened

    async def transaction(self, statements: Sequence[Statement]) -> list[list[Row]]:
        if self._opened.fails(statements):
            raise LedgerBroken("the disk failed a sync")
        return await self._inner.transaction(statements)

    def close(self) -> None:
        self._inner.close()


class Breakings:
    def __init__(self) -> None:
        self.fails: Callable[[Sequence[Statement]], bool] = lambda _: False

    def open(self, path: str) -> Breaking:
        return Breaking(SqliteLedgers().open(path), self)


class SlowNetwork(MemoryNetwork):
    """Listening takes until somebody lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.may = trio.Event(), trio.Event()

    async def open(self, secret: bytes, alpns: Sequence[bytes], options: TransportOptions) -> MemoryTransport:
        self.asked.set()
        await self.may.wait()
        return await super().open(secret, alpns, options)


class World:
    def __init__(self, folder: Path) -> None:
        self.home = Home(str(folder / "home"))
        self.sockets = MemorySockets()
        self.ledgers = Breakings()
        self.transport: OpenTransport = MemoryNetwork()  # a real one takes time that is none of the clock's
        self.lives = 0
        self.node: Node | None = None
        self.stop = trio.Event()
        init_home(self.home, RealFiles(), SeededChance(1), RealTime(), root=True)

    async def live(self, ready: Callable[[Node], None] = lambda _: None) -> None:
        self.lives += 1
        self.stop = trio.Event()
        seams = Seams(
            files=RealFiles(),
            ledger=self.ledgers,
            processes=NoPrograms(),
            sockets=self.sockets,
            transport=self.transport,
            time=VirtualTime(),
            chance=SeededChance(self.lives),
        )

        def started(node: Node) -> None:
            self.node = node
            ready(node)

        await run(self.home, seams, Surroundings(pid=7), ready=started, stop=self.stop)

    async def live_with(self, people: Callable[[Node], Awaitable[None]]) -> None:
        """A life, and people who come once it serves. Ends when both have."""
        ready = trio.Event()

        async def come() -> None:
            await ready.wait()
            assert self.node is not None
            await people(self.node)

        with trio.fail_after(600):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(come)
                await self.live(lambda _: ready.set())

    async def ask(self, verb: str, **args: Any) -> dict[str, Any]:
        """The answer; EOFError if the connection ends without one."""
        stream = await self.sockets.connect(self.home.operator_socket)
        await stream.send(json.dumps({"n": 1, "verb": verb, "args": args}).encode() + b"\n")
        data = b""
        while not data.endswith(b"\n"):
            more = await stream.receive(65_536)
            if not more:
                raise EOFError
            data += more
        answer: dict[str, Any] = json.loads(data)
        return answer

    def listens(self) -> None:
        config = Path(self.home.config)
        config.write_text(config.read_text().replace('# bind = ""', 'bind = "127.0.0.1:7"'))

    def logged(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in Path(self.home.node_log).read_text().splitlines()]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


SEND = {"to": "agent0", "from": "agent0", "text": "hello"}


async def test_after_a_failed_sync_nothing_is_acknowledged_and_the_next_life_reads_the_disk_anew(
    world: World, autojump_clock: trio.testing.MockClock
) -> None:
    answers: list[dict[str, Any]] = []

    async def people(node: Node) -> None:
        del node
        answers.append(await world.ask("send", **SEND))
        world.ledgers.fails = lambda statements: any("INSERT INTO messages" in one.sql for one in statements)
        with suppress(EOFError):
            answers.append(await world.ask("send", **SEND))

    with pytest.RaisesGroup(pytest.RaisesExc(LedgerBroken, match="failed a sync")):
        await world.live_with(people)
    assert [answer["ok"] for answer in answers[1:]] in ([], [False])
    crash = next(line for line in world.logged() if line["event"] == "task.crashed")
    assert (crash["task"], crash["kind"]) == ("node/ledger", "fatal")
    world.ledgers.fails = lambda _: False

    async def later(node: Node) -> None:
        assert node.opened.after_crash
        waiting = (await world.ask("inbox", actor="agent0"))["data"]["waiting"]
        assert [item["id"] for item in waiting] == [answers[0]["data"]["id"]]
        world.stop.set()

    await world.live_with(later)


async def test_a_mistake_in_the_group_commit_ends_the_node_instead_of_leaving_it_deaf(
    world: World, autojump_clock: trio.testing.MockClock
) -> None:
    def ready(node: Node) -> None:
        async def mistake(entries: object) -> None:
            raise AssertionError("this cannot be")

        node.group._commit = mistake  # type: ignore[method-assign]
        node.group.ride(Statement("SELECT 1"))

    with pytest.raises(MustStop, match="AssertionError: this cannot be"):
        await world.live(ready)
    assert any(line["event"] == "task.crashed" and line["kind"] == "fatal" for line in world.logged())


async def test_a_part_that_crashes_again_and_again_ends_the_node_with_rows_that_say_so(
    world: World, autojump_clock: trio.testing.MockClock
) -> None:
    def ready(node: Node) -> None:
        async def crash() -> bool:
            raise ValueError("the sweep is broken")

        node.bus.sweep.turn = crash  # type: ignore[method-assign]

    with pytest.raises(GaveUp, match="node/bus needed more than 3 restarts"):
        await world.live(ready)
    database = SqliteLedgers().open(world.home.database)
    [rows] = await database.transaction([Statement("SELECT task, kind, node_stops FROM crashes")])
    database.close()
    tasks = [row[0] for row in rows]
    assert tasks.count("node/bus/sweep") >= 12
    assert ("node/bus", "crashed", 0) in rows


async def test_a_task_that_crashes_once_costs_a_row_and_nothing_else(
    world: World, autojump_clock: trio.testing.MockClock
) -> None:
    async def people(node: Node) -> None:
        sweep = node.bus.sweep
        whole = sweep.turn
        crashed = trio.Event()

        async def crash() -> bool:
            sweep.turn = whole  # type: ignore[method-assign]
            crashed.set()
            raise ValueError("once")

        sweep.turn = crash  # type: ignore[method-assign]
        await crashed.wait()
        await trio.sleep(10)
        status = (await world.ask("status"))["data"]
        assert (status["crashes"], status["ready"]) == (1, True)
        assert (await world.ask("send", **SEND))["ok"]
        world.stop.set()

    await world.live_with(people)


async def test_a_second_node_on_the_same_home_is_refused_and_the_first_goes_on(
    world: World, autojump_clock: trio.testing.MockClock
) -> None:
    async def people(node: Node) -> None:
        del node
        first = world.stop
        with pytest.raises(Conflict, match="runs already"):
            await world.live()
        assert (await world.ask("ping"))["ok"]
        first.set()

    await world.live_with(people)


async def test_a_home_that_somebody_only_looks_at_is_waited_for(
    world: World, autojump_clock: trio.testing.MockClock
) -> None:
    looking = take_lock(world.home, RealFiles())
    assert looking is not None

    async def people(node: Node) -> None:
        del node
        assert (await world.ask("ping"))["ok"]
        world.stop.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.live_with, people)
        await trio.sleep(0.3)
        assert world.node is None
        looking.release()


async def test_stop_is_answered_before_it_happens_and_ends_in_order(
    world: World, autojump_clock: trio.testing.MockClock
) -> None:
    async def people(node: Node) -> None:
        del node
        assert (await world.ask("stop"))["data"] == {"pid": 7}

    await world.live_with(people)
    names = [line["event"] for line in world.logged()]
    assert names[-1] == "node.stopped"
    assert "task.crashed" not in names
    with pytest.raises(ConnectionRefusedError):
        await world.ask("ping")


async def test_a_node_is_ready_only_when_its_links_listen(world: World, autojump_clock: trio.testing.MockClock) -> None:
    world.listens()
    world.transport = network = SlowNetwork()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.live)
        await network.asked.wait()
        await trio.testing.wait_all_tasks_blocked()
        assert (await world.ask("ping"))["ok"]
        assert (await world.ask("status"))["data"]["ready"] is False
        assert world.node is None
        network.may.set()
        await trio.testing.wait_all_tasks_blocked()
        assert world.node is not None
        assert (await world.ask("status"))["data"]["ready"] is True
        world.stop.set()
