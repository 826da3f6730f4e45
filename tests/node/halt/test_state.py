"""Who halts a node, who lets it go on, and in which order words count: without a node."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from netsky.envelope.fields import Body, Header
from netsky.mesh.roster import Member
from netsky.node.halt import book as books
from netsky.node.halt import state as states
from netsky.node.halt.book import Book, Wanted
from netsky.node.halt.lease import Lease
from netsky.node.halt.receipt import answer_in, order_in
from netsky.node.halt.state import Answer, Do, Halt, Order, State
from netsky.node.halt.words import refusal

from tests.node.stations import charter, key, roster

MIN = 60 * 10**9


def after(*orders: Order, state: State | None = None) -> State:
    found = state or State()
    for order in orders:
        found = states.taken(found, order, 5) or found
    return found


def order(do: Do, number: int, reign: int = 1) -> Order:
    return Order(do, reign, number, "why")


def test_a_late_halt_undoes_no_newer_resume_and_a_lower_reign_changes_nothing() -> None:
    resumed = after(order("halt", 1), order("resume", 3))
    assert resumed.halt is None
    assert states.taken(resumed, order("halt", 2), 9) is None
    assert states.taken(resumed, order("halt", 3), 9) is None
    assert after(order("halt", 4, reign=2), order("resume", 900)).halt == Halt("netsky0", "why", 5)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["halt", "resume"]), st.integers(1, 3), st.integers(1, 20)), max_size=12))
def test_whatever_order_the_words_of_the_root_arrive_in_the_newest_holds(words: list[tuple[Do, int, int]]) -> None:
    one_do = {(reign, number): do for do, reign, number in words}
    found = after(*(Order(one_do[reign, number], reign, number) for _, reign, number in words))
    newest = max(one_do, default=None)
    assert (found.root is not None) == (newest is not None and one_do[newest] == "halt")
    assert found.number == (newest or (0, 0))


def test_each_lifts_only_what_it_ordered_itself() -> None:
    both = states.halted_here(after(order("halt", 1)), "the operator of netsky1", "mine", 7)
    assert both.halt == Halt("netsky0", "why", 5)
    assert states.resumed_here(both).halt == Halt("netsky0", "why", 5)
    root_resumed = after(order("resume", 2), state=both)
    assert root_resumed.halt == Halt("the operator of netsky1", "mine", 7)
    assert states.resumed_here(root_resumed).halt is None


def test_a_halt_that_is_said_again_keeps_its_time() -> None:
    once = states.halted_here(State(), "me", "first", 1)
    assert states.halted_here(once, "me", "", 9).own == Halt("me", "first", 1)
    assert states.halted_here(once, "me", "second", 9).own == Halt("me", "second", 1)
    again = after(order("halt", 1))
    changed = states.taken(again, order("halt", 2), 99)
    assert changed is not None
    assert changed.root is not None
    assert changed.root.at == 5


def test_an_order_is_owed_until_it_was_answered_and_a_newer_one_is_answered_for_itself() -> None:
    taken = after(order("halt", 1))
    assert states.owed(taken) == Order("halt", 1, 1)
    answered = states.answered(taken, order("halt", 1), 3, 1, 9)
    assert answered.answer == Answer("halt", 1, 3, 1, 9, halted=True)
    assert states.owed(answered) is None
    newer = after(order("resume", 2), state=answered)
    assert states.owed(newer) == Order("resume", 1, 2)
    assert states.answered(newer, order("halt", 1), 9, 9, 9) == newer
    assert states.said(answered, "halt", 2, 0, 11) == Answer("halt", 1, 2, 0, 11, halted=True)


def test_state_and_book_come_back_as_they_were_stored() -> None:
    state = states.answered(states.halted_here(after(order("halt", 1)), "me", "x", 3), order("halt", 1), 1, 0, 4)
    for one in (State(), state):
        assert states.decode(states.encode(one)) == one
    book = books.given(Book(), Wanted("halt", 1, "x", 10), ["aa", "bb"], everybody=True)
    book = books.heard(book, "aa", Answer("halt", book.newest, 1, 0, 4, halted=True))
    for kept in (Book(), book):
        assert books.decode(books.encode(kept)) == kept


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        {"do": "halt", "order": 1},
        {"do": "stop", "order": 1, "reign": 1},
        {"do": "halt", "order": -1, "reign": 1},
        {"do": "halt", "order": True, "reign": 1},
        {"do": "halt", "order": 1 << 63, "reign": 1},
        {"do": "halt", "order": 1.0, "reign": 1},
        {"do": "halt", "order": 1, "reign": 1, "reason": 7},
        {"do": "halt", "order": 1, "reign": 1, "reason": "x" * 201},
    ],
)
def test_what_is_no_order_is_none(data: object) -> None:
    assert states.read_order(data) is None


GOOD = {"done": "halt", "order": 3, "ended": 1, "still": 0, "at": 5, "halted": True}


@pytest.mark.parametrize(
    "change",
    [{"done": "no"}, {"order": 4}, {"ended": None}, {"still": "0"}, {"at": -1}, {"halted": 1}, {"order": True}],
)
def test_what_is_no_answer_is_none(change: dict[str, object]) -> None:
    assert states.read_answer(GOOD, 3) == Answer("halt", 3, 1, 0, 5, halted=True)
    assert states.read_answer(GOOD | change, 3) is None


# netsky0's book.


def test_whoever_joins_while_all_are_halted_is_told_and_after_a_resume_of_all_nobody_is() -> None:
    book = books.given(Book(), Wanted("halt", 1, "", 10**6), ["aa"], everybody=True)
    late = book.open("new")
    assert late is not None
    assert late.order == Order("halt", 1, 1)
    one_resumed = books.given(book, Wanted("resume", 1, "", 10**6), ["aa"], everybody=False)
    resumed = one_resumed.wish("aa")
    assert resumed is not None
    assert resumed.order.do == "resume"
    assert one_resumed.wish("new") == late
    over = books.given(one_resumed, Wanted("resume", 1, "", 10**6), ["aa", "new"], everybody=True)
    assert over.wish("newer") is None


def test_numbers_rise_by_the_clock_and_also_where_the_clock_stands_or_goes_back() -> None:
    now = 1_800_000_000 * 10**9
    book = books.given(Book(), Wanted("halt", 1, "", now), ["aa"], everybody=False)
    again = books.given(book, Wanted("resume", 1, "", now), ["aa"], everybody=False)
    back = books.given(again, Wanted("halt", 1, "", now - MIN), ["aa"], everybody=False)
    assert [book.newest, again.newest, back.newest] == [now // 10**6 + at for at in range(3)]
    assert books.given(Book(), Wanted("halt", 1, "", now + MIN), [], everybody=True).newest > back.newest, "a restore"


def test_an_order_is_open_until_its_own_answer_or_a_newer_one() -> None:
    book = books.given(Book(7), Wanted("halt", 1, "", 0), ["aa"], everybody=False)
    for number, is_open in ((0, True), (7, True), (8, False), (9, False)):
        told = books.heard(book, "aa", Answer("halt", number, 0, 0, 1, halted=True))
        assert (told.open("aa") is not None) is is_open
    answered = books.heard(book, "aa", Answer("halt", 8, 2, 0, 1, halted=True))
    assert books.heard(answered, "aa", Answer("resume", 7, 0, 0, 2, halted=False)) == answered
    assert books.without(answered, ["aa"]) == Book(8)


# What is believed.


def control(sender: str, origin: int, data: object) -> tuple[Header, Body]:
    body = Body("x", None if data is None else json.dumps(data).encode())
    header = Header(
        v=1, id="a", origin=key(origin), sender=sender, destination=key(1), to="agentinfinity@netsky1", kind="control",
        in_reply_to=None, thread=None, swarm=None, idempotency_key=None, requires_ack=False, ts=1, clock=1, expires=9,
        parent=None,
    )  # fmt: skip
    return header, body


ORDER = asdict(Order("halt", 2, 5, "why"))


@pytest.mark.parametrize(
    ("sender", "origin", "data", "reign", "code"),
    [
        ("agentinfinity@netsky0", 0, ORDER, 2, None),
        ("agentinfinity@netsky0", 2, ORDER, 2, "not_the_root"),  # a sibling that calls itself so
        ("agentinfinity@netsky2", 2, ORDER, 2, "not_the_root"),
        ("agent0@netsky0", 0, ORDER, 2, "not_the_root"),  # an actor there
        ("agentinfinity@netsky0", 0, ORDER | {"reign": 1}, 2, "other_reign"),  # of the reign before this charter
        ("agentinfinity@netsky0", 0, ORDER | {"reign": 3}, 2, "other_reign"),
        ("agentinfinity@netsky0", 0, ORDER, 1, "other_reign"),
        ("agentinfinity@netsky0", 0, ORDER, None, "other_reign"),  # by no route
        ("agentinfinity@netsky0", 0, {"do": "dance"}, 2, "not_an_order"),
        ("agentinfinity@netsky0", 0, None, 2, "not_an_order"),
    ],
)
def test_only_the_charters_root_halts_in_its_own_reign(
    sender: str, origin: int, data: object, reign: int | None, code: str | None
) -> None:
    found = order_in(*control(sender, origin, data), charter(reign=2), reign)
    assert found == (code or Order("halt", 2, 5, "why"))


def test_only_a_member_answers_for_itself_and_only_to_what_was_asked() -> None:
    members, _ = roster(1, 2, 3, revoked={3: 9})
    answer = Answer("halt", 3, 1, 0, 5, halted=True)
    assert answer_in(*control("agentinfinity@netsky1", 1, GOOD), members, 3) == answer
    for sender, origin, data, code in (
        ("agentinfinity@netsky2", 1, GOOD, "not_a_member"),
        ("agent0@netsky1", 1, GOOD, "not_a_member"),
        ("agentinfinity@netsky3", 3, GOOD, "not_a_member"),
        ("agentinfinity@netsky9", 9, GOOD, "not_a_member"),
        ("agentinfinity@netsky1", 1, GOOD | {"order": 4}, "not_an_answer"),
        ("agentinfinity@netsky1", 1, ORDER, "not_an_answer"),
    ):
        assert answer_in(*control(sender, origin, data), members, 3) == code
    assert isinstance(members.members[0], Member)


# The lease.


def test_a_lease_begins_with_the_first_word_and_ends_after_its_length_of_silence() -> None:
    sec, lease = 10**9, Lease()
    assert lease.lapsed

    def look(linked: bool, at: float) -> str | None:
        return lease.look(linked, int(at * sec), 60 * sec)

    assert [look(False, 10), look(True, 20), look(True, 20.5), look(False, 20.6)] == [None] * 4
    assert [look(True, 21), look(True, 21.9), look(True, 22)] == [None, None, "renewed"], "what waits is heard first"
    assert [look(True, 30), look(False, 90), lease.lapsed] == [None, None, False]
    assert [look(False, 90.1), look(False, 500)] == ["lapsed", None]
    assert [look(True, 501), look(True, 502), look(False, 562)] == [None, "renewed", None]


def test_a_refusal_says_who_when_why_and_what_to_type() -> None:
    halt = Halt("netsky0", "the bill", 0)
    error = refusal("netsky1", halt, 5 * MIN, by_root=True)
    assert error.message.startswith("netsky1 was halted 5 min ago by netsky0: the bill.")
    assert (error.next, error.code, error.exit) == ("on netsky0: netsky resume --node netsky1", "halted", 8)
    here = refusal("netsky1", replace(halt, who="the operator of netsky1", reason=""), 0, by_root=False)
    assert here.message.startswith("netsky1 was halted 0 s ago by the operator of netsky1. ")
    assert here.next == "netsky resume"
