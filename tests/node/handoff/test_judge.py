"""Whether a new life has proved itself, as values."""

from __future__ import annotations

from dataclasses import replace

import pytest
from netsky.node.handoff.judge import SECOND, Seen, first_line, judge
from netsky.node.handoff.life import Sight, compare, missing, proved
from netsky.node.handoff.limits import STEADY_SECONDS, TRIES_MAX

WITHIN = 60 * SECOND
UP = Seen("resident", "running", "", "waits", 5 * SECOND, 5 * SECOND)


@pytest.mark.parametrize(
    ("seen", "word"),
    [
        (UP, "wait"),
        (replace(UP, handed="shown"), "proved"),
        (replace(UP, handed="taken", state="waits"), "proved"),  # it ended since, but it had it
        (replace(UP, handed="nothing"), "wait"),
        (replace(UP, handed="nothing", up_ns=STEADY_SECONDS * SECOND), "proved"),
        (replace(UP, up_ns=3_600 * SECOND), "wait"),  # it runs and reads nothing: that proves nothing
        (replace(UP, handed="nothing", state="waits", up_ns=0), "wait"),
        (replace(UP, mode="per_envelope", handed="nothing", state="idle", up_ns=STEADY_SECONDS * SECOND), "proved"),
        (replace(UP, state="halted", since_ns=WITHIN), "wait"),
        (replace(UP, state="degraded", since_ns=0), "again"),
        (replace(UP, since_ns=WITHIN), "again"),
        (replace(UP, handed="nothing", state="waits", up_ns=0, since_ns=WITHIN), "again"),
    ],
)
def test_a_new_life_is_proved_by_what_it_does(seen: Seen, word: str) -> None:
    assert judge(seen, within_ns=WITHIN, tries=1).word == word
    last = judge(seen, within_ns=WITHIN, tries=TRIES_MAX)
    assert last.word == ("failed" if word == "again" else word)
    assert bool(last.said) == (word != "wait")


def test_whose_word_a_handoff_is_stands_above_it() -> None:
    assert first_line("agent1", "agent1", "") == "Handoff from your last life: your program was started anew."
    assert first_line("operator", "agent1", "stuck") == (
        "Handoff from operator: your program was started anew (stuck)."
    )


GOOD = Sight(True, 1, {"netsky2": ""}, {"agent1": ("running", "")}, 3, 1, links_waited=False)
RAN = {"links": ["netsky2"], "actors": {"agent1": {"state": "running", "pid": 7}}}


def test_a_life_that_is_as_the_one_before_is_proved_line_by_line() -> None:
    lines = compare(RAN, GOOD)
    assert [line.what for line in lines] == ["serves", "ticker", "link netsky2", "program agent1", "inputs"]
    assert proved(lines)
    assert lines[-1].said == "3 wait in inboxes, 1 of them came back from a life that ended"


@pytest.mark.parametrize(
    ("sight", "what"),
    [
        (replace(GOOD, serves=False), "serves: it starts"),
        (replace(GOOD, rounds=None), "ticker: it made no round yet"),
        (replace(GOOD, links={"netsky2": "down: no answer"}), "link netsky2: down: no answer"),
        (replace(GOOD, actors={"agent1": ("degraded", "exit 1")}), "program agent1: degraded: exit 1"),
        (replace(GOOD, actors={"agent1": ("starting", "")}), "program agent1: starting"),
        (replace(GOOD, actors={**GOOD.actors, "agent2": ("degraded", "x")}), "program agent2: degraded: x"),
    ],
)
def test_what_is_not_as_before_is_named(sight: Sight, what: str) -> None:
    lines = compare(RAN, sight)
    assert not proved(lines)
    assert missing(lines) == what


def test_what_need_not_be_as_before_keeps_nobody_from_being_well() -> None:
    away = replace(GOOD, links={"netsky2": "down: no answer"}, links_waited=True)
    assert proved(compare(RAN, away))
    assert proved(compare(RAN, replace(GOOD, links={}, actors={})))
    broken = {"actors": {"agent1": {"state": "degraded"}}}
    assert proved(compare(broken, replace(GOOD, actors={"agent1": ("degraded", "as ever")})))


@pytest.mark.parametrize("ran", [{}, {"links": 7, "actors": "x"}, {"links": [None, {}], "actors": {"agent1": 7}}])
def test_a_marker_is_text_from_outside(ran: dict[str, object]) -> None:
    assert proved(compare(ran, GOOD))
