"""What a ticket points to: looked up when the ticket is made, kept beside it, and found by whoever works on it under
`context/`. A pointer that leads nowhere is a fault of the plan.

    note:12  envelope:18fae2…  log:RUN.NAME  task:RUN.NAME  task:NAME (of the same plan, before it)  file:PATH

A file is at the pinned base of the run's repository, which the workspace has; here it is only asked for a repository.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from netsky.envelope.wire import decode_body
from netsky.node.db import messages, work_runs, work_tickets
from netsky.node.db.work_tickets import TicketRow
from netsky.node.errors import Usage
from netsky.node.work.limits import CONTEXT_BYTES_MAX
from netsky.node.work.plan.plan import Planned

if TYPE_CHECKING:
    from netsky.node.daemon.node import Node

Found = tuple[str, str]
"""A pointer, and what stands there."""


async def resolved(node: Node, planned: Sequence[Planned], *, repository: str, is_here: bool) -> dict[str, list[Found]]:
    """Of each ticket that points anywhere, by its name. Raises Usage with every fault. Who asks from a sibling (not
    `is_here`) points to tickets of the same plan and to files alone: the rest may be others' words."""
    names = {one.name for one in planned}
    faults: list[str] = []
    found: dict[str, list[Found]] = {}
    for one in planned:
        size, texts = 0, []
        for pointer in one.spec.context_pointers:
            text = _near(one, pointer, names=names, repository=repository)
            if text is None and is_here:
                text = await _text(node, pointer)
            if text is None:
                faults.append(f"{one.name}: {pointer} leads nowhere{_hint(pointer, one, names)}")
                continue
            size += len(text.encode())
            texts += [(pointer, text)] if text else []
        if size > CONTEXT_BYTES_MAX:
            faults.append(f"{one.name}: what it points to has {size} bytes; {CONTEXT_BYTES_MAX} at most")
        if texts:
            found[one.name] = texts
    if faults:
        said = f"{len(faults)} pointer{'s' if len(faults) > 1 else ''}: " + "; ".join(faults)
        raise Usage(said, next="netsky help work", code="bad_context")
    return found


def _near(one: Planned, pointer: str, *, names: Collection[str], repository: str) -> str | None:
    """ "" for what is found later: in the workspace, or when the ticket before it has ended."""
    kind, _, rest = pointer.partition(":")
    if kind == "file":
        return "" if repository else None
    return "" if kind == "task" and rest in names and rest in one.after else None


async def _text(node: Node, pointer: str) -> str | None:
    """What stands there; None if it leads nowhere."""
    kind, _, rest = pointer.partition(":")
    if kind in {"task", "log"}:
        [rows] = await node.group.read([work_tickets.by_ids([rest])])
        return report_of(work_tickets.rows(rows)[0]) if rows else None
    if kind == "note":
        if not rest.isascii() or not rest.isdigit() or len(rest) > 18:
            return None
        [rows] = await node.group.read([work_runs.note_by_id(int(rest))])
        return f"{rows[0][2]!s}: {rows[0][3]!s}" if rows else None
    if kind != "envelope":
        return None
    [rows] = await node.group.read([messages.body_of(rest)])
    body = rows[0][0] if rows else None
    return decode_body(body).text if isinstance(body, bytes) else None


def _hint(pointer: str, one: Planned, names: Collection[str]) -> str:
    kind, _, rest = pointer.partition(":")
    if kind == "file":
        return ": the plan names no repository"
    if kind == "task" and rest in names and rest not in one.after:
        return f": {one.name} does not come after {rest}"
    return ""


async def whole(node: Node, row: TicketRow, pointers: Sequence[str]) -> tuple[Found, ...]:
    """As it goes along with an offer: what was kept, and the reports of those of its run that came before it."""
    if not pointers:
        return ()
    [kept] = await node.group.read([work_tickets.context(row.seq)])
    texts = {str(pointer): str(text) for pointer, text in kept}
    ids = {f"task:{p.partition(':')[2]}": f"{row.run}.{p.partition(':')[2]}" for p in pointers if p.startswith("task:")}
    missing = {pointer: id_ for pointer, id_ in ids.items() if pointer not in texts}
    [rows] = await node.group.read([work_tickets.by_ids(list(missing.values()))])
    reports: Mapping[str, str] = {one.id: report_of(one) for one in work_tickets.rows(rows)}
    found, left = [], CONTEXT_BYTES_MAX
    for pointer in pointers:
        text = texts.get(pointer) or reports.get(missing.get(pointer, ""), "")
        if text and len(text.encode()) <= left:
            found.append((pointer, text))
            left -= len(text.encode())
    return tuple(found)


def report_of(row: TicketRow) -> str:
    return row.report or f'{{"state":"{row.state}"}}'
