"""From a plan to rows: the run is stored first, with its plan; its tickets follow in slices; then it is planned, and
not before does anything of it start. A life that ends in between leaves a run that the next one finishes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import trio
from netsky.node.db import work_runs, work_tickets
from netsky.node.db.work_runs import KeyRow, RunRow
from netsky.node.db.work_tickets import TicketRow
from netsky.node.errors import Conflict, TryLater, Usage
from netsky.node.seams.ledger import Statement
from netsky.node.work import context
from netsky.node.work import ticket as tickets
from netsky.node.work.limits import RUNS_OPEN_MAX
from netsky.node.work.plan.plan import Fault, Plan, Planned, Reading
from netsky.node.work.starting import check_files

if TYPE_CHECKING:
    from netsky.node.daemon.node import Node
    from netsky.node.work.book import Change
    from netsky.node.work.office import Office

SLICE = 500
"""Tickets stored in one transaction: some 20 ms."""

ID_BYTES = 3
"""Behind a run's name: six hex digits tell its runs apart, and are short enough to type."""


@dataclass(frozen=True, slots=True)
class Started:
    run: RunRow
    warnings: tuple[str, ...]
    again: bool = False
    """It was started before, by the very same request."""


async def read_slowly(found: Mapping[str, Any]) -> Plan:
    """Raises Usage with every fault. Others have their turn in between."""
    reading = Reading(found)
    while reading.step():
        await trio.lowlevel.checkpoint()
    plan = reading.result()
    if isinstance(plan, list):
        raise Usage(sentence_of(plan), next="netsky help work", code="bad_plan")
    return plan


def sentence_of(faults: Sequence[Fault]) -> str:
    lines = [f"line {one.line}: {one.sentence}" if one.line else one.sentence for one in faults]
    return f"the plan has {len(faults)} fault{'s' if len(faults) > 1 else ''}: " + "; ".join(lines)


async def start(node: Node, office: Office, found: Mapping[str, Any], asked_by: str, cause: str | None) -> Started:
    """Stored, and on its way, when it returns."""
    if cause is not None:
        [known] = await node.group.read([work_runs.by_cause(asked_by, cause)])
        if known:
            return Started(work_runs.rows(known)[0], (), again=True)
    plan = await read_slowly(found)
    if plan.repository:
        pinned = await node.work.workshop.pin(plan.repository, plan.base, plan.branch, plan.push)
        plan = replace(plan, base=pinned)
        await check_files(node.work.workshop, plan.repository, pinned, plan.tickets)
    async with office.lock:
        if len(office.book.runs) >= RUNS_OPEN_MAX:
            raise TryLater(f"{RUNS_OPEN_MAX} runs are open", next="netsky task ls --runs", code="runs_full")
        await check_keys(node, plan.tickets)
        here = asked_by.endswith(f"@{node.identity.name}")
        found_by = await context.resolved(node, plan.tickets, repository=plan.repository, is_here=here)
        text = json.dumps(found, separators=(",", ":"))
        run = await _store_run(node, office, plan, text, (asked_by, cause))
        await _store_tickets(node, office, run, plan, found_by)
    node.work.ring()
    return Started(office.book.runs.get(run.id, run), plan.warnings)


async def finish(node: Node, office: Office, run: RunRow) -> None:
    """What a life that ended in the middle of it left. The caller has the lock."""
    assert run.plan is not None
    plan = await read_slowly(json.loads(run.plan))
    here = run.asked_by.endswith(f"@{node.identity.name}")
    found_by = await context.resolved(node, plan.tickets, repository=plan.repository, is_here=here)
    await _store_tickets(node, office, run, plan, found_by)


async def check_keys(node: Node, planned: Sequence[Planned]) -> None:
    """A key stands for one piece of work for good."""
    by_key = {one.spec.idempotency_key: one for one in planned if one.spec.idempotency_key}
    for row, before in await _used(node, list(by_key)):
        one = by_key[row.key]
        if row.hash != hash_of(one):
            raise Conflict(
                f"{one.name}: the idempotency key {row.key!r} stands for other work, that of {before.id}",
                next=f"netsky task show {before.id}, or a key of its own",
                code="idempotency_conflict",
            )
        if before.state not in {"committed", "cancelled", "dead"}:
            raise Conflict(
                f"{one.name}: {before.id} has this idempotency key and is {before.state}",
                next=f"netsky task show {before.id}",
                code="key_in_use",
            )


async def _used(node: Node, keys: Sequence[str]) -> list[tuple[KeyRow, TicketRow]]:
    [found] = await node.group.read([work_runs.keys(keys)])
    rows = work_runs.key_rows(found)
    [before] = await node.group.read([work_tickets.by_seqs([row.ticket for row in rows])])
    by_seq = {row.seq: row for row in work_tickets.rows(before)}
    return [(row, by_seq[row.ticket]) for row in rows if row.ticket in by_seq]


