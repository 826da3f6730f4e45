"""The owner's desk at netsky0: code that reads what comes for the owner, ends asks at their deadline, and sees to it
that the owner hears of what nobody has looked at.

What is to be done is decided in `items.py`; here facts are read and decisions carried out. Each step is one transaction
and can be done again: an answer has the one key of its question, a page is a row before anybody is paged, and which
items it names is stored with it. A node that dies while it pages may page that once more, and no other.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import trio
from netsky.envelope.address import whole
from netsky.envelope.render import excerpt
from netsky.envelope.wire import decode_body
from netsky.node.bus.draft import Accepted, Draft, Via
from netsky.node.db import owner as rows
from netsky.node.db.group import GroupCommit
from netsky.node.db.owner import OWNER, ItemRow, PageRow
from netsky.node.errors import Conflict, NetskyError, TryLater
from netsky.node.events import Events, Signals
from netsky.node.log import Log
from netsky.node.owner import digest
from netsky.node.owner.asks import answer_data, answer_key, answered_by, ask_in, deadline_id, late_ns
from netsky.node.owner.items import Wanted, is_last_call, page_now, wake_at
from netsky.node.owner.limits import (
    ANSWER_LASTS_NS,
    CROWDED_PART,
    EXCERPT_LETTERS,
    FOLDED_AFTER_NS,
    JUMP_NS,
    LOOK_ITEMS,
    LOOK_SECONDS,
    PAGE_AGAIN_NS,
    PAGE_ITEMS_MAX,
    PAGE_TRIES,
    PAGES_AT_ONCE,
    PAUSE_NS,
    READ_ITEMS,
    SETTLE_NS,
    UNREAD_AFTER_NS,
)
from netsky.node.seams.ledger import Ledger, Row, Statement
from netsky.node.seams.time import Time

Severity = Literal["normal", "urgent"]
Accept = Callable[[str, Via, Sequence[Draft]], Awaitable[list[Accepted | NetskyError]]]


class Deliver(Protocol):
    """Tries once, and says whether the page went out."""

    async def __call__(self, subject: str, body: str, *, severity: Severity, key: str) -> bool: ...


@dataclass(frozen=True, slots=True)
class Around:
    """What the desk works with."""

    ledger: Ledger
    group: GroupCommit
    accept: Accept
    put_away: Callable[[str], None]
    """Told of an actor whose rows were taken by word alone."""
    page: Deliver
    page_after_s: Callable[[], int]
    inbox_max: Callable[[], int]
    time: Time
    signals: Signals
    events: Events
    log: Log
    home: str
    """The name of this node."""


class OwnerDesk:
    name = "owner"
    """As the ticker calls it."""

    def __init__(self, around: Around) -> None:
        self._around = around
        self._one_at_a_time = trio.Lock()
        self._clock: tuple[int, int] | None = None  # wall and steady, at the last look
        self._pages_from = self._deadlines_from = 0  # steady clock
        self._wake_at: int | None = None  # wall clock

    async def run(self) -> None:
        """Looks when something came, and when something falls due; pages as well."""
        time, signals = self._around.time, self._around.signals
        while True:
            heard = signals.count(OWNER)
            try:
                await self.look(time.wall())
                await self.deliver()
            except TryLater as full:
                self._around.log.event("owner.later", level="warn", why=full.message)
            await time.sleep_until(time.monotonic() + PAUSE_NS)
            with trio.move_on_after(self._patience()):
                await signals.wait_beyond(OWNER, heard)

    async def tick(self, now: int) -> Mapping[str, object]:
        """As a part of the ticker: the same look, so that no sleep of the other task keeps anybody waiting."""
        try:
            said = await self.look(now)
        except TryLater as full:
            return {"later": full.message}
        self._around.signals.ring(OWNER)  # what is to be paged takes longer than a round may
        return said

    async def look(self, now: int) -> dict[str, object]:
        """Everything that is due by now but the paging itself."""
        async with self._one_at_a_time:
            self._watch_clock(now)
            read = await self.read_new()
            await self.note_answers()
            ended = await self._end_asks(now)
            folded = await self._fold(now)
            page = await self._make_page(now)
        return {"read": read, "ended": ended, "folded": folded, "page": page}

    def _watch_clock(self, now: int) -> None:
        """After a jump forward the machine slept or its clock was set: who was asleep is given a moment."""
        steady, last = self._around.time.monotonic(), self._clock
        self._clock = (now, steady)
        if last is None:
            self._pages_from = steady + SETTLE_NS
        elif (now - last[0]) - (steady - last[1]) > JUMP_NS:
            self._pages_from = self._deadlines_from = steady + SETTLE_NS
            self._around.log.event("owner.clock_jumped", seconds=(now - last[0] - steady + last[1]) // 10**9)

    def _patience(self) -> float:
        """Seconds until something is due."""
        if self._wake_at is None:
            return LOOK_SECONDS
        return min(LOOK_SECONDS, max(0, self._wake_at - self._around.time.wall()) / 1e9)

    # Reading.

    async def read_new(self) -> int:
        """A row for each item that came; of questions it says until when they are to be answered."""
        count = 0
        while new := rows.unread_rows(await self._ask(rows.unread(READ_ITEMS))):
            await self._around.group.write([rows.note([(one.seq, _deadline(one)) for one in new])])
            count += len(new)
        return count

    async def note_answers(self) -> int:
        """Asks that the owner has answered, whichever way, are done with."""
        found = rows.reply_rows(await self._ask(rows.replies(READ_ITEMS)))
        for reply in found:
            text = "" if reply.body is None else decode_body(reply.body).text
            await self._settle(reply.seq, reply.id, answered_by(reply.id), reply.ts, text)
        return len(found)

    async def _settle(self, seq: int, answer: str, by: str, at: int, text: str) -> None:
        noted = rows.answered(seq, answer, by, at, excerpt(text, EXCERPT_LETTERS))
        await self._around.group.write([noted, rows.put_away([seq], self._around.time.wall(), "desk")])
        self._around.put_away(OWNER)

    # What verbs note.

    async def seen(self, seqs: Sequence[int]) -> None:
        """Shown to the owner."""
        await self._around.group.write([rows.seen(seqs, self._around.time.wall())])

    async def taken(self, seqs: Sequence[int]) -> None:
        """agent0 sees to it."""
        await self._around.group.write([rows.taken(seqs, self._around.time.wall())])

    async def done(self, seqs: Sequence[int]) -> None:
        """The owner is done with it: it leaves the inbox. An ask still ends at its deadline."""
        now = self._around.time.wall()
        await self._around.group.write([rows.seen(seqs, now), rows.put_away(seqs, now, "owner")])
        self._around.put_away(OWNER)

    # Deadlines.

    async def _end_asks(self, now: int) -> int:
        """What happens without an answer, happens. One that finds no room is tried at the next look."""
        if self._around.time.monotonic() < self._deadlines_from:
            return 0
        asks = [one for one in rows.facts(await self._ask(rows.open_asks(LOOK_ITEMS))) if (one.deadline or 0) <= now]
        found = rows.item_rows(await self._ask(rows.by_seqs([one.seq for one in asks]))) if asks else []
        return sum([await self._end(item, now) for item in found])

    async def _end(self, item: ItemRow, now: int) -> bool:
        assert item.deadline is not None
        ask = None if item.body is None else ask_in(decode_body(item.body).data, item.ts)
        assert ask is not None, "a row with a deadline is of a question that has one, and its bytes are kept"
        draft = Draft(
            to=item.sender,
            text=ask.otherwise,
            kind="reply",
            in_reply_to=item.id,
            thread=item.thread,
            idempotency_key=answer_key(item.origin, item.id),
            data=answer_data("deadline", ask.deadline),
            expires_in_ns=ANSWER_LASTS_NS,
            id=deadline_id(item.origin, item.id),
        )
        [answer] = await self._around.accept(OWNER, "node", [draft])
        if isinstance(answer, TryLater):
            return False
        if isinstance(answer, Conflict):  # the owner was first
            await self.note_answers()
            return False
        told = isinstance(answer, Accepted)
        text = ask.otherwise if isinstance(answer, Accepted) else answer.message
        await self._settle(item.seq, answer.id if isinstance(answer, Accepted) else "", "deadline", now, text)
        late = late_ns(item.deadline, now) // 10**9
        facts: dict[str, Any] = {"id": item.id, "from": item.sender, "late_seconds": late, "told": told}
        self._around.log.event("owner.ask_ended", **facts)
        self._around.events.publish("ask_ended", **facts)
        return True

    async def _fold(self, now: int) -> int:
        """What nobody has to do anything about leaves the inbox: one that is full refuses the next escalation."""
        over, crowding = await self._around.ledger.transaction(
            [
                rows.over(now - FOLDED_AFTER_NS, now - UNREAD_AFTER_NS, LOOK_ITEMS),
                rows.crowding(self._around.inbox_max() // CROWDED_PART, LOOK_ITEMS),
            ]
        )
        found = rows.had_of([*crowding, *over])
        if found:
            had = [seq for seq, somebody in found.items() if somebody]
            nobody = [seq for seq, somebody in found.items() if not somebody]
            put_away = [(had, "desk"), (nobody, "given_up")]
            await self._around.group.write([rows.put_away(seqs, now, by) for seqs, by in put_away])
            self._around.put_away(OWNER)
        return len(found)

    # Paging.

    async def _make_page(self, now: int) -> int | None:
        """A page as a row, with the items that it names, if one is due. Its number."""
        settled = self._around.time.monotonic() >= self._pages_from
        untold, asks, before, [[number]], taken = await self._around.ledger.transaction(
            [
                rows.untold(LOOK_ITEMS),
                rows.open_asks(LOOK_ITEMS),
                rows.paged(),
                rows.next_page(),
                rows.taken_unseen(READ_ITEMS),
            ]
        )
        gone = {seq for seq, _ in taken}
        if taken:
            await self._around.group.write([rows.seen([seq], at) for seq, at in taken])  # type: ignore[list-item,arg-type]
        found = {one.seq: one for one in (*rows.facts(untold), *rows.facts(asks))}
        items = [one for one in found.values() if one.seq not in gone and (settled or one.kind == "escalation")]
        paged, patience = rows.paged_of(before), self._around.page_after_s() * 10**9
        wanted = page_now(items, paged, now, patience)
        deadlines = [one.deadline for one in found.values() if one.deadline is not None]
        due = [at for at in (wake_at(items, paged, patience), min(deadlines, default=None)) if at is not None]
        self._wake_at = min((at for at in due if at > now), default=None)
        if wanted is None:
            return None
        assert isinstance(number, int)
        await self._store_page(wanted, number, now)
        return number

    async def _store_page(self, wanted: Wanted, number: int, now: int) -> None:
        shown = [item.seq for item in wanted.items[:PAGE_ITEMS_MAX]]
        words = {one.seq: self._words(one) for one in rows.item_rows(await self._ask(rows.by_seqs(shown)))}
        page = PageRow(
            number=number,
            at=now,
            urgent=int(wanted.urgent),
            items=len(wanted.items),
            subject=digest.subject(wanted, words, now),
            body=digest.body(wanted, words, now),
            state="due",
            tries=0,
            next_at=now,
        )
        named = [item.seq for item in wanted.items]
        called = [item.seq for item in wanted.items if is_last_call(item, now)]
        await self._around.group.write(
            [rows.make_page(page), rows.named_by(number, named), rows.called_by(number, called)]
        )

    def _words(self, item: ItemRow) -> digest.Words:
        body = None if item.body is None else decode_body(item.body)
        ask = None if body is None else ask_in(body.data, item.ts)
        sender = whole(item.sender, self._around.home)
        text = "(what it said is no longer kept)" if body is None else body.text
        return digest.Words(item.id, sender, text, None if ask is None else ask.otherwise)

    async def deliver(self) -> None:
        """Pages that are due go out, unless all that they name was looked at meanwhile."""
        for page in rows.page_rows(await self._ask(rows.pages_due(PAGES_AT_ONCE))):
            if page.next_at > self._around.time.wall() and page.tries:
                continue
            if not await self._ask(rows.still_news(page.number)):
                await self._around.group.write([rows.page_went(page.number, "moot", page.tries, page.next_at)])
                continue
            severity: Severity = "urgent" if page.urgent else "normal"
            went = await self._around.page(page.subject, page.body, severity=severity, key=f"owner/{page.number}")
            await self._note_page(page, went)

    async def _note_page(self, page: PageRow, went: bool) -> None:
        tries, now = page.tries + 1, self._around.time.wall()
        state = "told" if went else "due" if tries < PAGE_TRIES else "failed"
        await self._around.group.write(
            [rows.page_went(page.number, state, tries, now + (PAGE_AGAIN_NS << (tries - 1)))]
        )
        self._around.log.event("owner.paged", number=page.number, items=page.items, state=state, tries=tries)
        self._around.events.publish("owner_paged", number=page.number, items=page.items, state=state)

    async def _ask(self, statement: Statement) -> list[Row]:
        [found] = await self._around.ledger.transaction([statement])
        return found


def _deadline(one: rows.Unread) -> int | None:
    if one.kind != "question" or one.body is None:
        return None
    ask = ask_in(decode_body(one.body).data, one.ts)
    return None if ask is None else ask.deadline
