from __future__ import annotations

import os
import pathlib
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from netsky.envelope.batch import ZERO_MESH
from netsky.envelope.kinds import Lane
from netsky.node.bus.bus import Bus
from netsky.node.bus.draft import Accepted, Draft
from netsky.node.bus.drain import Drain
from netsky.node.config import Config
from netsky.node.db import actors, arrivals, inbox
from netsky.node.db.actors import ActorRow
from netsky.node.db.group import GroupCommit
from netsky.node.db.ledger import SqliteLedgers
from netsky.node.db.opening import begin
from netsky.node.lab.virtual import SeededChance
from netsky.node.seams.ledger import Ledger, Row, Statement
from netsky.node.seams.real import RealTime
from netsky.node.seams.real_files import RealFiles

SECRET = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PEER = bytes(range(32, 64))


@dataclass(frozen=True)
class Identity:
    name: str = "netsky0"
    mesh: bytes = ZERO_MESH
    key: bytes = SECRET.public_key().public_bytes_raw()
    sign: Callable[[bytes], bytes] = SECRET.sign


@dataclass
class Told:
    """Remembers what the bus tells."""

    events: list[tuple[str, dict[str, object]]] = field(default_factory=list)
    arrivals: list[str] = field(default_factory=list)
    outgoing: list[tuple[bytes, Lane]] = field(default_factory=list)
    takings: int = 0

    def arrived(self, actor: str) -> None:
        self.arrivals.append(actor)

    def outbox(self, going: Collection[tuple[bytes, Lane]]) -> None:
        self.outgoing += going

    def taken(self) -> None:
        self.takings += 1

    def event(self, kind: str, **fields: object) -> None:
        self.events.append((kind, fields))

    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.events]


class ShiftedTime(RealTime):
    """The real clock, moved by hand: files get their times from the machine, so a made-up one would not fit them."""

    ahead = 0

    def wall(self) -> int:
        return super().wall() + self.ahead


@dataclass
class World:
    """One bus on real files and a real database."""

    root: pathlib.Path
    bus: Bus
    ledger: Ledger
    group: GroupCommit
    told: Told
    time: ShiftedTime
    files: Any

    def folder(self, actor: str, name: str) -> pathlib.Path:
        return self.root / "channels" / actor / name

    def names(self, actor: str, name: str) -> list[str]:
        return sorted(entry for entry in os.listdir(self.folder(actor, name)) if not entry.startswith("."))

    async def rows(self, statement: Statement) -> list[Row]:
        [found] = await self.group.write([statement])
        return found

    async def send(self, to: str = "agent0", text: str = "hello", sender: str = "owner", **more: Any) -> Accepted:
        [result] = await self.bus.accept(sender, "operator", [Draft(to=to, text=text, **more)])
        if not isinstance(result, Accepted):
            raise result
        return result

    async def project(self) -> None:
        while await self.bus.projector.turn():
            pass
        await self.bus.projector.settle()

    async def state(self, actor: str, file: str | None) -> str | None:
        assert file is not None
        places = arrivals.place_rows(await self.rows(arrivals.places_of_files(actor, [file])))
        return places[0].state if places else None

    async def states(self, actor: str) -> list[str]:
        return [row.state for row in inbox.waiting_rows(await self.rows(inbox.waiting(actor, 5_000)))]

    def drain(self, actor: str = "agent0", *, asks: bool = True) -> Drain:
        link = NodeLink(self, actor) if asks else None
        return Drain(RealFiles(), str(self.root / "channels" / actor), link)

    async def drained(self, actor: str = "agent0", *, asks: bool = True, ack: bool = True) -> list[str]:
        """The texts that one pass of a drain shows, in a thread as a process of its own would be."""

        def work() -> list[str]:
            texts = []
            with self.drain(actor, asks=asks) as drain:
                for item in drain.envelopes():
                    texts.append(item.envelope.text)
                    if ack:
                        drain.ack(item.name)
            return texts

        return await trio.to_thread.run_sync(work)


class NodeLink:
    """What the verbs `claim` and `ack` answer to a drain in another thread."""

    def __init__(self, world: World, actor: str) -> None:
        self._world = world
        self._actor = actor

    def claim(self, names: Any) -> dict[str, str]:
        return trio.from_thread.run(self._claim, list(names))

    def ack(self, names: Any) -> object:
        return trio.from_thread.run(self._ack, list(names))

    async def _claim(self, names: list[str]) -> dict[str, str]:
        world = self._world
        _, found = await world.group.write(
            [inbox.claim(self._actor, names, world.time.wall()), arrivals.places_of_files(self._actor, names)]
        )
        states = {row.file: "taken" if row.state == "taken" else "ok" for row in arrivals.place_rows(found)}
        return {name: states.get(name, "unknown") for name in names}

    async def _ack(self, names: list[str]) -> None:
        await self._world.group.write([inbox.take_files(self._actor, names, self._world.time.wall(), "ack")])


def actor(name: str, manager: str | None = None) -> ActorRow:
    return ActorRow(name, (), "none", manager, True, True, {}, 1)


CONSTELLATION = (actor("agent1"), actor("agent2"), actor("worker1", "agent1"), actor("worker2"))


class Neighbours:
    """netsky7, reached directly."""

    def key_of(self, name: str) -> bytes | None:
        return PEER if name == "netsky7" else None

    def was_revoked(self, name: str) -> bool:
        return name == "netsky9"

    def next_hop(self, destination: bytes) -> bytes:
        return destination


@asynccontextmanager
async def open_world(
    root: pathlib.Path,
    *,
    config: Config | None = None,
    files: Any = None,
    ledgers: Any = None,
    time: ShiftedTime | None = None,
    recover: bool = True,
    name: str = "netsky0",
) -> AsyncIterator[World]:
    """A bus with its group commit running; projector and sweep are turned by the test."""
    files, time, told = files or RealFiles(), time or ShiftedTime(), Told()
    (root / "channels").mkdir(exist_ok=True)
    ledger = (ledgers or SqliteLedgers()).open(str(root / "meta.db"))
    try:
        opened = await begin(ledger, str(root / "meta.db"), time.wall(), "test")
        await ledger.transaction([actors.put(row) for row in CONSTELLATION])
        group = GroupCommit(ledger, time)
        bus = Bus(
            channels=str(root / "channels"),
            files=files,
            time=time,
            chance=SeededChance(time.wall()),
            identity=Identity(name),
            config=lambda: config or Config(free_mib_floor=16),
            group=group,
            notify=told,
            mesh=Neighbours(),
            pid=4242,
        )
        world = World(root, bus, ledger, group, told, time, files)
        if recover:
            await bus.recover(ledger.transaction, after_crash=opened.after_crash)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(group.run)
            yield world
            nursery.cancel_scope.cancel()
    finally:
        ledger.close()


@pytest.fixture
async def world(tmp_path: pathlib.Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as made:
        yield made
