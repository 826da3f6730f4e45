"""The owner's desk at netsky0: items in the owner's inbox, what became of them, the pages that were made for them.

The inbox row stays the truth about what waits, and `messages` about what was answered. A row of `owner_items` adds what
code has to remember; it is made by the desk once it has read the item.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from netsky.node.db.sets import numbers, texts
from netsky.node.seams.ledger import Row, Statement

OWNER = "owner"


@dataclass(frozen=True, slots=True)
class Unread:
    """An item that the desk has not looked at yet."""

    seq: int
    kind: str | None
    ts: int
    body: bytes | None


@dataclass(frozen=True, slots=True)
class Item:
    """What decides about paging. Times in ns, None for what did not happen."""

    seq: int
    kind: str
    stored_at: int
    deadline: int | None = None
    """Of an ask."""
    seen_at: int | None = None
    taken_at: int | None = None
    """agent0 said that it sees to it."""
    page: int | None = None
    """The page that named it first."""
    last_call: int | None = None
    """And the one that named it again."""


@dataclass(frozen=True, slots=True)
class Paged:
    """The pages that went before: when the last one was made, and the last with an escalation."""

    at: int | None = None
    urgent_at: int | None = None


@dataclass(frozen=True, slots=True)
class ItemRow:
    """All that is known of one item. Times in ns."""

    seq: int
    origin: bytes
    id: str
    sender: str
    kind: str | None
    thread: str | None
    in_reply_to: str | None
    ts: int
    header: bytes | None
    body: bytes | None
    file: str
    state: str
    stored_at: int
    inbox_taken_at: int | None
    deadline: int | None
    seen_at: int | None
    taken_at: int | None
    page: int | None
    paged_at: int | None
    last_call: int | None
    answer: str | None
    answered_by: str | None
    answered_at: int | None
    answer_text: str | None


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of the owner to one of these questions, whichever way it was sent."""

    seq: int
    """Of the question."""
    id: str
    ts: int
    body: bytes | None


@dataclass(frozen=True, slots=True)
class PageRow:
    number: int
    at: int
    urgent: int
    items: int
    subject: str
    body: str
    state: str
    tries: int
    next_at: int


_SOME = "IN (SELECT value FROM json_each(?))"
_FACTS = (
    "SELECT o.seq, coalesce(kind, 'text'), stored_at, deadline, seen_at, o.taken_at, page, last_call "
    "FROM owner_items AS o JOIN inbox USING (seq) JOIN messages USING (seq) "
)
_ITEM = (
    "SELECT inbox.seq, origin, messages.id, sender, kind, thread, in_reply_to, ts, header, messages.body, file, "
    "inbox.state, stored_at, inbox.taken_at, deadline, seen_at, o.taken_at, page, owner_pages.at, last_call, answer, "
    "answered_by, answered_at, answer_text FROM inbox JOIN messages USING (seq) "
    "LEFT JOIN owner_items AS o USING (seq) LEFT JOIN owner_pages ON owner_pages.id = o.page "
)
_ANSWERS = (
    "r.sender IN ('owner', 'owner@netsky0') AND r.kind = 'reply' AND r.destination = m.origin "
    "AND r.recipient = m.sender"
)


# What the desk reads.


def unread(limit: int) -> Statement:
    return Statement(
        "SELECT seq, kind, ts, body FROM inbox JOIN messages USING (seq) WHERE actor = 'owner' AND state != 'taken' "
        "AND NOT EXISTS (SELECT 1 FROM owner_items WHERE owner_items.seq = inbox.seq) ORDER BY seq LIMIT ?",
        (limit,),
    )


def untold(limit: int) -> Statement:
    """Facts of items that nobody was told of, oldest first."""
    return Statement(
        f"{_FACTS}WHERE page IS NULL AND seen_at IS NULL AND o.taken_at IS NULL AND answered_at IS NULL "
        "ORDER BY o.seq LIMIT ?",
        (limit,),
    )


def open_asks(limit: int) -> Statement:
    """Facts of asks without an answer, the nearest deadline first. Whether their inbox row was taken says nothing: an
    ask that was put away unanswered still ends at its deadline."""
    return Statement(f"{_FACTS}WHERE deadline IS NOT NULL AND answered_at IS NULL ORDER BY deadline LIMIT ?", (limit,))


def replies(limit: int) -> Statement:
    """Answers to asks that are not noted as answered."""
    return Statement(
        "SELECT o.seq, r.id, r.ts, r.body FROM owner_items AS o CROSS JOIN messages AS m USING (seq) "
        f"CROSS JOIN messages AS r ON r.in_reply_to = m.id WHERE deadline IS NOT NULL "
        f"AND answered_at IS NULL AND {_ANSWERS} ORDER BY r.seq LIMIT ?",
        (limit,),
    )


def replies_to(seq: int) -> Statement:
    """The same of one item, whatever is noted; the first is the answer."""
    return Statement(
        "SELECT m.seq, r.id, r.ts, r.body FROM messages AS m JOIN messages AS r ON r.in_reply_to = m.id "
        f"WHERE m.seq = ? AND {_ANSWERS} ORDER BY r.seq LIMIT 1",
        (seq,),
    )


