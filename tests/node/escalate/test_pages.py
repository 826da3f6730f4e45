"""Which page goes when, under a clock that is an argument."""

from __future__ import annotations

from netsky.node.escalate.limits import AGAIN_NS, COOLDOWN_NS, KEYS_MAX, PAGE_TRIES_MAX, PAGES_MAX
from netsky.node.escalate.pages import SILENT_ROOT_KEY, Page, Pages

SECOND = 10**9
MINUTE = 60 * SECOND


def page(key: str, body: str = "", **more: object) -> Page:
    return Page(key, f"about {key}", body, **more)  # type: ignore[arg-type]


def send(pages: Pages, now: int, *, went: bool = True) -> Page | None:
    """The one that is due now, if any, and how it ended."""
    due = pages.due(now)
    if due is not None:
        pages.ended(now, due.key, went=went)
    return due


def test_a_page_goes_at_once_and_only_once() -> None:
    pages = Pages()
    assert pages.ask(0, page("a")) == ("waits", None)
    assert send(pages, 0) == page("a")
    assert send(pages, 0) is None
    assert pages.wake() is None


def test_what_is_asked_again_before_it_went_is_one_page_and_says_the_latest() -> None:
    pages = Pages()
    pages.ask(0, page("a", "first"))
    assert pages.ask(1, page("a", "second")) == ("one_with", None)
    found = send(pages, 1)
    assert found is not None
    assert found.body == "second"
    assert send(pages, 1) is None


def test_a_cause_that_lasts_is_paged_once_in_a_cooldown_and_again_after_it() -> None:
    pages = Pages()
    went = []
    for minute in range(46):
        now = minute * MINUTE
        pages.ask(now, page("a"))
        found = send(pages, now)
        if found is not None:
            went.append((minute, found.body))
    assert [minute for minute, _ in went] == [0, 15, 30, 45]
    assert went[1][1].endswith("(asked for 14 times more since the last page of it)")


def test_a_cause_that_ended_within_the_cooldown_is_not_paged_again() -> None:
    pages = Pages()
    pages.ask(0, page("a"))
    send(pages, 0)
    pages.ask(MINUTE, page("a"))
    assert send(pages, COOLDOWN_NS) is None


def test_keys_do_not_hold_each_other_up() -> None:
    pages = Pages()
    pages.ask(0, page("a"))
    send(pages, 0)
    assert pages.ask(1, page("b")) == ("waits", None)
    assert send(pages, 1) == page("b")


def test_a_page_that_failed_is_tried_again_after_one_two_four_minutes_up_to_the_cooldown() -> None:
    pages = Pages()
    pages.ask(0, page("a"))
    tries, now = [], 0
    while True:
        if send(pages, now, went=False) is not None:
            tries.append(now // MINUTE)
        wake = pages.wake()
        if wake is None:
            break
        now = wake
    assert tries[:6] == [0, 1, 3, 7, 15, 30]
    assert len(tries) == PAGE_TRIES_MAX
    assert pages.failures == PAGE_TRIES_MAX
    assert pages.ask(now, page("a")) == ("waits", None)


def test_failures_in_a_row_are_counted_over_all_keys_and_one_that_went_ends_the_row() -> None:
    pages = Pages()
    pages.ask(0, page("a"))
    pages.ask(0, page("b"))
    send(pages, 0, went=False)
    send(pages, 0, went=False)
    assert pages.failures == 2
    send(pages, AGAIN_NS)
    assert pages.failures == 0


def test_urgent_ones_go_first_and_then_the_one_that_waits_longest() -> None:
    pages = Pages()
    pages.ask(0, page("a"))
    pages.ask(1, page("b"))
    pages.ask(2, page("c", severity="urgent"))
    order = [send(pages, 3) for _ in range(3)]
    assert [one.key for one in order if one is not None] == ["c", "a", "b"]


def test_too_many_drop_the_oldest_and_never_the_one_that_is_on_its_way() -> None:
    pages = Pages()
    pages.ask(0, page("first"))
    assert pages.due(0) == page("first")
    dropped = [pages.ask(number, page(f"k{number}"))[1] for number in range(1, PAGES_MAX + 3)]
    assert [one for one in dropped if one is not None] == ["k1", "k2", "k3"]
    assert pages.dropped == 3
    pages.ended(100, "first", went=True)


def test_what_is_withdrawn_goes_no_more_and_if_it_was_on_its_way_it_is_not_tried_again() -> None:
    pages = Pages()
    pages.ask(0, page("a"))
    pages.withdraw("a")
    assert send(pages, 0) is None
    pages.ask(0, page("a"))
    assert pages.due(0) is not None
    pages.withdraw("a")
    assert pages.ended(1, "a", went=False) is False
    assert pages.wake() is None


def test_asked_for_again_while_it_is_on_its_way_a_withdrawal_no_longer_counts() -> None:
    pages = Pages()
    pages.ask(0, page("a"))
    pages.due(0)
    pages.withdraw("a")
    pages.ask(0, page("a"))
    assert pages.ended(1, "a", went=False) is True


def test_a_page_of_who_keeps_a_book_is_tried_once() -> None:
    pages = Pages()
    pages.ask(0, page("a", once=True))
    send(pages, 0, went=False)
    assert pages.wake() is None
    assert pages.ask(1, page("a", once=True)) == ("waits", None)


def test_the_deputy_speaks_once_an_hour_and_never_says_more_than_its_sentence() -> None:
    pages = Pages()
    spoken = []
    for minute in range(130):
        pages.ask(minute * MINUTE, page(SILENT_ROOT_KEY, "fixed"))
        found = send(pages, minute * MINUTE)
        if found is not None:
            spoken.append((minute, found.body))
    assert spoken == [(0, "fixed"), (60, "fixed"), (120, "fixed")]


def test_what_went_is_remembered_over_a_new_life_and_no_more_than_so_many_keys() -> None:
    pages = Pages()
    pages.ask(0, page("a"))
    send(pages, 0)
    after = Pages()
    for key, left in pages.cooling(5 * MINUTE).items():
        after.remember(key, 0, left)
    assert after.ask(9 * MINUTE, page("a"))[0] == "cools"
    assert after.ask(10 * MINUTE, page("a"))[0] == "waits"
    for number in range(KEYS_MAX + 1):
        after.remember(f"k{number}", 0, MINUTE)
    assert len(after.cooling(0)) == KEYS_MAX
    assert "k0" not in after.cooling(0)
