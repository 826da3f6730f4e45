"""`owner`: the one verb that takes what the owner says and gives what the owner gets; `do` says which.

At netsky0's operator socket the caller is the owner. agent0@netsky0 may list and take items; every actor of every node
may ask. Pages and mail call the same verb, so an answer has all that a screen needs and nothing that it must not show.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from netsky.envelope.address import parse_address, whole
from netsky.envelope.wire import decode_body
from netsky.node.bus.draft import Accepted, Draft, Via
from netsky.node.db import messages
from netsky.node.db import owner as rows
from netsky.node.errors import Refused, TimedOut, Usage
from netsky.node.limits import WAIT_SECONDS_MAX
from netsky.node.owner.answering import (
    OWNER_ADDRESS,
    as_asked_before,
    ask_draft,
    checked_ask,
    item_named,
    reply_to,
)
from netsky.node.owner.asks import data_of
from netsky.node.owner.items import pressing
from netsky.node.owner.limits import LIST_MAX, THREAD_BYTES, TOOK_MAX
from netsky.node.owner.shown import own_ask, shown
from netsky.node.verbs.control import readable, until
from netsky.node.verbs.look import is_party, visible_rows
from netsky.node.verbs.send import accepted_data, sender_of, tell_accepted
from netsky.relay.acks import ack_id
from netsky.relay.authority import ROOT, ROOT_MANAGER

if TYPE_CHECKING:
    from netsky.node.daemon.caller import Caller
    from netsky.node.daemon.node import Node
    from netsky.node.db.owner import ItemRow
    from netsky.node.db.trace import TraceRow
    from netsky.node.owner.desk import OwnerDesk
    from netsky.node.verbs.args import Args

Do = Callable[["Node", "Caller", "Args"], Awaitable[dict[str, Any]]]


async def owner(node: Node, caller: Caller, args: Args) -> dict[str, Any]:
    do = args.text("do")
    handler = _DO.get(do)
    if handler is None:
        raise Usage(f"owner does not {do[:64]!r}; it does {', '.join(_DO)}", next="netsky help owner")
    return await handler(node, caller, args)


# What the owner says.


async def _send(node: Node, caller: Caller, args: Args) -> dict[str, Any]:
    """To agent0@netsky0. Each question has a thread: that of what it answers, one that was named, or a new one."""
    text, thread, answers = args.text("text"), args.maybe_text("thread"), args.maybe_text("in_reply_to")
    key = args.maybe_text("idempotency_key")
    args.nothing_else()
    desk = _desk(node, caller, "speak as the owner")
    _check_text(text)
    if answers is not None:
        item = await item_named(node, desk, answers)
        answers, thread = item.id, thread or item.thread
    if thread is None:
        thread = f"owner-{node.seams.chance.token(THREAD_BYTES).hex()}" if key is None else key
    draft = Draft(ROOT_MANAGER, text, in_reply_to=answers, thread=thread, idempotency_key=key)
    return {**await _accepted(node, rows.OWNER, "operator", draft), "thread": thread, "to": f"{ROOT_MANAGER}@{ROOT}"}


async def _reply(node: Node, caller: Caller, args: Args) -> dict[str, Any]:
    """To whoever wrote the item. An ask is answered once; this is its answer if nothing was stored before."""
    said, text = args.text("id"), args.text("text")
    args.nothing_else()
    desk = _desk(node, caller, "answer for the owner")
    _check_text(text)
    item = await item_named(node, desk, said)
    answer = await reply_to(node, desk, item, text)
    tell_accepted(node, Draft(item.sender, "", kind="reply"), rows.OWNER, "operator", answer)
    return {
        **accepted_data(answer),
        "answers": item.id,
        "to": whole(item.sender, node.identity.name),
        "thread": item.thread,
    }


# What the owner gets.


async def _inbox(node: Node, caller: Caller, args: Args) -> dict[str, Any]:
    """What waits, the most pressing first. What the owner is shown here counts as seen, unless he only peeks. With
    `wait_s` the answer comes when something is new: not seen and, for agent0, not taken either."""
    everything, peek = args.flag("all"), args.flag("peek")
    seconds = args.seconds("wait_s", 0, WAIT_SECONDS_MAX)
    limit = args.whole("limit", LIST_MAX, 1, LIST_MAX)
    args.nothing_else()
    desk = _desk(node, caller, "read the owner's inbox", agent0=True)

    async def anything_new() -> dict[str, Any] | None:
        return {} if await _ask(node, rows.anything_new(to_agent0=not caller.is_operator)) else None

    if seconds:
        await until(node, anything_new, rows.OWNER, seconds)
    await desk.read_new()
    await desk.note_answers()
    facts = sorted(rows.facts(await _ask(node, rows.waiting())), key=pressing)
    if everything:
        found = rows.item_rows(await _ask(node, rows.latest(limit)))
    else:
        place = {item.seq: at for at, item in enumerate(facts[:limit])}
        found = rows.item_rows(await _ask(node, rows.by_seqs(list(place))))
        found.sort(key=lambda row: place[row.seq])
    items = [shown(row, node.identity.name, whole=False) for row in found]
    await _with_questions(node, items)
    if caller.is_operator and not peek:
        await desk.seen([row.seq for row in found])
    return {
        "at": node.now(),
        "items": items,
        "waiting": len(facts),
        "new": sum(item.seen_at is None for item in facts),
        "asks": sum(item.deadline is not None for item in facts),
    }


async def _show(node: Node, caller: Caller, args: Args) -> dict[str, Any]:
    """One item, whole."""
    said = args.text("id")
    args.nothing_else()
    desk = _desk(node, caller, "read the owner's inbox", agent0=True)
    item = await item_named(node, desk, said)
    data = shown(item, node.identity.name, whole=True)
    await _with_questions(node, [data])
    if caller.is_operator:
        await desk.seen([item.seq])
    return {"at": node.now(), **data}


async def _take(node: Node, caller: Caller, args: Args) -> dict[str, Any]:
    """By agent0: it sees to it, and nobody is paged. By the owner: it is done with, and leaves the inbox."""
    said = args.texts("ids", TOOK_MAX)
    args.nothing_else()
    desk = _desk(node, caller, "take the owner's items", agent0=True)
    items = [await item_named(node, desk, one) for one in said]
    own = [item for item in items if caller.actor is not None and item.sender == caller.actor]
    if own:
        raise Refused(
            f"{own[0].id} is from you: the owner is the one who reads it", next="netsky owner inbox", code="own_item"
        )
    seqs = [item.seq for item in items]
    if caller.is_operator:
        await desk.done(seqs)
    else:
        await desk.taken(seqs)
    node.events.publish("owner_taken", ids=[item.id for item in items], by=caller.name)
    return {"taken": [item.id for item in items], "by": caller.name, "open_asks": _open_asks(items)}


# Asking.


async def _put_question(node: Node, caller: Caller, args: Args) -> dict[str, Any]:
    """A question to the owner, with a deadline and what happens without an answer."""
    text, otherwise = args.text("text"), args.text("otherwise")
    within, deadline = args.seconds("within", 0, 1e9), args.whole("deadline", 0, 0, (1 << 63) - 1)
    named, key, thread = args.maybe_text("from"), args.maybe_text("idempotency_key"), args.maybe_text("thread")
    args.nothing_else()
    _check_text(text)
    now = node.now()
    ask = checked_ask(deadline or now + int(within * 1e9), otherwise, now)
    sender = sender_of(node, caller, named, OWNER_ADDRESS)
    if key is not None:
        ask = await as_asked_before(node, sender, key, ask)
    draft = ask_draft(text, ask, now)
    draft.idempotency_key, draft.thread = key, thread
    via: Via = "operator" if caller.is_operator else "actor"
    stored = await _accepted(node, sender, via, draft)
    return {**stored, "from": f"{sender}@{node.identity.name}", **data_of(ask)}


async def _asks(node: Node, caller: Caller, args: Args) -> dict[str, Any]:
    """Of the caller's own questions to the owner, what became of each; at netsky0 the owner sees everybody's."""
    everything = args.flag("all")
    limit = args.whole("limit", LIST_MAX, 1, LIST_MAX)
    args.nothing_else()
    if node.owner is not None and caller.is_operator:
        await node.owner.read_new()
        await node.owner.note_answers()
        found = rows.item_rows(await _ask(node, rows.asks(limit, everything=everything)))
        asks = [_as_ask(shown(row, node.identity.name, whole=False)) for row in found]
    else:
        me = caller.actor or ROOT_MANAGER
        own = await _ask(node, rows.asked_by([me, f"{me}@{node.identity.name}"], limit))
        asks = [ask for ask in map(own_ask, own) if ask is not None and (everything or ask["answer"] is None)]
        asks = [{**ask, "from": f"{me}@{node.identity.name}"} for ask in asks]
    return {"at": node.now(), "asks": asks}


async def _answer(node: Node, caller: Caller, args: Args) -> dict[str, Any]:
    """Waits for the answer to what the caller asked: of the owner's, the first reply; of an ask, the owner's."""
    id, seconds = args.text("id"), args.seconds("wait_s", 0, WAIT_SECONDS_MAX)  # noqa: A001 - the envelope's word
    args.nothing_else()
    asked = (await visible_rows(node, caller, id))[0]
    found = await until(node, lambda: _replied(node, caller, asked), parse_address(asked.sender).actor, seconds)
    if found is None:
        next_ = "netsky owner asks" if parse_address(asked.recipient).actor == rows.OWNER else "netsky owner inbox"
        raise TimedOut(f"{asked.recipient} has not answered {id} yet", next=next_, code="not_answered")
    if node.owner is not None and caller.is_operator and parse_address(asked.sender).actor == rows.OWNER:
        await node.owner.read_new()
        await node.owner.seen([found.pop("seq")])
    found.pop("seq", None)
    return found


async def _replied(node: Node, caller: Caller, asked: TraceRow) -> dict[str, Any] | None:
    acks = ack_id(asked.origin, asked.id)
    of_owner = parse_address(asked.recipient).actor == rows.OWNER
    for row in messages.rows(await _ask(node, messages.replies_to([asked.id], 16))):
        if row.id == acks or not is_party(node, caller, row):
            continue
        if not of_owner or parse_address(row.sender).actor == rows.OWNER:
            return {"id": asked.id, "seq": row.seq, "answer": readable(row)}
    return None


_DO: Mapping[str, Do] = MappingProxyType(
    {
        "send": _send,
        "inbox": _inbox,
        "show": _show,
        "reply": _reply,
        "take": _take,
        "ask": _put_question,
        "asks": _asks,
        "answer": _answer,
    }
)


# Common to them.


def _desk(node: Node, caller: Caller, what: str, *, agent0: bool = False) -> OwnerDesk:
    """The desk, if it is here and the caller may use it so."""
    if node.owner is None:
        raise Refused(
            f"the owner is at {ROOT} alone, and this is {node.identity.name}",
            next="there: netsky owner inbox; from here: netsky owner ask QUESTION --deadline 2h --otherwise TEXT",
            code="not_the_root",
        )
    if not caller.is_operator and not (agent0 and caller.actor == ROOT_MANAGER):
        others = "the owner and agent0 do" if agent0 else "the owner does, at the operator's socket"
        raise Refused(
            f"you are {caller.name} and cannot {what}: {others}",
            next="netsky owner ask QUESTION --deadline 2h --otherwise TEXT",
            code="not_the_owner",
        )
    return node.owner


def _check_text(text: str) -> None:
    if not text.strip():
        raise Usage("the text is empty", next="netsky help owner", code="empty_message")


async def _accepted(node: Node, sender: str, via: Via, draft: Draft) -> dict[str, Any]:
    [answer] = await node.bus.accept(sender, via, [draft])
    if not isinstance(answer, Accepted):
        raise answer
    tell_accepted(node, draft, sender, via, answer)
    return accepted_data(answer)


async def _with_questions(node: Node, items: list[dict[str, Any]]) -> None:
    """Beside an answer, what the owner had asked."""
    ids = [item["in_reply_to"] for item in items if item["in_reply_to"] is not None]
    found = messages.rows(await _ask(node, messages.by_ids(node.identity.key, ids))) if ids else []
    texts = {row.id: decode_body(row.body).text for row in found if row.body and row.sender == rows.OWNER}
    for item in items:
        item["question"] = texts.get(item["in_reply_to"])


def _as_ask(item: dict[str, Any]) -> dict[str, Any]:
    ask = item["ask"] or {"deadline": None, "otherwise": None}
    return {key: item[key] for key in ("id", "at", "from", "text", "answer")} | ask


def _open_asks(items: list[ItemRow]) -> list[dict[str, Any]]:
    return [{"id": one.id, "deadline": one.deadline} for one in items if one.deadline and one.answered_at is None]


async def _ask(node: Node, statement: Any) -> list[Any]:
    [found] = await node.ledger.transaction([statement])
    return found
