"""Verbs of dead letters: what this node sent and what ended dead or in doubt. An actor sees its own."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from netsky.envelope.address import parse_address
from netsky.envelope.wire import decode_body, decode_header
from netsky.node.bus.draft import Accepted, Draft, Via
from netsky.node.db import dead_letters, messages
from netsky.node.errors import Conflict, NetskyError, NotFound, Usage
from netsky.node.limits import GROUP_ITEMS_MAX, LIST_ROWS_MAX
from netsky.node.links.reasons import reason
from netsky.node.verbs.control import readable

if TYPE_CHECKING:
    from netsky.node.daemon.caller import Caller
    from netsky.node.daemon.node import Node
    from netsky.node.db.dead_letters import DeadLetter
    from netsky.node.verbs.args import Args

_NUMBER_MAX = (1 << 63) - 1
_SECONDS_MAX = 365 * 86_400.0


async def dead_ls(node: Node, caller: Caller, args: Args) -> dict[str, Any]:
    """The list, newest first, a page of it. What an operator was shown is no news any more."""
    limit = args.whole("limit", 50, 1, LIST_ROWS_MAX)
    before = args.whole("before", _NUMBER_MAX, 1, _NUMBER_MAX)
    args.nothing_else()
    found, counted = await node.ledger.transaction(
        [dead_letters.listed(limit + 1, before, _own(node, caller)), dead_letters.counts()]
    )
    rows = dead_letters.rows(found)
    page = rows[:limit]
    if caller.is_operator and any(row.seen_at is None for row in page):
        await node.group.write([dead_letters.seen([row.number for row in page], node.now())])
    total = {"total": counted[0][0]} if caller.is_operator else {}
    older = page[-1].number if len(rows) > limit else None
    return {"letters": [_letter(node, row) for row in page], "older": older, **total}


async def dead_show(node: Node, caller: Caller, args: Args) -> dict[str, Any]:
    """All of one: what became of it, and what it said."""
    id = args.text("id")  # noqa: A001 - the envelope's word
    args.nothing_else()
    [row] = await _rows(node, caller, [id])
    [found] = await node.ledger.transaction([messages.by_ids(row.origin, [id])])
    [message] = messages.rows(found)
    if caller.is_operator:
        await node.group.write([dead_letters.seen([row.number], node.now())])
    return _letter(node, row) | {"envelope": readable(message)}


async def dead_retry(node: Node, caller: Caller, args: Args) -> dict[str, Any]:
    """Each once more, as a new envelope that names the old one. Answered one by one."""
    ids = args.texts("ids", GROUP_ITEMS_MAX)
    again = args.flag("again")
    args.nothing_else()
    results = []
    for id in dict.fromkeys(ids):  # noqa: A001
        try:
            results.append({"id": id, "ok": True, "data": await _retry(node, caller, id, again=again)})
        except NetskyError as error:
            said = {"code": error.code, "exit": error.exit, "message": error.message, "next": error.next}
            results.append({"id": id, "ok": False, "error": said})
    return {"results": results}


async def dead_drop(node: Node, caller: Caller, args: Args) -> dict[str, Any]:
    """Off the list: some by their ids, all, or those known for so long."""
    ids = args.texts("ids", GROUP_ITEMS_MAX, needed=False)
    everything = args.flag("all")
    older = args.seconds("older", 0, _SECONDS_MAX)
    args.nothing_else()
    if sum((bool(ids), everything, bool(older))) != 1:
        raise Usage("dead drop: name ids, or all, or an age", next="netsky dead drop -h", code="bad_argument")
    now = node.now()
    if ids:
        numbers = [row.number for row in await _rows(node, caller, ids)]
        [dropped] = await node.group.write([dead_letters.drop(numbers, now)])
    else:
        before = now + 1 if everything else now - int(older * 10**9)
        [dropped] = await node.group.write([dead_letters.drop_known_before(before, now)])
    return {"dropped": len(dropped)}


def _own(node: Node, caller: Caller) -> str | None:
    """What stands in the rows of this caller; None for an operator, who sees all."""
    return None if caller.is_operator else f"{caller.actor}@{node.identity.name}"


async def _rows(node: Node, caller: Caller, ids: list[str]) -> list[DeadLetter]:
    """Each of these, or NotFound with the first that is none."""
    [found] = await node.ledger.transaction([dead_letters.by_ids(ids)])
    own = _own(node, caller)
    rows = {row.id: row for row in dead_letters.rows(found) if own in {None, row.sender}}
    wanted = list(dict.fromkeys(ids))
    for one in wanted:
        if one not in rows:
            raise NotFound(f"{one[:64]!r} is no dead letter of this node", next="netsky dead ls", code="no_dead_letter")
    return [rows[one] for one in wanted]


async def _retry(node: Node, caller: Caller, id: str, *, again: bool) -> dict[str, Any]:  # noqa: A002
    [row] = await _rows(node, caller, [id])
    if row.retries and not again:
        raise Conflict(
            f"{id} was sent again before, as {row.retry}",
            next=f"netsky trace {row.retry}; once more: netsky dead retry {id} --again",
            code="retried",
        )
    draft = await _draft(node, row)
    via: Via = "operator" if caller.is_operator else "actor"
    sender = parse_address(row.sender).actor
    [answer] = await node.bus.accept(sender, via, [draft])
    if not isinstance(answer, Accepted):
        raise answer
    await node.group.write([dead_letters.retried(row.number, row.retries + 1, answer.id, node.now())])
    if not answer.duplicate:
        facts = {"id": answer.id, "from": sender, "to": row.recipient, "message_kind": row.kind or "text"}
        node.events.publish("accepted", **facts, via=via)
    return {"retry": answer.id, "to": row.recipient, "fate": row.fate}


async def _draft(node: Node, row: DeadLetter) -> Draft:
    """What the old one said. Its id follows from the old one's and the count of retries: if the node dies before it
    has noted the retry, the next try finds it stored."""
    [found] = await node.ledger.transaction([messages.by_ids(row.origin, [row.id])])
    [message] = messages.rows(found)
    if message.header is None or message.body is None:
        raise NotFound(
            f"what {row.id} said is no longer kept: it is off the list", next=f"netsky trace {row.id}", code="pruned"
        )
    header, body = decode_header(message.header), decode_body(message.body)
    mark = hashlib.sha256(row.origin + row.id.encode()).hexdigest()[:24]
    return Draft(
        to=row.recipient,
        text=body.text,
        kind=header.kind,
        in_reply_to=header.in_reply_to,
        thread=header.thread,
        swarm=header.swarm,
        requires_ack=header.requires_ack,
        data=body.data,
        attachments=body.attachments,
        expires_in_ns=header.expires - header.ts,
        parent=row.id,
        id=f"retry-{mark}-{row.retries + 1}",
    )


def _letter(node: Node, row: DeadLetter) -> dict[str, Any]:
    sentence, step = reason(row.code)
    return {
        "number": row.number,
        "id": row.id,
        "from": row.sender,
        "to": row.recipient,
        "kind": row.kind or "text",
        "thread": row.thread,
        "accepted_at": row.accepted_at,
        "fate": row.fate,
        "code": row.code,
        "reason": sentence,
        "next": step.replace("ID", row.id),
        "ended_by": node.called(row.ender),
        "ended_at": row.at,
        "known_at": row.known_at,
        "retries": row.retries,
        "retry": row.retry,
        "retried_at": row.retried_at,
        "dropped_at": row.dropped_at,
    }
