"""The office: the node that gives work out. What it does in a round, and in which order it stores, sends and starts.

    mail → what was finished here → what is over in time → verified → committed → given out (giving.py)

Each step reads, decides by pure functions, stores all of it in one transaction, and only then lets anything out of the
node. Nothing that is decided hangs on memory: a life that begins reads the rows and goes on.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import trio
from netsky.node.bus.draft import Accepted, Draft
from netsky.node.db import node_state, work_patches, work_runs, work_tickets
from netsky.node.db.work_runs import RunRow
from netsky.node.db.work_tickets import TicketRow
from netsky.node.errors import NetskyError, Usage
from netsky.node.work import planning, posting
from netsky.node.work import report as reports
from netsky.node.work import ticket as tickets
from netsky.node.work.book import Book, Change
from netsky.node.work.giving import COUNTER, Giving
from netsky.node.work.judging import judged
from netsky.node.work.landing import Landing
from netsky.node.work.limits import BATCH, IDLE_NS, LEASE_NS
from netsky.node.work.report import Report
from netsky.node.work.rooms import Rooms
from netsky.node.work.runtime import Job
from netsky.node.work.ticket import Spec
from netsky.node.work.ticket_states import Event, State

if TYPE_CHECKING:
    from netsky.node.daemon.node import Node
    from netsky.node.work.floor import Floor
    from netsky.node.work.workshop import Workshop

LIFE = "work_life"
"""node_state: of the memory in which it was counted."""

LATE = frozenset({"lease_over", "not_taken"})
"""Why a ticket waits again whose last lease may still bring it to its end."""


class Office:
    def __init__(self, node: Node, floor: Floor, workshop: Workshop) -> None:
        self.book = Book()
        self.rooms = Rooms(node, floor)
        self.lock = trio.Lock()
        """Whoever reads and then changes tickets has it."""
        self.granted: set[int] = set()
        """Tickets to which a person ever allowed more."""
        self.giving = Giving(node, self, floor)
        self.newest = 0
        """The highest ticket number."""
        self.landing = Landing(node, self, workshop)
        self._node = node
        self._floor = floor
        self._finished: list[tuple[Job, Report]] = []

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
        self._finished, self.giving = [], Giving(node, self, self._floor)
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
        self.giving.counter, self.newest = node_state.integer(counter), int(str(newest[0][0]))
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
        self.giving.unsent = [row for row in work_tickets.rows(offered) if row.node != node.identity.name and not burnt]
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
            self.book.forget_ended()
            did = await self._take_finished()
            did |= await self._look_at_time()
            did |= await self._go_on("reported", "verify", self.agent)
            did |= await self._go_on("verified", "commit", "")
            did |= await self.giving.round()
            return did

    async def hold_runs(self, rows: Iterable[TicketRow]) -> None:
        """The runs of these are in memory, ended ones too."""
        for id_ in sorted({row.run for row in rows}):
            await self.hold_run(id_)

    async def hold_run(self, id_: str) -> RunRow:
        """This run, as it is now."""
        if id_ not in self.book.runs:
            [found] = await self._node.group.read([work_runs.by_id(id_)])
            self.book.runs |= {run.id: run for run in work_runs.rows(found)}
        return self.book.runs[id_]

    async def wait_ns(self) -> int:
        """Until something is due by itself."""
        now = self._node.now()
        [found] = await self._node.group.read([work_tickets.next_till()])
        dues = [int(str(row[0])) for row in found]
        dues += self.giving.dues()
        dues += [self.landing.due] if self.landing.due else []
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
        if found.event == "report" and report.patch_id:
            change.also.append(work_patches.keep(row.seq, bytes.fromhex(report.patch_id)))
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

    async def _go_on(self, state: State, event: Event, owner: str) -> bool:
        """Those without a patch and without criteria at once, the others as they are landed."""
        [found] = await self._node.group.read([work_tickets.in_state(state, BATCH)])
        change = self.book.change(self._node.now())
        for row in work_tickets.rows(found):
            if Landing.is_for(row):
                self.landing.start(row)
            else:
                change.move(row, event, owner=owner)
        await self.store(change)
        return bool(change.moved)

    async def tell(self, drafts: Sequence[Draft]) -> list[Accepted | NetskyError]:
        """In the name of this node's agent0; what cannot be sent now is not needed, or is said again."""
        return await self._node.bus.accept(posting.AGENT, "node", drafts) if drafts else []
