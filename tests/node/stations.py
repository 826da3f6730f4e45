"""A node without daemon, sockets or actors' programs: ledger, group commit, bus and links, for tests of links."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from netsky.envelope.kinds import Lane
from netsky.mesh.charter import Charter
from netsky.mesh.roster import Member, Roster, seal_roster
from netsky.mesh.transport import Connection, OpenTransport, TransportOptions
from netsky.node.blobs.collect import recover
from netsky.node.blobs.store import BlobStore
from netsky.node.bus.acks import Acks
from netsky.node.bus.bus import Bus
from netsky.node.bus.draft import Accepted, Draft
from netsky.node.config import Config
from netsky.node.daemon.told import ROSTER_SIGNAL, Told
from netsky.node.db import actors, node_state
from netsky.node.db.actors import ActorRow
from netsky.node.db.group import GroupCommit
from netsky.node.db.ledger import SqliteLedgers
from netsky.node.db.opening import begin
from netsky.node.events import Events, Signals
from netsky.node.home import Home
from netsky.node.identity import Identity
from netsky.node.links.links import Links
from netsky.node.links.parts import Parts
from netsky.node.links.store import MakeStore, PeerStore
from netsky.node.log import Log
from netsky.node.seams import Seams
from netsky.node.seams.ledger import Row, Statement
from netsky.node.seams.real import real_seams
from netsky.node.seams.real_files import RealFiles
from netsky.node.supervise import Crash
from netsky.relay.routes import RouteLine, parse_route

MESH = b"the mesh of test"
OWNER = bytes([200]) * 32


def private_key(number: int) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes([number + 1]) * 32)


def key(number: int) -> bytes:
    return private_key(number).public_key().public_bytes_raw()


def charter(reign: int = 1, root: int = 0) -> Charter:
    return Charter(MESH, OWNER, reign, key(root), (), "", 0, b"", 1)


def identity(number: int, reign: int = 1) -> Identity:
    private = private_key(number)
    return Identity(
        MESH, key(number), f"netsky{number}", number == 0, private.sign, bytes([number + 1]) * 32, charter(reign)
    )


def roster(*numbers: int, version: int = 1, revoked: Mapping[int, int] | None = None) -> tuple[Roster, bytes]:
    """netsky0 and these; sealed by netsky0."""
    gone = revoked or {}
    members = [Member(key(n), f"netsky{n}", f"machine {n}", revoked=gone.get(n, 0)) for n in (0, *numbers)]
    made = Roster(MESH, key(0), 1, version, 1, 7, tuple(members))
    return made, seal_roster(made, private_key(0).sign)


class Book:
    """A membership without a door: the roster in force, and where the root listens."""

    def __init__(self, known: tuple[Roster, bytes], root_at: str | None, signals: Signals) -> None:
        self._known = known
        self._signals = signals
        self.root_at = () if root_at is None else (root_at,)
        self.remembered: list[str] = []
        self.strangers: list[tuple[bytes, str]] = []
        self.burns = 0

    def roster(self) -> tuple[Roster | None, bytes]:
        return self._known

    def adopt(self, roster: Roster, sealed: bytes) -> None:
        self._known = (roster, sealed)
        self._signals.ring(ROSTER_SIGNAL)

    def store(self, sealed: bytes) -> Statement:
        return node_state.put("roster", sealed)

    def root_addresses(self) -> tuple[str, ...]:
        return self.root_at

    def remember_root_addresses(self, addresses: Sequence[str]) -> None:
        self.remembered = list(addresses)

    def key_of(self, name: str) -> bytes | None:
        return self._known[0].key_of(name)

    def note_stranger(self, key: bytes, code: str) -> None:
        self.strangers.append((key, code))

    def burned(self) -> None:
        self.burns += 1

    async def serve_join(self, connection: Connection) -> None:
        raise AssertionError("nobody joins here")


class Station:
    """One life of a node; the folder outlives it."""

    def __init__(
        self,
        folder: Path,
        number: int,
        seams: Seams,
        known: tuple[Roster, bytes],
        *,
        bind: str,
        root_at: str | None = None,
        routes: Sequence[str] = (),
    ) -> None:
        folder.mkdir(exist_ok=True)
        (folder / "channels").mkdir(exist_ok=True)
        self.folder = folder
        self.identity = identity(number)
        self.seams = seams
        self.ledger = seams.ledger.open(str(folder / "meta.db"))
        self.group = GroupCommit(self.ledger, seams.time)
        self.events, self.signals = Events(seams.time), Signals()
        self.log = Log(seams.files, str(folder / "logs"), seams.time, bytes_max=1 << 20, files_max=1)
        self.crashes: list[Crash] = []
        self.config = Config(name=self.identity.name)
        self.config = replace(self.config, routes=tuple(_line(text) for text in routes))
        self.book = Book(known, root_at, self.signals)
        self.takes_work = True
        self.floor = 0
        self._bind = bind
        self.make_store: MakeStore = PeerStore

    def key_of(self, name: str) -> bytes | None:
        return self.book.key_of(name)

    def was_revoked(self, name: str) -> bool:
        return self.book.roster()[0].was_revoked(name)  # type: ignore[union-attr]

    def next_hop(self, destination: bytes) -> bytes:
        return destination if self.identity.root else key(0)

    def is_held(self, destination: bytes, recipient: str, lane: Lane) -> bool:
        return self.links.holds.keeps(destination, recipient, lane)

    async def open(self) -> None:
        await begin(self.ledger, str(self.folder / "meta.db"), self.seams.time.wall(), "test")
        await self.ledger.transaction([actors.put(ActorRow("agent0", (), "none", None, False, True, {}, 0))])
        self.bus = Bus(
            channels=str(self.folder / "channels"),
            files=self.seams.files,
            time=self.seams.time,
            chance=self.seams.chance,
            identity=self.identity,
            config=lambda: self.config,
            group=self.group,
            notify=Told(self.log, self.events, self.signals),
            mesh=self,
            pid=4242,
            held=self.is_held,
        )
        folder = str(self.folder / "blobs")
        self.blobs = BlobStore(folder, self.seams.files, self.group, self.seams.time, lambda: self.floor)
        await recover(self.blobs, self.ledger.transaction)
        self.links = Links(
            Parts(
                identity=self.identity,
                home=Home(str(self.folder)),
                seams=self.seams,
                group=self.group,
                ingress=self.bus.ingress,
                blobs=self.blobs,
                accept=self.bus.accept,
                hand_to=self.bus.planner.hand_to,
                membership=self.book,
                signals=self.signals,
                events=self.events,
                log=self.log,
                crashed=self.crashes.append,
                route_lines=lambda: self.config.routes,
                takes_work=lambda: self.takes_work,
                inbox_max=lambda: self.config.inbox_envelopes_max,
                options=TransportOptions(self._bind),
                program="1.2.3",
                make_store=self.make_store,
            )
        )

    async def send(self, to: str, *texts: str, sender: str = "agent0", **fields: Any) -> list[Accepted]:
        answers = await self.bus.accept(sender, "actor", [Draft(to, text, **fields) for text in texts])
        for answer in answers:
            if not isinstance(answer, Accepted):
                raise answer
        return answers  # type: ignore[return-value]

    async def rows(self, sql: str, *values: Any) -> list[Row]:
        [rows] = await self.group.write([Statement(sql, values)])
        return rows

    async def one(self, sql: str, *values: Any) -> Any:
        return (await self.rows(sql, *values))[0][0]

    async def received(self) -> list[str]:
        rows = await self.rows("SELECT messages.id FROM inbox JOIN messages USING (seq) ORDER BY seq")
        return [str(row[0]) for row in rows]


def seams_with(transport: OpenTransport, **others: Any) -> Seams:
    seams = replace(real_seams(), files=RealFiles(inline=True), transport=transport, ledger=SqliteLedgers())
    return replace(seams, **others)


def _line(text: str) -> RouteLine:
    line = parse_route("test", text)
    assert isinstance(line, RouteLine), line
    return line


@asynccontextmanager
async def station(made: Station, *, linked: bool = True) -> AsyncIterator[Station]:
    """One life of it."""
    await made.open()
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(made.group.run)
            async with trio.open_nursery() as inner:
                inner.start_soon(made.bus.projector.run)
                inner.start_soon(Acks(made.group, made.signals, made.bus.accept, made.seams).run)
                if linked:
                    inner.start_soon(made.links.run)
                yield made
                inner.cancel_scope.cancel()
            nursery.cancel_scope.cancel()
    finally:
        made.log.close()
        made.blobs.close()
        made.ledger.close()
