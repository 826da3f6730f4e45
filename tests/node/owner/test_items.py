"""The rules of paging as functions of items and time: who is paged for what, when, and how often."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise

import pytest
from netsky.node.db.owner import Item, Paged
from netsky.node.owner.items import Wanted, due_at, is_last_call, last_call_at, page_now, pressing, wake_at
from netsky.node.owner.limits import DAY_NS, HOUR_NS, MINUTE_NS

AFTER = 10 * MINUTE_NS
NONE = Paged()
REPORT = Item(1, "report", 0)
ASK = Item(2, "question", 0, deadline=2 * HOUR_NS)
FIRE = Item(3, "escalation", 0)


def seqs(wanted: Wanted | None) -> list[int]:
    return [] if wanted is None else [item.seq for item in wanted.items]


@pytest.mark.parametrize(
    ("item", "due"),
    [
        (REPORT, AFTER),
        (FIRE, 0),
        (Item(1, "question", 0), AFTER),
        (ASK, AFTER),
        (replace(ASK, deadline=8 * MINUTE_NS), 4 * MINUTE_NS),
        (replace(REPORT, seen_at=1), None),
        (replace(REPORT, taken_at=1), None),
        (replace(REPORT, page=1), None),
        (replace(FIRE, seen_at=1), None),
        (replace(ASK, seen_at=1), None),
        (replace(ASK, page=1), 90 * MINUTE_NS),
        (replace(ASK, taken_at=1), 90 * MINUTE_NS),
        (replace(ASK, page=1, last_call=2), None),
        (replace(ASK, page=1, deadline=9 * HOUR_NS), 8 * HOUR_NS),
        *((Item(1, kind, 0), None) for kind in ("text", "reply", "error", "brief", "cancel")),
    ],
)
def test_when_an_item_is_due(item: Item, due: int | None) -> None:
    assert due_at(item, AFTER) == due
    if due is not None:
        assert page_now([item], NONE, due - 1, AFTER) is None
        assert seqs(page_now([item], NONE, due, AFTER)) == [item.seq]


def test_a_page_names_all_that_waits_the_most_pressing_first() -> None:
    young = replace(REPORT, seq=4, stored_at=9 * MINUTE_NS)
    wanted = page_now([young, REPORT, ASK, FIRE], NONE, AFTER, AFTER)
    assert seqs(wanted) == [3, 2, 1, 4]
    assert wanted is not None
    assert wanted.urgent
    assert not Wanted((REPORT,), ()).urgent


def test_what_is_told_seen_or_taken_is_in_no_page_of_others() -> None:
    others = [replace(REPORT, seq=10 + at, **{name: 1}) for at, name in enumerate(("page", "seen_at", "taken_at"))]
    chat = Item(20, "reply", 0)
    assert seqs(page_now([*others, chat, REPORT], NONE, AFTER, AFTER)) == [1]


def test_last_calls_that_are_near_ride_along_and_others_wait_for_their_own() -> None:
    now = 90 * MINUTE_NS
    near = replace(ASK, seq=5, page=1, deadline=2 * HOUR_NS + 4 * MINUTE_NS)
    far = replace(ASK, seq=6, page=1, deadline=4 * HOUR_NS)
    wanted = page_now([replace(ASK, page=1), near, far], NONE, now, AFTER)
    assert seqs(wanted) == [2, 5]
    assert [is_last_call(one, now) for one in (ASK, near, far)] == [True, True, False]


@pytest.mark.parametrize(
    ("item", "paged", "from_"),
    [
        (REPORT, Paged(AFTER - 1, None), AFTER - 1 + 15 * MINUTE_NS),
        (FIRE, Paged(0, None), 0),
        (FIRE, Paged(0, 0), 5 * MINUTE_NS),
        (replace(ASK, page=1), Paged(90 * MINUTE_NS - 1, 90 * MINUTE_NS - 1), 91 * MINUTE_NS - 1),
        # The first page for a short ask is held up by another one no longer than until its last call.
        (replace(ASK, deadline=20 * MINUTE_NS), Paged(9 * MINUTE_NS, None), 15 * MINUTE_NS),
    ],
)
def test_pages_keep_their_distance(item: Item, paged: Paged, from_: int) -> None:
    assert page_now([item], paged, from_ - 1, AFTER) is None
    assert seqs(page_now([item], paged, from_, AFTER)) == [item.seq]


def test_a_page_that_lies_ahead_holds_nothing_up() -> None:
    """The clock was set back since."""
    assert seqs(page_now([REPORT], Paged(3 * HOUR_NS, 3 * HOUR_NS), AFTER, AFTER)) == [1]
    assert seqs(page_now([FIRE], Paged(3 * HOUR_NS, 3 * HOUR_NS), 0, AFTER)) == [3]


def test_an_ask_whose_deadline_came_before_it_did_is_due_at_once() -> None:
    late = Item(1, "question", HOUR_NS, deadline=1)
    assert due_at(late, AFTER) == HOUR_NS
    assert last_call_at(late) == 1


def test_the_order_of_a_list() -> None:
    soon, late = replace(ASK, seq=7, deadline=HOUR_NS), replace(ASK, seq=6)
    chat, question = Item(8, "text", 0), Item(9, "question", 5)
    assert sorted([chat, question, late, REPORT, soon, FIRE], key=pressing) == [
        FIRE,
        soon,
        late,
        question,
        REPORT,
        chat,
    ]


def play(chance: random.Random) -> tuple[list[Item], list[tuple[int, Wanted]]]:
    """Two days of items, as the desk sees them: woken when it asked to be, and each minute. All pages, with their
    time."""
    kinds = ["report", "report", "question", "escalation"]
    coming: list[Item] = []
    for seq in range(60):
        at = int(chance.random() ** 2 * DAY_NS)
        end = at + int((0.02 + chance.random()) * 6 * HOUR_NS) if chance.random() < 0.3 else None
        kind = "question" if end is not None else chance.choice(kinds)
        coming.append(Item(seq, kind, at, deadline=end, taken_at=at + 1 if chance.random() < 0.2 else None))
    items: dict[int, Item] = {}
    pages: list[tuple[int, Wanted]] = []
    paged, now = NONE, 0
    while now < 2 * DAY_NS:
        items |= {one.seq: one for one in coming if one.stored_at <= now and one.seq not in items}
        for seq in [seq for seq in items if chance.random() < 0.001]:
            items[seq] = replace(items[seq], seen_at=items[seq].seen_at or now)
        alive = [one for one in items.values() if one.deadline is None or one.deadline > now]
        wanted = page_now(alive, paged, now, AFTER)
        if wanted is not None:
            pages.append((now, wanted))
            paged = Paged(now, now if wanted.urgent else paged.urgent_at)
            for one in wanted.items:
                call = len(pages) if is_last_call(one, now) else one.last_call
                items[one.seq] = replace(one, page=one.page or len(pages), last_call=call)
            alive = [items[one.seq] for one in alive]
        wake = wake_at(alive, paged, AFTER)
        now = min(now + MINUTE_NS, wake) if wake is not None and wake > now else now + MINUTE_NS
    return list(items.values()), pages


@pytest.mark.parametrize("seed", range(20))
def test_whatever_comes_nobody_is_paged_too_often_and_nothing_is_forgotten(seed: int) -> None:
    items, pages = play(random.Random(seed))
    told = [one.seq for _, wanted in pages for one in wanted.items]
    for item in items:
        assert told.count(item.seq) <= (2 if item.deadline is not None else 1)
        if item.seen_at is None and item.taken_at is None:
            assert told.count(item.seq) >= 1
    for (before, _), (at, wanted) in pairwise(pages):
        if not wanted.urgent and not any(is_last_call(one, at) for one in wanted.items):
            assert at - before >= 15 * MINUTE_NS
    urgent = [at for at, wanted in pages if wanted.urgent]
    assert all(later - earlier >= 5 * MINUTE_NS for earlier, later in pairwise(urgent))


def test_a_seen_item_is_never_paged_for_and_the_wake_is_never_later_than_the_page() -> None:
    assert wake_at([replace(REPORT, seen_at=1)], NONE, AFTER) is None
    assert wake_at([REPORT], NONE, AFTER) == AFTER
    assert wake_at([REPORT], Paged(AFTER - 1, None), AFTER) == AFTER - 1 + 15 * MINUTE_NS
    short = replace(ASK, deadline=20 * MINUTE_NS)
    assert wake_at([short], Paged(9 * MINUTE_NS, None), AFTER) == 15 * MINUTE_NS