def hash_of(one: Planned) -> bytes:
    return hashlib.sha256(tickets.encode(one.spec).encode()).digest()


async def _store_run(node: Node, office: Office, plan: Plan, text: str, asked: tuple[str, str | None]) -> RunRow:
    """`asked`: by whom, and by which envelope, if by one."""
    now = node.now()
    while True:
        id_ = f"{plan.name}-{node.seams.chance.token(ID_BYTES).hex()}"
        [known] = await node.group.read([work_runs.by_id(id_)])
        if not known:
            break
    head = {name: getattr(plan, name) for name in ("title", "repository", "base", "branch", "push", "warnings")}
    run = RunRow(id_, plan.name, "created", json.dumps(head), text, *asked, now, now)
    created = work_runs.Checkpoint(id_, None, now, "create", "created", reason=f"asked for by {asked[0]}")
    await node.group.write([work_runs.insert(run), work_runs.checkpoints([created])])
    office.book.runs[id_] = run
    return run


async def _store_tickets(
    node: Node, office: Office, run: RunRow, plan: Plan, found_by: Mapping[str, Sequence[context.Found]]
) -> None:
    """Those that are there already were stored by an earlier life, in the same order."""
    have, base = run.tickets, office.newest - run.tickets
    if have:
        [found] = await node.group.read([work_tickets.listed(run=run.id, limit=1)])
        base = work_tickets.rows(found)[0].seq - 1
    used = {row.key: before for row, before in await _used(node, _keys(plan.tickets)) if before.state == "committed"}
    done = {one.name: used[key] for one in plan.tickets if (key := one.spec.idempotency_key) in used}
    places = {
        one.name: (base + number, sum(name not in done for name in one.after))
        for number, one in enumerate(plan.tickets, 1)
    }
    for first in range(have, len(plan.tickets), SLICE):
        change = office.book.change(node.now())
        new = plan.tickets[first : first + SLICE]
        add(change, office, run, new, places)
        change.also.append(pointed(new, places, found_by))
        for one in new:
            if one.name in done:
                said = f"done before, as {done[one.name].id}"
                row = change.fresh[places[one.name][0]]
                change.move(row, "commit", code="done_before", reason=said, owner="", frees=False)
        await office.store(change)
        await trio.lowlevel.checkpoint()
    change = office.book.change(node.now())
    run = office.book.runs[run.id]
    change.step_run(run, "plan", "planned", f"{len(plan.tickets)} tickets")
    change.also.append(work_runs.planned(run.id))
    await office.store(change)
    if not run.open:
        change = office.book.change(node.now())
        change.step_run(office.book.runs[run.id], "all_ended", "completed", "all of it was done before")
        await office.store(change)


def add(
    change: Change,
    office: Office,
    run: RunRow,
    new: Sequence[Planned],
    places: Mapping[str, tuple[int, int]],
    *,
    parent: TicketRow | None = None,
) -> None:
    """New tickets of a run. `places`: of each, and of what comes before them, its number, and how many come before it
    that are not committed."""
    rows, pairs = [], []
    for one in new:
        seq, missing = places[one.name]
        row = TicketRow(
            seq=seq,
            id=f"{run.id}.{one.name}",
            run=run.id,
            parent=None if parent is None else parent.seq,
            depth=0 if parent is None else parent.depth + 1,
            spec=tickets.encode(one.spec),
            place=one.spec.place,
            state="waiting",
            since=change.now,
            owner=office.agent,
            missing=missing,
        )
        rows.append(row)
        pairs += [(seq, places[name][0]) for name in one.after]
        if not row.missing:
            change.readies.add((row.place, row.alone))
    keyed = [one for one in new if one.spec.idempotency_key]
    change.also_after.append(
        work_runs.put_keys([KeyRow(one.spec.idempotency_key, hash_of(one), places[one.name][0]) for one in keyed])
    )
    change.insert(run, rows, pairs)
    office.newest = max(office.newest, *(seq for seq, _ in places.values()))


def pointed(
    new: Sequence[Planned], places: Mapping[str, tuple[int, int]], found_by: Mapping[str, Sequence[context.Found]]
) -> Statement:
    """After the tickets of the same transaction."""
    return work_tickets.insert_context(
        [(places[one.name][0], *found) for one in new for found in found_by.get(one.name, ())]
    )


def _keys(planned: Sequence[Planned]) -> list[str]:
    return [one.spec.idempotency_key for one in planned if one.spec.idempotency_key]
