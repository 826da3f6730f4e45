"""What an ask is, and what marks its answers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from netsky.envelope.fields import is_id
from netsky.envelope.limits import ID_BYTES_MAX
from netsky.node.owner.asks import (
    Ask,
    answer_data,
    answer_key,
    answered_by,
    ask_in,
    data_of,
    deadline_id,
    late_in,
    late_ns,
)
from netsky.node.owner.limits import DAY_NS, LATE_NS, MINUTE_NS, OTHERWISE_BYTES_MAX

TS = 10**18
ORIGIN = bytes(range(32))
GOOD = Ask(TS + MINUTE_NS, "keep it")


def read(ask: Any) -> Ask | None:
    return ask_in(json.dumps({"ask": ask}).encode(), TS)


def test_an_ask_is_read_as_it_was_written() -> None:
    assert ask_in(json.dumps(data_of(GOOD)).encode(), TS) == GOOD
    assert ask_in(json.dumps(data_of(GOOD) | {"more": 1}).encode(), TS) == GOOD


@pytest.mark.parametrize(
    "ask",
    [
        None, [], "soon", {}, {"deadline": TS + 1}, {"otherwise": "x"}, {"deadline": TS, "otherwise": "x"},
        {"deadline": TS - 1, "otherwise": "x"}, {"deadline": float(TS + 1), "otherwise": "x"},
        {"deadline": True, "otherwise": "x"}, {"deadline": TS + 31 * DAY_NS, "otherwise": "x"},
        {"deadline": TS + 1, "otherwise": " \n"}, {"deadline": TS + 1, "otherwise": 5},
        {"deadline": TS + 1, "otherwise": "é" * (OTHERWISE_BYTES_MAX // 2 + 1)},
    ],
)  # fmt: skip
def test_what_is_not_whole_is_no_ask(ask: Any) -> None:
    assert read(ask) is None


def test_data_of_any_form_is_no_ask() -> None:
    assert ask_in(None, TS) is None
    assert ask_in(b"{}", TS) is None
    assert ask_in(b"[1]", TS) is None


@pytest.mark.parametrize("id_", ["a", "18eb62dc35dfc814f98e1aeb28", "x" * ID_BYTES_MAX])
def test_key_and_id_of_an_answer_follow_from_the_question_and_fit(id_: str) -> None:
    key, id_of_deadline = answer_key(ORIGIN, id_), deadline_id(ORIGIN, id_)
    assert key.startswith(f"answer/{ORIGIN.hex()[:16]}/")
    assert len(key) <= ID_BYTES_MAX
    assert is_id(id_of_deadline)
    assert (key, id_of_deadline) == (answer_key(ORIGIN, id_), deadline_id(ORIGIN, id_))
    other = bytes(reversed(ORIGIN))
    assert key != answer_key(other, id_)
    assert id_of_deadline != deadline_id(other, id_)


def test_long_ids_that_begin_alike_have_keys_of_their_own() -> None:
    assert answer_key(ORIGIN, "x" * 60 + "a") != answer_key(ORIGIN, "x" * 60 + "b")


def test_who_answered_is_told_by_the_id() -> None:
    assert answered_by(deadline_id(ORIGIN, "a")) == "deadline"
    assert answered_by("18eb62dc35dfc814f98e1aeb28") == "owner"


def test_late_is_what_is_more_than_the_pace_of_the_desk() -> None:
    assert late_ns(TS, TS + LATE_NS) == 0
    assert late_ns(TS, TS + LATE_NS + 1) == LATE_NS + 1
    said = json.dumps(answer_data("deadline", TS)).encode()
    assert late_in(said, TS + DAY_NS) == DAY_NS
    assert late_in(b'{"deadline":"x"}', TS) == late_in(None, TS) == 0
