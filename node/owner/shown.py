"""An item as the owner is shown it, on a screen or a page or in a mail: one form for all of them. Pure."""

from __future__ import annotations

from typing import Any

from netsky.envelope.address import whole as whole_address
from netsky.envelope.fields import Body
from netsky.envelope.wire import decode_body
from netsky.node.db.owner import Item, ItemRow
from netsky.node.owner.asks import Ask, answered_by, ask_in, late_ns
from netsky.node.owner.items import pressing
from netsky.node.owner.limits import EXCERPT_LETTERS


def shown(row: ItemRow, home: str, *, whole: bool) -> dict[str, Any]:
    """With its true origin. The text is what somebody else wrote, as it is: whoever shows it quotes it."""
    body = None if row.body is None else decode_body(row.body)
    text = "" if body is None else body.text
    cut = not whole and len(text) > EXCERPT_LETTERS
    return {
        "id": row.id,
        "origin": row.origin.hex(),
        "from": whole_address(row.sender, home),
        "kind": row.kind or "text",
        "thread": row.thread,
        "in_reply_to": row.in_reply_to,
        "at": row.stored_at,
        "text": text[:EXCERPT_LETTERS] if cut else text,
        "cut": cut,
        "kept": body is not None,
        "attachments": 0 if body is None else len(body.attachments),
        "seen_at": row.seen_at,
        "taken_by_agent0_at": row.taken_at,
        "paged_at": row.paged_at,
        "waits": row.state != "taken",
        "ask": _ask(row, body),
        "answer": _answer(row),
    }


def in_order(rows: list[ItemRow]) -> list[ItemRow]:
    """The most pressing first."""
    return sorted(rows, key=lambda row: pressing(facts_of(row)))


def facts_of(row: ItemRow) -> Item:
    open_until = row.deadline if row.answered_at is None else None
    return Item(row.seq, row.kind or "text", row.stored_at, open_until, row.seen_at, row.taken_at, row.page)


def own_ask(row: tuple[Any, ...]) -> dict[str, Any] | None:
    """A question of the caller's, from `asked_by`; None for one without a deadline."""
    id, ts, body, answer, answered_at, answer_body = row  # noqa: A001 - the envelope's word
    said = None if body is None else decode_body(body)
    ask = None if said is None else ask_in(said.data, ts)
    if said is not None and ask is None:
        return None
    text = None if answer_body is None else decode_body(answer_body).text
    known = None if ask is None else ask.deadline
    return {
        "id": id,
        "at": ts,
        "text": None if said is None else said.text[:EXCERPT_LETTERS],
        "deadline": known,
        "otherwise": None if ask is None else ask.otherwise,
        "answer": None if answer is None else answer_facts(answer, answered_by(answer), answered_at, text, known),
    }


def answer_facts(id: str, by: str, at: int, text: str | None, deadline: int | None) -> dict[str, Any]:  # noqa: A002
    late = late_ns(deadline, at) if by == "deadline" and deadline is not None else 0
    return {"id": id or None, "by": by, "at": at, "text": text, "late_seconds": late // 10**9}


def _ask(row: ItemRow, body: Body | None) -> dict[str, Any] | None:
    if row.deadline is None:
        return None
    ask: Ask | None = None if body is None else ask_in(body.data, row.ts)
    return {"deadline": row.deadline, "otherwise": None if ask is None else ask.otherwise}


def _answer(row: ItemRow) -> dict[str, Any] | None:
    if row.answer is None or row.answered_at is None:
        return None
    return answer_facts(row.answer, row.answered_by or "owner", row.answered_at, row.answer_text, row.deadline)
