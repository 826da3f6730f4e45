"""The book of work: which runs are open and how far each is, and the one way in which a ticket's state changes.

    change = book.change(now)
    change.move(row, "report", owner=…, reason=…)
    await group.write(change.statements())
    book.stored(change)

What `statements` gives is one transaction: the tickets, a checkpoint for each step, what follows for their runs, and
for those who come after them. Nothing here does I/O.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from netsky.node.db import work_runs, work_tickets
from netsky.node.db.work_runs import Checkpoint, RunRow
from netsky.node.db.work_tickets import Ready, TicketRow
from netsky.node.seams.ledger import Statement
from netsky.node.work import run_states, ticket_states
from netsky.node.work.limits import REASON_CHARS_MAX
from netsky.node.work.run_states import State as RunState
from netsky.node.work.ticket_states import Counts, Event, State


@dataclass(frozen=True, slots=True)
class Told:
    """A step, for whoever listens."""

    ticket: TicketRow
    event: str


@dataclass(slots=True)
class Change:
    """Steps of one transaction."""

    runs: dict[str, RunRow]
    now: int
    moved: dict[int, TicketRow] = field(default_factory=dict)
    told: list[Told] = field(default_factory=list)
    suspects: set[str] = field(default_factory=set)
    """Runs that may be stuck now."""
    changed_runs: dict[str, RunRow] = field(default_factory=dict)
    also: list[Statement] = field(default_factory=list)
    """Stored with them, before the tickets that were there are changed."""
    also_after: list[Statement] = field(default_factory=list)
    readies: set[tuple[str, int]] = field(default_factory=set)
    """Places of new tickets that miss nothing."""
    fresh: dict[int, TicketRow] = field(default_factory=dict)
    """The new ones."""
    _checkpoints: list[Checkpoint] = field(default_factory=list)
    _entered: defaultdict[str, list[State]] = field(default_factory=lambda: defaultdict(list))
    _committed: list[int] = field(default_factory=list)

    def row(self, row: TicketRow) -> TicketRow:
        """As this change has left it so far."""
        return self.moved.get(row.seq, row)

    def move(
        self, row: TicketRow, event: Event, *, code: str = "", reason: str = "", frees: bool = True, **columns: Any
    ) -> TicketRow | None:
        """None, and nothing happens, where the event means nothing in its state. `frees`: those that come after a
        committed one counted on it until now."""
        row = self.row(row)
        state = cast("State", row.state)
        then = ticket_states.after(state, event)
        if then is None:
            return None
        moved = replace(
            row, state=then, since=self.now, code=code, reason=reason[:REASON_CHARS_MAX], **columns
        )  # fmt: skip
        self.moved[row.seq] = moved
        self._note(moved, event)
        self.told.append(Told(moved, event))
        run = self._run(row.run)
        counts = Counts(run.unreported, run.unverified, run.open, run.failed).moved(state, then)
        self.changed_runs[run.id] = replace(run, **counts._asdict())
        self._entered[run.id].append(then)
        if then == "committed" and frees:
            self._committed.append(row.seq)
        if then in {"blocked", "dead", "cancelled", "committed"}:
            self.suspects.add(run.id)
        return moved

    def remark(self, row: TicketRow, event: str, *, code: str = "", reason: str = "", **columns: Any) -> None:
        """A checkpoint of something that changed no state."""
        said = replace(self.row(row), code=code, reason=reason[:REASON_CHARS_MAX], **columns)
        self._note(said, event)

    def insert(self, run: RunRow, rows: Sequence[TicketRow], pairs: Sequence[tuple[int, int]]) -> None:
        """New tickets of a run."""
        run = self.changed_runs.get(run.id, self.runs.get(run.id, run))
        count = len(rows)
        self.changed_runs[run.id] = replace(
            run,
            tickets=run.tickets + count,
            unreported=run.unreported + count,
            unverified=run.unverified + count,
            open=run.open + count,
        )
        self._entered[run.id].append("waiting")
        self.also += [work_tickets.insert(rows), work_tickets.insert_after(pairs)]
        for row in rows:
            self.fresh[row.seq] = row
            self._note(row, "add")

    def set_tip(self, run_id: str, commit: str) -> None:
        """What the next tries of this run begin from."""
        self.changed_runs[run_id] = replace(self._run(run_id), tip=commit)

    def step_run(self, run: RunRow, event: run_states.Event, then: RunState, reason: str = "") -> None:
        run = self.changed_runs.get(run.id, run)
        self.changed_runs[run.id] = replace(run, state=then, changed_at=self.now, reason=reason)
        self._checkpoints.append(Checkpoint(run.id, None, self.now, event, then, reason=reason))

    def statements(self) -> list[Statement]:
        """To be called once."""
        for id_, entered in self._entered.items():
            run = self.changed_runs[id_]
            counts = Counts(run.unreported, run.unverified, run.open, run.failed)
            if run.state != "created":
                for event, then in run_states.steps(cast("RunState", run.state), counts, entered, stuck=False):
                    self.step_run(run, event, then)
        made = []
        if self.moved:
            made.append(work_tickets.put(list(self.moved.values())))
        if self._checkpoints:
            made.append(work_runs.checkpoints(self._checkpoints))
        if self.changed_runs:
            made.append(work_runs.put(list(self.changed_runs.values())))
        waiting = [work_tickets.committed(self._committed)] if self._committed else []
        return [*waiting, *self.also, *made, *self.also_after]

    @property
    def is_empty(self) -> bool:
        return not (self._checkpoints or self.also or self.also_after)

    @property
    def frees(self) -> bool:
        """Whether the first of its statements tells who misses nothing any more."""
        return bool(self._committed)

    def _run(self, id_: str) -> RunRow:
        return self.changed_runs.get(id_) or self.runs[id_]

    def _note(self, row: TicketRow, event: str) -> None:
        self._checkpoints.append(
            Checkpoint(
                *(row.run, row.seq, self.now, event, row.state, row.owner, row.node, row.fence),
                tried=row.tries + (row.state in {"offered", "leased", "reported", "verified", "committed"}),
                code=row.code,
                reason=row.reason,
            )
        )


class Book:
    """What of it is in memory: the runs that are open, and where tickets wait for room."""

    def __init__(self) -> None:
        self.runs: dict[str, RunRow] = {}
        self.ready: set[Ready] = set()

    def change(self, now: int) -> Change:
        return Change(self.runs, now)

    def forget_ended(self) -> None:
        """Those that somebody looked at: they are read again when they are wanted."""
        self.runs = {id_: run for id_, run in self.runs.items() if run.state != "completed"}

    def stored(self, change: Change, freed: Sequence[tuple[object, ...]] = ()) -> None:
        """It is on disk."""
        for run in change.changed_runs.values():
            if run.state == "completed":
                self.runs.pop(run.id, None)
            else:
                self.runs[run.id] = run
        for row in change.moved.values():
            if row.state == "waiting" and not row.missing:
                self.ready.add(Ready(row.place, row.alone))
        self.ready |= {Ready(*one) for one in change.readies}
        for place, alone, missing in freed:
            if not missing:
                self.ready.add(Ready(str(place), int(cast("int", alone))))
