"""Who moves, who is excused and who is hung: a table of looks, a minute apart."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from netsky.node.watch.limits import ASKED_SECONDS, GRACE_SECONDS, HANG_SECONDS, SETTLED_SECONDS, SLACK_SECONDS
from netsky.node.watch.progress import SECOND, Newest, Seen, Watched, after_start, judge

MINUTE = 60 * SECOND
HANG = HANG_SECONDS * SECOND
WALL = 1_800_000_000 * SECOND
READ = Newest(WALL - MINUTE, "ack")
IDLE = Seen("agent1", "resident", state="running", pid=7, newest=READ)
OWING = replace(IDLE, waiting=1, oldest_at=WALL, unclaimed=True, newest=Newest())


def looks(*seen: Seen, minutes: int = 1, start: Watched | None = None, wall: int = WALL, hang: int = HANG) -> Watched:
    """Each of these once, a minute after the other; the last for so many minutes."""
    watched = start or Watched()
    for one in [*seen, *[seen[-1]] * (minutes - 1)]:
        wall += MINUTE
        watched = judge(watched, one, passed=MINUTE, wall=wall, hang_ns=hang)
    return watched


def left(seen: Seen) -> Seen:
    """All of those that wait were there before."""
    return replace(seen, left=seen.waiting)


def test_owing_without_moving_is_a_hang_once_the_time_is_over_and_not_before() -> None:
    owing = left(OWING)
    assert looks(OWING, owing, minutes=29).standing == "owes"
    late = looks(OWING, owing, minutes=31)
    assert (late.standing, late.owed >= HANG) == ("hung", True)


@pytest.mark.parametrize(
    "sign",
    [
        {"claimed_at": WALL + 1, "unclaimed": False},
        {"left": 0},
        {"newest": Newest(WALL + 5, "exit")},
        {"acts": 1},
    ],
    ids=["claimed", "one of those there was taken", "a newer one came and was taken", "sent something"],
)
def test_any_row_that_moves_resets_what_is_owed(sign: dict[str, Any]) -> None:
    owing = left(OWING)
    before = looks(OWING, owing, minutes=29)
    moved = looks(replace(owing, **sign), start=before)
    assert (moved.standing, moved.owed) == ("moves", 0)
    assert moved.moved_at == WALL + MINUTE
    after = replace(owing, **{name: value for name, value in sign.items() if name != "left"})
    assert looks(after, minutes=29, start=moved).standing == "owes"
    assert looks(after, minutes=30, start=moved).standing == "hung"


def test_what_came_just_before_a_look_owes_what_passed_since_it_came() -> None:
    idle = looks(IDLE)
    came = replace(OWING, oldest_at=WALL + MINUTE - 5 * SECOND)
    assert looks(came, start=idle).owed == 5 * SECOND


def test_what_is_stored_for_it_moves_nothing() -> None:
    watched = looks(OWING)
    for count in range(2, 40):
        watched = looks(replace(OWING, waiting=count, left=count - 1), start=watched)
    assert watched.late


def test_a_claim_that_is_repeated_by_the_next_life_of_a_program_moves_nothing() -> None:
    held = left(replace(OWING, claimed_at=WALL, unclaimed=False))
    watched = looks(held)
    for pid in range(100, 140):
        watched = looks(replace(held, pid=pid), start=watched)
    assert watched.late


def test_only_who_was_seen_to_drain_is_idle_and_who_never_got_anything_is_new() -> None:
    assert looks(IDLE, minutes=10_000).standing == "idle"
    assert looks(replace(IDLE, newest=None), minutes=10_000).standing == "new"
    drained = looks(OWING, IDLE)
    assert (drained.drain, drained.standing) == ("drained", "idle")
    assert looks(replace(IDLE, newest=None), start=drained).drain == "drained"  # its rows are pruned a month later
    vanished = looks(OWING, replace(IDLE, newest=None))  # a database that was put back
    assert (vanished.drain, vanished.late) == ("unknown", False)


def test_an_inbox_that_became_empty_without_being_read_is_not_drained() -> None:
    away = replace(IDLE, newest=Newest(WALL, "quarantine"))
    watched = looks(OWING, away, minutes=40)
    assert (watched.drain, watched.standing) == ("unknown", "unread")
    again = looks(replace(IDLE, newest=Newest(WALL + MINUTE, "ack")), start=watched)
    assert (again.drain, again.standing, again.owed) == ("drained", "idle", 0)


def test_what_goes_to_quarantine_moves_nothing() -> None:
    owing = left(replace(OWING, newest=Newest(WALL, "ack")))
    before = looks(OWING, owing, minutes=20)
    assert looks(replace(owing, newest=Newest(WALL + MINUTE, "quarantine")), start=before).standing == "owes"


def test_a_person_reads_when_a_person_reads() -> None:
    by_hand = left(replace(OWING, mode="none", state="none", pid=None))
    watched = looks(by_hand, minutes=10_000)
    assert (watched.standing, watched.owed) == ("person", 0)


def test_a_program_that_is_not_ours_is_watched_while_it_follows_its_channel() -> None:
    by_hand = left(replace(OWING, mode="none", state="none", pid=None))
    watched = looks(replace(by_hand, follows=True), minutes=40)
    assert watched.standing == "hung"
    assert looks(by_hand, start=watched).standing == "person"


def test_quiet_and_halt_stop_the_clock_and_do_not_turn_it_back() -> None:
    owing = left(OWING)
    before = looks(OWING, owing, minutes=20)
    for pause, standing in (({"quiet": True}, "quiet"), ({"state": "halted"}, "halted")):
        paused = looks(replace(owing, **pause), minutes=500, start=before)
        assert (paused.standing, paused.owed) == (standing, before.owed)
        assert looks(owing, minutes=12, start=paused).standing == "hung"


def test_a_program_for_each_envelope_has_the_time_that_it_was_given() -> None:
    long = left(replace(OWING, mode="per_envelope", limit_ns=3_600 * SECOND, claimed_at=WALL, unclaimed=False))
    assert looks(long, minutes=60).standing == "owes"
    assert looks(long, minutes=61 + SLACK_SECONDS // 60).standing == "hung"
    assert looks(replace(long, limit_ns=SECOND), minutes=29).standing == "owes"


def test_a_program_for_each_envelope_that_waits_for_room_at_its_reader_is_not_late() -> None:
    waits = left(replace(OWING, mode="per_envelope", limit_ns=SECOND, state="waits", reason="agent0's inbox is full"))
    assert looks(waits, minutes=10_000).standing == "waits"
    assert looks(replace(waits, reason=""), minutes=40).late


HELD = left(replace(OWING, claimed_at=WALL, unclaimed=False))


def test_who_asked_and_waits_is_excused_for_a_day_and_not_for_two() -> None:
    asking = replace(HELD, acts=1, asked="q1")
    assert looks(HELD, asking, minutes=600).standing == "asks"
    day = ASKED_SECONDS // 60
    assert looks(HELD, asking, minutes=day + 40).late


def test_once_it_is_answered_the_asker_is_due_again() -> None:
    asking = replace(HELD, acts=1, asked="q1")
    waited = looks(HELD, asking, minutes=600)
    assert looks(replace(asking, asked=None), minutes=40, start=waited).late


def test_who_asked_and_then_claimed_something_else_is_watched_again() -> None:
    asking = replace(HELD, acts=1, asked="q1")
    went_on = replace(asking, waiting=2, left=1, claimed_at=WALL + MINUTE)
    watched = looks(HELD, asking, went_on, left(went_on), minutes=40)
    assert watched.standing == "hung"


def test_an_open_question_excuses_no_manager_from_reading_and_a_worker_does_one_thing_at_a_time() -> None:
    asking = replace(HELD, acts=1, asked="q1")
    more = left(replace(asking, waiting=2, unclaimed=True))
    assert looks(HELD, asking, more, minutes=40).standing == "hung"
    worker = [replace(one, name="worker1") for one in (HELD, asking, more)]
    assert looks(*worker, minutes=600).standing == "asks"


def test_a_clock_that_jumps_a_day_in_either_direction_raises_no_alarm_and_puts_none_off() -> None:
    owing = left(OWING)
    for jump in (86_400 * SECOND, -86_400 * SECOND):
        watched = looks(IDLE)
        watched = looks(OWING, start=watched, wall=WALL + jump)
        assert watched.owed <= MINUTE
        watched = looks(owing, minutes=28, start=watched, wall=WALL + jump)
        assert watched.standing == "owes"
        assert looks(owing, minutes=3, start=watched, wall=WALL - jump).standing == "hung"


def test_after_a_start_nobody_is_late_before_the_grace_is_over_and_nobody_begins_anew() -> None:
    kept = replace(looks(OWING, left(OWING), minutes=29), known=False)
    started = after_start(kept, HANG, alarmed=False)
    grace = GRACE_SECONDS // 60
    assert not looks(left(OWING), minutes=grace - 1, start=started).late
    assert looks(left(OWING), minutes=grace + 1, start=started).late
    late = replace(looks(OWING, left(OWING), minutes=40), known=False)
    assert looks(left(OWING), start=after_start(late, HANG, alarmed=True)).late
    assert not looks(left(OWING), start=after_start(late, HANG, alarmed=False)).late


def test_a_program_is_settled_when_it_stays_up_and_what_waited_moved_since() -> None:
    minutes = SETTLED_SECONDS // 60 + 1
    assert looks(IDLE, minutes=minutes).settled
    assert not looks(IDLE, minutes=minutes - 1).settled
    hanging = looks(OWING, left(OWING), minutes=10)
    again = looks(replace(left(OWING), pid=8), minutes=minutes, start=hanging)
    assert not again.settled  # it runs, and nothing moved
    moved = looks(replace(left(OWING), pid=8, acts=1), start=again)
    assert moved.settled
    unstable = Watched()
    for pid in range(40):
        unstable = looks(replace(IDLE, pid=pid), start=unstable)
    assert not unstable.settled


SEEN = st.builds(
    Seen,
    name=st.sampled_from(["agent0", "agent1", "worker1", "agentcron"]),
    mode=st.sampled_from(["resident", "per_envelope", "none", "code"]),
    state=st.sampled_from(["running", "idle", "waits", "degraded", "halted", "starting", ""]),
    reason=st.sampled_from(["", "why"]),
    pid=st.sampled_from([None, 1, 2]),
    limit_ns=st.sampled_from([0, SECOND, 3_600 * SECOND]),
    waiting=st.integers(0, 3),
    left=st.integers(0, 3),
    oldest_at=st.one_of(st.none(), st.integers(0, 2 * WALL)),
    claimed_at=st.integers(0, 3),
    unclaimed=st.booleans(),
    newest=st.one_of(
        st.none(), st.builds(Newest, taken_at=st.integers(0, 3), taken_by=st.sampled_from(["ack", "quarantine"]))
    ),
    acts=st.integers(0, 3),
    asked=st.sampled_from([None, "q1", "q2"]),
    follows=st.booleans(),
    quiet=st.booleans(),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(SEEN, min_size=1, max_size=40))
def test_whatever_is_seen_nobody_is_late_who_owes_nothing_or_before_the_time_is_over(seen: list[Seen]) -> None:
    watched, passed = Watched(), 0
    for one in seen:
        before = watched
        passed += MINUTE
        watched = judge(watched, one, passed=MINUTE, wall=WALL, hang_ns=10 * MINUTE)
        assert 0 <= watched.owed <= before.owed + MINUTE <= passed
        if watched.late:
            assert watched.owed >= watched.patience >= 10 * MINUTE
            assert one.waiting or watched.standing == "unread"
            assert not one.quiet or watched.owed == before.owed
