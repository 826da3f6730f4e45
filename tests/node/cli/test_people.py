"""What people see: complete, within eighty columns, and harmless whatever somebody else wrote into it."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.node.cli.conftest import Answer, Run, StubNode

NOW = 1_700_000_000 * 10**9
RECENT = time.time_ns() - (15 * 24 + 1) * 3_600 * 10**9
HOSTILE = "bad\x1b[2J\r\u202ename"
ACTORS: list[dict[str, Any]] = [
    {
        "name": "agent0", "mode": "none", "state": "none", "reason": "", "pid": None, "started_at": None, "restarts": 0,
        "manager": None, "fenced": False, "command": [], "cwd": "", "waiting": 3, "claimed": 1, "oldest": NOW,
        "quarantined": 2,
    },
    {
        "name": "worker1", "mode": "per_envelope", "state": "degraded", "reason": HOSTILE, "pid": 7, "started_at": NOW,
        "restarts": 3, "manager": "agent0", "fenced": False, "command": ["python", HOSTILE * 20], "cwd": "/",
        "waiting": 0, "claimed": 0, "oldest": None, "quarantined": 0,
    },
]  # fmt: skip
LINK: dict[str, Any] = {
    "name": "netsky1", "up": True, "since": RECENT, "down_since": None, "seen": RECENT, "program": "0.1.0",
    "round_trip_ns": 1_200_000, "clock_offset_ns": -65 * 10**9, "frozen": {}, "credit": {}, "granted": {},
    "queued": 4, "queued_bytes": 100, "held": ["netsky2"], "trouble": None,
}  # fmt: skip
STATUS: dict[str, Any] = {
    "name": "netsky0", "label": HOSTILE, "root": True, "fingerprint": "aaaa-bbbb", "version": "0.1.0", "ready": True,
    "uptime_ns": 4_000 * 10**9, "you": "operator", "home": "/home/x/.netsky", "key": "a" * 64, "mesh": "b" * 32,
    "pid": 42, "started_at": NOW, "after_crash": False, "actors": ACTORS, "fence": "none",
    "fence_missing": "no bubblewrap",
    "links": [LINK, LINK | {"name": "netsky2", "up": False, "since": None, "down_since": RECENT, "trouble": HOSTILE}],
    "network": {"addresses": ["192.0.2.2:7", "[fd00::2]:7"], "relay": "https://r/", "discovery": "n0"},
    "outbox": [
        {"to": "netsky1", "envelopes": 60, "open": 50, "numbered": 8, "acked": 2, "bytes": 2048, "oldest": RECENT,
         "held": True},
        {"to": "netsky2", "envelopes": 1, "open": 0, "numbered": 0, "acked": 1, "bytes": 10, "oldest": RECENT,
         "held": False},
    ],
    "lag_ns": 65 * 10**9, "holds": [{"name": "netsky1", "since": RECENT}],
    "dead": {"listed": 3, "unseen": 1, "unseen_since": RECENT},
    "refused": [{"peer": HOSTILE, "code": "authority", "count": 3, "last": RECENT}] * 5,
    "turned_away": {"keys": 2, "last": RECENT},
    "ledger": {"journal_mode": "wal", "synchronous": 2}, "commits": {"groups": 5, "max_commit_ns": 2_500_000},
    "faults": [{"code": "config", "sentence": f"config.toml: {HOSTILE}", "next": "correct it"}], "crashes": 2,
    "tasks": {}, "sockets": [], "log": "/home/x/.netsky/logs/node.log",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _eighty_columns(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def harmless(said: str) -> bool:
    return all(letter.isprintable() or letter == "\n" for letter in said)


def test_status_is_one_screen_with_what_is_wrong_last(run: Run, node: StubNode) -> None:
    node.verbs["status"] = lambda args: STATUS
    ran = run("status")
    assert ran.code == 0
    assert harmless(ran.out)
    lines = ran.out.splitlines()
    assert lines[0] == "netsky0 (bad\\x1b[2J\\x0d\\u{202e}name), root: up for 1h 6m"
    assert "  disk   wal, synchronous full, 5 commits slowest 2.5 ms" in lines
    assert "  fence  none: no bubblewrap" in lines
    assert any(line.startswith("  links  at 192.0.2.2:7, [fd00::2]:7 and over the relay https://r/") for line in lines)
    words = [line.split() for line in lines]
    assert ["outbox", "to", "envelopes", "size", "oldest", "state"] in words
    netsky1 = ["60", "2.0", "KiB", "15d", "ago", "held,", "50", "here,", "8", "on", "the", "way,", "2", "passed", "on"]
    assert ["netsky1", *netsky1] in words
    assert "  lag 1m: the oldest that has no outcome" in lines
    assert ["netsky1", "up", "15d", "1", "ms", "-1m", "4", "netsky2"] in words
    assert ["netsky2", "down", "15d", "1", "ms", "-1m", "4", "netsky2"] not in words, "what is down has no round trip"
    assert "  netsky2: bad\\x1b[2J\\x0d\\u{202e}name" in lines
    assert "dead   3 letters, 1 new: netsky dead ls" in lines
    assert "held   what is for netsky1, since 15d ago" in lines
    assert any("was refused 3 times for authority" in line for line in lines)
    assert "       and 2 more: netsky --json status" in lines
    assert "door   2 strangers turned away, the last 15d ago: netsky nodes" in lines
    assert any(line.startswith("worker1  per-envelope  degraded, unfenced") for line in lines)
    assert lines[-2:] == ["wrong: config.toml: bad\\x1b[2J\\x0d\\u{202e}name", "  next: correct it"]
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("columns", [40, 60])
def test_status_in_a_narrow_terminal_breaks_no_word_and_cuts_no_cell(
    run: Run, node: StubNode, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    faults = [
        {"code": "c", "sentence": "a sentence that is longer than a narrow terminal is wide", "next": "say " * 20}
    ]
    node.verbs["status"] = lambda args: STATUS | {"faults": faults, "crashes": 0, "label": "studio-mac"}
    lines = run("status").out.splitlines()
    assert max(map(len, lines)) <= columns
    assert "…" not in "".join(lines).replace(f"{'b' * 16}…", "")
    [head] = [line for line in lines if line.startswith("actor ")]
    assert {"actor", "state", "waiting"} <= set(head.split())
    gone = {name for name in ("mode", "claimed", "oldest", "refused") if name not in head}
    said = " ".join(lines)
    assert gone
    assert all(name in said.partition("(mode")[2].partition(": in a wider")[0] for name in gone - {"mode"}), said
    assert any(line.startswith("  ") and line.endswith("wide") for line in lines)


def test_a_command_to_type_next_stays_one_line(run: Run, node: StubNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    command = "netsky agent logs worker1 with much that follows"
    node.verbs["status"] = lambda args: STATUS | {"faults": [{"code": "c", "sentence": "s", "next": command}]}
    assert f"  next: {command}" in run("status").out.splitlines()


def test_status_of_an_actor_has_what_it_may_see(run: Run, node: StubNode) -> None:
    shown = ("name", "label", "root", "fingerprint", "version", "ready", "uptime_ns")
    actors = [{"name": "agent0", "mode": "none", "state": "none"}, ACTORS[1]]
    node.verbs["status"] = lambda args: {name: STATUS[name] for name in shown} | {
        "you": "worker1", "actors": actors, "faults": 2, "ready": False
    }  # fmt: skip
    ran = run("status")
    assert "starting" in ran.out
    assert ran.out.endswith("2 things wrong; the operator sees what with netsky status\n")
    assert "home" not in ran.out


def test_a_healthy_status_says_so(run: Run, node: StubNode) -> None:
    node.verbs["status"] = lambda args: STATUS | {"faults": [], "actors": [], "crashes": 0, "mesh": "", "label": ""}
    alone = {"links": [], "outbox": [], "lag_ns": None, "holds": [], "refused": []}
    alone |= {"dead": {"listed": 0, "unseen": 0, "unseen_since": None}, "turned_away": {"keys": 0, "last": None}}
    usual = node.verbs["status"]
    node.verbs["status"] = lambda args: usual(args) | alone
    ran = run("status")
    assert ran.out.endswith("no actors\n\nnothing is wrong\n")
    assert "in no mesh" in ran.out
    assert "nothing is wrong" in run("status", "--json").json["summary"]


def test_the_actors_are_a_table(run: Run, node: StubNode) -> None:
    node.verbs["agent_ls"] = lambda args: {"actors": ACTORS, "fence": "none", "fence_missing": "no bubblewrap"}
    ran = run("agent", "ls")
    assert harmless(ran.out)
    assert max(map(len, ran.out.splitlines())) <= 80
    assert "no fence on this system: no bubblewrap" in ran.err
    node.verbs["agent_ls"] = lambda args: {"actors": [], "fence": "bubblewrap", "fence_missing": ""}
    assert run("agent", "ls").out == "no actors yet: netsky agent add worker1 -- PROGRAM\n"


def test_an_actor_that_was_there_already_is_said(run: Run, node: StubNode) -> None:
    answer = {"actor": "worker1", "mode": "resident", "manager": "agent0", "fenced": False, "changed": True}
    node.verbs["agent_add"] = lambda args: answer
    ran = run("agent", "add", "worker1", "--unfenced", "--cwd", ".", "--timeout", "90s", "--", "prog", "-h")
    assert "worker1 added (resident, without a fence: it can do what you can do)" in ran.out
    (_, args) = node.asked[0]
    assert (args["command"], args["mode"], args["timeout"]) == (["prog", "-h"], "resident", 90)
    assert args["cwd"] == str(Path.cwd())
    node.verbs["agent_add"] = lambda args: answer | {"changed": False}
    assert "is there already, just so" in run("agent", "add", "worker1", "--", "prog").out
    assert run("agent", "add", "worker1", "--mode", "resident").code == 2


def test_what_waits_is_a_table(run: Run, node: StubNode) -> None:
    item = {"id": "a" * 26, "from": "agent0", "kind": None, "stored_at": NOW, "claimed_at": None, "state": "projected"}
    node.verbs["inbox"] = lambda args: {"actor": "worker1", "waiting": [item, {**item, "claimed_at": NOW}]}
    ran = run("channel", "ls", "worker1", "--limit", "2")
    assert [line.split()[0] for line in ran.out.splitlines()] == ["id", "a" * 26, "a" * 26]
    assert "claimed" in ran.out
    assert "the first 2" in ran.err
    node.verbs["inbox"] = lambda args: {"actor": "worker1", "waiting": []}
    assert run("channel", "ls", "worker1").out == "nothing waits for worker1\n"
    node.verbs["inbox"] = lambda args: {"channels": []}
    assert run("channel", "ls").out == "nothing waits for anybody\n"


def test_what_was_refused_is_shown_harmless(run: Run, node: StubNode) -> None:
    file = {"at": NOW, "actor": "agent0", "name": HOSTILE, "reason": "not_json", "sentence": HOSTILE, "size": 2048}
    node.verbs["quarantine_ls"] = lambda args: {"files": [file, {**file, "size": None}]}
    ran = run("channel", "ls", "--quarantine")
    assert harmless(ran.out)
    assert "(not_json)" in ran.out
    assert "2.0 KiB" in ran.out
    node.verbs["quarantine_ls"] = lambda args: {"files": []}
    assert run("channel", "ls", "--quarantine").out == "nothing was refused\n"


def test_refused_outbox_files_are_named_with_the_reason(run: Run, node: StubNode) -> None:
    refused = [{"file": "x.json", "code": "authority", "message": f"may not {HOSTILE}"}]
    counts = {"actor": "worker1", "accepted": 1, "refused": 1, "accepted_files": [], "refused_files": refused}
    node.verbs["forward_outbox"] = lambda args: counts
    ran = run("channel", "forward-outbox", "worker1")
    assert ran.out.startswith("1 message taken in from worker1's outbox, 1 refused\n  x.json: may not bad\\x1b")


def test_an_id_that_fits_twice_is_asked_for_again(run: Run, node: StubNode) -> None:
    node.verbs["query"] = lambda args: {"columns": ["id"], "rows": [["ab1"], ["ab2"], ["ab3"], ["ab4"]]}
    ran = run("trace", "ab")
    assert ran.code == 2
    assert "ab1, ab2, ab3, …" in ran.err
    assert node.asked[0][1]["sql"].endswith("id >= 'ab' AND id < 'ac' LIMIT 4")


def test_an_id_that_is_also_a_beginning_is_itself(run: Run, node: StubNode) -> None:
    node.verbs["query"] = lambda args: {"columns": ["id"], "rows": [["ab"], ["abc"]]}
    node.verbs["trace"] = lambda args: {"id": args["id"], "steps": [], "elsewhere": []}
    assert run("trace", "ab").code == 0
    assert node.asked[-1] == ("trace", {"id": "ab"})


def test_what_has_no_form_of_an_id_is_never_put_into_a_query(run: Run, node: StubNode) -> None:
    error = {"code": "unknown_id", "exit": 3, "message": "no such", "next": "n"}
    node.verbs["trace"] = lambda args: {"error": error}
    assert run("trace", "x' OR '1'='1").code == 3
    assert [verb for verb, _ in node.asked] == ["trace"]
    assert run("channel", "ack", "x' OR '1'='1").code == 3


def test_the_reader_of_an_id_is_looked_up(run: Run, node: StubNode) -> None:
    long = "a" * 26
    node.verbs["ack"] = lambda args: {"taken": args["ids"], "unknown": []}
    for rows, code in (([["worker1"]], 0), ([], 3), ([["worker1"], ["worker2"]], 2)):
        node.verbs["query"] = lambda args, rows=rows: {"columns": ["actor"], "rows": rows}  # type: ignore[misc]
        assert run("channel", "ack", long).code == code
    assert run("channel", "ack", "worker1").code == 2


def test_inside_an_actor_the_reader_is_itself(run: Run, node: StubNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETSKY_SOCKET", node.path)
    monkeypatch.setenv("NETSKY_ACTOR", "worker1")
    node.verbs["ack"] = lambda args: {"taken": args["ids"], "unknown": []}
    assert run("channel", "ack", "a" * 26).code == 0
    assert node.asked == [("ack", {"actor": "worker1", "ids": ["a" * 26]})]
    for words in (("init",), ("up",), ("down",), ("restart",)):
        assert run(*words).code == 5


def test_what_was_shown_is_taken_by_file_and_told_by_id(run: Run, node: StubNode, home: Path) -> None:
    (home / "channels" / "worker1").mkdir(parents=True)
    waiting = [{"id": "twin", "file": f"{n}.json", "claimed_at": claimed} for n, claimed in ((1, 5), (2, 6), (3, None))]
    node.verbs["inbox"] = lambda args: {"waiting": waiting}
    node.verbs["ack"] = lambda args: {"taken": args["ids"], "unknown": []}
    ran = run("channel", "ack", "worker1", "--shown", "--json")
    assert node.asked[-1] == ("ack", {"actor": "worker1", "ids": ["1.json", "2.json"]})
    assert ran.lines[0]["data"]["taken"] == ["twin", "twin"]


def test_many_ids_go_in_several_calls(run: Run, node: StubNode) -> None:
    node.verbs["ack"] = lambda args: {"taken": args["ids"][1:], "unknown": args["ids"][:1]}
    ids = [f"{number:026}" for number in range(300)]
    ran = run("channel", "ack", "worker1", *ids)
    assert ran.out == "298 messages taken by worker1\n"
    assert [len(args["ids"]) for _, args in node.asked] == [256, 44]


def step(name: str, at: int | None, detail: str = "", clock: str = "netsky1", **more: Any) -> dict[str, Any]:
    fields = {"step": name, "at": at, "detail": detail, "clock": clock, "offset_ns": 0, "here": at}
    return fields | {"bound": "", "skew_ns": 0} | more


def traced(*steps: dict[str, Any], elsewhere: Sequence[dict[str, str]] = ()) -> Callable[[Answer], Answer]:
    front = {"from": "agent0", "to": "worker1", "kind": "brief", "elsewhere": list(elsewhere)}
    return lambda args: {"id": args["id"], "steps": list(steps)} | front


def test_a_trace_shows_what_has_not_happened_yet(run: Run, node: StubNode) -> None:
    node.verbs["trace"] = traced(
        step("accepted", NOW, "from agent0"), step("stored", NOW + 1_500_000_000, HOSTILE), step("taken", None)
    )
    ran = run("trace", "a" * 26)
    assert harmless(ran.out)
    assert ran.out.splitlines()[-3:] == [
        "22:13:20.000              accepted     from agent0",
        "22:13:21.500    +1s       stored       bad\\x1b[2J\\x0d\\u{202e}name",
        "not yet                   taken",
    ]


def test_a_trace_names_the_clock_of_each_step_and_how_far_it_is_off(run: Run, node: StubNode) -> None:
    ms, root, there = 1_000_000, "netsky0", "netsky2"
    node.verbs["trace"] = traced(
        step("queued", NOW, "from agent0"),
        step("at the root", NOW + 90_005 * ms, clock=root, offset_ns=90_000 * ms, here=NOW + 5 * ms),
        step("routed", NOW + 1 * ms, clock=root, offset_ns=None, here=NOW + 5 * ms, bound=">=", skew_ns=-4 * ms),
        step(
            "stored", NOW + 7_000 * ms, clock=there, offset_ns=None, here=NOW + 9 * ms, bound="<=", skew_ns=6_991 * ms
        ),
        step("outcome", NOW + 9 * ms, "delivered"),
        elsewhere=[{"node": there, "knows": "claimed, taken", "next": "netsky trace ID"}],
    )
    assert run("trace", "a" * 26).out.splitlines()[-6:] == [
        "22:13:20.000              queued       netsky1   from agent0",
        "22:14:50.005    +5 ms     at the root  netsky0   its clock is 1m ahead",
        "≥ 22:13:20.005  +0 ms     routed       netsky0   its clock is at least 4 ms behind",
        "≤ 22:13:20.009  +4 ms     stored       netsky2   its clock is at least 6s ahead",
        "22:13:20.009    +0 ms     outcome      netsky1   delivered",
        f"claimed, taken: on netsky2: netsky trace {'a' * 26}",
    ]


def test_events_are_lines(run: Run, node: StubNode) -> None:
    events = [{"kind": "taken", "at": NOW, "actor": HOSTILE, "ids": ["a"]}, {"kind": "ready", "at": NOW}]
    node.verbs["events"] = lambda args: {"__events__": list(events)}
    ran = run("events", "--kind", "taken")
    assert ran.out.splitlines()[0] == '22:13:20.000  taken              actor=bad\\x1b[2J\\x0d\\u{202e}name ids=["a"]'
    assert node.asked == [("events", {"follow": False, "kinds": ["taken"]})]
    assert [line["data"]["event"]["kind"] for line in run("events", "--json").lines] == ["taken", "ready"]
    node.verbs["events"] = lambda args: {}
    assert "nothing has happened yet" in run("events").err


def test_rows_are_a_table_and_what_is_missing_is_said(run: Run, node: StubNode) -> None:
    rows = [[1, None, HOSTILE * 30], [2, 1.5, "x"]]
    node.verbs["query"] = lambda args: {"columns": ["a", "b", "c"], "rows": rows, "truncated": True}
    ran = run("query", "SELECT 1")
    assert harmless(ran.out)
    assert max(map(len, ran.out.splitlines())) <= 80
    assert "only the first 2 rows" in ran.err
    node.verbs["query"] = lambda args: {"columns": ["a"], "rows": [], "truncated": False}
    assert run("query", "SELECT 1").err == "no rows\n"


def test_a_log_is_shown_without_what_moves_the_cursor(run: Run, home: Path) -> None:
    (home / "logs" / "worker1.log").write_bytes(b"one\n\x1b[2Jtwo\tthree\n\xff\n")
    ran = run("agent", "logs", "worker1", "--lines", "2")
    assert ran.out == "\\x1b[2Jtwo    three\n\ufffd\n"
    (home / "logs" / "worker2.log").symlink_to("/etc/passwd")
    assert run("agent", "logs", "worker2").code == 1
    assert run("agent", "logs", "worker3").code == 3


def test_waiting_for_an_answer_shows_it(run: Run, node: StubNode) -> None:
    answer = {"id": "b", "from": "worker1", "text": f"done {HOSTILE}", "ts": "never", "requires_ack": True}
    node.verbs["wait"] = lambda args: {"id": "a", "reply": answer}
    ran = run("wait", "reply", "a" * 26, "--timeout", "5m")
    assert harmless(ran.out)
    assert "| done bad" in ran.out
    assert node.asked[0][1]["timeout"] == 300
    node.verbs["wait"] = lambda args: {"id": "a", "reply": None}
    assert "pruned" in run("wait", "reply", "a" * 26).out


@pytest.mark.parametrize("words", [("ready", "x"), ("taken",), ("godot", "x"), ("down", "y")], ids=" ".join)
def test_waiting_for_what_cannot_be_waited_for(words: tuple[str, ...], run: Run) -> None:
    assert run("wait", *words).code == 2


def on_a_terminal(*words: str, environ: dict[str, str]) -> str:
    """What a command writes to a terminal of eighty columns."""
    import fcntl
    import struct
    import termios

    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "netsky.node.cli.main", *words], stdout=follower, stderr=follower, env=environ
    )
    os.close(follower)
    said = b""
    while True:
        try:
            data = os.read(leader, 4096)
        except OSError:
            break
        said += data
    process.wait(30)
    os.close(leader)
    return said.decode()


@pytest.mark.real
@pytest.mark.parametrize(
    ("more", "words", "colored"),
    [
        ({"TERM": "xterm"}, (), True),
        ({"TERM": "dumb"}, (), False),
        ({"TERM": ""}, (), False),
        ({"TERM": "xterm", "NO_COLOR": "1"}, (), False),
        ({"TERM": "xterm"}, ("--no-color",), False),
    ],
)
def test_color_is_for_terminals_that_want_it(
    more: dict[str, str], words: tuple[str, ...], colored: bool, node: StubNode
) -> None:
    node.verbs["status"] = lambda args: STATUS
    environ = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR")} | more
    said = on_a_terminal("status", *words, environ=environ)
    assert "nothing" not in said
    assert ("\x1b[" in said) == colored
    assert "\x1b[" in on_a_terminal("no-such", *words, environ=environ) or not colored


@pytest.mark.real
def test_watching_goes_on_while_the_node_is_away(node: StubNode, spawn: Callable[..., subprocess.Popen[str]]) -> None:
    node.verbs["status"] = lambda args: STATUS
    process = spawn("status", "--watch")
    assert process.stdout is not None
    for said in ("correct it", "is not running"):
        while said not in (line := process.stdout.readline()):
            assert line, "it has ended"
        if node.listener is not None:
            node.stop()
    process.terminate()
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (143, "")
