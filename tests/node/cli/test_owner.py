"""`netsky owner …` as a tired person sees it, and as a program reads it."""

from __future__ import annotations

from typing import Any

import pytest
from netsky.node.cli.owner import short_ids

from tests.node.cli.conftest import Answer, Run, StubNode
from tests.node.cli.test_real_node import validator
from tests.node.cli.test_send import ACCEPTED

HOUR = 3_600 * 10**9
NOW = 1_700_000_000 * 10**9
ID = "18eb78fc299792eb2def0d5702"
HOSTILE = "fine\x1b[2J\r\u202eno\n\nnetsky0: pay"

ITEM: Answer = {
    "id": ID, "origin": "ab" * 32, "from": "worker1@netsky2", "kind": "question", "thread": None, "in_reply_to": None,
    "question": None, "at": NOW - HOUR // 5, "text": "Shall I drop it?", "cut": False, "kept": True, "attachments": 0,
    "seen_at": None, "taken_by_agent0_at": None, "paged_at": None, "waits": True, "answer": None,
    "ask": {"deadline": NOW + 2 * HOUR, "otherwise": "keep it"},
}  # fmt: skip
REPORT = ITEM | {"id": "18eb78fc4bc2f1530458d5e8a9", "kind": "report", "ask": None, "text": "red", "seen_at": NOW}
ANSWER: Answer = {"id": "a", "by": "owner", "at": NOW - HOUR, "text": "no", "late_seconds": 0}


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netsky.node.seams.real.RealTime.wall", lambda self: NOW)


def inbox(*items: Answer, **more: Any) -> Answer:
    new = sum(item["seen_at"] is None for item in items)
    asks = sum(item["ask"] is not None for item in items)
    return {"at": NOW, "items": list(items), "waiting": len(items), "new": new, "asks": asks} | more


def test_an_inbox_says_first_what_is_wanted_and_what_to_type(run: Run, node: StubNode) -> None:
    node.verbs["owner"] = lambda args: inbox(ITEM, REPORT | {"taken_by_agent0_at": NOW})
    assert run("owner", "inbox").out == (
        "2 items waiting, 1 new, 1 ask, the first to be answered within 2h\n"
        "\n"
        "question from worker1@netsky2, 12m ago  18eb78fc29\n"
        "  | Shall I drop it?\n"
        "  answer within 2h (until 2023-11-15 00:13); else:\n"
        "  | keep it\n"
        "  netsky owner reply 18eb78fc29 TEXT\n"
        "\n"
        "report from worker1@netsky2, 12m ago, agent0 sees to it  18eb78fc4b\n"
        "  | red\n"
        "\n"
        "whole: netsky owner show ID; done with it: netsky owner take ID\n"
    )
    assert node.asked == [("owner", {"do": "inbox"})]
    validator("owner-inbox").validate(run("--json", "owner", "inbox", "--all", "--peek", "--limit", "5").json)
    assert node.asked[-1] == ("owner", {"do": "inbox", "all": True, "peek": True, "limit": 5})


def test_an_empty_inbox_is_one_line(run: Run, node: StubNode) -> None:
    node.verbs["owner"] = lambda args: inbox()
    assert run("owner", "inbox").out == "nothing waits for you\n"


def test_what_does_not_fit_is_counted(run: Run, node: StubNode) -> None:
    node.verbs["owner"] = lambda args: inbox(REPORT, waiting=7)
    assert "and 6 more: netsky owner inbox --limit 200" in run("owner", "inbox").out


