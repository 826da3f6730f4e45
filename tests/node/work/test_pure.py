"""The tables of work: states, places, judgements, forms of words."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from netsky.node.db.work_tickets import TicketRow
from netsky.node.work import posting, run_states, ticket_states
from netsky.node.work.fence import Fence, read_fence
from netsky.node.work.judging import judged
from netsky.node.work.placing import Placed, Room, placing
from netsky.node.work.report import Report, encode, read_report
from netsky.node.work.roles import MAY
from netsky.node.work.ticket import Constraints, Spec
from netsky.node.work.ticket_states import Counts

README = Path(__file__).resolve().parents[3] / "node" / "work" / "README.md"


@pytest.mark.parametrize("table", [ticket_states.TABLE, run_states.TABLE], ids=["ticket", "run"])
def test_the_diagram_shows_the_table(table: dict[tuple[str, str], str]) -> None:
    drawn = set(re.findall(r"^    (\w+) --> (\w+): (\w+)$", README.read_text(), re.MULTILINE))
    assert {(state, then, event) for (state, event), then in table.items()} <= drawn


def test_every_state_is_reached_and_those_that_end_are_left_by_a_person_alone() -> None:
    reached = {"waiting", *ticket_states.TABLE.values()}
    assert reached == set(ticket_states.STATES)
    for state, event in ticket_states.TABLE:
        assert state not in ticket_states.ENDED or event == "retry"


@given(st.lists(st.sampled_from(sorted(ticket_states.TABLE)), max_size=40))
def test_counts_are_those_of_the_states(moves: list[tuple[ticket_states.State, ticket_states.Event]]) -> None:
    states: list[ticket_states.State] = ["waiting"] * 3
    counts = Counts(3, 3, 3, 0)
    for at, (state, event) in enumerate(moves):
        if states[at % 3] == state:
            then = ticket_states.TABLE[state, event]
            counts, states[at % 3] = counts.moved(state, then), then
    assert counts == Counts(
        sum(one in ticket_states.NOT_REPORTED for one in states),
        sum(one in ticket_states.NOT_VERIFIED for one in states),
        sum(one in ticket_states.OPEN for one in states),
        states.count("dead"),
    )


def room(number: int, used: int = 0, *labels: str, **more: object) -> Room:
    return replace(Room(f"netsky{number}", 2, used, frozenset(labels)), **more)


ROOMS = [room(0), room(1, 1, "gpu"), room(2, 2, "gpu", "studio"), room(3, 0, "tpu", away="not linked")]
PLACES = [
    ((), (), ROOMS, False, "netsky0: 2 of 2 slots free"),
    (("gpu",), (), ROOMS, False, "netsky1: has gpu, 1 of 2 slots free"),
    (("gpu",), ("studio", "netsky1"), ROOMS, False, "netsky1: named, after netsky2, has gpu, 1 of 2 slots free"),
    ((), ("netsky1",), ROOMS, False, "netsky1: named first, 1 of 2 slots free"),
    (("gpu",), ("studio",), ROOMS, False, "waiting: needs gpu; netsky2 has it, full (2 of 2)"),
    (("tpu",), (), ROOMS, False, "waiting: needs tpu; netsky3 has it, not linked"),
    (("fpga",), (), ROOMS, False, "waiting: needs fpga; no node has it"),
    (("gpu", "tpu"), (), ROOMS, False, "waiting: needs gpu and tpu; no node has them all"),
    ((), ("nowhere",), ROOMS, False, "waiting: none of nowhere is there; nowhere is no node here"),
    (("gpu",), (), [room(1, 1, "gpu")], True,
     "waiting: needs gpu; netsky1 has it, not empty, and this one must be alone"),
    ((), (), [room(0, 1, alone=True)], False, "waiting: netsky0 is busy with one that must be alone"),
    ((), (), [Room("netsky0"), room(1, away="halted")], False,
     "waiting: netsky0 is silent about its slots; netsky1 is halted"),
    ((), (), [room(4), room(3)], False, "netsky3: 2 of 2 slots free"),
]  # fmt: skip


@pytest.mark.parametrize(("needs", "on", "rooms", "alone", "says"), PLACES, ids=[place[-1] for place in PLACES])
def test_where_a_ticket_goes_and_why_it_waits(
    needs: tuple[str, ...], on: tuple[str, ...], rooms: list[Room], alone: bool, says: str
) -> None:
    found = placing(needs, on, rooms, alone=alone)
    assert found.why == says
    assert isinstance(found, Placed) == (not says.startswith("waiting"))


ROW = TicketRow(1, "r.a", "r", None, 0, "{}", "", "leased", 0, "agent0@netsky0")
SPEC = Spec(constraints=Constraints(max_retries=1))
JUDGED = [
    (ROW, Report("done"), "report", {}),
    (ROW, Report("failed", "exit_1"), "again", {"tries": 1, "due": 500_000_100}),
    (replace(ROW, tries=1), Report("failed", "exit_1"), "block", {"tries": 2}),
    (ROW, Report("failed", "no_runtime"), "block", {"tries": 1}),
    (ROW, Report("parked", "rate_limit", until=900), "park", {"till": 900}),
    (ROW, Report("parked", "rate_limit", until=5), "park", {"till": 101}),
    (ROW, Report("lost", "halted"), "stopped", {}),
    (ROW, Report("lost", "node_died"), "again", {"alone": 1}),
    (replace(ROW, alone=1), Report("lost", "lease_over"), "again", {"crashes": 1}),
    (replace(ROW, alone=1, crashes=1), Report("lost", "node_died"), "block", {"crashes": 2}),
    (ROW, Report("cancelled"), "stopped", {}),
]


@pytest.mark.parametrize(("row", "report", "event", "columns"), JUDGED)
def test_what_a_report_means(row: TicketRow, report: Report, event: str, columns: dict[str, int]) -> None:
    found = judged(row, SPEC, report, 100, 0.0)
    assert (found.event, found.columns) == (event, columns)
    assert event == "report" or found.code


def test_a_lie_about_its_end_is_a_code_and_no_report() -> None:
    good = {"ended": "done", "changed_files": ["a"], "commands_run": [{"command": "x", "exit": 0}]}
    report = read_report(good)
    assert isinstance(report, Report)
    assert read_report(json.loads(encode(report))) == report
    for bad in (
        None, [], "done", {"ended": "won"}, {"ended": "failed"}, {"ended": "failed", "code": "Not One"}, {"more": 1},
        good | {"until": -1}, good | {"until": True}, good | {"patch_id": "x"}, good | {"changed_files": [1]},
        good | {"commands_run": [3]}, good | {"commands_run": [{"command": "x"}]}, good | {"reason": "x" * 501},
    ):  # fmt: skip
        assert read_report(bad) == ("report_not_an_object" if not isinstance(bad, dict) else "report_malformed")
    assert read_report(good | {"text": "x" * 50_000}) == "report_too_large"


WORDS = ("ended", "code", "task_id", "fence", "try", "spec", "report", "slots", "labels", "halted", "held")
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just("1.1.1"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner),
    max_leaves=15,
)


@given(st.dictionaries(st.sampled_from(WORDS), anything))
def test_no_word_of_a_node_makes_another_fail(about: dict[str, object]) -> None:
    posting.read_job(about)
    posting.read_cancel(about)
    posting.read_reported(about)
    posting.read_beat(about)


def test_fences_are_compared_by_reign_life_and_counter() -> None:
    assert Fence(1, 1, 9) < Fence(1, 2, 1) < Fence(2, 1, 1)
    assert read_fence("1.2.3") == Fence(1, 2, 3)
    assert [read_fence(text) for text in ("1.2", "1.2.3.4", "a.b.c", "", None, "-1.2.3", "1.2.3 ")] == [None] * 7


def test_a_worker_starts_nobody_and_only_the_operator_allows_more() -> None:
    assert MAY["worker"] == {"show", "note"}
    assert [role for role, orders in MAY.items() if "unblock" in orders] == ["operator"]
    assert "run" not in MAY["manager"]
