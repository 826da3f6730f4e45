from __future__ import annotations

import pytest
from netsky.relay.holds import Queues
from netsky.relay.limits import RESERVE_BYTES, RESERVE_ENVELOPES

HERE, THERE, A, B, C, D, E = (bytes([at]) * 32 for at in range(7))


@pytest.fixture
def queues() -> Queues:
    return Queues(envelopes=400, size=40_000)


def test_one_origin_is_held_at_a_quarter_and_the_others_are_not(queues: Queues) -> None:
    assert not queues.change(HERE, A, 99, 10)
    assert queues.change(HERE, A, 1, 10)
    assert queues.held_for(A) == {(HERE, "work")}
    assert queues.held_for(B) == set()
    queues.change(THERE, A, 1, 1)
    assert queues.held_for(A) == {(HERE, "work")}


def test_bytes_count_as_envelopes_do(queues: Queues) -> None:
    assert queues.change(HERE, A, 1, 10_000)
    assert queues.held_for(A) == {(HERE, "work")}


def test_a_hold_ends_at_half_its_mark_so_that_it_does_not_flutter(queues: Queues) -> None:
    queues.change(HERE, A, 100, 100)
    assert not queues.change(HERE, A, -49, -49)
    assert queues.held_for(A) == {(HERE, "work")}
    assert queues.change(HERE, A, -1, -1)
    assert queues.held_for(A) == set()


def test_a_full_destination_is_held_for_everybody(queues: Queues) -> None:
    for origin in (A, B, C, D, E):
        queues.change(HERE, origin, 80, 8)
    assert queues.held_for(A) == queues.held_for(b"?" * 32) == {(HERE, "work")}
    assert queues.held_for(A) == {(HERE, "work")}
    for origin in (A, B, C):
        queues.change(HERE, origin, -80, -8)
    assert queues.held_for(A) == set()


def test_above_the_mark_all_that_is_on_its_way_still_fits(queues: Queues) -> None:
    queues.change(HERE, A, 100 + RESERVE_ENVELOPES // 4 - 1, 0)
    assert not queues.is_over(HERE, A, "work")
    queues.change(HERE, A, 1, 0)
    assert queues.is_over(HERE, A, "work")
    assert not queues.is_over(HERE, B, "work")
    assert not queues.is_over(THERE, A, "work")
    queues.change(THERE, B, 1, RESERVE_BYTES + 40_000)
    assert queues.is_over(THERE, C, "work")


def test_replies_are_held_only_above_all_the_room_that_work_can_take(queues: Queues) -> None:
    above = 400 + RESERVE_ENVELOPES
    queues.change(HERE, A, above // 4 + 99, 10)
    assert queues.is_over(HERE, A, "work")
    assert queues.held_for(A) == {(HERE, "work")}
    assert queues.change(HERE, A, 1, 0)
    assert queues.held_for(A) == {(HERE, "work"), (HERE, "reply")}
    assert not queues.is_over(HERE, A, "reply"), "and what is on its way has its reserve again"
    assert queues.change(HERE, A, -50, 0)
    assert queues.held_for(A) == {(HERE, "work")}
    queues.change(HERE, A, 50 + RESERVE_ENVELOPES // 4, 0)
    assert queues.is_over(HERE, A, "reply")


def test_what_is_empty_is_forgotten_and_clear_forgets_all(queues: Queues) -> None:
    queues.change(HERE, A, 400, 40)
    queues.change(HERE, A, -400, -40)
    assert queues.load(HERE).envelopes == 0
    assert queues.held_for(A) == set()
    queues.change(HERE, A, 400, 40)
    queues.clear()
    assert queues.held_for(A) == set()
    assert queues.load(HERE).envelopes == 0
