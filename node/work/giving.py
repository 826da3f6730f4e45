"""Giving tickets out: which go where now, under which fence; stored first, then sent, or begun here.

offer stored → envelope accepted by the bus, or taken here and begun
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from netsky.node.bus.draft import Draft
from netsky.node.db import node_state, work_tickets
from netsky.node.db.work_tickets import Ready, TicketRow
from netsky.node.errors import NetskyError, TryLater
from netsky.node.work import context, posting
from netsky.node.work import start as starts
from netsky.node.work.book import Change
from netsky.node.work.fence import Fence, read_fence
from netsky.node.work.limits import BATCH, LEASE_NS
from netsky.node.work.placing import Placed, Room, placing
from netsky.node.work.runtime import Job
from netsky.node.work.start import Start
from netsky.node.work.starting import start_of
from netsky.node.work.ticket import Spec

if TYPE_CHECKING:
    from netsky.node.daemon.node import Node
    from netsky.node.work.floor import Floor
    from netsky.node.work.office import Office

COUNTER = "work_counter"
"""node_state: the counter of the last fence given out."""

AGAIN_NS = 2 * 10**9
"""Until an offer that found no room on its way is sent once more."""


class Giving:
    def __init__(self, node: Node, office: Office, floor: Floor) -> None:
        self.waits: dict[Ready, str] = {}
        """Why those of one place wait."""
        self.counter = 0
        self.unsent: list[TicketRow] = []
        """Offered elsewhere and stored, and not yet on their way."""
        self._node = node
        self._office = office
        self._floor = floor
        self._send_at = 0
        self._due = 0
        self._last: Ready | None = None
        """Who had the first choice last: the next one has it now, so that a long queue starves nobody."""

    def dues(self) -> list[int]:
        """When something is to be done by itself."""
        return [*([self._due] if self._due else []), *([self._send_at] if self.unsent else [])]

    async def round(self) -> bool:
        node, office, self._due = self._node, self._office, 0
        if not office.book.ready or node.halt.hands_out != "all":
            return await self._send()
        await self._ask_for_room()
        [held] = await node.group.read([work_tickets.held()])
        rooms = {room.name: room for room in office.rooms.now(work_tickets.held_rows(held))}
        change = office.book.change(node.now())
        jobs: list[tuple[TicketRow, Job]] = []
        for place in self._in_turn():
            before = len(jobs)
            await self._offer(change, place, rooms, jobs)
            if before == 0 < len(jobs):
                self._last = place
        if not jobs:
            return await self._send()
        change.also.append(node_state.put(COUNTER, self.counter))
        await office.store(change)
        here = [(row, job) for row, job in jobs if row.node == node.identity.name]
        self.unsent += [row for row, _ in jobs if row.node != node.identity.name]
        self._send_at = 0
        await self._take_here(here)
        await self._send()
        return True

    def _in_turn(self) -> list[Ready]:
        places = sorted(self._office.book.ready)
        if self._last is None:
            return places
        return [*(one for one in places if one > self._last), *(one for one in places if one <= self._last)]

    async def _ask_for_room(self) -> None:
        """A mesh without work says nothing of its slots: siblings are asked when there is some."""
        drafts = [posting.want(name) for name in self._office.rooms.unasked()]
        if drafts:
            await self._node.bus.accept("agentinfinity", "node", drafts)

    async def _offer(
        self, change: Change, place: Ready, rooms: dict[str, Room], jobs: list[tuple[TicketRow, Job]]
    ) -> None:
        free = sum(room.free for room in rooms.values())
        read, now = self._node.group.read, change.now
        found, due = await read([work_tickets.ready(place, now, max(1, free)), work_tickets.next_due(place, now)])
        rows = work_tickets.rows(found)
        if due:
            at = int(str(due[0][0]))
            self._due = min(self._due or at, at)
        elif not rows:
            self._office.book.ready.discard(place)
            self.waits.pop(place, None)
        for row in rows:
            spec = await self._office.allowed(row, now)
            where = placing(spec.needs, spec.on, list(rooms.values()), alone=bool(row.alone))
            if not isinstance(where, Placed):
                self.waits[place] = where.why
                break
            self.waits.pop(place, None)
            start = await self._start(row, spec, where)
            if start == "later":
                continue
            rooms[where.node] = rooms[where.node].taking(alone=bool(row.alone))
            offered, job = self._offered(change, row, spec, where, start)
            jobs.append((offered, replace(job, context=await context.whole(self._node, row, spec.context_pointers))))

    async def _start(self, row: TicketRow, spec: Spec, where: Placed) -> Start | Literal["later"] | None:
        run, here = self._office.book.runs[row.run], where.node == self._node.identity.name
        return await start_of(self._node.work.workshop, run, row, runtime=spec.runtime, here=here)

    def _offered(
        self, change: Change, row: TicketRow, spec: Spec, where: Placed, start: Start | None
    ) -> tuple[TicketRow, Job]:
        self.counter += 1
        fence = Fence(self._office.reign, self._office.life, self.counter)
        here = where.node == self._node.identity.name
        offered = change.move(
            *(row, "offer"),
            reason=where.why,
            owner=f"{posting.AGENT}@{where.node}",
            node=where.node,
            fence=str(fence),
            till=None if here else change.now + LEASE_NS,
            start=starts.encode(start),
        )
        assert offered is not None
        return offered, Job(row.id, fence, row.tries + 1, spec, start)

    async def _take_here(self, taken: Sequence[tuple[TicketRow, Job]]) -> None:
        if not taken:
            return
        change = self._office.book.change(self._node.now())
        for row, _ in taken:
            change.move(row, "take", reason=row.reason)
        await self._office.store(change)
        for _, job in taken:
            self._floor.start(job, self._office.finished)

    async def _send(self) -> bool:
        """Offers that are stored, as they are now; once more in a later life, under the same keys."""
        office, now = self._office, self._node.now()
        if not self.unsent or now < self._send_at:
            return False
        batch, self.unsent = self.unsent[:BATCH], self.unsent[BATCH:]
        [found] = await self._node.group.read([work_tickets.by_seqs([row.seq for row in batch])])
        fences = {row.fence for row in batch}
        rows = [row for row in work_tickets.rows(found) if row.state == "offered" and row.fence in fences]
        drafts = [await self._draft(row, now) for row in rows]
        answers = await self._node.bus.accept(posting.AGENT, "node", drafts)
        change = office.book.change(now)
        for row, answer in zip(rows, answers, strict=True):
            if isinstance(answer, TryLater):
                self.unsent.append(row)
                self._send_at = now + AGAIN_NS
            elif isinstance(answer, NetskyError):
                said = f"the offer could not be sent to {row.node}: {answer.message}"
                change.move(row, "stopped", code="not_sent", reason=said, till=None, owner=office.agent)
        await office.store(change)
        return True

    async def _draft(self, row: TicketRow, now: int) -> Draft:
        fence, spec = read_fence(row.fence), await self._office.allowed(row, now)
        assert fence is not None
        found = await context.whole(self._node, row, spec.context_pointers)
        return posting.ticket(Job(row.id, fence, row.tries + 1, spec, starts.decode(row.start), found), row.node)
