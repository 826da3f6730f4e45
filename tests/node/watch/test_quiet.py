"""Declared quiet: how long it counts, whatever the clock does, and which markers are none."""

from __future__ import annotations

from dataclasses import replace

from netsky.node.watch.limits import QUIET_SECONDS_MAX
from netsky.node.watch.quiet import SECOND, Quiets, marker_of, quiet_of

WALL = 1_800_000_000 * SECOND
DAY = 86_400 * SECOND
ONE = marker_of("agent0", "agent0", "a long build", WALL, 600)


def left(quiets: Quiets, actor: str = "agent0", *, at: int) -> float | None:
    found = quiets.of(actor, at)
    return None if found is None else found[1] / SECOND


def test_several_may_stand_and_the_latest_end_counts() -> None:
    quiets = Quiets()
    two = marker_of("agent0", "operator", "and a test", WALL, 1_800)
    other = marker_of("agent1", "agent1", "mine", WALL, 60)
    assert quiets.look([ONE, two, other], wall=WALL, monotonic=5) == []
    assert left(quiets, at=5) == 1_800
    assert left(quiets, "agent1", at=5) == 60
    assert left(quiets, "agent2", at=5) is None
    assert len(quiets.all(5)) == 3
    assert left(quiets, at=5 + 1_799 * SECOND) == 1
    assert left(quiets, at=5 + 1_800 * SECOND) is None


def test_one_that_is_over_is_named_for_removal_and_does_not_begin_again() -> None:
    quiets = Quiets()
    quiets.look([ONE], wall=WALL, monotonic=0)
    for second in (600, 601, 900):
        for wall in (WALL - DAY, WALL + SECOND):  # the clock was set back
            assert quiets.look([ONE], wall=wall, monotonic=second * SECOND) == [ONE.name]
            assert left(quiets, at=second * SECOND) is None


def test_nothing_is_remembered_of_one_whose_marker_is_gone() -> None:
    quiets = Quiets()
    quiets.look([ONE], wall=WALL, monotonic=0)
    quiets.look([ONE], wall=WALL, monotonic=601 * SECOND)
    assert quiets._over == {ONE.name}
    quiets.look([], wall=WALL, monotonic=602 * SECOND)
    assert (quiets._over, quiets._until) == (set(), {})


def test_a_clock_that_jumps_neither_ends_nor_lengthens_one() -> None:
    quiets = Quiets()
    quiets.look([ONE], wall=WALL, monotonic=0)
    assert quiets.look([], wall=WALL + DAY, monotonic=60 * SECOND) == []  # its marker lapsed by that clock
    assert left(quiets, at=60 * SECOND) == 540
    quiets.look([ONE], wall=WALL - DAY, monotonic=61 * SECOND)
    assert left(quiets, at=61 * SECOND) == 539


def test_one_whose_marker_was_taken_away_by_hand_is_over() -> None:
    quiets = Quiets()
    quiets.look([ONE], wall=WALL, monotonic=0)
    quiets.look([], wall=WALL + SECOND, monotonic=SECOND)
    assert left(quiets, at=SECOND) is None


def test_what_says_more_than_a_quiet_can_is_none() -> None:
    good = quiet_of(ONE)
    assert good is not None
    assert (good.actor, good.by, good.expires) == ("agent0", "agent0", WALL + 600 * SECOND)
    for odd in (
        replace(ONE, expires=None),
        replace(ONE, expires=WALL + (QUIET_SECONDS_MAX + 1) * SECOND),
        replace(ONE, expires=WALL - 1),
        replace(ONE, data={}),
        replace(ONE, data={"actor": 7}),
        replace(ONE, name="alarm.agent0"),
    ):
        assert quiet_of(odd) is None
        assert Quiets().look([odd], wall=WALL, monotonic=0) == ([odd.name] if odd.name.startswith("quiet.") else [])


def test_one_that_an_earlier_life_left_counts_only_for_what_is_left_of_it() -> None:
    quiets = Quiets()
    quiets.look([ONE], wall=WALL + 500 * SECOND, monotonic=0)
    assert left(quiets, at=0) == 100
    for wall in (WALL - DAY, WALL + DAY):  # a clock that was wrong then, or is now
        other = Quiets()
        assert other.look([ONE], wall=wall, monotonic=0) == [ONE.name]
        assert left(other, at=0) is None