def taken_unseen(limit: int) -> Statement:
    """(seq, taken_at) of items that were taken from the owner's channel by other ways than this desk's."""
    return Statement(
        "SELECT o.seq, inbox.taken_at FROM owner_items AS o CROSS JOIN inbox USING (seq) WHERE page IS NULL "
        "AND seen_at IS NULL AND o.taken_at IS NULL AND answered_at IS NULL AND inbox.state = 'taken' LIMIT ?",
        (limit,),
    )


def paged() -> Statement:
    """(when the last page was made, when the last urgent one). By their numbers: a clock may have been set back."""
    last = "SELECT at FROM owner_pages{} ORDER BY id DESC LIMIT 1"
    return Statement(f"SELECT ({last.format('')}), ({last.format(' WHERE urgent = 1')})")


def next_page() -> Statement:
    return Statement("SELECT coalesce(max(id), 0) + 1 FROM owner_pages")


def pages_due(limit: int) -> Statement:
    return Statement(
        "SELECT id, at, urgent, items, subject, body, state, tries, next_at FROM owner_pages WHERE state = 'due' "
        "ORDER BY id LIMIT ?",
        (limit,),
    )


def still_news(page: int) -> Statement:
    """Whether anything that this page names was neither seen nor answered."""
    return Statement(
        "SELECT 1 FROM owner_items WHERE (page = ? OR last_call = ?) AND seen_at IS NULL AND answered_at IS NULL "
        "LIMIT 1",
        (page, page),
    )


# What people and programs ask.


def waiting() -> Statement:
    """Facts of all that waits: as many as an inbox holds."""
    return Statement(
        "SELECT seq, coalesce(kind, 'text'), stored_at, deadline, seen_at, o.taken_at, page, last_call "
        "FROM inbox JOIN messages USING (seq) LEFT JOIN owner_items AS o USING (seq) "
        "WHERE actor = 'owner' AND inbox.state != 'taken'"
    )


def anything_new(*, to_agent0: bool) -> Statement:
    """One row if there is something that the owner has not seen; to agent0 only what it has neither taken nor sent."""
    others = " AND o.taken_at IS NULL AND sender != 'agent0'" if to_agent0 else ""
    return Statement(
        "SELECT 1 FROM inbox JOIN messages USING (seq) LEFT JOIN owner_items AS o USING (seq) "
        f"WHERE actor = 'owner' AND inbox.state != 'taken' AND seen_at IS NULL{others} LIMIT 1"
    )


def latest(limit: int) -> Statement:
    """What ever came, the newest first."""
    return Statement(f"{_ITEM}WHERE actor = 'owner' ORDER BY inbox.seq DESC LIMIT ?", (limit,))


def beginning_with(prefix: str, limit: int) -> Statement:
    """Items whose id begins so; those that are called so first, however many others begin with the whole of it."""
    after = prefix[:-1] + chr(ord(prefix[-1]) + 1)
    return Statement(
        f"{_ITEM}WHERE +actor = 'owner' AND inbox.seq IN (SELECT seq FROM messages WHERE id >= ? AND id < ?) "
        "ORDER BY length(messages.id), inbox.seq LIMIT ?",
        (prefix, after, limit),
    )


def asks(limit: int, *, everything: bool) -> Statement:
    """Those without an answer, the nearest deadline first; or all, the newest first."""
    which, order = ("", "seq DESC") if everything else (" AND answered_at IS NULL", "deadline")
    some = f"SELECT seq FROM owner_items WHERE deadline IS NOT NULL{which} ORDER BY {order} LIMIT ?"
    return Statement(f"{_ITEM}WHERE inbox.seq IN ({some}) ORDER BY {order.replace('seq', 'inbox.seq')}", (limit,))


def by_seqs(seqs: Sequence[int]) -> Statement:
    return Statement(f"{_ITEM}WHERE inbox.seq {_SOME} ORDER BY inbox.seq", (numbers(seqs),))


def asked_by(senders: Sequence[str], limit: int) -> Statement:
    """(id, ts, body, id of the answer, its ts, its body) of questions of these to the owner, newest first."""
    return Statement(
        "SELECT m.id, m.ts, m.body, r.id, r.ts, r.body FROM messages AS m LEFT JOIN messages AS r ON r.seq = "
        "(SELECT min(seq) FROM messages AS first WHERE first.in_reply_to = m.id AND first.kind = 'reply' "
        "AND first.sender IN ('owner', 'owner@netsky0')) "
        f"WHERE m.seq IN (SELECT seq FROM messages WHERE kind = 'question' AND sender {_SOME} "
        "AND recipient IN ('owner', 'owner@netsky0') ORDER BY seq DESC LIMIT ?) ORDER BY m.seq DESC",
        (texts(senders), limit),
    )


# What is noted.


def note(entries: Sequence[tuple[int, int | None]]) -> Statement:
    """(seq, deadline) of items that the desk has read. What a verb has noted of one stands."""
    return Statement(
        "INSERT INTO owner_items (seq, deadline) VALUES (?, ?) ON CONFLICT (seq) DO UPDATE SET "
        "deadline = excluded.deadline",
        many=list(entries),
    )


