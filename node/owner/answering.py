"""Asking the owner, and the owner's answers: what is checked before an envelope is made of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from netsky.envelope.render import excerpt
from netsky.envelope.wire import decode_body
from netsky.node.bus.draft import Accepted, Draft
from netsky.node.db import arrivals, messages
from netsky.node.db import owner as rows
from netsky.node.errors import Conflict, NetskyError, NotFound, Usage
from netsky.node.owner.asks import Ask, answer_data, answer_key, answered_by, ask_in, data_of
from netsky.node.owner.digest import ago
from netsky.node.owner.limits import (
    ANSWER_LASTS_NS,
    ASK_LEAST_NS,
    ASK_MOST_NS,
    DAY_NS,
    EXCERPT_LETTERS,
    OTHERWISE_BYTES_MAX,
)

if TYPE_CHECKING:
    from netsky.node.daemon.node import Node
    from netsky.node.db.owner import ItemRow
    from netsky.node.owner.desk import OwnerDesk

_ID = re.compile(r"[A-Za-z0-9._:+-]{1,64}")
_FEW = 4
OWNER_ADDRESS = "owner@netsky0"


def checked_ask(deadline: int, otherwise: str, now: int) -> Ask:
    """Raises Usage with the rule."""
    next_ = 'netsky owner ask QUESTION --deadline 2h --otherwise "it stays as it is"'
    if not otherwise.strip():
        raise Usage("an ask says what happens without an answer", next=next_, code="no_otherwise")
    if len(otherwise.encode()) > OTHERWISE_BYTES_MAX:
        raise Usage(
            f"what happens without an answer has more than {OTHERWISE_BYTES_MAX // 1024} KiB; it is a sentence or two",
            next=next_,
            code="otherwise_too_long",
        )
    if deadline - now < ASK_LEAST_NS:
        how = "is over" if deadline <= now else "is less than a minute away"
        raise Usage(f"the deadline {how}: nobody could answer by then", next=next_, code="deadline_past")
    if deadline - now > ASK_MOST_NS:
        raise Usage("the deadline is more than 30 days away; no envelope lives longer", next=next_, code="deadline_far")
    return Ask(deadline, otherwise)


def ask_draft(text: str, ask: Ask, now: int) -> Draft:
    """It outlives its deadline: an ask that arrives too late is answered all the same, and late."""
    lasts = min(ask.deadline - now + DAY_NS, ASK_MOST_NS)
    return Draft(OWNER_ADDRESS, text, kind="question", data=data_of(ask), expires_in_ns=lasts)


async def as_asked_before(node: Node, sender: str, key: str, ask: Ask) -> Ask:
    """The same question under the same key keeps its first deadline: asked again it is the same envelope."""
    [found] = await node.ledger.transaction([arrivals.first_uses(node.identity.key, sender, [key])])
    stored = [use.stored.id for use in arrivals.first_use_rows(found) if use.stored and use.expires > node.now()]
    [bodies] = await node.ledger.transaction([messages.by_ids(node.identity.key, stored)])
    for row in messages.rows(bodies):
        before = None if row.body is None else ask_in(decode_body(row.body).data, row.ts)
        if before is not None and before.otherwise == ask.otherwise:
            return before
    return ask


async def item_named(node: Node, desk: OwnerDesk, said: str) -> ItemRow:
    """The one item whose id is this, or begins so; `ID@NODE` where two nodes used one id."""
    await desk.read_new()
    await desk.note_answers()
    prefix, _, of = said.partition("@")
    if _ID.fullmatch(prefix) is None:
        raise NotFound(f"{said[:64]!r} is no id", next="netsky owner inbox", code="unknown_item")
    [found] = await node.ledger.transaction([rows.beginning_with(prefix, _FEW)])
    items = [one for one in rows.item_rows(found) if not of or node.called(one.origin) == of]
    items = [one for one in items if one.id == prefix] or items
    if not items:
        raise NotFound(
            f"nothing in the owner's inbox has the id {said[:64]!r}",
            next="netsky owner inbox --all",
            code="unknown_item",
        )
    if len(items) > 1:
        same = len({one.id for one in items}) == 1
        names = [f"{one.id}@{node.called(one.origin)}" if same else one.id for one in items[:3]]
        raise Usage(
            f"{said[:64]!r} is the {'id' if same else 'beginning'} of several items: {', '.join(names)}",
            next="type one of these" if same else "type more of it",
            code="id_not_unique",
        )
    return items[0]


async def reply_to(node: Node, desk: OwnerDesk, item: ItemRow, text: str) -> Accepted:
    """Stored for good when it returns. Raises Conflict where the ask was answered before, with what was said when."""
    is_ask = item.deadline is not None
    draft = Draft(
        to=item.sender,
        text=text,
        kind="reply",
        in_reply_to=item.id,
        thread=item.thread,
        idempotency_key=answer_key(item.origin, item.id) if is_ask else None,
        data=None if item.deadline is None else answer_data("owner", item.deadline),
        expires_in_ns=ANSWER_LASTS_NS if is_ask else None,
    )
    if is_ask and item.answered_at is not None and not await _is_same(node, item, text):
        raise await answered_before(node, item)
    [answer] = await node.bus.accept(rows.OWNER, "operator", [draft])
    if isinstance(answer, Conflict) and is_ask:
        raise await answered_before(node, item)
    if isinstance(answer, NetskyError):
        raise answer
    if is_ask:
        await desk.note_answers()
    else:
        await desk.done([item.seq])
    return answer


async def mark_answer(node: Node, desk: OwnerDesk, draft: Draft) -> None:
    """If this reply of the owner, written by other means, answers an ask, it gets the key and mark of its answers."""
    assert draft.in_reply_to is not None
    await desk.read_new()
    [found] = await node.ledger.transaction([rows.beginning_with(draft.in_reply_to, _FEW)])
    asker = {draft.to, draft.to.removesuffix(f"@{node.identity.name}")}
    for item in rows.item_rows(found):
        if item.id == draft.in_reply_to and item.sender in asker and item.deadline is not None:
            draft.idempotency_key = answer_key(item.origin, item.id)
            draft.data = draft.data or answer_data("owner", item.deadline)


async def answered_before(node: Node, item: ItemRow) -> Conflict:
    """Who answered when, and what."""
    [found] = await node.ledger.transaction([rows.replies_to(item.seq)])
    by, at, text = item.answered_by, item.answered_at, item.answer_text or ""
    if found:
        [reply] = rows.reply_rows(found)
        by, at = answered_by(reply.id), reply.ts
        text = text if reply.body is None else decode_body(reply.body).text
    when = ago(node.now() - (at or node.now()))
    said = excerpt(text, EXCERPT_LETTERS)
    if by == "deadline":
        sentence = f"its deadline is over, and netsky0 answered {when} what was to happen without you: {said}"
    else:
        sentence = f"you answered it {when}: {said}"
    return Conflict(
        sentence, next=f"netsky owner show {item.id}; for more: netsky owner send TEXT", code="answered_before"
    )


async def _is_same(node: Node, item: ItemRow, text: str) -> bool:
    """The owner's own answer, said once more: whoever was not told that it was stored says it again."""
    [found] = await node.ledger.transaction([rows.replies_to(item.seq)])
    replies = rows.reply_rows(found)
    return any(
        answered_by(one.id) == "owner" and one.body is not None and decode_body(one.body).text == text
        for one in replies
    )
