"""When the root counts as silent: what was listened to, and nothing else."""

from __future__ import annotations

from netsky.node.escalate.silence import STEPS_MAX, Silence

SECOND = 10**9
PERIOD = 5 * SECOND
LIMIT = 300 * SECOND


def listen(silence: Silence, start: int, seconds: int, *, heard: bool = False, every: int = 5) -> list[tuple[int, str]]:
    """A look each few seconds; what changed, with the second."""
    changes = []
    for at in range(0, seconds + 1, every):
        change = silence.look((start + at) * SECOND, PERIOD, LIMIT, heard=heard)
        if change is not None:
            changes.append((start + at, change))
    return changes


def test_a_root_without_a_link_for_five_minutes_is_silent_and_says_so_once() -> None:
    silence = Silence()
    assert listen(silence, 0, 1_000) == [(300, "fell_silent")]
    assert silence.is_silent


def test_a_link_that_comes_up_ends_it_and_the_next_silence_counts_from_nothing() -> None:
    silence = Silence()
    listen(silence, 0, 400)
    assert listen(silence, 400, 5, heard=True) == [(400, "heard")]
    assert not silence.is_silent
    assert listen(silence, 405, 600) == [(705, "fell_silent")]


def test_a_link_that_is_down_for_less_is_nothing() -> None:
    silence = Silence()
    for begin in range(0, 3_000, 300):
        assert listen(silence, begin, 290) == []
        assert listen(silence, begin + 295, 0, heard=True) == []


def test_a_laptop_that_slept_for_a_night_does_not_take_its_own_absence_for_silence() -> None:
    silence = Silence()
    assert listen(silence, 0, 100) == []
    assert silence.look(30_000 * SECOND, PERIOD, LIMIT, heard=False) is None
    assert silence.silent_ns == 100 * SECOND + STEPS_MAX * PERIOD
    assert listen(silence, 30_005, 400) == [(30_185, "fell_silent")]


def test_a_new_life_begins_at_nothing() -> None:
    assert Silence().look(10**18, PERIOD, LIMIT, heard=False) is None
