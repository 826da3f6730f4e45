"""Orders that change work: adding, cancelling, trying again, allowing more, noting. Each is one transaction, and what
leaves the node for it goes after that."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from netsky.node.bus.draft import Accepted, Draft
from netsky.node.db import work_runs, work_tickets
from netsky.node.db.work_runs import GrantRow, RunRow
from netsky.node.db.work_tickets import TicketRow
from netsky.node.errors import Conflict, TryLater, Usage
from netsky.node.work import context, planning, posting
from netsky.node.work.book import Change
from netsky.node.work.limits import BATCH, DEPTH_MAX, FAN_OUT_MAX
from netsky.node.work.plan import fields
from netsky.node.work.plan.plan import Planned, Reading
from netsky.node.work.report import Report
from netsky.node.work.starting import check_files

if TYPE_CHECKING:
    from netsky.node.daemon.node import Node
    from netsky.node.work.office import Office

_CANCELLED = Report("cancelled", "cancelled", "a person said so")


async def add(node: Node, office: Office, run: RunRow, found: Mapping[str, Any], parent: TicketRow | None) -> TicketRow:
    """One more ticket of a run that is there; of a parent, as deep and as many as the caps allow."""
    plan = Reading({"name": "task", "ticket": [{**found, "after": []}]})
    plan.step()
    read = plan.result()
    if isinstance(read, list):
        raise Usage("; ".join(one.sentence for one in read), next="netsky help work", code="bad_ticket")
    after = found.get("after", [])
    wrong = fields.TICKET["after"].rule(after)
    if wrong is not None:
        raise Usage(f"after {wrong}", next="netsky help work", code="bad_ticket")
    [planned] = read.tickets
    one = Planned(planned.name, planned.spec, tuple(after))
    async with office.lock:
        run = await office.hold_run(run.id)  # it may have gone on, and even have ended, since it was found
        await planning.check_keys(node, [one])
        repository = json.loads(run.head).get("repository", "")
        here = run.asked_by.endswith(f"@{node.identity.name}")
        found_by = await context.resolved(node, [one], repository=repository, is_here=here)
        await check_files(node.work.workshop, repository, json.loads(run.head).get("base", ""), [one])
        if parent is not None:
            await _check_caps(node, parent)
        ids = [f"{run.id}.{name}" for name in (one.name, *one.after)]
        [rows] = await node.group.read([work_tickets.by_ids(ids)])
        known = {row.id: row for row in work_tickets.rows(rows)}
        if ids[0] in known:
            raise Conflict(f"{ids[0]} is there already", next=f"netsky task show {ids[0]}", code="ticket_there")
        missing = [id_ for id_ in ids[1:] if id_ not in known]
        if missing:
            raise Usage(
                f"after: there is no {', '.join(missing)}", next=f"netsky task ls --run {run.id}", code="no_ticket"
            )
        gone = [id_ for id_ in ids[1:] if known[id_].state in {"cancelled", "dead"}]
        if gone:
            raise Conflict(
                f"after: {', '.join(gone)} will not be committed", next="netsky task retry", code="dependency"
            )
        places = {name: (known[id_].seq, 0) for name, id_ in zip(one.after, ids[1:], strict=True)}
        left = sum(known[id_].state != "committed" for id_ in ids[1:])
        change = office.book.change(node.now())
        seq = office.newest + 1
        places[one.name] = (seq, left)
        planning.add(change, office, run, [one], places, parent=parent)
        change.also.append(planning.pointed([one], places, found_by))
        await office.store(change)
    node.work.ring()
    return change.fresh[seq]


async def _check_caps(node: Node, parent: TicketRow) -> None:
    if parent.depth + 1 > DEPTH_MAX:
        raise Conflict(
            f"{parent.id} is {parent.depth} deep already: no ticket may have children below {DEPTH_MAX}",
            next="add it beside its parent",
            code="depth",
        )
    if parent.state in {"cancelled", "dead"}:  # what was found by one that is committed may well be its child
        raise Conflict(f"{parent.id} is {parent.state}", next=f"netsky task show {parent.id}", code="parent_ended")
    [[(count,)]] = await node.group.read([work_tickets.open_children(parent.seq)])
    assert isinstance(count, int)
    if count >= FAN_OUT_MAX:
        raise TryLater(
            f"{parent.id} has {count} open children, and {FAN_OUT_MAX} are the most",
            next="wait until some have ended",
            code="fan_out",
        )


async def cancel(node: Node, office: Office, rows: Sequence[TicketRow], who: str, reason: str) -> dict[str, list[str]]:
    """What can still be cancelled is, with all that comes after it; who works on it is told to stop."""
    drafts: list[Draft] = []
    here: list[TicketRow] = []
    async with office.lock:
        await office.hold_runs(rows)
        [now_rows] = await node.group.read([work_tickets.by_seqs([row.seq for row in rows])])
        change = office.book.change(node.now())
        done, late = [], []
        for row in work_tickets.rows(now_rows):
            said = f"by {who}" + (f": {reason}" if reason else "")
            if change.move(row, "cancel", code="cancelled", reason=said, owner="", till=None) is None:
                late.append(row.id)
                continue
            done.append(row)
            if row.state in {"offered", "leased"} and row.node == node.identity.name:
                here.append(row)
            elif row.state in {"offered", "leased"}:
                drafts.append(posting.cancel(row.id, row.fence, row.node))
        await kill_behind(node, change, done)
        await office.store(change)
        for row in here:
            node.work.floor.stop(row.id, _CANCELLED)
    await office.tell(drafts)
    return {"cancelled": [row.id for row in done], "late": late}


async def kill_behind(node: Node, change: Change, ended: Sequence[TicketRow]) -> None:
    """What comes after something that will not be committed is dead."""
    if not ended:
        return
    [found] = await node.group.read([work_tickets.dependents([row.seq for row in ended])])
    first = ended[0]
    names = first.id if len(ended) == 1 else f"{first.id} and {len(ended) - 1} more"
    for row in work_tickets.rows(found):
        now = change.row(row)
        if now.state in {"waiting", "blocked"}:
            change.move(
                row, "kill", code="dependency", reason=f"it comes after {names}, ended without a commit", owner=""
            )


async def retry(node: Node, office: Office, row: TicketRow, who: str, reason: str) -> list[str]:
    """From the beginning, with all its tries; what died with it comes back, too."""
    async with office.lock:
        await office.hold_runs([row])
        change = office.book.change(node.now())
        said = f"by {who}" + (f": {reason}" if reason else "")
        fresh: dict[str, Any] = {"tries": 0, "crashes": 0, "alone": 0, "due": 0, "till": None, "owner": office.agent}
        if change.move(row, "retry", code="retry", reason=said, **fresh) is None:
            raise Conflict(
                f"{row.id} is {row.state}: only what is blocked, cancelled or dead is tried again",
                next=f"netsky task show {row.id}",
                code="not_over",
            )
        [found] = await node.group.read([work_tickets.dependents([row.seq])])
        for one in work_tickets.rows(found):
            if one.state == "dead" and one.code == "dependency":
                change.move(one, "retry", code="retry", reason=f"with {row.id}", **fresh)
        await office.store(change)
    node.work.ring()
    return [one.id for one in change.moved.values()]


async def unblock(
    node: Node, office: Office, row: TicketRow, who: str, *, scope: Mapping[str, Sequence[str]], until: int
) -> str:
    """Allows more, for a time, by a sealed word; then it is tried again."""
    wrong = fields.table(fields.SCOPE)({name: list(value) for name, value in scope.items()})
    if wrong is not None:
        raise Usage(f"--allow {wrong}", next="netsky task unblock -h", code="bad_scope")
    if row.state != "blocked":
        raise Conflict(f"{row.id} is {row.state}, not blocked", next=f"netsky task show {row.id}", code="not_blocked")
    envelope = ""
    if scope:
        about = {
            "ticket": row.id,
            "scope": {name: list(value) for name, value in scope.items()},
            "until": until,
            "by": who,
        }
        text = f"{who} allows {row.id} more: {json.dumps(about['scope'])}"
        [sent] = await node.bus.accept(
            posting.AGENT, "node", [Draft(posting.AGENT, text, "text", data={"grant": about})]
        )
        if not isinstance(sent, Accepted):
            raise sent
        envelope = sent.id
        granted = GrantRow(row.seq, node.now(), until, who, json.dumps(about["scope"]), envelope)
        await node.group.write([work_runs.grant(granted)])
        office.granted.add(row.seq)
    await retry(node, office, row, who, "unblocked" + (f", with more allowed ({envelope})" if envelope else ""))
    return envelope


async def open_of(node: Node, run: str) -> list[TicketRow]:
    [found] = await node.group.read([work_tickets.open_of(run, BATCH)])
    return work_tickets.rows(found)
