"""Whole nodes in virtual time, and an adversary in the place of the root, or with the key of one who is enrolled."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import trio
from netsky.envelope.batch import Batch, leaves
from netsky.mesh.frames import CONTROL, Ack, Credit, Frame, Position
from netsky.mesh.roster import Member, Roster, seal_roster
from netsky.mesh.streams import LANES
from netsky.mesh.transport import PeerAddress
from netsky.node.lab.adversary import WORK, Adversary, Wire, adversary
from netsky.node.lab.forgery import LINEAGE, Forger
from netsky.node.lab.virtual import EPOCH_NS

from tests.node.stations import MESH, Station, identity, key, private_key
from tests.node.test_links import BACK, ROOT_AT, World
from tests.node.test_links import WORK as WORK_LINE

NOW = EPOCH_NS
ENROLLED = (1, 2, 3)
"""netsky1 and netsky2 are honest; netsky3 is whoever holds its key."""


def forger(number: int, *, reign: int = 1, name: str | None = None) -> Forger:
    return Forger(MESH, bytes([number + 1]) * 32, name or f"netsky{number}", reign)


def enrolled(
    *numbers: int, version: int = 1, reign: int = 1, revoked: Sequence[int] = (), keys: dict[int, int] | None = None
) -> tuple[Roster, bytes]:
    """Sealed by the root. `keys`: names that have the key of another number."""
    others = keys or {}
    members = [
        Member(key(others.get(n, n)), f"netsky{n}", f"machine {n}", revoked=NOW if n in revoked else 0)
        for n in (0, *numbers)
    ]
    made = Roster(MESH, key(0), reign, version, 1, 7, tuple(members))
    return made, seal_roster(made, private_key(0).sign)


@dataclass
class AttackWorld(World):
    known: tuple[Roster, bytes] = field(default_factory=lambda: enrolled(*ENROLLED))
    reign: int = 1

    def station(self, number: int, routes: Sequence[str] = (), **others: Any) -> Station:
        made = super().station(number, routes, **others)
        made.identity = identity(number, self.reign)
        return made

    @asynccontextmanager
    async def seat(self) -> AsyncIterator[Seat]:
        """netsky2, linked with an adversary that has the root's key."""
        async with adversary(self.net, forger(0).secret, bind=ROOT_AT) as peer, self.sibling(2) as two:
            seat = Seat(two, peer, forger(0, reign=self.reign))
            await seat.link()
            yield seat
            assert two.crashes == []

    async def go_on(self) -> None:
        """The neighbours: an honest envelope goes through right after."""
        async with self.three() as stations:
            await goes_through(*stations)

    @asynccontextmanager
    async def member(self, *, lines: Sequence[str] = (WORK_LINE, BACK), both: bool = True) -> AsyncIterator[Member3]:
        """All are linked, and netsky3 is an adversary that may dial the root."""
        async with (
            self.root(*lines) as root,
            self.sibling(1) as one,
            adversary(self.net, forger(3).secret) as peer,
        ):
            await trio.sleep(1)
            made = Member3(root, one, peer, forger(3))
            if not both:
                yield made
                return
            async with self.sibling(2) as two:
                await trio.sleep(1)
                yield made
                await goes_through(root, one, two)


@dataclass
class Seat:
    two: Station
    peer: Adversary
    root: Forger
    life: int = 1

    async def link(self, **hello: Any) -> Wire:
        self.wire = await self.peer.accept()
        await linked(self.wire, self.root, **hello)
        return self.wire

    def honest(self, *ids: str, origin: int = 1, **changed: Any) -> Batch:
        """What a member sealed for netsky2's agent0."""
        by = forger(origin)
        return by.envelopes(
            *(by.header(id_, to="agent0@netsky2", destination=key(2), now=NOW, **changed) for id_ in ids)
        )

    def routed(self, batch: Batch, first: int, **changed: Any) -> Frame:
        return self.root.routed(batch, first, changed.pop("destination", key(2)), **changed)

    async def acked(self, frame: Frame, number: int) -> None:
        await self.wire.say(WORK, frame)
        await self.wire.answer(Ack, lambda ack: (ack.lane, ack.number) == ("work", number))


@dataclass
class Member3:
    root: Station
    one: Station
    peer: Adversary
    three: Forger

    async def link(self, **hello: Any) -> Wire:
        wire = await self.peer.dial(PeerAddress(key(0), (ROOT_AT,)))
        await linked(wire, self.three, **hello)
        return wire

    def batch(self, *ids: str, to: int = 0, **changed: Any) -> Batch:
        heads = [
            self.three.header(id_, to=f"agent0@netsky{to}", destination=key(to), now=NOW, **changed) for id_ in ids
        ]
        return self.three.envelopes(*heads)

    async def acked(self, wire: Wire, batch: Batch, first: int) -> None:
        """Numbers are consumed, whatever becomes of them."""
        await wire.say(WORK, self.three.claimed(batch, first, key(0)))
        last = first + len(batch.statements) - 1
        await wire.answer(Ack, lambda ack: (ack.lane, ack.number) == ("work", last))


async def linked(wire: Wire, who: Forger, **hello: Any) -> None:
    """As good as any peer so far: the hello is right, and credit is stated both ways."""
    theirs = await wire.greet(who.hello(**hello))
    for lane in LANES:
        await wire.say(CONTROL, Credit(lane, theirs.lane(lane).sends.life, 64, 1 << 20))
    await wire.answer(Credit, lambda credit: credit.lane == "work")


async def goes_through(root: Station, one: Station, two: Station) -> None:
    before = await two.received()
    [sent] = await one.send("agent0@netsky2", "an honest word")
    await trio.sleep(8)
    assert await two.received() == [*before, sent.id]
    assert await one.rows("SELECT fate FROM outcomes WHERE leaf = ?", sent.leaf) == [("delivered",)]
    assert root.crashes == one.crashes == two.crashes == []


@dataclass(frozen=True)
class Stored:
    """What no attack may change."""

    inbox: list[str]
    outcomes: list[Any]
    outbox: list[Any]

    @classmethod
    async def of(cls, node: Station) -> Stored:
        return cls(
            await node.received(),
            await node.rows("SELECT leaf, fate, code FROM outcomes ORDER BY leaf"),
            await node.rows("SELECT seq, state FROM outbox ORDER BY seq"),
        )


async def alarm(events: Any) -> Any:
    """The next one that somebody is told of."""
    with trio.fail_after(300):
        while (event := await events.next())["kind"] != "link_alarm":
            pass
    return event


async def counted(node: Station) -> dict[str, int]:
    """The counters of what was refused by this node."""
    return {str(code): int(count) for code, count in await node.rows("SELECT code, count FROM refused_counts")}  # type: ignore[call-overload]


async def link_events(node: Station, event: str) -> list[str]:
    """Codes of what happened to its links, oldest first."""
    rows = await node.rows("SELECT detail FROM iroh_events WHERE event = ? ORDER BY id", event)
    return [json.loads(str(row[0])).get("code", "") for row in rows]


def after(batch: Batch, mark: int) -> Position:
    """A sender's position whose last number is the last statement of this."""
    return Position(1, LINEAGE, mark, leaves(batch)[-1])


def sends(position: Position, hello: Any) -> Any:
    """A hello whose work lane has come so far."""
    return replace(hello.work, sends=position)
