"""From a report to a commit: what the office does for tickets that have a patch, or criteria, or both.

    reported → gate, criteria → `verified` stored → the commit → `committed` stored, with the commit's id

It takes seconds to minutes, so each ticket has a task of its own beside the office's rounds, and the office's lock only
while something is read and stored. Nothing of it is remembered but in rows and in the repository: a life that begins
finds tickets that are `reported` or `verified` and lands them; what was committed meanwhile is found by its key.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import trio
from netsky.node.backoff import RETRY
from netsky.node.db import work_tickets
from netsky.node.db.work_runs import RunRow
from netsky.node.db.work_tickets import TicketRow
from netsky.node.errors import NetskyError, NotFound
from netsky.node.supervise import Crash, describe
from netsky.node.work import judging
from netsky.node.work import report as reports
from netsky.node.work import start as starts
from netsky.node.work import ticket as tickets
from netsky.node.work.criteria import judge
from netsky.node.work.fence import read_fence
from netsky.node.work.limits import LANDING_TRIES, LANDINGS_MAX, REASON_CHARS_MAX
from netsky.node.work.pushing import Pushing
from netsky.node.work.repo.commission import (
    AwaitsReview,
    Commission,
    Committed,
    Conflict,
    Outcome,
    Refused,
    Verdict,
)
from netsky.node.work.repo.git import GitError
from netsky.node.work.repo.limits import PATCH_BYTES_MAX
from netsky.node.work.report import Report
from netsky.node.work.reviewing import REVIEW
from netsky.node.work.start import Start
from netsky.node.work.ticket import Spec

if TYPE_CHECKING:
    from netsky.node.daemon.node import Node
    from netsky.node.work.office import Office
    from netsky.node.work.workshop import Workshop

OURS = ("git_", "refs", "repository_in_use", "fetch_failed", "done_refs_missing", "disk_")
"""Codes of what the machine did: the patch is as good as it was, and its commit is asked for again."""

ONLY_PEOPLE = frozenset({"key_taken", "commission", "commit_lost", "review", "checked_out", "base_missing", "symlink"})
"""Another try would end the same way."""

_NOTHING_LEFT = "nothing_left"


@dataclass(frozen=True, slots=True)
class _Case:
    """A ticket that is being landed, as it was when that began."""

    row: TicketRow
    run: RunRow
    spec: Spec
    report: Report
    start: Start | None


class Landing:
    def __init__(self, node: Node, office: Office, workshop: Workshop) -> None:
        self._node = node
        self._office = office
        self._workshop = workshop
        self._at: set[int] = set()
        """Tickets that are being landed."""
        self._due: dict[int, tuple[int, int]] = {}
        """Those that the machine kept from it: how often, and when they are tried again."""
        self._nursery: trio.Nursery | None = None
        self.pushing = Pushing(node)

    async def run(self, task_status: trio.TaskStatus[None]) -> None:
        self._at.clear()
        self._due.clear()
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            nursery.start_soon(self.pushing.run)
            task_status.started()
            try:
                await trio.sleep_forever()
            finally:
                self._nursery = None

    @staticmethod
    def is_for(row: TicketRow) -> bool:
        """By the text alone: of ten thousand bare tickets none is read for this."""
        return '"patch_id"' in (row.report or "") or '"success_criteria"' in row.spec

    def start(self, row: TicketRow) -> None:
        """Unless it is underway, or waits, or too many are."""
        _, due = self._due.get(row.seq, (0, 0))
        if self._nursery is None or row.seq in self._at or len(self._at) >= LANDINGS_MAX or self._node.now() < due:
            return
        self._at.add(row.seq)
        self._nursery.start_soon(self._land, row)

    @property
    def due(self) -> int:
        """When one of them is tried again; 0 if none is."""
        return min((due for _, due in self._due.values()), default=0)

    async def _land(self, row: TicketRow) -> None:
        try:
            await self._landed(row)
        except Exception as error:  # noqa: BLE001 - the border: one ticket's trouble is not the office's
            self._node.crashes.report(Crash(f"work/land/{row.id}", "crashed", error, 0))
            await self._fail(row, "internal", f"the node made a mistake: {describe(error)}")
        finally:
            self._at.discard(row.seq)
            self._node.work.ring()

    async def _landed(self, row: TicketRow) -> None:
        case = await self._case(row)
        if not case.report.patch_id:
            await self._without_patch(case)
            return
        outcome = await self._ask(case)
        match outcome:
            case Committed():
                await self._committed(case, outcome.commit)
                self.pushing.ring()
            case Conflict(code=code) if code == _NOTHING_LEFT:
                await self._committed(case, "", code, outcome.sentence)
            case AwaitsReview():
                said = f"{outcome.commit[:12]} waits for a person: netsky commit approve {case.spec.idempotency_key}"
                await self._block(case, REVIEW, said)
            case Refused(code=code) if code.startswith(OURS):
                await self._again_later(case, code, outcome.sentence)
            case Refused() | Conflict():
                await self._refused(case, outcome)

    async def _case(self, row: TicketRow) -> _Case:
        async with self._office.lock:
            await self._office.hold_runs([row])
            run = self._office.book.runs[row.run]
        report = reports.read_report(json.loads(row.report or "{}"))
        assert isinstance(report, Report), "it was checked when it came"
        return _Case(row, run, tickets.decode(row.spec), report, starts.decode(row.start))

    async def _without_patch(self, case: _Case) -> None:
        """Nothing was changed: what it is judged by looks at what it began with."""
        folder = ""
        try:
            if case.start is None:
                verdict = await judge(self._node, self._workshop, case.spec, "")
            else:
                begun = Start(json.loads(case.run.head)["repository"], case.start.base)
                folder = (await self._workshop.workspace(f"{case.row.id}.check", begun)).path
                verdict = await judge(self._node, self._workshop, case.spec, folder)
        except GitError as error:
            await self._again_later(case, error.code, error.sentence)
            return
        finally:
            if folder:
                with trio.CancelScope(shield=True):
                    await self._workshop.clear(f"{case.row.id}.check")
        if not verdict.passed:
            await self._refused(case, Refused(verdict.code or "criteria", verdict.sentence))
            return
        await self._verified(case)
        await self._committed(case, "")

    async def _ask(self, case: _Case) -> Outcome:
        head = json.loads(case.run.head)
        if case.start is None or not head.get("repository"):
            return Refused("patch_unwanted", "it reported a patch, and its run has no repository")
        try:
            patch = self._patch(case.report.patch_id)
            committer = await self._node.shelf.committer(head["repository"], head["branch"], head.get("push", ""))
        except GitError as error:
            return Refused(error.code, error.sentence)
        except NetskyError as error:
            return Refused(error.code, error.message)

        async def criteria(folder: str) -> Verdict:
            verdict = await judge(self._node, self._workshop, case.spec, folder)
            if verdict.passed and not await self._verified(case):
                return Verdict(False, "gone", "the ticket went another way meanwhile")
            return verdict

        return await committer.commit(await self._commission(case, patch, head), criteria)

    def _patch(self, patch_id: str) -> bytes:
        with self._node.blobs.reading(bytes.fromhex(patch_id)) as read:
            found = read(0, PATCH_BYTES_MAX + 1)
        if not found:
            raise NotFound("its patch is not here", next="netsky task retry", code="patch_lost")
        return found

    async def _commission(self, case: _Case, patch: bytes, head: dict[str, Any]) -> Commission:
        row, spec, fence = case.row, case.spec, read_fence(case.row.fence)
        allowed = await self._office.allowed(row, self._node.now())
        asked_by_envelope = (case.run.cause or "").rpartition("/")[2]
        assert fence is not None
        assert case.start is not None
        return Commission(
            key=spec.idempotency_key or row.id, run=row.run, ticket=row.id, worker=f"{spec.role}@{row.node}",
            node=row.node, fence=fence, branch=head["branch"], base=case.start.base, patch=patch,
            scope=allowed.permission_scope.fs_write, title=spec.title, body=spec.text, authorised_by=asked_by_envelope,
            created=case.run.made_at, review=spec.review, push=head.get("push", ""),
        )  # fmt: skip

    # What came of it. Each is one transaction, and does nothing for a ticket that has another fence by now.

    async def _verified(self, case: _Case) -> bool:
        """Whether it still is to be committed."""
        async with self._office.lock:
            row = await self._as_it_is(case.row)
            if row is not None and row.state == "reported":
                await self._move(row, "verify", owner=self._office.agent)
            return row is not None

    async def _committed(self, case: _Case, commit: str, code: str = "", reason: str = "") -> None:
        self._due.pop(case.row.seq, None)
        async with self._office.lock:
            row = await self._as_it_is(case.row)
            if row is None:
                return
            change = self._office.book.change(self._node.now())
            change.move(row, "verify", owner=self._office.agent)  # found by its key: it was verified then
            said = reason or (f"as {commit}" if commit else "")
            change.move(row, "commit", code=code, reason=said, owner="")
            if commit:
                change.set_tip(row.run, commit)
            await self._office.store(change)

    async def _refused(self, case: _Case, outcome: Refused | Conflict) -> None:
        if outcome.code in ONLY_PEOPLE:
            await self._block(case, outcome.code, outcome.sentence)
            return
        tip = ""
        if isinstance(outcome, Conflict):
            tip = await self._tip(case)
        await self._fail(case.row, outcome.code, outcome.sentence, tip=tip)

    async def _fail(self, row: TicketRow, code: str, reason: str, *, tip: str = "") -> None:
        """This try did not succeed. `tip`: where the next one begins."""
        self._due.pop(row.seq, None)
        async with self._office.lock:
            found = await self._as_it_is(row)
            if found is None:
                return
            now, fraction = self._node.now(), self._node.seams.chance.fraction()
            said = judging.failed(found, tickets.decode(found.spec), (code, reason), now, fraction)
            change = self._office.book.change(now)
            change.move(
                found, said.event, code=said.code, reason=said.reason, **{"owner": self._office.agent, **said.columns}
            )
            if tip:
                change.set_tip(found.run, tip)
            await self._office.store(change)

    async def _block(self, case: _Case, code: str, reason: str) -> None:
        self._due.pop(case.row.seq, None)
        async with self._office.lock:
            row = await self._as_it_is(case.row)
            if row is not None:
                await self._move(row, "block", code=code, reason=reason, owner=self._office.agent)

    async def _again_later(self, case: _Case, code: str, reason: str) -> None:
        """The machine's trouble costs no try; a person is asked when it goes on."""
        tries = self._due.get(case.row.seq, (0, 0))[0] + 1
        if tries >= LANDING_TRIES:
            await self._block(case, code, f"{reason} ({tries} times)")
            return
        wait = RETRY.wait_ns(tries - 1, self._node.seams.chance.fraction())
        self._due[case.row.seq] = (tries, self._node.now() + wait)
        self._node.log.event("work.landing_delayed", level="warn", ticket=case.row.id, code=code, why=reason)

    async def _move(self, row: TicketRow, event: Any, *, code: str = "", reason: str = "", owner: str) -> None:
        change = self._office.book.change(self._node.now())
        change.move(row, event, code=code, reason=reason[:REASON_CHARS_MAX], owner=owner)
        await self._office.store(change)

    async def _as_it_is(self, row: TicketRow) -> TicketRow | None:
        """None if it went another way since. The caller has the lock."""
        [found] = await self._node.group.read([work_tickets.by_seqs([row.seq])])
        now = work_tickets.rows(found)[0]
        await self._office.hold_runs([now])
        return now if now.fence == row.fence and now.state in {"reported", "verified"} else None

    async def _tip(self, case: _Case) -> str:
        """Where its branch is now: what others have committed is what the next try begins with."""
        head = json.loads(case.run.head)
        try:
            return await self._workshop.tip(head["repository"], head["branch"])
        except GitError:
            return ""
