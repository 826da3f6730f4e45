"""Group commit: what many tasks want stored becomes one transaction, and nobody hears of it before that is on disk.

A planner decides for its kind of item: it says what to read, gets all items of the group at once with those rows, and
answers with statements and one result for each item. It does no I/O. The order of effects is fixed here and nowhere
else: reads, plans, one commit, `after` of each plan, results.

Two planners of one group do not see each other's writes: what both decide upon belongs into one planner, or into
memory that both share and change in `plan`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import trio
from netsky.node.db.limits import RIDERS_MAX, RIDERS_PER_GROUP, SLOW_COMMIT_NS, UNHURRIED_SECONDS
from netsky.node.errors import NetskyError, TryLater
from netsky.node.limits import GROUP_ITEMS_MAX, GROUP_QUEUE_MAX
from netsky.node.seams.ledger import Ledger, LedgerBroken, LedgerFull, Row, Statement
from netsky.node.seams.time import Time

Item = TypeVar("Item")
Result = TypeVar("Result")
Item_contra = TypeVar("Item_contra", contravariant=True)
Result_co = TypeVar("Result_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Plan(Generic[Result_co]):
    statements: Sequence[Statement]
    results: Sequence[Result_co | NetskyError] = ()  # one for each item; an error is raised where its item waits
    after: Callable[[], None] | None = None  # called once it is durable, before anybody hears the results
    undone: Callable[[], None] | None = None  # called instead if it was not stored
    results_of: Callable[[list[list[Row]]], Sequence[Result_co | NetskyError]] | None = None
    """Instead of `results`: makes them from the rows that the statements returned (RETURNING)."""


class Planner(Protocol[Item_contra, Result_co]):
    def reads(self, items: Sequence[Item_contra]) -> Sequence[Statement]: ...

    def plan(self, items: Sequence[Item_contra], rows: list[list[Row]]) -> Plan[Result_co]:
        """`rows` has one list for each statement of `reads`. Raises only for a mistake of ours."""


@dataclass(frozen=True, slots=True)
class GroupStatistics:
    groups: int = 0
    items: int = 0
    commits: int = 0  # groups that had something to write
    last_commit_ns: int = 0
    max_commit_ns: int = 0
    slow_commits: int = 0
    full: int = 0  # groups refused for want of room
    riders: int = 0
    riders_dropped: int = 0


class _Waiter:
    """One call of `submit`, with one place for the result of each of its items."""

    __slots__ = ("_missing", "done", "failed", "results")

    def __init__(self, items: int) -> None:
        self.results: list[Any] = [None] * items
        self.failed = False
        self.done = trio.Event()
        self._missing = items

    def resolve(self, index: int, result: object) -> None:
        self.results[index] = result
        self._missing -= 1
        if self._missing == 0:
            self.done.set()

    def fail(self) -> None:
        self.failed = True
        self.done.set()


@dataclass(slots=True)
class _Entry:
    planner: Planner[Any, Any]
    item: Any
    waiter: _Waiter
    index: int


class GroupCommit:
    """One task runs `run`; any number of others `submit`. At most `queue` items wait, later ones wait to get in."""

    def __init__(
        self, ledger: Ledger, time: Time, *, items: int = GROUP_ITEMS_MAX, queue: int = GROUP_QUEUE_MAX
    ) -> None:
        self._ledger = ledger
        self._time = time
        self._items = items
        self._send, self._receive = trio.open_memory_channel[_Entry | None](queue)
        self._riders: deque[Statement] = deque()
        self._unhurried: list[_Entry] = []  # each has a task of its own that waits for it, which bounds them
        self._writes = Writes()
        self._count = dict.fromkeys(GroupStatistics.__dataclass_fields__, 0)
        self.slow = False
        """The last commit took a second or more: promise nothing more until one did not."""

    def statistics(self) -> GroupStatistics:
        return GroupStatistics(**self._count)

    async def submit(self, planner: Planner[Item, Result], item: Item) -> Result:
        """Returns once it is durable. Cancelling the wait does not undo it."""
        [result] = await self.submit_many(planner, [item])
        if isinstance(result, NetskyError):
            raise result
        return result

    async def submit_many(self, planner: Planner[Item, Result], items: Sequence[Item]) -> list[Result | NetskyError]:
        """As if each were submitted by a task of its own, in this order, with errors as values."""
        if not items:
            await trio.lowlevel.checkpoint()
            return []
        waiter = _Waiter(len(items))
        try:
            for index, item in enumerate(items):
                entry = _Entry(planner, item, waiter, index)
                try:
                    self._send.send_nowait(entry)
                except trio.WouldBlock:
                    await self._send.send(entry)
        except trio.BrokenResourceError:
            raise _stopped() from None
        await waiter.done.wait()
        if waiter.failed:
            raise _stopped()
        return waiter.results

    async def write(self, statements: Sequence[Statement]) -> list[list[Row]]:
        """These, in one transaction with whatever else is in the group; their rows."""
        return await self.submit(self._writes, statements)

    async def read(self, statements: Sequence[Statement]) -> list[list[Row]]:
        """Rows as they are now, without waiting for a group: for whoever decides nothing by them that another task
        could have changed when it is stored."""
        try:
            return await self._ledger.transaction(statements)
        except LedgerBroken:
            raise _stopped() from None  # the next group meets it too, and stops the node

    async def write_unhurried(self, statements: Sequence[Statement]) -> list[list[Row]]:
        """The same for what nobody waits for: it goes first in the next group, and a busy node has one soon; only
        where none comes within `UNHURRIED_SECONDS` does it cost a commit of its own."""
        waiter = _Waiter(1)
        self._unhurried.append(_Entry(self._writes, statements, waiter, 0))
        if len(self._unhurried) == 1:
            try:
                self._send.send_nowait(None)
            except trio.WouldBlock:
                pass  # groups are coming anyway
            except trio.BrokenResourceError:
                raise _stopped() from None
        await waiter.done.wait()
        if waiter.failed:
            raise _stopped()
        rows: list[list[Row]] | NetskyError = waiter.results[0]
        if isinstance(rows, NetskyError):
            raise rows
        return rows

    def ride(self, statement: Statement) -> None:
        """For what is observed: goes along with one of the next groups, never waits, never fails anybody's work."""
        if len(self._riders) >= RIDERS_MAX:
            self._count["riders_dropped"] += 1
            return
        self._riders.append(statement)
        if len(self._riders) == 1:
            with suppress(trio.WouldBlock, trio.BrokenResourceError):  # groups are coming anyway, or none will
                self._send.send_nowait(None)

    async def run(self) -> None:
        """Until cancelled, or until the ledger is broken: then LedgerBroken, and the node must stop."""
        try:
            while True:
                # This yields even when something is there: whoever is ready to submit joins the group.
                if self._riders:
                    await trio.lowlevel.checkpoint()
                    first = None
                else:
                    first = await self._receive.receive()
                entries = self._group(first)
                if not entries and self._unhurried:
                    entries = await self._next_group_soon()
                await self._commit(entries)
        finally:
            self._fail_the_rest()

    async def _next_group_soon(self) -> list[_Entry]:
        """What comes while the unhurried ones can still wait; perhaps nothing."""
        first = None
        with trio.move_on_after(UNHURRIED_SECONDS):
            while first is None and not self._riders:
                first = await self._receive.receive()
        return self._group(first)

    def _group(self, first: _Entry | None) -> list[_Entry]:
        """Everything that is queued now, first come first served, up to the bound."""
        entries = [] if first is None else [first]
        while len(entries) < self._items:
            try:
                entry = self._receive.receive_nowait()
            except trio.WouldBlock:
                break
            if entry is not None:
                entries.append(entry)
        return entries

    async def _commit(self, entries: list[_Entry]) -> None:
        entries, self._unhurried = [*self._unhurried, *entries], []  # first: what comes later builds upon them
        try:
            await self._commit_or_raise(entries)
        except LedgerFull as error:
            self._count["full"] += 1
            for entry in entries:
                entry.waiter.resolve(entry.index, _disk_full(error))
        except BaseException:
            for entry in entries:
                entry.waiter.fail()
            raise

    async def _commit_or_raise(self, entries: list[_Entry]) -> None:
        parts = _by_planner(entries)
        planned = await self._plan(parts)
        riders = [self._riders.popleft() for _ in range(min(len(self._riders), RIDERS_PER_GROUP))]
        try:
            written = await self._write([statement for plan in planned for statement in plan.statements], riders)
        except BaseException:
            for plan in planned:
                if plan.undone is not None:
                    plan.undone()
            raise
        self._count["groups"] += 1
        self._count["items"] += len(entries)
        for plan in planned:
            if plan.after is not None:
                plan.after()
        at = 0
        for part, plan in zip(parts, planned, strict=True):
            rows = written[at : at + len(plan.statements)]
            at += len(plan.statements)
            results = plan.results if plan.results_of is None else plan.results_of(rows)
            for entry, result in zip(part, results, strict=True):
                entry.waiter.resolve(entry.index, result)

    async def _plan(self, parts: list[list[_Entry]]) -> list[Plan[Any]]:
        items = [[entry.item for entry in part] for part in parts]
        reads = [part[0].planner.reads(own) for part, own in zip(parts, items, strict=True)]
        statements = [statement for some in reads for statement in some]
        rows = await self._ledger.transaction(statements) if statements else []
        plans, at = [], 0
        for part, own, some in zip(parts, items, reads, strict=True):
            plans.append(part[0].planner.plan(own, rows[at : at + len(some)]))
            at += len(some)
        return plans

    async def _write(self, statements: list[Statement], riders: list[Statement]) -> list[list[Row]]:
        if not statements and not riders:
            return []
        began = self._time.monotonic()
        try:
            rows = await self._ledger.transaction([*statements, *riders])
        except LedgerFull:
            self._count["riders_dropped"] += len(riders)
            raise
        took = self._time.monotonic() - began
        if riders or any(not statement.sql.startswith("SELECT") for statement in statements):
            # What only reads syncs nothing: quick as it is, it says nothing of the disk.
            self.slow = took >= SLOW_COMMIT_NS
            self._count["slow_commits"] += self.slow
        self._count["commits"] += 1
        self._count["riders"] += len(riders)
        self._count["last_commit_ns"] = took
        self._count["max_commit_ns"] = max(took, self._count["max_commit_ns"])
        return rows

    def _fail_the_rest(self) -> None:
        while self._unhurried:
            self._unhurried.pop().waiter.fail()
        while True:
            try:
                entry = self._receive.receive_nowait()
            except (trio.WouldBlock, trio.EndOfChannel):
                break
            if entry is not None:
                entry.waiter.fail()
        self._receive.close()  # whoever waits to get in, or comes later, hears it at once


