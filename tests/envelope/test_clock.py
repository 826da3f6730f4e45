from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from netsky.envelope.clock import next_clock
from netsky.envelope.limits import SKEW_NS

TIMES = st.integers(0, 2**62)


@given(last=TIMES, wall=TIMES, cause=st.none() | TIMES)
def test_the_clock_only_moves_forward(last: int, wall: int, cause: int | None) -> None:
    clock, _ = next_clock(last, wall, cause)
    assert clock > last
    assert clock >= wall


@given(last=TIMES, wall=TIMES, ahead=st.integers(-(2**62), SKEW_NS))
def test_an_effect_is_later_than_its_cause(last: int, wall: int, ahead: int) -> None:
    clock, skewed = next_clock(last, wall, wall + ahead)
    assert clock > wall + ahead
    assert not skewed


@given(last=TIMES, wall=TIMES, ahead=st.integers(SKEW_NS + 1, 2**62))
def test_a_cause_too_far_ahead_is_marked_and_not_followed(last: int, wall: int, ahead: int) -> None:
    assert next_clock(last, wall, wall + ahead) == (next_clock(last, wall, None)[0], True)


@given(wall=TIMES, causes=st.lists(st.none() | TIMES, max_size=50))
def test_a_standing_wall_still_gives_every_envelope_its_own_time(wall: int, causes: list[int | None]) -> None:
    clock, seen = 0, []
    for cause in causes:
        clock, _ = next_clock(clock, wall, cause)
        seen.append(clock)
    assert seen == sorted(set(seen))


def test_the_clock_is_the_wall_when_nothing_speaks_against_it() -> None:
    assert next_clock(5, 100, None) == (100, False)
    assert next_clock(5, 100, 99) == (100, False)
    assert next_clock(5, 100, 100) == (101, False)
    assert next_clock(100, 100, None) == (101, False)
    assert next_clock(0, 0, SKEW_NS) == (SKEW_NS + 1, False)
    assert next_clock(0, 0, SKEW_NS + 1) == (1, True)


def test_one_wrong_clock_carries_the_others_no_further_than_the_bound() -> None:
    """Each follows the other by five minutes at most beyond its own wall, however often they answer each other."""
    here = there = 0
    for _ in range(1_000):
        here, _ = next_clock(here, 1_000, there)
        there, _ = next_clock(there, 1_000 + 2 * SKEW_NS, here)
    assert here < 1_000 + SKEW_NS + 2
