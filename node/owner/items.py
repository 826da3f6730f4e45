"""What code knows of one item in the owner's inbox, and what is to be done about it by now. Pure.

The rules of paging, all of them:

- An item (report, question, escalation) is paged for once, when neither the owner has seen it nor agent0 has taken it:
  an escalation at once, the others after `[owner] page_after_s`, an ask after half of its time if that is sooner.
- An ask that nobody has seen is paged for a second and last time when a quarter of its time is left (an hour at most),
  also if agent0 has taken it: nobody but the owner can answer it.
- A page names everything that waits by then, and last calls that are near, so ten items of a minute are one page.
  Between two pages that can wait lie fifteen minutes, between two of escalations five.
- Nothing new, no page.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from netsky.node.db.owner import Item, Paged
from netsky.node.owner.limits import (
    GATHER_NS,
    LAST_CALL_GAP_NS,
    LAST_CALL_MOST_NS,
    PAGE_GAP_NS,
    URGENT_GAP_NS,
)

PAGED_KINDS = frozenset({"report", "question", "escalation"})
"""What stands in the owner's inbox beside these is agent0's conversation, for which somebody is awake."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A page to be made now, the most pressing first."""

    new: tuple[Item, ...]
    last_calls: tuple[Item, ...]

    @property
    def items(self) -> tuple[Item, ...]:
        return (*self.last_calls, *self.new)

    @property
    def urgent(self) -> bool:
        return any(item.kind == "escalation" for item in self.new)


def due_at(item: Item, page_after_ns: int) -> int | None:
    """When it is to be paged for next; None for never."""
    if item.kind not in PAGED_KINDS or item.seen_at is not None:
        return None
    if item.page is None and item.taken_at is None:
        return item.stored_at + _patience(item, page_after_ns)
    return last_call_at(item)


def last_call_at(item: Item) -> int | None:
    if item.deadline is None or item.last_call is not None:
        return None
    return item.deadline - min(LAST_CALL_MOST_NS, max(0, item.deadline - item.stored_at) // 4)


def page_now(items: Sequence[Item], paged: Paged, now: int, page_after_ns: int) -> Wanted | None:
    """The page that is to go out now, if there is one."""
    soon = [item for item in items if (at := due_at(item, page_after_ns)) is not None and at <= now + GATHER_NS]
    due = [item for item in soon if (due_at(item, page_after_ns) or 0) <= now]
    if not any(_may_go(item, paged, now) for item in due):
        return None
    new = [item for item in items if _waits(item) and item.kind in PAGED_KINDS]
    calls = [item for item in soon if not _waits(item)]
    return Wanted(tuple(sorted(new, key=pressing)), tuple(sorted(calls, key=pressing)))


def is_last_call(item: Item, now: int) -> bool:
    """Whether a page of now is the last one for it, the first one included."""
    at = last_call_at(item)
    return at is not None and at <= now + GATHER_NS


def wake_at(items: Sequence[Item], paged: Paged, page_after_ns: int) -> int | None:
    """When a page may be due next, as far as can be known now."""
    times = []
    for item in items:
        due, call = due_at(item, page_after_ns), last_call_at(item)
        if due is not None:
            times.append(_after_gap(item, paged, due))
            times += [] if call is None else [_after_gap(item, paged, max(due, call))]
    return min(times, default=None)


def pressing(item: Item) -> tuple[int, int, int]:
    """The order of a list: escalations, asks by their deadline, questions, the rest; the oldest first."""
    rank = 0 if item.kind == "escalation" else 1 if item.deadline is not None else 2 if item.kind == "question" else 3
    return rank, item.deadline or item.stored_at, item.seq


def _patience(item: Item, page_after_ns: int) -> int:
    if item.kind == "escalation":
        return 0
    if item.deadline is None:
        return page_after_ns
    return min(page_after_ns, max(0, item.deadline - item.stored_at) // 2)


def _waits(item: Item) -> bool:
    """Neither told, nor seen, nor taken."""
    return item.page is None and item.seen_at is None and item.taken_at is None


def _before(item: Item, paged: Paged, at: int) -> tuple[int | None, int]:
    """The page that one for this item, made at `at`, keeps its distance from, and the distance."""
    if item.kind == "escalation":
        return paged.urgent_at, URGENT_GAP_NS
    call = last_call_at(item)
    return paged.at, LAST_CALL_GAP_NS if call is not None and call <= at else PAGE_GAP_NS


def _may_go(item: Item, paged: Paged, now: int) -> bool:
    """A page that lies ahead was made before the clock was set back: it holds nothing up."""
    last, gap = _before(item, paged, now)
    return last is None or not last <= now < last + gap


def _after_gap(item: Item, paged: Paged, at: int) -> int:
    last, gap = _before(item, paged, at)
    return at if last is None else max(at, last + gap)