class Writes:
    """The ready-made planner: an item is a list of statements, its result their rows."""

    def reads(self, items: Sequence[Sequence[Statement]]) -> Sequence[Statement]:  # noqa: ARG002 - part of the protocol
        return ()

    def plan(self, items: Sequence[Sequence[Statement]], rows: list[list[Row]]) -> Plan[list[list[Row]]]:  # noqa: ARG002
        def results(written: list[list[Row]]) -> list[list[list[Row]]]:
            answers, at = [], 0
            for item in items:
                answers.append(written[at : at + len(item)])
                at += len(item)
            return answers

        return Plan([statement for item in items for statement in item], results_of=results)


def _by_planner(entries: list[_Entry]) -> list[list[_Entry]]:
    """One part for each planner, in the order of first arrival; the order within a part is that of arrival."""
    parts: dict[int, list[_Entry]] = {}
    for entry in entries:
        parts.setdefault(id(entry.planner), []).append(entry)
    return list(parts.values())


def _disk_full(error: LedgerFull) -> TryLater:
    return TryLater(
        f"Nothing was stored: {error}", next="free some space on the node's disk, then try again", code="disk_full"
    )


def _stopped() -> NetskyError:
    return NetskyError(
        "The node stopped before it could say whether this was stored.",
        next="netsky status, then send it again with the same idempotency key: it is stored once",
        code="node_stopped",
    )
