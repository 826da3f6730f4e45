"""The second heart: whether a node hangs, and what is done about it, as values."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest
from netsky.node.service.heart import (
    BEAT_SECONDS,
    CUT_OFF_SECONDS,
    KILLS_MAX,
    KILLS_SECONDS,
    PERIODS,
    SECOND,
    Book,
    Facts,
    Sign,
    decide,
    read_book,
    read_sign,
    write_book,
)
from netsky.node.service.recipe import START_SECONDS_MAX

WALL = 1_800_000_000 * SECOND
SIGN = Sign(at=WALL, monotonic=1_000 * SECOND, pid=77, round=9, seconds=60)
WELL = Facts(WALL, 1_010 * SECOND, 77, SIGN, None, None)
LATE = replace(WELL, monotonic=(1_000 + PERIODS * 60 + 1) * SECOND)
SEEN = Book(holder=77, since=1)


def test_a_node_that_ticks_is_well() -> None:
    assert decide(WELL, SEEN).word == "well"
    assert decide(replace(LATE, monotonic=LATE.monotonic - SECOND), SEEN).word == "well"


def test_a_node_whose_last_tick_is_three_periods_old_is_ended_and_that_is_noted() -> None:
    decision = decide(LATE, SEEN)
    assert (decision.word, decision.book.ended) == ("end", (WALL,))
    assert decision.said == "its last tick is 181 s old, and one is due every 60 s"
    slow = replace(LATE, sign=replace(SIGN, seconds=600))
    assert decide(slow, SEEN).word == "well"


@pytest.mark.parametrize("jump", [-86_400, 86_400, 365 * 86_400])
def test_a_wall_clock_that_jumps_hangs_nobody_and_hides_no_hang(jump: int) -> None:
    assert decide(replace(WELL, wall=WALL + jump * SECOND), SEEN).word == "well"
    assert decide(replace(LATE, wall=WALL + jump * SECOND), SEEN).word == "end"


def test_a_machine_that_slept_for_a_day_is_no_hang() -> None:
    """The monotonic clock stood still meanwhile; the wall clock did not."""
    assert decide(replace(WELL, wall=WALL + 86_400 * SECOND), SEEN).word == "well"


def test_a_node_that_answers_with_another_round_only_cannot_leave_its_sign() -> None:
    assert decide(replace(LATE, rounds=10), SEEN).word == "well"
    assert decide(replace(LATE, rounds=9), SEEN).word == "end"  # it answers, and its ticker does not tick


@pytest.mark.parametrize("sign", [None, replace(SIGN, pid=76), replace(SIGN, monotonic=1 << 60)])
def test_a_node_that_starts_has_the_time_of_a_start_before_it_has_to_tick(sign: Sign | None) -> None:
    """No sign yet, one of an earlier process, or one from before the machine started."""
    book = Book()
    first = decide(replace(WELL, sign=sign), book)
    assert (first.word, first.book.holder, first.book.since) == ("early", 77, WELL.monotonic)
    patience = START_SECONDS_MAX + PERIODS * 60
    later = replace(WELL, sign=sign, monotonic=WELL.monotonic + patience * SECOND)
    assert decide(later, first.book).word == "early"
    hung = decide(replace(later, monotonic=later.monotonic + SECOND), first.book)
    assert (hung.word, "made no round" in hung.said) == ("end", True)
    other = decide(replace(later, holder=78), first.book)
    assert (other.word, other.book.holder) == ("early", 78)


def test_three_times_within_an_hour_and_then_it_is_left_alone_until_an_hour_is_over() -> None:
    book = SEEN
    for count in range(KILLS_MAX):
        at = replace(LATE, wall=WALL + count * BEAT_SECONDS * SECOND)
        decision = decide(at, book)
        assert decision.word == "end"
        book = decision.book
    again = decide(replace(LATE, wall=WALL + 600 * SECOND), book)
    assert (again.word, again.book.ended) == ("hangs_again", book.ended)
    assert "3 times within the hour" in again.said
    back = decide(replace(LATE, wall=WALL - 86_400 * SECOND), book)
    assert back.word == "hangs_again"  # a clock set back forgets no end
    hour = decide(replace(LATE, wall=WALL + KILLS_SECONDS * SECOND), book)
    assert hour.word == "end"


NOBODY = replace(WELL, holder=None)


@pytest.mark.parametrize(
    ("facts", "word"),
    [
        (NOBODY, "down"),
        (replace(NOBODY, service="stopped"), "down"),
        (replace(NOBODY, service="not loaded"), "down"),
        (replace(NOBODY, service="waits"), "early"),
        (replace(NOBODY, service="starting"), "early"),
        (replace(NOBODY, service="failed", service_said="the disk failed"), "gave_up"),
        (replace(NOBODY, wanted_at=WALL - CUT_OFF_SECONDS * SECOND), "finish"),
        (replace(NOBODY, service="stopped", wanted_at=WALL - CUT_OFF_SECONDS * SECOND), "finish"),
        (replace(NOBODY, wanted_at=WALL - (CUT_OFF_SECONDS - 1) * SECOND), "down"),
        (replace(NOBODY, service="failed", wanted_at=1), "gave_up"),
        (replace(NOBODY, service="failed", is_unwanted=True), "down"),
        (replace(NOBODY, wanted_at=1, is_unwanted=True), "down"),
    ],
)
def test_where_nobody_runs_only_a_restart_that_was_cut_off_is_finished(facts: Facts, word: str) -> None:
    assert decide(facts, SEEN).word == word
    assert decide(facts, SEEN).book.holder is None


def test_what_the_owner_was_told_is_forgotten_once_the_node_is_well() -> None:
    assert decide(WELL, replace(SEEN, paged="hangs_again")).book.paged == ""
    assert decide(LATE, replace(SEEN, paged="hangs_again")).book.paged == "hangs_again"


def test_the_files_are_text_from_outside() -> None:
    book = Book((1, 2), 77, 5, "gave_up")
    assert read_book(write_book(book)) == book
    assert read_sign(json.dumps(asdict(SIGN)).encode()) == SIGN
    for bad in (b"", b"[]", b"{", b"{}", b'{"ended": 7, "holder": "x"}', b"[" * 100_000):
        assert read_book(bad) == Book()
        assert read_sign(bad) is None
    for name in asdict(SIGN):
        for value in (None, "1", 1.5, True, -1):
            assert read_sign(json.dumps(asdict(SIGN) | {name: value}).encode()) is None
    assert read_sign(json.dumps(asdict(SIGN) | {"seconds": 0}).encode()) is None
