"""netsky0 with the owner's desk at work, and siblings: real databases, virtual time, pages written down."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import trio
from netsky.node.daemon.caller import OPERATOR, Caller
from netsky.node.lab.network import MemoryNetwork
from netsky.node.lab.virtual import SeededChance, VirtualTime
from netsky.node.owner.desk import Around, OwnerDesk
from netsky.node.verbs.args import Args
from netsky.node.verbs.owner import owner
from netsky.node.verbs.send import send

from tests.node.owner.dying import Life
from tests.node.stations import Station, roster, seams_with, station
from tests.node.test_delivery import Desk
from tests.node.test_relay import add

MINUTE = 60
HOUR = 60 * MINUTE
DAY = 24 * HOUR
ROOT_AT = "memory:40"
AGENT0 = Caller("actor", "agent0", fenced=True)
WORKER = Caller("actor", "worker1", fenced=True)


class Page(NamedTuple):
    at: float
    subject: str
    body: str
    severity: str
    key: str


class JumpingTime(VirtualTime):
    """A wall clock that can be set, and a machine that can sleep; the steady clock knows of neither."""

    def __init__(self) -> None:
        super().__init__()
        self.jump_s = 0.0

    def wall(self) -> int:
        return super().wall() + round(self.jump_s * 1e9)


@dataclass
class Office:
    """What the people see: the owner at netsky0's shell, agent0 there, workers elsewhere."""

    root: Station
    building: Building
    pages: list[Page]
    hook_fails: int = 0
    life: Life | None = None
    """That may end before a page goes out."""
    desk: OwnerDesk = field(init=False)

    def __post_init__(self) -> None:
        root = self.root
        self.desk = OwnerDesk(
            Around(
                ledger=root.ledger,
                group=root.group,
                accept=root.bus.accept,
                put_away=root.bus.acked,
                page=self._page,
                page_after_s=lambda: root.config.owner_page_after_s,
                inbox_max=lambda: root.config.inbox_envelopes_max,
                time=root.seams.time,
                signals=root.signals,
                events=root.events,
                log=root.log,
                home="netsky0",
            )
        )

    async def _page(self, subject: str, body: str, *, severity: str, key: str) -> bool:
        if self.life is not None:
            self.life.reach("page")
        if self.hook_fails:
            self.hook_fails -= 1
            return False
        self.pages.append(Page(trio.current_time(), subject, body, severity, key))
        return True

    @property
    def time(self) -> JumpingTime:
        return self.building.time

    @asynccontextmanager
    async def sibling(self, number: int = 2) -> AsyncIterator[Station]:
        """A sibling for as long as it is needed: links cost a heartbeat every second, and deadlines are hours away."""
        async with station(self.building.station(number)) as made:
            await add(made, "worker1")
            await trio.sleep(2)
            yield made
            await trio.sleep(2)

    async def look(self, later: float = 0) -> None:
        """The desk looks, so many seconds from now, once its clock is believed."""
        now = self.root.seams.time.wall() + round(later * 1e9)
        await self.desk.look(now)
        if later:
            await trio.sleep(3 * MINUTE)
            await self.desk.look(now + 3 * MINUTE * 10**9)
        await self.desk.deliver()

    def as_node(self, of: Station, caller: Caller = OPERATOR) -> Desk:
        shim = Desk(of, caller)
        shim.seams = of.seams  # type: ignore[attr-defined]
        shim.owner = self.desk if of is self.root else None  # type: ignore[attr-defined]
        return shim

    async def say(self, do: str, *, caller: Caller = OPERATOR, at: Station | None = None, **args: Any) -> Any:
        """The verb `owner` of a node: netsky0's if none is named."""
        node = self.as_node(at or self.root, caller)
        return await owner(node, caller, Args("owner", {"do": do, **args}))  # type: ignore[arg-type]

    async def send(
        self, to: str, text: str, *, at: Station | None = None, caller: Caller = OPERATOR, **args: Any
    ) -> Any:
        node = self.as_node(at or self.root, caller)
        return await send(node, caller, Args("send", {"to": to, "text": text, **args}))  # type: ignore[arg-type]

    async def wrote(self, *texts: str, kind: str = "report", number: int = 2) -> float:
        """A worker of a sibling writes to the owner; the sibling is gone again when it stands at netsky0. When that
        was."""
        async with self.sibling(number) as there:
            for text in texts:
                await self.send("owner@netsky0", text, at=there, caller=WORKER, kind=kind)
            return trio.current_time()

    async def asked(self, *, within: float = 2 * HOUR, number: int = 2, **args: Any) -> str:
        """The same with a question. Its id."""
        async with self.sibling(number) as there:
            return await self.ask(there, within=within, **args)

    async def ask(self, at: Station, caller: Caller = WORKER, *, within: float = 2 * HOUR, **args: Any) -> str:
        said = {"text": "Shall I drop the old table?", "otherwise": "keep it"} | args
        return str((await self.say("ask", caller=caller, at=at, within=within, **said))["id"])

    async def answers(self, id: str, at: Station | None = None) -> list[str]:  # noqa: A002 - the envelope's word
        """Ids of all answers of owner@netsky0 that are there."""
        sql = "SELECT id FROM messages WHERE in_reply_to = ? AND sender LIKE 'owner%' ORDER BY seq"
        return [str(answer) for (answer,) in await (at or self.root).rows(sql, id)]


@dataclass
class Building:
    folder: Path
    net: MemoryNetwork = field(default_factory=MemoryNetwork)
    time: JumpingTime = field(default_factory=JumpingTime)
    life: Life | None = None
    """Of netsky0, where it is to be ended."""
    pages: list[Page] = field(default_factory=list)
    """Of all its lives."""

    def station(self, number: int) -> Station:
        time = self.time if number == 0 else VirtualTime()
        seams = seams_with(self.net, time=time, chance=SeededChance(number))
        if number == 0 and self.life is not None:
            seams = self.life.over(seams)
        bind = ROOT_AT if number == 0 else f"memory:{40 + number}"
        return Station(self.folder / str(number), number, seams, roster(1, 2), bind=bind, root_at=ROOT_AT)

    @asynccontextmanager
    async def open(self, *, desk: bool = True, wait: float = 5 * MINUTE) -> AsyncIterator[Office]:
        """netsky0, up for a while: agent0 had its time after the start."""
        async with station(self.station(0)) as root:
            await add(root, "owner", "agent1")
            office = Office(root, self, self.pages, life=self.life)
            async with trio.open_nursery() as nursery:
                if desk:
                    nursery.start_soon(office.desk.run)
                else:
                    await office.look()
                await trio.sleep(wait)
                yield office
                nursery.cancel_scope.cancel()
