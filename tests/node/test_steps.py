"""Clocks of several machines, put into one causal order."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st
from netsky.node.verbs.steps import Placed, Step, place

SECOND = 10**9


def way(root: int | None, there: int | None, *, done: int | None = 100 * SECOND) -> list[Step]:
    """queued here, through the root to another node, and the outcome back here."""
    return [
        Step("queued", 10 * SECOND, "netsky1"),
        Step("at the root", root, "netsky0", after=0),
        Step("stored", there, "netsky2", after=1),
        Step("outcome", done, "netsky1", after=2),
    ]


def by_name(placed: list[Placed]) -> dict[str, Placed]:
    return {one.step.name: one for one in placed}


def test_a_clock_that_was_measured_is_taken_for_ours_by_its_offset() -> None:
    found = by_name(place(way(50 * SECOND, 20 * SECOND), "netsky1", {"netsky0": 38 * SECOND}))
    root = found["at the root"]
    assert (root.step.at, root.offset, root.here, root.bound, root.skew) == (
        50 * SECOND,
        38 * SECOND,
        12 * SECOND,
        "",
        0,
    )
    assert found["stored"].offset is None


def test_an_effect_before_its_cause_is_shown_at_the_cause_with_the_skew() -> None:
    found = by_name(place(way(12 * SECOND, 3 * SECOND), "netsky1", {}))
    stored = found["stored"]
    assert (stored.here, stored.bound, stored.skew) == (12 * SECOND, ">=", -9 * SECOND)


def test_a_cause_after_its_effect_here_is_shown_at_the_effect() -> None:
    found = by_name(place(way(12 * SECOND, 3_700 * SECOND), "netsky1", {}))
    stored = found["stored"]
    assert (stored.here, stored.bound, stored.skew) == (100 * SECOND, "<=", 3_600 * SECOND)
    assert found["outcome"].here == 100 * SECOND, "a step by our own clock stands where it stood"


def test_without_an_effect_here_nothing_bounds_a_clock_that_runs_ahead() -> None:
    found = by_name(place(way(12 * SECOND, 3_700 * SECOND, done=None), "netsky1", {}))
    assert (found["stored"].here, found["stored"].bound) == (3_700 * SECOND, "")


def test_our_own_clock_may_have_been_set_back_meanwhile() -> None:
    found = by_name(place(way(None, None, done=4 * SECOND), "netsky1", {}))
    assert (found["outcome"].here, found["outcome"].bound, found["outcome"].skew) == (10 * SECOND, ">=", -6 * SECOND)


def test_what_is_unknown_comes_last_and_bounds_nothing() -> None:
    placed = place(way(None, 5 * SECOND, done=None), "netsky1", {})
    assert [one.step.name for one in placed] == ["queued", "stored", "at the root", "outcome"]
    assert placed[1].here == 10 * SECOND, "its cause is the nearest that has a time"


TIMES = st.one_of(st.none(), st.integers(0, 100))


@given(
    st.lists(st.tuples(TIMES, st.sampled_from(["netsky0", "netsky1", "netsky2"]), st.integers(0, 20)), max_size=12),
    st.dictionaries(st.sampled_from(["netsky0", "netsky2"]), st.integers(-200, 200)),
)
def test_no_step_is_ever_shown_before_its_cause(
    drawn: list[tuple[int | None, str, int]], offsets: dict[str, int]
) -> None:
    steps = [
        Step(str(at), when, clock, after=None if at == 0 or back > at else at - back if back else None)
        for at, (when, clock, back) in enumerate(drawn)
    ]
    placed = place(steps, "netsky1", offsets)
    here = {int(one.step.name): one.here for one in placed}
    for at, step in enumerate(steps):
        assert (here[at] is None) == (step.at is None)
        cause = step.after
        while cause is not None and here[cause] is None:
            cause = steps[cause].after
        if cause is not None and (mine := here[at]) is not None:
            assert mine >= (here[cause] or 0)
    known = [one.here for one in placed if one.here is not None]
    assert all(a <= b for a, b in itertools.pairwise(known))
