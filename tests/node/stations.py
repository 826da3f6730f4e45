"""A node without daemon, sockets or actors' programs: ledger, group commit, bus and links, for tests of links."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from netsky.envelope.batch import ZERO_MESH
from netsky.mesh.transport import OpenTransport, TransportOptions
from netsky.node.bus.bus import Bus
from netsky.node.bus.draft import Accepted, Draft
from netsky.node.config import Config
from netsky.node.daemon.told import Told
from netsky.node.db import actors
from netsky.node.db.actors import ActorRow
from netsky.node.db.group import GroupCommit
from netsky.node.db.ledger import SqliteLedgers
from netsky.node.db.opening import begin
from netsky.node.events import Events, Signals
from netsky.node.identity import Identity
from netsky.node.links import Links, Parts
from netsky.node.log import Log
from netsky.node.peers import Peer
from netsky.node.seams import Seams
from netsky.node.seams.ledger import Row, Statement
from netsky.node.seams.real import real_seams
from netsky.node.supervise import Crash


def identity(number: int) -> Identity:
    secret = bytes([number + 1]) * 32
    private = Ed25519PrivateKey.from_private_bytes(secret)
    key = private.public_key().public_bytes_raw()
    return Identity(ZERO_MESH, key, f"netsky{number}", number == 0, private.sign, secret, None)


def peer(number: int, address: str | None = None) -> Peer:
    return Peer(f"netsky{number}", identity(number).key, address)


class Station:
    """One life of a node; the folder outlives it."""

    def __init__(self, folder: Path, number: int, seams: Seams, peers: list[Peer], bind: str) -> None:
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
        self._peers = {one.key: one for one in peers}
        self._bind = bind

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
            peers={one.name: one.key for one in self._peers.values()}.get,
        )
        parts = Parts(
            identity=self.identity,
            seams=self.seams,
            group=self.group,
            ingress=self.bus.ingress,
            signals=self.signals,
            events=self.events,
            log=self.log,
            crashed=self.crashes.append,
        )
        self.links = Links(parts, self._peers, TransportOptions(self._bind))

    async def send(self, to: str, *texts: str, **fields: Any) -> list[Accepted]:
        answers = await self.bus.accept("agent0", "actor", [Draft(to, text, **fields) for text in texts])
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
    return replace(real_seams(), transport=transport, ledger=SqliteLedgers(), **others)


@asynccontextmanager
async def station(
    folder: Path, number: int, seams: Seams, peers: list[Peer], bind: str, *, linked: bool = True
) -> AsyncIterator[Station]:
    made = Station(folder, number, seams, peers, bind)
    await made.open()
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(made.group.run)
            async with trio.open_nursery() as inner:
                inner.start_soon(made.bus.projector.run)
                if linked:
                    inner.start_soon(made.links.run)
                yield made
                inner.cancel_scope.cancel()
            nursery.cancel_scope.cancel()
    finally:
        made.log.close()
        made.ledger.close()