def test_what_strangers_wrote_stands_behind_a_bar_and_obeys_nobody(
    run: Run, node: StubNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    hostile = ITEM | {"text": HOSTILE, "from": "x\x1b@netsky2", "cut": True, "question": "why\x07?"}
    hostile |= {"ask": {"deadline": NOW + 1, "otherwise": HOSTILE}}
    node.verbs["owner"] = lambda args: inbox(hostile)
    out = run("owner", "inbox").out
    assert not {"\x1b", "\r", "\u202e", "\x07"} & set(out)
    assert "\n  | fine\\x1b[2J\\x0d\\u{202e}no\n  |\n  | netsky0: pay\n  … netsky owner show 18eb78fc29\n" in out
    assert [line for line in out.splitlines() if line.startswith("netsky0")] == []


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (ANSWER, "  answered by the owner, 1h ago:\n  | no\n"),
        (ANSWER | {"by": "deadline"}, "  nobody answered; at the deadline, 1h ago:\n  | no\n"),
        (ANSWER | {"by": "deadline", "late_seconds": 7_200}, "  nobody answered; at the deadline, 2h late, 1h ago:\n"),
    ],
)
def test_what_became_of_an_ask_is_said(run: Run, node: StubNode, answer: Answer, said: str) -> None:
    done = ITEM | {"answer": answer, "waits": False}
    node.verbs["owner"] = lambda args: dict(done)
    ran = run("owner", "show", ID[:10])
    assert said in ran.out
    assert "netsky owner reply" not in ran.out
    validator("owner-show").validate(run("--json", "owner", "show", ID).json)
    asks = {"id": ID, "at": NOW, "from": "worker1@netsky2", "text": "?", "deadline": NOW, "otherwise": "x"}
    node.verbs["owner"] = lambda args: {"at": NOW, "asks": [asks | {"answer": answer}]}
    assert said in run("owner", "asks", "--all").out
    validator("owner-asks").validate(run("--json", "owner", "asks").json)


def test_show_names_thread_times_and_files(run: Run, node: StubNode) -> None:
    more = {"thread": "t-1", "seen_at": NOW, "taken_by_agent0_at": NOW, "paged_at": NOW - HOUR, "attachments": 2}
    node.verbs["owner"] = lambda args: ITEM | more
    out = run("owner", "show", ID).out
    for line in (
        "thread     t-1",
        "paged      2023-11-14 21:13:20 (1h ago)",
        "taken      2023-11-14 22:13:20 (now) by agent0",
    ):
        assert line in out
    assert f"files      2: netsky channel attachments {ID}" in out


def test_a_reply_says_where_it_goes(run: Run, node: StubNode) -> None:
    node.verbs["owner"] = lambda args: ACCEPTED | {"answers": ID, "to": "worker1@netsky2", "thread": None}
    assert run("owner", "reply", ID[:10], "yes").out == "answered: it goes to worker1@netsky2\n"
    assert node.asked == [("owner", {"do": "reply", "id": ID[:10], "text": "yes"})]
    assert run("-q", "owner", "reply", ID, "yes").out == f"{ACCEPTED['id']}\n"
    validator("owner-reply").validate(run("--json", "owner", "reply", ID, "yes").json)


def test_a_take_reminds_of_asks_that_still_end(run: Run, node: StubNode) -> None:
    node.verbs["owner"] = lambda args: {
        "taken": [ID], "by": "operator", "open_asks": [{"id": ID, "deadline": NOW + HOUR}]
    }  # fmt: skip
    assert run("owner", "take", ID).out == (
        f"done with 1 item\n{ID} has no answer and ends in 1h: netsky owner reply {ID} TEXT\n"
    )
    validator("owner-take").validate(run("--json", "owner", "take", ID).json)
    node.verbs["owner"] = lambda args: {"taken": [ID, "b"], "by": "agent0", "open_asks": []}
    assert run("owner", "take", ID, "b").out == "you see to 2 items\n"


def talk(node: StubNode, first: Answer, answer: Answer) -> None:
    node.verbs["owner"] = lambda args: {"id": ID, "answer": answer} if args["do"] == "answer" else dict(first)


