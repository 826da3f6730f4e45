"""The tenant: a node that works under leases of netsky0. What it got stands in rows, what it did goes back as reports.

    ticket stored → begun → its report stored → sent → the row gone

A report is sent until it is on its way; the bus sees to the rest. What a life leaves begun, the next one reports as
lost: whether it is tried again is netsky0's to say.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from netsky.envelope.fields import Attachment
from netsky.node.db import blobs, work_held
from netsky.node.db.work_held import HeldRow
from netsky.node.errors import NetskyError, TryLater
from netsky.node.work import posting
from netsky.node.work import report as reports
from netsky.node.work import start as starts
from netsky.node.work import ticket as tickets
from netsky.node.work.fence import Fence
from netsky.node.work.limits import IDLE_NS, RENEW_NS, TELL_NS
from netsky.node.work.posting import Beat
from netsky.node.work.report import Report
from netsky.node.work.runtime import Job
from netsky.node.work.start import PATCH
from netsky.relay.authority import ROOT

if TYPE_CHECKING:
    from netsky.node.daemon.node import Node
    from netsky.node.work.floor import Floor

AGAIN_NS = 2 * 10**9
CANCELS_KEPT_NS = 2 * 86_400 * 10**9
"""A cancel whose ticket has not come: the ticket expires long before."""


class Tenant:
    def __init__(self, node: Node, floor: Floor) -> None:
        self.held: dict[str, HeldRow] = {}
        self._node = node
        self._floor = floor
        self._finished: list[tuple[Job, Report]] = []
        self._told: Beat | None = None
        self._is_wanted = False
        """netsky0 has asked, in this connection, what can be taken here."""
        self._tell_at: int | None = None
        self._send_at = 0

    async def load(self) -> None:
        node, now = self._node, self._node.now()
        [found, _] = await node.group.write([work_held.all_held(), work_held.forget_cancelled(now - CANCELS_KEPT_NS)])
        self.held = {row.ticket: row for row in work_held.rows(found)}
        self._finished, self._told, self._tell_at, self._is_wanted = [], None, None, False
        code = "node_died" if node.opened.after_crash else "node_stopped"
        said = f"{node.identity.name} {'died' if node.opened.after_crash else 'was stopped'} while it had it"
        lost = [_done(row, Report("lost", code, said), now) for row in self.held.values() if row.state == "running"]
        await self._store(lost)

    # What netsky0 says.

    async def take(
        self, jobs: Sequence[tuple[Job, str]], cancels: Sequence[tuple[str, Fence]], read: Sequence[int]
    ) -> None:
        """Tickets and cancels that have come, stored with the mail that brought them, then begun and ended."""
        node, now = self._node, self._node.now()
        rows: dict[str, HeldRow] = {}
        begin: list[Job] = []
        end: list[str] = []
        for job, envelope in jobs:
            known = rows.get(job.task_id) or self.held.get(job.task_id)
            if known is not None and _fence(known) >= job.fence:
                if known.state == "cancelled":  # the cancel came first
                    said = Report("cancelled", "cancelled", "the cancel came before its ticket")
                    rows[job.task_id] = _done(_new(job, envelope, "held", now), said, now)
                continue
            if known is not None:
                end.append(job.task_id)
            may = node.halt.hands_out == "all"
            rows[job.task_id] = _new(job, envelope, "running" if may else "held", now)
            begin += [job] if may else []
        for task_id, fence in cancels:
            known = rows.get(task_id) or self.held.get(task_id)
            if known is None:
                rows[task_id] = HeldRow(task_id, str(fence), *fence, "cancelled", 0, "{}", "[]", None, "", now)
            elif _fence(known) <= fence and known.state in {"held", "running"}:
                end.append(task_id)
                said = Report("cancelled", "cancelled", "netsky0 said so")
                rows[task_id] = _done(known, said, now)
                begin = [job for job in begin if job.task_id != task_id]
        await node.group.write([work_held.put(list(rows.values())), work_held.read(read)])
        self.held |= rows
        for task_id in end:
            self._floor.stop(task_id, Report("cancelled", "cancelled", "its lease is over"))
        for job in begin:
            self._floor.start(job, self.finished)
        self._tell_at = min(self._tell_at or now + TELL_NS, now + TELL_NS)

    def finished(self, job: Job, report: Report) -> None:
        self._finished.append((job, report))
        self._node.work.ring()

    # Rounds.

    async def round(self) -> bool:
        did = await self._store_finished()
        did |= await self._look_at_halt()
        did |= await self._send()
        await self._beat()
        return did

    def wait_ns(self) -> int:
        now = self._node.now()
        dues = [at for at in (self._tell_at, self._send_at) if at]
        return max(0, min([IDLE_NS, *(at - now for at in dues)]))

    def linked(self) -> None:
        """The link to netsky0 is new: what is held is told again, the rest when it asks."""
        self._told, self._is_wanted = None, False
        self._send_at = 0

    def wanted(self) -> None:
        self._told, self._is_wanted = None, True

    async def _store_finished(self) -> bool:
        if not self._finished:
            return False
        batch, self._finished = self._finished, []
        now, changed = self._node.now(), []
        for job, report in batch:
            row = self.held.get(job.task_id)
            if row is not None and _fence(row) == job.fence and row.state in {"held", "running"}:
                changed.append(_done(row, report, now))
        await self._store(changed)
        return True

    async def _look_at_halt(self) -> bool:
        """Halted or cut off it ends what it works on and gives it back; what it did not begin waits."""
        node = self._node
        if node.halt.hands_out != "all":
            code = "halted" if node.halt.is_halted else "cut_off"
            busy = [row for row in self.held.values() if row.state == "running"]
            for row in busy:
                said = f"{node.identity.name} {'was halted' if code == 'halted' else 'lost netsky0'} while it had it"
                self._floor.stop(row.ticket, Report("lost", code, said))
            return False
        waiting = [row for row in self.held.values() if row.state == "held"]
        if not waiting:
            return False
        begun = [replace(row, state="running") for row in waiting]
        await self._store(begun)
        for row in begun:
            self._floor.start(_job(row), self.finished)
        return True

    async def _send(self) -> bool:
        """Reports that are stored; each until it is on its way."""
        due = [row for row in self.held.values() if row.state == "done"]
        now = self._node.now()
        if not due or now < self._send_at:
            return False
        drafts = [posting.report(row, ROOT, attached) for row, attached in await self._attached(due)]
        answers = await self._node.bus.accept(posting.AGENT, "node", drafts)
        gone = []
        self._send_at = 0
        for row, answer in zip(due, answers, strict=True):
            if isinstance(answer, TryLater):
                self._send_at = now + AGAIN_NS
                continue
            if isinstance(answer, NetskyError):
                self._node.log.event("work.report_refused", level="warn", ticket=row.ticket, why=answer.message)
            gone.append((row.ticket, row.fence))
        await self._node.group.write([work_held.remove(gone)])
        for ticket, fence in gone:
            if self.held[ticket].fence == fence:
                del self.held[ticket]
        return bool(gone)

    async def _attached(self, due: Sequence[HeldRow]) -> list[tuple[HeldRow, tuple[Attachment, ...]]]:
        """Each with its patch, if it has one. A patch that is not here any more is missed by netsky0."""
        patches = {row.ticket: bytes.fromhex(str(json.loads(row.report or "{}").get("patch_id", ""))) for row in due}
        hashes = [hash_ for hash_ in patches.values() if hash_]
        if not hashes:
            return [(row, ()) for row in due]
        [found] = await self._node.group.read([blobs.held(hashes)])
        sizes = blobs.held_sizes(found)
        return [
            (row, (Attachment(PATCH, sizes[hash_], hash_),) if (hash_ := patches[row.ticket]) in sizes else ())
            for row in due
        ]

    async def _beat(self) -> None:
        """When something is new, and often enough that no lease ends. A node that may not work renews none."""
        now, beat = self._node.now(), self._as_it_is()
        told = self._told
        is_new = self._is_wanted and (
            told is None or (beat.slots, beat.labels, beat.halted) != (told.slots, told.labels, told.halted)
        )
        if not beat.held and not is_new:
            self._tell_at = None
            return
        self._tell_at = now if self._tell_at is None else self._tell_at
        if not is_new and now < self._tell_at:
            return
        [answer] = await self._node.bus.accept("agentinfinity", "node", [posting.beat(beat, ROOT)])
        if isinstance(answer, NetskyError):
            self._tell_at = now + AGAIN_NS
            return
        self._told, self._tell_at = beat, now + RENEW_NS

    def _as_it_is(self) -> Beat:
        node = self._node
        may = node.halt.hands_out == "all"
        labels = tuple(sorted({*self._floor.labels, *filter(None, [node.config.label])}))
        mine = [row for row in self.held.values() if row.state in {"held", "running"}] if may else []
        held = [(row.ticket, row.fence) for row in mine]
        return Beat(self._floor.slots, labels, node.halt.is_halted, tuple(sorted(held)))

    async def _store(self, rows: Sequence[HeldRow]) -> None:
        if rows:
            await self._node.group.write([work_held.put(rows)])
            self.held |= {row.ticket: row for row in rows}


def _fence(row: HeldRow) -> Fence:
    return Fence(row.reign, row.life, row.counter)


def _new(job: Job, envelope: str, state: str, now: int) -> HeldRow:
    spec = tickets.encode(job.spec)
    fence, context, start = str(job.fence), json.dumps(job.context), starts.encode(job.start)
    return HeldRow(job.task_id, fence, *job.fence, state, job.tried, spec, context, None, envelope, now, start)


def _done(row: HeldRow, report: Report, now: int) -> HeldRow:
    return replace(row, state="done", report=reports.encode(report), at=now)


def _job(row: HeldRow) -> Job:
    context = tuple((pointer, text) for pointer, text in json.loads(row.context))
    return Job(row.ticket, _fence(row), row.tried, tickets.decode(row.spec), starts.decode(row.start), context)
