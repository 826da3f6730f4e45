"""A root with its door, and homes that join it: real databases and files, the network in memory, virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import trio
from netsky.mesh.join import Admission
from netsky.mesh.limits import JOIN_ALPN
from netsky.mesh.roster import Member, Roster
from netsky.mesh.ticket import Ticket, read_ticket
from netsky.mesh.transport import Connection, Incoming, PeerAddress, TransportError, TransportOptions
from netsky.node.config import read_config
from netsky.node.db.group import GroupCommit
from netsky.node.db.opening import begin
from netsky.node.events import Events, Signals
from netsky.node.home import Home
from netsky.node.identity import Identity, public_key, read_identity, read_key
from netsky.node.init import init_home
from netsky.node.lab.network import MemoryNetwork
from netsky.node.lab.virtual import EPOCH_NS, SeededChance, VirtualTime
from netsky.node.log import Log
from netsky.node.membership.joining import Around, join
from netsky.node.membership.membership import Membership, Parts
from netsky.node.membership.register import Register
from netsky.node.seams import Seams
from netsky.node.seams.ledger import Row, Statement
from netsky.node.seams.real import real_seams
from netsky.node.seams.real_files import RealFiles
from netsky.node.supervise import Crash

ROOT_AT = "memory:40"


@dataclass
class Office:
    """One life of a node's membership; the folder outlives it."""

    home: Home
    seams: Seams
    ledger: Any
    group: GroupCommit
    events: Events
    signals: Signals
    membership: Membership
    crashes: list[Crash]

    @property
    def identity(self) -> Identity:
        return self.membership.parts.identity

    @property
    def register(self) -> Register:
        assert self.membership.register is not None
        return self.membership.register

    @property
    def roster(self) -> Roster:
        roster, _ = self.membership.roster()
        assert roster is not None
        return roster

    async def invite(self, label: str = "studio", *capabilities: str, hold: bool = False) -> Ticket:
        address = PeerAddress(self.identity.key, (ROOT_AT,))
        return read_ticket((await self.register.invite(label, capabilities, hold=hold, address=address)).ticket)

    async def rows(self, sql: str, *values: Any) -> list[Row]:
        [rows] = await self.group.write([Statement(sql, values)])
        return rows

    def told(self, *kinds: str) -> list[str]:
        return [event["kind"] for event in self.events.latest() if not kinds or event["kind"] in kinds]


@dataclass
class Listening:
    """What a person at the joining machine sees."""

    words_seen: list[tuple[str, ...]] = field(default_factory=list)
    clocks: list[int] = field(default_factory=list)
    pendings: int = 0
    troubles: list[str] = field(default_factory=list)

    def words(self, words: tuple[str, ...]) -> None:
        self.words_seen.append(words)

    def clock(self, behind_ns: int) -> None:
        self.clocks.append(behind_ns)

    def pending(self) -> None:
        self.pendings += 1

    def trouble(self, sentence: str) -> None:
        self.troubles.append(sentence)


class Machine:
    """One that joins."""

    def __init__(self, world: World, number: int) -> None:
        self.home = Home(str(world.folder / f"machine{number}"))
        self.seen = Listening()
        self.time = VirtualTime()
        self.files = RealFiles()
        self._net = world.net
        self._number = number
        init_home(self.home, self.files, SeededChance(100 + number), self.time, root=False)

    @property
    def key(self) -> bytes:
        return public_key(read_key(self.home, self.files))

    async def join(self, ticket: Ticket, wait_seconds: float = 3_600) -> Admission:
        around = Around(self.files, SeededChance(200 + self._number), self.time, self._net)
        return await join(self.home, around, ticket, program="9.9", listener=self.seen, wait_seconds=wait_seconds)

    def identity(self) -> Identity:
        return read_identity(self.home, self.files, read_config(self.home, self.files))


@dataclass
class World:
    folder: Path
    net: MemoryNetwork = field(default_factory=MemoryNetwork)
    epoch_ns: int = EPOCH_NS
    lives: int = 0

    def machine(self, number: int = 1) -> Machine:
        return Machine(self, number)

    @asynccontextmanager
    async def office(self, name: str = "root", *, label: str = "desk", at: str = ROOT_AT) -> AsyncIterator[Office]:
        """The root's, with its door at `at`."""
        home = Home(str(self.folder / name))
        time = VirtualTime(self.epoch_ns)
        self.lives += 1
        seams = replace(real_seams(), transport=self.net, time=time, chance=SeededChance(1_000 + self.lives))
        if not exists(home.config):
            init_home(home, seams.files, SeededChance(len(name) + 50), time, root=True, label=label)
        async with self.office_of(home, seams) as office:
            transport = await self.net.open(office.identity.secret, [JOIN_ALPN], TransportOptions(at))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._listen, transport, office, nursery)
                yield office
                nursery.cancel_scope.cancel()
            transport.kill()

    async def _listen(self, transport: Any, office: Office, nursery: trio.Nursery) -> None:
        while True:
            nursery.start_soon(self._serve, await transport.next_incoming(), office)

    async def _serve(self, incoming: Incoming, office: Office) -> None:
        try:
            connection: Connection = await incoming.accept()
        except TransportError:
            return
        await office.membership.serve_join(connection)

    @asynccontextmanager
    async def office_of(self, home: Home, seams: Seams) -> AsyncIterator[Office]:
        config = read_config(home, seams.files)
        ledger = seams.ledger.open(home.database)
        events, signals = Events(seams.time), Signals()
        log = Log(seams.files, home.logs, seams.time, bytes_max=1 << 20, files_max=1)
        crashes: list[Crash] = []
        try:
            await begin(ledger, home.database, seams.time.wall(), "test")
            group = GroupCommit(ledger, seams.time)
            membership = Membership(
                Parts(
                    home=home,
                    seams=seams,
                    identity=read_identity(home, seams.files, config),
                    ledger=ledger,
                    group=group,
                    signals=signals,
                    events=events,
                    log=log,
                    crashed=crashes.append,
                )
            )
            await membership.load(config.label)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(group.run)
                yield Office(home, seams, ledger, group, events, signals, membership, crashes)
                nursery.cancel_scope.cancel()
        finally:
            log.close()
            ledger.close()


def names(roster: Roster) -> list[str]:
    return [member.name for member in roster.members if not member.revoked]


def member_of(roster: Roster, key: bytes) -> Member:
    found = roster.member(key)
    assert found is not None
    return found


def exists(path: str) -> bool:
    return Path(path).exists()


def content(path: str) -> bytes:
    return Path(path).read_bytes()


def write(path: str, data: bytes) -> None:
    Path(path).write_bytes(data)


def remove(path: str) -> None:
    Path(path).unlink()