def seen(seqs: Sequence[int], at: int) -> Statement:
    """The first time stands."""
    return Statement(
        f"UPDATE owner_items SET seen_at = ? WHERE seen_at IS NULL AND seq {_SOME} RETURNING seq", (at, numbers(seqs))
    )


def taken(seqs: Sequence[int], at: int) -> Statement:
    return Statement(
        f"UPDATE owner_items SET taken_at = ? WHERE taken_at IS NULL AND seq {_SOME} RETURNING seq", (at, numbers(seqs))
    )


def answered(seq: int, answer: str, by: str, at: int, text: str) -> Statement:
    """The first stands."""
    return Statement(
        "UPDATE owner_items SET answer = ?, answered_by = ?, answered_at = ?, answer_text = ? "
        "WHERE seq = ? AND answered_at IS NULL",
        (answer, by, at, text, seq),
    )


def make_page(page: PageRow) -> Statement:
    return Statement(
        "INSERT INTO owner_pages (id, at, urgent, items, subject, body, state, tries, next_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (page.number, page.at, page.urgent, page.items, page.subject, page.body, page.state, page.tries, page.next_at),
    )


def named_by(page: int, seqs: Sequence[int]) -> Statement:
    """In the transaction of the page."""
    return Statement(f"UPDATE owner_items SET page = coalesce(page, ?) WHERE seq {_SOME}", (page, numbers(seqs)))


def called_by(page: int, seqs: Sequence[int]) -> Statement:
    return Statement(f"UPDATE owner_items SET last_call = ? WHERE seq {_SOME}", (page, numbers(seqs)))


def page_went(number: int, state: str, tries: int, next_at: int) -> Statement:
    return Statement(
        "UPDATE owner_pages SET state = ?, tries = ?, next_at = ? WHERE id = ?", (state, tries, next_at, number)
    )


def put_away(seqs: Sequence[int], at: int, by: str) -> Statement:
    """The owner's channel is done with them. Returns their files."""
    return Statement(
        "UPDATE inbox SET state = 'taken', taken_at = ?, taken_by = ? WHERE +actor = 'owner' AND state != 'taken' "
        f"AND seq {_SOME} RETURNING file",
        (at, by, numbers(seqs)),
    )


def over(folded_before: int, unread_before: int, limit: int) -> Statement:
    """(seq, whether anybody had it) of what waits only because nobody said that it was done: what was answered; what
    asks nothing and was seen or taken before the one time, or was told and stored before the other."""
    return Statement(
        "SELECT inbox.seq, coalesce(answered_at, seen_at, o.taken_at) IS NOT NULL "
        "FROM inbox JOIN messages USING (seq) JOIN owner_items AS o USING (seq) "
        "WHERE actor = 'owner' AND inbox.state != 'taken' AND (answered_at IS NOT NULL "
        "OR (coalesce(kind, '') != 'question' AND (seen_at < ? OR o.taken_at < ? OR (stored_at < ? AND "
        "(page IS NOT NULL OR coalesce(kind, '') NOT IN ('report', 'escalation')))))) ORDER BY inbox.seq LIMIT ?",
        (folded_before, folded_before, unread_before, limit),
    )


def crowding(room: int, limit: int) -> Statement:
    """The same of what crowds an inbox that holds more than `room`: the oldest of what asks nothing and was told, seen
    or taken, as many as are too many."""
    return Statement(
        "SELECT inbox.seq, coalesce(seen_at, o.taken_at) IS NOT NULL FROM inbox JOIN messages USING (seq) "
        "JOIN owner_items AS o USING (seq) WHERE actor = 'owner' AND inbox.state != 'taken' "
        "AND coalesce(kind, '') NOT IN ('question', 'escalation') AND coalesce(page, seen_at, o.taken_at) IS NOT NULL "
        "ORDER BY inbox.seq LIMIT min(?, max(0, "
        "(SELECT count(*) FROM inbox WHERE actor = 'owner' AND state != 'taken') - ?))",
        (limit, room),
    )


# Rows.


def unread_rows(found: list[Row]) -> list[Unread]:
    return [Unread(*row) for row in found]  # type: ignore[arg-type] # STRICT tables: the columns have these types


def facts(found: list[Row]) -> list[Item]:
    return [Item(*row) for row in found]  # type: ignore[arg-type]


def item_rows(found: list[Row]) -> list[ItemRow]:
    return [ItemRow(*row) for row in found]  # type: ignore[arg-type]


def reply_rows(found: list[Row]) -> list[Reply]:
    return [Reply(*row) for row in found]  # type: ignore[arg-type]


def page_rows(found: list[Row]) -> list[PageRow]:
    return [PageRow(*row) for row in found]  # type: ignore[arg-type]


def paged_of(found: list[Row]) -> Paged:
    [(at, urgent_at)] = found
    return Paged(cast("int | None", at), cast("int | None", urgent_at))


def had_of(found: list[Row]) -> dict[int, bool]:
    """Of `over` and `crowding`."""
    return {cast("int", seq): bool(somebody) for seq, somebody in found}