def test_the_owner_sends_and_waits_for_one_terse_answer(run: Run, node: StubNode) -> None:
    sent = ACCEPTED | {"to": "agent0@netsky0", "thread": "owner-1"}
    talk(node, sent, {"from": "agent0", "text": "142 words"})
    assert run("owner", "send", "how many?").out == f"stored {sent['id']} for agent0@netsky0\n"
    ran = run("owner", "send", "how many?", "--wait", "--about", ID)
    assert ran.out == "agent0@netsky0 answers:\n  | 142 words\n"
    assert ran.err == f"stored {sent['id']}; agent0@netsky0 has it; waiting 10m at most\n"
    assert node.asked[-2:] == [
        ("owner", {"do": "send", "text": "how many?", "in_reply_to": ID}),
        ("owner", {"do": "answer", "id": sent["id"], "wait_s": 600.0}),
    ]
    assert run("-q", "owner", "send", "how many?", "--wait").out == "142 words\n"
    validator("owner-send").validate(run("--json", "owner", "send", "how many?", "--wait=5s").json)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"id": "a" * 26, "text": "yes", "data": {"by": "owner"}}, "the owner answers:\n  | yes\n"),
        (
            {"id": "deadline-1", "text": "keep it", "data": {"by": "deadline", "deadline": NOW},
             "ts": "2023-11-14T22:13:21Z"},
            "nobody answered; as you said:\n  | keep it\n",
        ),
        (
            {"id": "deadline-1", "text": "keep it", "data": {"by": "deadline", "deadline": NOW},
             "ts": "2023-11-15T01:13:20Z"},
            "nobody answered, and netsky0 was down or asleep: 3h late; as you said:\n  | keep it\n",
        ),
    ],
)  # fmt: skip
def test_who_asks_and_waits_hears_whose_answer_it_is(run: Run, node: StubNode, answer: Answer, said: str) -> None:
    asked = ACCEPTED | {"from": "agent0@netsky1", "ask": {"deadline": NOW + 2 * HOUR, "otherwise": "keep it"}}
    talk(node, asked, answer)
    words = ("owner", "ask", "drop it?", "--deadline", "2h", "--otherwise", "keep it")
    assert run(*words).out == f"asked {asked['id']}; the owner has until 2023-11-15 00:13 (in 2h)\n"
    assert run(*words, "--wait").out == said
    assert node.asked[-1][1]["wait_s"] == 2 * 3_600 + 300  # until the deadline, and what the way takes
    assert run(*words, "--wait=5s").code == 0
    assert node.asked[-1][1]["wait_s"] == 5
    validator("owner-ask").validate(run("--json", *words, "--wait").json)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--otherwise", "x"), "an ask says until when it is to be answered"),
        (("--deadline", "2h"), "an ask says what happens without an answer"),
        (("--deadline", "30s", "--otherwise", "x"), "30s is less than 1m, the least"),
        (("--deadline", "31d", "--otherwise", "x"), "31d is more than 30d, the most"),
        (("--deadline", "-1h", "--otherwise", "x"), "expected one argument"),
        (("--deadline", "tomorrow", "--otherwise", "x"), "is no duration"),
    ],
)
def test_a_bad_ask_is_refused_before_anybody_is_asked(
    run: Run, node: StubNode, words: tuple[str, ...], said: str
) -> None:
    ran = run("owner", "ask", "drop it?", *words)
    assert (ran.code, node.asked) == (2, [])
    assert said in ran.err
    assert "\n  next: netsky owner ask" in ran.err


def test_beginnings_of_ids_tell_them_apart() -> None:
    assert short_ids([]) == {}
    assert short_ids(["abcdefghijkl"]) == {"abcdefghijkl": "abcdefghij"}
    assert list(short_ids(["abcdefghijkl", "abcdefghijkm"]).values()) == ["abcdefghijkl", "abcdefghijkm"]
    assert short_ids(["ab", "abc"]) == {"ab": "ab", "abc": "abc"}
    assert short_ids([ID, ID]) == {ID: ID[:10]}
