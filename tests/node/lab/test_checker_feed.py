"""The checker while a run goes on, and over lines in memory: the same verdict; its classes, figures and branches."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from netsky.node.lab.checker.branches import BRANCHES, BY_FAULTS
from netsky.node.lab.checker.lines import VoidHistory
from netsky.node.lab.checker.rules import Checker, Report, check, check_lines
from netsky.node.lab.checker.summary import Summary

from tests.node.lab.good_history import DOWN, Event, good
from tests.node.lab.spoiled import PLANTED, add, both, written

SAFETY_AT_ONCE = [name for name, (rule, _) in PLANTED.items() if rule in {"I2", "I4", "I5", "I9", "I10", "I11", "I12"}]


def lines_of(events: list[Event]) -> list[bytes]:
    return [b"\n" + json.dumps(event).encode() for event in events]


def reached(events: list[Event]) -> dict[str, int]:
    return {name: count for name, count in report_of(events).branches.items() if count}


def report_of(events: list[Event]) -> Report:
    return check_lines(lines_of(events))


@pytest.mark.parametrize("name", PLANTED)
def test_lines_in_memory_are_judged_as_a_file_is(name: str, tmp_path: Path) -> None:
    events = good()
    PLANTED[name][1](events)
    by_file, in_memory = check([written(tmp_path, events)]), report_of(events)
    assert [story.text() for story in in_memory.stories] == [story.text() for story in by_file.stories]
    assert (in_memory.violations, in_memory.tally) == (by_file.violations, by_file.tally)


@pytest.mark.parametrize("name", SAFETY_AT_ONCE)
def test_what_must_not_happen_is_said_at_the_event_that_broke_it(name: str) -> None:
    events = good()
    PLANTED[name][1](events)
    checker = Checker()
    found = next((event, broken) for event in events if (broken := checker.feed(event)))
    event, broken = found
    assert {violation.rule for violation in broken} == {PLANTED[name][0]}
    assert {violation.class_ for violation in broken} == {"safety"}
    assert event is events[max(broken[0].lines) - 1]


@pytest.mark.parametrize(
    ("name", "class_"),
    [
        ("an accepted envelope that goes nowhere", "liveness"),
        ("delivered, and its actor never saw it", "liveness"),
        ("an end that nobody was told of", "liveness"),
        ("a sender who is told too late", "liveness"),
        ("received, and nothing became of it", "liveness"),
        ("a hostile file that stays", "liveness"),
        ("a head that does not move", "liveness"),
        ("in doubt, and no machine was lost", "safety"),
        ("dead, and its sender was told delivered", "safety"),
        ("lost by a restore in silence", "safety"),
        ("a dead life that speaks", "safety"),
    ],
)
def test_what_did_not_happen_in_time_is_another_class_than_what_must_not_happen(name: str, class_: str) -> None:
    events = good()
    PLANTED[name][1](events)
    report = report_of(events)
    assert report.class_ == class_
    assert report.classes == {class_: sum(report.violations.values())}


def test_of_both_classes_safety_is_the_worse() -> None:
    events = good()
    both(PLANTED["an accepted envelope that goes nowhere"][1], PLANTED["one key and two envelopes"][1])(events)
    report = report_of(events)
    assert (report.classes, report.class_) == ({"safety": 1, "liveness": 1}, "safety")
    assert report_of(good()).class_ is None


def test_what_was_accepted_has_an_end_within_the_time_that_was_set_though_no_client_says_what_it_was_told() -> None:
    mute = [event for event in good() if event["ev"] not in {"outcome", "prune"}]
    assert report_of(mute).violations == {}
    add(ev="heal", node="network", by="network", value=60)(mute)
    report = report_of(mute)
    assert set(report.violations) == {"I3"}
    assert report.class_ == "liveness"


def test_no_file_is_read_and_no_line_is_kept_by_a_checker_that_is_fed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builtins.open", None)
    checker, events = Checker(), good()
    for event in events:
        assert not checker.feed(event)
    assert not checker.end()
    report = checker.report(lambda: events)
    assert report.violations == {}
    assert report.tally.lines == len(events)


def test_signatures_are_judged_by_whoever_the_run_signs_with() -> None:
    asked: list[bytes] = []

    def nobody(key: bytes, signature: bytes, signed: bytes) -> bool:
        asked.append(key)
        return False

    report = check_lines(lines_of(good()), nobody)
    assert "I10" in report.violations
    assert len(asked) == 4, "the same bytes are judged once"


@pytest.mark.parametrize("line", [{"t": 1, "ev": "sumbit_ok"}, {"t": 1}, {"t": 1, "ev": "claim", "by": "node"}])
def test_what_is_no_event_is_not_judged(line: Event) -> None:
    with pytest.raises(VoidHistory):
        Checker().feed(line)


def test_a_run_in_figures() -> None:
    events = good()
    both(
        add(ev="fault", node="network", by="network", key="crash 1", reason="crash", link="netsky0"),
        add(ev="crash", node="netsky0", by="test"),
        add(ev="heal", node="network", by="network", key="crash 1", reason="crash", link="netsky0"),
        add(ev="power_cut", node="netsky1", by="test"),
    )(events)
    seconds = (events[-1]["t"] - events[0]["t"]) / 1e9
    assert report_of(events).summary == Summary(
        nodes=3,
        seconds=seconds,
        accepted=7,
        delivered=5,
        dead={"no_actor": 1},
        in_doubt={},
        open=1,  # known to a destroyed disk alone
        faults={"crash": 3, "cut": 1, "power_cut": 1, "restored": 1},
    )


def test_branches_are_counted_by_name_and_those_that_were_not_reached_are_named_too() -> None:
    report = report_of(good())
    assert set(BRANCHES) <= set(report.branches)
    assert {name for name in report.branches if name not in BRANCHES} == {"dead: no_actor"}, "a code that nobody lists"
    assert len(BY_FAULTS) >= 40
    assert all(sentence and not sentence.endswith(".") for sentence in BRANCHES.values())
    assert {name: count for name, count in report.branches.items() if count} == {
        "came again under another life": 1,
        "dead: no_actor": 1,
        "duplicate refused": 1,
        "killed": 2,
        "restored": 1,
    }


NOTICE = {"node": "netsky0", "boot": 1, "by": "node", "ev": "notice"}


@pytest.mark.parametrize(
    ("events", "name"),
    [
        ([NOTICE | {"key": "sent_again", "link": DOWN, "n": 1}], "sent again"),
        ([NOTICE | {"key": "frozen", "link": DOWN, "reason": "cloned"}], "stream frozen: cloned"),
        ([NOTICE | {"key": "restored", "reason": "proof"}], "home restored: proof"),
        (
            [NOTICE | {"ev": "epoch_bump", "link": DOWN, "epoch": 2, "reason": "peer_behind"}],
            "life raised: peer_behind",
        ),
        ([NOTICE | {"by": "client", "ev": "submit_refused", "reason": "disk_low"}], "submit refused: disk_low"),
        ([NOTICE | {"by": "test", "ev": "gauge", "reason": "branches", "value": {"disk low": 1}}], "disk low"),
        ([NOTICE | {"by": "client", "ev": "submit_call", "key": "k"}] * 2, "asked again"),
        ([event for event in good() if event["ev"] == "submit_ok" and event["id"] == "a1"], "answered again"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_a_node_or_a_client_tells_is_a_branch(events: list[Event], name: str) -> None:
    before = reached(good())
    told = [event | {"t": good()[-1]["t"]} for event in events]
    assert reached(good() + told) == before | {name: 1}


def numbered(ev: str, node: str, n: int) -> Event:
    return {"t": n, "node": node, "boot": 1, "by": "node", "ev": ev, "link": "a>b", "ln": "work", "epoch": 1, "n": n}


def test_an_ack_that_went_with_its_connection_and_was_told_by_the_next_hello() -> None:
    down: Event = NOTICE | {"t": 5, "node": "a", "key": "link_down", "link": "b>a", "reason": "stream"}
    heard = numbered("link_ack_rx", "a", 3)
    consumed = [numbered("refuse", "b", n) | {"reason": "damaged"} for n in (1, 2, 3)]
    ended = {"refused: damaged": 3, "link ended: stream": 1}
    assert reached([*consumed, down, heard]) == ended | {"ack lost": 1}
    assert reached([*consumed, heard, down]) == ended, "it was heard before"
    assert reached([*consumed[:2], down, consumed[2], heard]) == ended, "it came with the next"


def test_a_death_with_something_in_hand() -> None:
    crash: Event = {"t": 9, "node": "b", "boot": 1, "by": "test", "ev": "crash"}
    consumed = numbered("refuse", "b", 1) | {"reason": "damaged"}
    assert reached([numbered("link_rx", "b", 1), crash])["killed with frames unjudged"] == 1
    assert reached([numbered("link_rx", "b", 1), consumed, crash])["killed between store and ack"] == 1
    assert reached([consumed, numbered("link_ack_rx", "a", 1), crash]) == {"killed": 1, "refused: damaged": 1}


def test_an_actor_that_is_shown_the_same_once_more() -> None:
    claim: Event = {"t": 1, "node": "b", "by": "actor", "ev": "claim", "id": "x", "origin": "b", "dest": "agent0@b"}
    assert reached([claim, claim]) == {"shown again to an actor": 1}


def test_a_fate_that_comes_twice_and_one_that_is_amended() -> None:
    word: Event = numbered("outcome", "b", 1) | {"id": "x", "origin": "b", "reason": "dead(inbox_full)"}
    told: Event = {"t": 9, "node": "b", "by": "client", "ev": "outcome", "id": "x", "origin": "b"}
    dead, doubt = told | {"reason": "dead(inbox_full)"}, told | {"reason": "in_doubt(restored)"}
    assert reached([word, word | {"n": 2}, dead]) == {"outcome came twice": 1, "dead: inbox_full": 1}
    assert reached([dead, doubt]) == {"dead: inbox_full": 1, "in doubt: restored": 1, "outcome amended": 1}


def test_a_start_with_mailboxes_that_nobody_emptied() -> None:
    deliver: Event = {"t": 1, "node": "b", "by": "test", "ev": "deliver", "id": "x", "origin": "b"}
    start: Event = {"t": 2, "node": "b", "by": "node", "ev": "start"}
    archive: Event = {"t": 1, "node": "b", "by": "actor", "ev": "archive", "id": "x", "origin": "b"}
    assert reached([deliver, start]) == {"restarted with files untaken": 1}
    assert reached([deliver, archive, start]) == {}
