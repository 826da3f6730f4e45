"""What a sender types and sees: waiting for an outcome, dead letters."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.node.cli.conftest import Answer, Run, StubNode
from tests.node.cli.test_real_node import validator
from tests.node.cli.test_send import ACCEPTED

NOW = 1_700_000_000 * 10**9
ID = str(ACCEPTED["id"])
HOSTILE = "bad\x1b[2J\r\u202ename"
ENDED: Answer = {
    "id": ID, "stage": "ended", "to": "agent4@netsky2", "fate": "delivered", "code": None, "reason": "", "next": "",
    "ended_by": "netsky2", "ended_at": NOW,
}  # fmt: skip
DEAD = ENDED | {"fate": "dead", "code": "inbox_full", "reason": "the inbox of that actor is full", "next": "wait"}
LETTER: Answer = {
    "number": 7, "id": ID, "from": "agent0@netsky1", "to": "agent4@netsky2", "kind": "text", "thread": None,
    "accepted_at": NOW, "fate": "in_doubt", "code": "dest_revoked", "reason": "it is no more", "next": "netsky nodes",
    "ended_by": "netsky0", "ended_at": NOW, "known_at": NOW, "retries": 0, "retry": None, "retried_at": None,
    "dropped_at": None,
}  # fmt: skip


def stages(node: StubNode, *found: Answer) -> None:
    """`wait` answers with one after the other."""
    left = list(found)
    node.verbs["send"] = lambda args: dict(ACCEPTED)
    node.verbs["wait"] = lambda args: dict(left.pop(0))


def stage(name: str) -> Answer:
    return {"id": ID, "stage": name, "to": "agent4@netsky2"}


def refused(code: str, exit: int) -> Answer:  # noqa: A002
    return {"error": {"code": code, "exit": exit, "message": "no room here", "next": "wait"}}


def test_waiting_for_an_outcome_goes_on_until_there_is_one(run: Run, node: StubNode) -> None:
    stages(node, stage("queued"), stage("at_root"), ENDED)
    ran = run("wait", "outcome", ID, "--timeout", "9")
    assert (ran.code, ran.out, ran.err) == (0, f"{ID} was delivered\n", "")
    assert [args.get("beyond") for _, args in node.asked] == ["ended", "queued", "at_root"]
    stages(node, ENDED)
    validator("wait").validate(run("--json", "wait", "outcome", ID).json)


@pytest.mark.parametrize(("fate", "said"), [("dead", "was not delivered"), ("in_doubt", "may or may not have arrived")])
def test_what_did_not_arrive_is_exit_1_with_the_reason(run: Run, node: StubNode, fate: str, said: str) -> None:
    stages(node, DEAD | {"fate": fate})
    ran = run("wait", "outcome", ID)
    assert ran.code == 1
    assert f"{ID} {said}: the inbox of that actor is full" in ran.err
    assert f"netsky dead show {ID}" in ran.err
    stages(node, DEAD)
    assert run("--json", "wait", "outcome", ID).json["error"]["code"] == "inbox_full"


def test_an_outcome_that_does_not_come_is_exit_6_and_says_where_it_is(run: Run, node: StubNode) -> None:
    left = [stage("at_root"), refused("timed_out", 6)]
    node.verbs["wait"] = lambda args: dict(left.pop(0))
    ran = run("wait", "outcome", ID, "--timeout", "5")
    assert ran.code == 6
    assert "no outcome after 5 s: stored at netsky0, which passes it on; it is kept and goes on" in ran.err
    assert f"netsky wait outcome {ID}" in ran.err


def test_sending_and_waiting_for_the_outcome_are_one_command(run: Run, node: StubNode) -> None:
    stages(node, stage("queued"), ENDED)
    ran = run("send", "agent4@netsky2", "hi", "--wait-outcome=5m")
    assert (ran.code, ran.out, ran.err) == (0, f"stored {ID} for agent4@netsky2\n", "delivered\n")
    assert 299 < node.asked[1][1]["timeout"] <= 300
    stages(node, ENDED)
    answer = run("--json", "send", "agent4@netsky2", "hi", "--wait-outcome").json
    validator("send").validate(answer)
    assert answer["data"]["outcome"]["fate"] == "delivered"
    stages(node, DEAD)
    assert run("send", "agent4@netsky2", "hi", "--wait-outcome").code == 1


def test_with_the_node_down_nothing_is_stored_that_somebody_waits_for(run: Run, home: Path) -> None:
    ran = run("send", "agent0", "hi", "--from", "agent1", "--wait-outcome")
    assert ran.code == 4
    assert "nothing was stored" in ran.err
    assert not list(home.rglob("outbox/*"))


def test_a_terminal_shows_how_far_it_is_and_what_is_waited_for(node: StubNode) -> None:
    answers = [refused("dest_held", 8), dict(ACCEPTED)]
    node.verbs["send"] = lambda args: dict(answers.pop(0))
    left = [stage("held"), ENDED]
    node.verbs["wait"] = lambda args: dict(left.pop(0))
    ours, theirs = pty.openpty()
    words = ("send", "agent4@netsky2", "hi", "--wait=9", "--wait-outcome")
    done = subprocess.run(
        [sys.executable, "-m", "netsky.node.cli.main", *words], stderr=theirs, stdout=subprocess.PIPE, check=False,
        env=os.environ | {"TERM": "xterm"}, timeout=60,
    )  # fmt: skip
    os.close(theirs)
    said = os.read(ours, 65_536).decode()
    os.close(ours)
    assert done.returncode == 0
    assert "no room here Waiting up to 9s …" in said
    assert "held here: " in said
    assert [args.get("wait_s") for verb, args in node.asked if verb == "send"] == [None, 9.0]


@pytest.mark.parametrize("columns", [40, 60, 80])
def test_dead_letters_are_a_table(run: Run, node: StubNode, monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    data = {"letters": [LETTER, LETTER | {"retries": 1, "to": HOSTILE[:6]}], "older": 6, "total": 9}
    node.verbs["dead_ls"] = lambda args: data
    ran = run("dead", "ls", "--limit", "2")
    lines = ran.out.splitlines()
    assert max(map(len, lines)) <= columns
    assert lines[0].startswith("id ")
    assert all(letter.isprintable() or letter == "\n" for letter in ran.out)
    assert "older ones: netsky dead ls --before 6" in lines
    assert node.asked == [("dead_ls", {"limit": 2})]
    answer = run("--json", "dead", "ls").json
    validator("dead-ls").validate(answer)
    assert answer["summary"] == "2 dead letters, 9 in all"
    node.verbs["dead_ls"] = lambda args: {"letters": [], "older": None, "total": 0}
    assert run("dead", "ls").out == "no dead letters\n"


@pytest.mark.parametrize("envelope", [None, {"id": ID, "from": "agent0@netsky1", "text": HOSTILE}])
def test_one_dead_letter_is_shown_whole_and_harmless(run: Run, node: StubNode, envelope: Any) -> None:
    node.verbs["dead_show"] = lambda args: LETTER | {
        "envelope": envelope, "retries": 2, "retry": "r" * 26, "retried_at": NOW, "dropped_at": NOW
    }  # fmt: skip
    ran = run("dead", "show", ID)
    assert ran.code == 0
    assert all(letter.isprintable() or letter == "\n" for letter in ran.out)
    assert "may or may not have arrived: it is no more (dest_revoked); netsky0 says," in ran.out
    assert f"as {'r' * 26}" in ran.out
    assert ("no longer kept" in ran.out) == (envelope is None)
    validator("dead-show").validate(run("--json", "dead", "show", ID).json)


def test_what_is_sent_again_is_said_and_what_was_refused_too(run: Run, node: StubNode) -> None:
    good = {"id": ID, "ok": True, "data": {"retry": "new", "to": "agent4@netsky2", "fate": "in_doubt"}}
    bad = {"id": "e" * 26, "ok": False, "error": {"code": "retried", "exit": 7, "message": "was before", "next": "no"}}
    node.verbs["dead_retry"] = lambda args: {"results": [good]}
    assert run("dead", "retry", ID).out == (
        f"stored new for agent4@netsky2, after {ID} (the first may have arrived, too)\n"
    )
    validator("dead-retry").validate(run("--json", "dead", "retry", ID).json)
    node.verbs["dead_retry"] = lambda args: {"results": [good, bad]}
    ran = run("dead", "retry", ID, "e" * 26, "--again")
    assert node.asked[-1] == ("dead_retry", {"ids": [ID, "e" * 26], "again": True})
    assert ran.code == 7
    assert f"{'e' * 26}: was before; 1 sent again: {ID}" in ran.err


def test_what_leaves_the_list_is_said_in_one_way(run: Run, node: StubNode) -> None:
    node.verbs["dead_drop"] = lambda args: {"dropped": 1}
    assert run("dead", "drop", ID).out == "1 letter off the list\n"
    assert run("dead", "drop", "--older", "7d").code == run("dead", "drop", "--all").code == 0
    assert [args for _, args in node.asked] == [{"ids": [ID]}, {"older": 604_800.0}, {"all": True}]
    for words in ((), (ID, "--all"), ("--all", "--older", "7d")):
        assert run("dead", "drop", *words).code == 2
    validator("dead-drop").validate(run("--json", "dead", "drop", "--all").json)
