"""What is done about a trouble and when: told, paged, tried again, cleared."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from netsky.node.watch import memory
from netsky.node.watch.alarms import Alarm, Decision, Trouble, kept_sane, pause_after, step, was_told
from netsky.node.watch.limits import (
    AGAIN_SECONDS,
    HANDLED_SECONDS,
    REVIVE_SECONDS,
    REVIVE_SECONDS_MAX,
    REVIVES_FAILED,
)
from netsky.node.watch.progress import SECOND, Watched

MINUTE = 60 * SECOND
WALL = 1_800_000_000 * SECOND
HANG = 1_800 * SECOND
AGENT0 = Trouble("hang.agent0", "agent0 has not moved", "look", "agent0", straight=True, patience=HANG)
AGENT1 = Trouble("hang.agent1", "agent1 has not moved", "look", "agent1", patience=HANG)
DOWN = Trouble("down.agent1", "agent1 was given up", "look", "agent1", program=True, patience=HANG)


class Night:
    """Looks a minute apart at one trouble; what was decided, with the minute."""

    def __init__(self, *, handled: bool = False, told: bool = True) -> None:
        self.alarm: Alarm | None = None
        self.minute = 0
        self.did: list[tuple[int, str]] = []
        self.handled, self.told = handled, told

    def go(self, trouble: Trouble | None, minutes: int = 1) -> list[Decision]:
        decisions: list[Decision] = []
        for _ in range(minutes):
            self.alarm, decisions = step(
                self.alarm, trouble, passed=MINUTE, wall=WALL + self.minute * MINUTE, handled=self.handled
            )
            for decision in decisions:
                self.did.append((self.minute, decision.act))
                if decision.act == "tell" and self.told:
                    assert self.alarm is not None
                    self.alarm = was_told(self.alarm, "e1")
            self.minute += 1
        return decisions

    def at(self, act: str) -> list[int]:
        return [minute for minute, done in self.did if done == act]


def test_where_agent0_is_the_trouble_the_owner_is_paged_at_once_and_agent0_is_told_nothing() -> None:
    night = Night()
    night.go(AGENT0, 5)
    assert night.did == [(0, "raise"), (0, "page")]


def test_any_other_trouble_is_told_to_agent0_and_paged_when_agent0_did_not_take_it_in_time() -> None:
    night = Night()
    night.go(AGENT1, 60)
    assert (night.at("tell"), night.at("page")) == ([0], [HANDLED_SECONDS // 60])


def test_what_agent0_took_is_paged_when_it_is_still_so_much_later() -> None:
    night = Night(handled=True)
    night.go(AGENT1, 60)
    assert night.at("page") == [(HANDLED_SECONDS + 1_800) // 60]


def test_what_ends_in_time_pages_nobody() -> None:
    night = Night(handled=True)
    night.go(AGENT1, 30)
    [cleared] = night.go(None)
    assert (cleared.act, night.alarm, night.at("page")) == ("clear", None, [])
    assert night.go(None, 60) == []


def test_who_cannot_be_told_is_told_again_until_the_owner_is() -> None:
    night = Night(told=False)
    night.go(AGENT1, 60)
    assert night.at("tell") == list(range(HANDLED_SECONDS // 60 + 1))
    assert night.at("page") == [HANDLED_SECONDS // 60]


def test_a_page_is_repeated_less_and_less_often_and_for_ever() -> None:
    night = Night()
    night.go(AGENT0, 3 * 24 * 60)
    gaps = [b - a for a, b in zip(night.at("page"), night.at("page")[1:], strict=False)]
    assert gaps[:4] == [seconds // 60 for seconds in AGAIN_SECONDS]
    assert set(gaps[4:]) == {AGAIN_SECONDS[-1] // 60}
    assert len([minute for minute in night.at("page") if minute < 9.75 * 60]) == 4


def test_each_alarm_after_a_clear_is_a_new_one_and_is_paged_at_once() -> None:
    night = Night()
    night.go(AGENT0, 10)
    night.go(None)
    night.go(AGENT0, 10)
    assert night.at("page") == [0, 11]


def test_calm_stops_pages_and_revives_and_the_age_of_the_alarm() -> None:
    night = Night()
    night.go(replace(DOWN, calm=True), 600)
    assert night.did == [(0, "raise")]
    assert night.alarm is not None
    assert (night.alarm.age, night.alarm.calm) == (0, True)
    night.go(DOWN)
    assert night.at("revive") == [600]


def test_a_program_is_started_again_with_growing_pauses_and_never_once_alone() -> None:
    night = Night(handled=True)
    night.go(DOWN, 24 * 60)
    gaps = [b - a for a, b in zip(night.at("revive"), night.at("revive")[1:], strict=False)]
    assert night.at("revive")[0] == 0
    assert gaps[:4] == [5, 10, 20, 40]
    assert set(gaps[4:]) == {60}
    assert pause_after(1) == REVIVE_SECONDS * SECOND
    assert pause_after(500) == REVIVE_SECONDS_MAX * SECOND


def test_agent0_is_not_told_of_its_own_program_and_the_owner_is_paged_in_time() -> None:
    night = Night()
    night.go(replace(DOWN, key="down.agent0", actor="agent0"), 30)
    assert (night.at("tell"), night.at("page")) == ([], [HANDLED_SECONDS // 60])


def test_a_revive_that_fails_again_and_again_pages() -> None:
    night = Night(handled=True)
    night.go(replace(DOWN, patience=10 * HANG), 120)
    third_failed = night.at("revive")[REVIVES_FAILED]
    assert night.at("page")[0] == third_failed


def test_a_hang_is_started_again_only_when_it_is_old_enough() -> None:
    night = Night(handled=True)
    night.go(replace(AGENT1, program=True, revive_ns=HANG), 60)
    assert night.at("revive")[0] == 30


def test_nothing_that_an_earlier_life_kept_can_put_off_a_page_for_ever() -> None:
    odd = Alarm("hang.agent0", "s", "n", "agent0", WALL * 2, age=5 * MINUTE, pages=1, paged_age=10**30, revives=-4)
    [sane] = kept_sane([odd], WALL)
    night = Night()
    night.alarm = sane
    night.go(AGENT0, 70)
    assert night.at("page") == [AGAIN_SECONDS[0] // 60 - 1]


def test_what_was_kept_comes_back_as_it_was_and_damage_costs_only_memory() -> None:
    alarm = was_told(Alarm("hang.agent1", "s", "n", "agent1", WALL, age=MINUTE), "e1")
    actors = {"agent1": Watched(drain="drained", owed=5, claimed_at=3, taken_at=4, moved_at=WALL)}
    text = memory.encode(memory.Kept(actors, {alarm.key: alarm}))
    found = memory.decode(text, hang_ns=HANG, wall=WALL)
    assert found == memory.Kept(actors, {alarm.key: alarm})
    for damaged in (None, 7, b"x", "", "[]", "{", '{"actors": 4, "alarms": 5}', '{"alarms": [{"key": 4}, 7]}'):
        assert memory.decode(damaged, hang_ns=HANG, wall=WALL) == memory.Kept({}, {})
    odd = '{"actors": {"a": {"drain": "dry", "owed": "x", "asks": 4, "moved_at": "y", "went_on": 1}, "b": 4}}'
    assert memory.decode(odd, hang_ns=HANG, wall=WALL).actors == {"a": Watched()}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(JSON, st.sampled_from(["drain", "owed", "asks", "asked", "went_on", "claimed_at", "moved_at"]))
def test_no_value_that_was_kept_can_stop_the_watchdog(value: object, field: str) -> None:
    import json

    text = json.dumps({"actors": {"agent0": {field: value}, "x": value}, "alarms": value})
    assert set(memory.decode(text, hang_ns=HANG, wall=WALL).actors) <= {"agent0", "x"}
