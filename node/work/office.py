"""The office: the node that gives work out. What it does in a round, and in which order it stores, sends and starts.

    mail → what was finished here → what is over in time → verified → committed → offered → stuck runs

Each step reads, decides by pure functions, stores all of it in one transaction, and only then lets anything out of the
node. Nothing that is decided hangs on memory: a life that begins reads the rows and goes on.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import trio
from netsky.node.bus.draft import Accepted, Draft
from netsky.node.db import node_state, work_runs, work_tickets
from netsky.node.db.work_runs import RunRow
from netsky.node.db.work_tickets import Ready, TicketRow
from netsky.node.errors import NetskyError, TryLater, Usage
from netsky.node.work import planning, posting
from netsky.node.work import report as reports
from netsky.node.work import ticket as tickets
from netsky.node.work.book import Book, Change
from netsky.node.work.fence import Fence, read_fence
from netsky.node.work.judging import judged
from netsky.node.work.limits import BATCH, IDLE_NS, LEASE_NS
from netsky.node.work.placing import Placed, placing
from netsky.node.work.report import Report
from netsky.node.work.rooms import Rooms
from netsky.node.work.runtime import Job
from netsky.node.work.ticket import Spec

if TYPE_CHECKING:
    from netsky.node.daemon.node import Node
    from netsky.node.work.floor import Floor

COUNTER = "work_counter"
"""node_state: the counter of the last fence given out."""
LIFE = "work_life"
"""node_state: of the memory in which it was counted."""

LATE = frozenset({"lease_over", "not_taken"})
"""Why a ticket waits again whose last lease may still bring it to its end."""

AGAIN_NS = 2 * 10**9
"""Until an offer that found no room on its way is sent once more."""


class Office:
    def __init__(self, node: Node, floor: Floor) -> None:
        self.book = Book()
        self.rooms = Rooms(node, floor)
        self.lock = trio.Lock()
        """Whoever reads and then changes tickets has it."""
        self.waits: dict[Ready, str] = {}
        """Why those of one place wait."""
        self.granted: set[int] = set()
        """Tickets to which a person ever allowed more."""
        self.counter = 0
        self.newest = 0
        """The highest ticket number."""
        self._node = node
        self._floor = floor
        self._finished: list[tuple[Job, Report]] = []
        self._unsent: list[TicketRow] = []
        self._send_at = 0
        self._due = 0

    @property
    def agent(self) -> str:
        """In whose name this node gives work out."""
        return f"{posting.AGENT}@{self._node.identity.name}"

    @property
    def reign(self) -> int:
        charter = self._node.identity.charter
        return 0 if charter is None else charter.reign

    @property
    def life(self) -> int:
        links = self._node.links
        return 1 if links is None else links.remembering.highest

    # Its beginning.

    async def load(self) -> None:
        """What the last life left: what was at work here is lost, what is elsewhere has a lease to say so."""
        node = self._node
        self.book = Book()
        self._finished, self._unsent = [], []
        runs, places, counter, life, newest, here, offered, granted = await node.group.read(
            [
                work_runs.open_runs(),
                work_tickets.ready_places(),
                node_state.get(COUNTER),
                node_state.get(LIFE),
                work_tickets.newest(),
                work_tickets.held_by(node.identity.name),
                work_tickets.offered(),
                work_runs.granted(),
            ]
        )
        self.book.runs = {run.id: run for run in work_runs.rows(runs)}
        self.book.ready = work_tickets.ready_rows(places)
        self.counter, self.newest = node_state.integer(counter), int(str(newest[0][0]))
        self.granted = {int(str(ticket)) for (ticket,) in granted}
        burnt = 0 < node_state.integer(life) < self.life
        change = self.book.change(node.now())
        for row in work_tickets.rows(here):
            await self._lost_here(change, row)
        if burnt:
            for row in await self._held_elsewhere():
                change.move(
                    row, "stopped", code="restored", reason="this node was put back from a backup", node=row.node
                )
        await self.store(change)
        await node.group.write([work_tickets.grace(node.now() + LEASE_NS), node_state.put(LIFE, self.life)])
        self._unsent = [row for row in work_tickets.rows(offered) if row.node != node.identity.name and not burnt]
        for run in list(self.book.runs.values()):
            if run.state == "created":
                await self._finish_planning(run)
            await self._check_stuck(run.id)

    async def _finish_planning(self, run: RunRow) -> None:
        try:
            await planning.finish(self._node, self, run)
        except Usage as wrong:
            change = self.book.change(self._node.now())
            change.step_run(run, "stuck", "blocked", wrong.message[:500])
            await self.store(change)

    async def _lost_here(self, change: Change, row: TicketRow) -> None:
        crashed = self._node.opened.after_crash and row.state == "leased"  # what was offered had not begun
        code = "node_died" if crashed else "node_stopped"
        said = f"{row.node} {'died' if crashed else 'was stopped'} while it had it"
        self._judge(change, row, Report("lost", code, said))

    async def _held_elsewhere(self) -> list[TicketRow]:
        rooms = await self._node.group.read([work_tickets.held()])
        names = [one.node for one in work_tickets.held_rows(rooms[0]) if one.node != self._node.identity.name]
        found = [await self._node.group.read([work_tickets.held_by(name)]) for name in names]
        return [row for [one] in found for row in work_tickets.rows(one)]

    async def allowed(self, row: TicketRow, now: int) -> Spec:
        """What its author decided, and what a person allowed beyond that and holds now."""
        spec = tickets.decode(row.spec)
        if row.seq not in self.granted:
            return spec
        [found] = await self._node.group.read([work_runs.grants([row.seq])])
        scopes = [json.loads(one.scope) for one in work_runs.grant_rows(found) if one.until > now]
        return tickets.widened(spec, scopes)

    # Rounds.

    def finished(self, job: Job, report: Report) -> None:
        """From the floor."""
        self._finished.append((job, report))
        self._node.work.ring()

    async def round(self) -> bool:
        """Whether anything was done; then another may find more."""
        async with self.lock:
            did = await self._take_finished()
            did |= await self._look_at_time()
            did |= await self._verify()
            did |= await self._commit()
            did |= await self._offer()
            return did

    async def hold_runs(self, rows: Iterable[TicketRow]) -> None:
        """The runs of these are in memory, ended ones too."""
        for id_ in sorted({row.run for row in rows} - self.book.runs.keys()):
            [found] = await self._node.group.read([work_runs.by_id(id_)])
            self.book.runs |= {run.id: run for run in work_runs.rows(found)}

    async def wait_ns(self) -> int:
        """Until something is due by itself."""
        now = self._node.now()
        [found] = await self._node.group.read([work_tickets.next_till()])
        dues = [int(str(row[0])) for row in found]
        dues += [self._due] if self._due else []
        dues += [self._send_at] if self._unsent else []
        return max(0, min(IDLE_NS, *(due - now for due in dues))) if dues else IDLE_NS

    async def store(self, change: Change) -> None:
        """The one place where steps become durable."""
        if change.is_empty and not change.moved:
            return
        written = await self._node.group.write(change.statements())
        self.book.stored(change, written[0] if change.frees else ())
        for told in change.told:
            row = told.ticket
            facts = {"ticket": row.id, "event": told.event, "state": row.state, "node": row.node, "code": row.code}
            self._node.events.publish("work", **facts)
        blocked = [told.ticket for told in change.told if told.event == "block"]
        if blocked:
            await self._escalate(blocked)
        for run in change.suspects:
            await self._check_stuck(run)
        self._node.work.moved()

    async def _escalate(self, blocked: Sequence[TicketRow]) -> None:
        """One word for each run, about its first: who looks at that one sees the others."""
        first = {row.run: row for row in reversed(blocked)}
        await self._node.bus.accept("agentinfinity", "node", self._node.work.tell_blocked(list(first.values())))

    async def _check_stuck(self, id_: str) -> None:
        run = self.book.runs.get(id_)
        if run is None or run.state in {"created", "blocked", "completed"}:
            return
        [found] = await self._node.group.read([work_tickets.is_moving(id_)])
        if not found and (run.open or run.failed):
            change = self.book.change(self._node.now())
            change.step_run(run, "stuck", "blocked", "nothing goes on without a person")
            await self.store(change)

    async def _take_finished(self) -> bool:
        if not self._finished:
            return False
        batch, self._finished = self._finished[:BATCH], self._finished[BATCH:]
        [found] = await self._node.group.read([work_tickets.by_ids([job.task_id for job, _ in batch])])
        rows = {row.id: row for row in work_tickets.rows(found)}
        change = self.book.change(self._node.now())
        for job, report in batch:
            self.report(change, rows.get(job.task_id), self._node.identity.name, str(job.fence), report)
        await self.store(change)
        return True

    def report(self, change: Change, row: TicketRow | None, node: str, fence: str, report: Report | str) -> bool:
        """What a node says of a ticket. Whoever has not its lease any more is refused, and that is on record."""
        if row is None:
            return False
        row = change.row(row)
        waits = row.state == "waiting" and row.code in LATE  # nobody else has got it: what is done is done
        if not (waits or row.state in {"offered", "leased"}) or (row.node, row.fence) != (node, fence):
            said = f"{node} reported under the fence {fence}; in force is {row.fence} at {row.node}, {row.state}"
            change.remark(row, "stale", code="fence", reason=said, node=node, fence=fence)
            return False
        if isinstance(report, str):
            report = Report("failed", report, f"what {node} reported is no report")
        self._judge(change, row, report)
        return True

    def _judge(self, change: Change, row: TicketRow, report: Report) -> None:
        spec = tickets.decode(row.spec)
        chance = self._node.seams.chance.fraction()
        found = judged(row, spec, report, change.now, chance)
        columns: dict[str, Any] = {"till": None, **found.columns, "owner": self.agent}
        if report.ended not in {"lost", "cancelled"}:
            columns["report"] = reports.encode(report)
        change.move(row, found.event, code=found.code, reason=found.reason, **columns)

    async def _look_at_time(self) -> bool:
        now = self._node.now()
        [found] = await self._node.group.read([work_tickets.timed_out(now, BATCH)])
        rows = work_tickets.rows(found)
        if not rows:
            return False
        change = self.book.change(now)
        for row in rows:
            if row.state == "parked":
                change.move(row, "wake", reason="the time came", till=None, due=0)
            elif row.state == "offered":
                self.rooms.forget(row.node)
                self._judge(change, row, Report("lost", "not_taken", f"{row.node} did not take it"))
            else:
                self._judge(change, row, Report("lost", "lease_over", f"nothing was heard of {row.node} for its lease"))
        await self.store(change)
        return True

    async def _verify(self) -> bool:
        [found] = await self._node.group.read([work_tickets.in_state("reported", BATCH)])
        rows = work_tickets.rows(found)
        if not rows:
            return False
        change = self.book.change(self._node.now())
        for row in rows:
            change.move(row, "verify", owner=self.agent)
        await self.store(change)
        return True

    async def _commit(self) -> bool:
        [found] = await self._node.group.read([work_tickets.in_state("verified", BATCH)])
        rows = work_tickets.rows(found)
        if not rows:
            return False
        change = self.book.change(self._node.now())
        for row in rows:
            change.move(row, "commit", owner="")
        await self.store(change)
        return True

    # Giving out.

    async def _offer(self) -> bool:
        node, self._due = self._node, 0
        if not self.book.ready or node.halt.hands_out != "all":
            return await self._send_offers()
        now = node.now()
        await self._ask_for_room()
        [held] = await node.group.read([work_tickets.held()])
        rooms = {room.name: room for room in self.rooms.now(work_tickets.held_rows(held))}
        change = self.book.change(now)
        jobs: list[tuple[TicketRow, Job]] = []
        for place in sorted(self.book.ready):
            await self._offer_place(change, place, rooms, jobs)
        if not jobs:
            return await self._send_offers()
        change.also.append(node_state.put(COUNTER, self.counter))
        await self.store(change)
        here = [(row, job) for row, job in jobs if row.node == node.identity.name]
        self._unsent += [row for row, _ in jobs if row.node != node.identity.name]
        self._send_at = 0
        await self._take_here(here)
        await self._send_offers()
        return True

    async def _ask_for_room(self) -> None:
        """A mesh without work says nothing of its slots: siblings are asked when there is some."""
        drafts = [posting.want(name) for name in self.rooms.unasked()]
        if drafts:
            await self._node.bus.accept("agentinfinity", "node", drafts)

    async def _offer_place(
        self, change: Change, place: Ready, rooms: dict[str, Any], jobs: list[tuple[TicketRow, Job]]
    ) -> None:
        free = sum(room.free for room in rooms.values())
        read, now = self._node.group.read, change.now
        found, due = await read([work_tickets.ready(place, now, max(1, free)), work_tickets.next_due(place, now)])
        rows = work_tickets.rows(found)
        if due:
            at = int(str(due[0][0]))
            self._due = min(self._due or at, at)
        elif not rows:
            self.book.ready.discard(place)
            self.waits.pop(place, None)
        for row in rows:
            spec = await self.allowed(row, change.now)
            where = placing(spec.needs, spec.on, list(rooms.values()), alone=bool(row.alone))
            if not isinstance(where, Placed):
                self.waits[place] = where.why
                break
            self.waits.pop(place, None)
            self.counter += 1
            fence = Fence(self.reign, self.life, self.counter)
            room = rooms[where.node]
            rooms[where.node] = room.taking(alone=bool(row.alone))
            here = where.node == self._node.identity.name
            offered = change.move(
                *(row, "offer"),
                reason=where.why,
                owner=f"{posting.AGENT}@{where.node}",
                node=where.node,
                fence=str(fence),
                till=None if here else now + LEASE_NS,
            )
            if offered is not None:
                jobs.append((offered, Job(row.id, fence, row.tries + 1, spec)))

    async def _take_here(self, taken: Sequence[tuple[TicketRow, Job]]) -> None:
        if not taken:
            return
        change = self.book.change(self._node.now())
        for row, _ in taken:
            change.move(row, "take", reason=row.reason)
        await self.store(change)
        for _, job in taken:
            self._floor.start(job, self.finished)

    async def _send_offers(self) -> bool:
        """Offers that are stored and not yet on their way; once more in a later life, under the same keys."""
        now = self._node.now()
        if not self._unsent or now < self._send_at:
            return False
        batch, self._unsent = self._unsent[:BATCH], self._unsent[BATCH:]
        drafts = [_draft_of(row, await self.allowed(row, now)) for row in batch]
        answers = await self._node.bus.accept(posting.AGENT, "node", drafts)
        change = self.book.change(now)
        for row, answer in zip(batch, answers, strict=True):
            if isinstance(answer, TryLater):
                self._unsent.append(row)
                self._send_at = now + AGAIN_NS
            elif isinstance(answer, NetskyError):
                said = f"the offer could not be sent to {row.node}: {answer.message}"
                change.move(row, "stopped", code="not_sent", reason=said, till=None, owner=self.agent)
        await self.store(change)
        return True

    async def tell(self, drafts: Sequence[Draft]) -> list[Accepted | NetskyError]:
        """In the name of this node's agent0; what cannot be sent now is not needed, or is said again."""
        return await self._node.bus.accept(posting.AGENT, "node", drafts) if drafts else []


def _draft_of(row: TicketRow, spec: Spec) -> Draft:
    fence = read_fence(row.fence)
    assert fence is not None
    return posting.ticket(Job(row.id, fence, row.tries + 1, spec), row.node)
