"""`netsky watchdog` and `netsky quiet` as people see them."""

from __future__ import annotations

from typing import Any

from tests.node.cli.conftest import Run, StubNode

NOW = 1_700_000_000 * 10**9
QUIET = {"actor": "agent1", "by": "agent1", "reason": "a build", "at": NOW, "expires": NOW, "left_s": 900.0}
ALARM: dict[str, Any] = {
    "key": "hang.agent0", "actor": "agent0", "sentence": "agent0 has not moved for 31 min", "next": "netsky watchdog",
    "since": NOW, "age_s": 60.0, "calm": False, "told": None, "pages": 2, "revives": 1,
}  # fmt: skip


def actor(name: str, **changes: Any) -> dict[str, Any]:
    usual = {
        "actor": name, "mode": "resident", "standing": "idle", "drain": "drained", "waiting": 0, "oldest": None,
        "moved_at": None, "owed_s": 0.0, "due_in_s": None, "asks": None,
    }  # fmt: skip
    return usual | changes


def seen(**changes: Any) -> dict[str, Any]:
    usual = {"hang_s": 1800, "looked_at": NOW, "look_ms": 1.5, "actors": [], "alarms": [], "quiet": [], "markers": []}
    return usual | changes


def test_what_is_owed_and_which_alarm_stands_is_one_screen(node: StubNode, run: Run) -> None:
    actors = [
        actor("agent0", standing="hung", waiting=2, oldest=NOW, owed_s=1860.0, due_in_s=-60.0, drain="nonempty"),
        actor("agent1", standing="owes", waiting=1, oldest=NOW, moved_at=NOW, due_in_s=600.0),
    ]
    node.verbs["watchdog"] = lambda _: seen(actors=actors, alarms=[ALARM], quiet=[QUIET])
    said = run("watchdog").out
    assert said.startswith("2 actors watched, 1 alarm; looked ")
    assert "hung" in said
    assert "alarm: agent0 has not moved for 31 min" in said
    assert "the owner was told (2 times); started again (1 time)" in said
    assert "agent1 is quiet for 15m more: a build" in said
    assert "next: netsky watchdog" in said


def test_who_was_told_what_is_said_of_each_alarm(node: StubNode, run: Run) -> None:
    for changes, words in (
        ({"pages": 0, "revives": 0}, "nobody was told yet"),
        ({"pages": 0, "revives": 0, "told": "e1"}, "agent0 was told"),
        ({"calm": True}, "nothing is done while it is quiet"),
    ):
        node.verbs["watchdog"] = lambda _, changes=changes: seen(alarms=[ALARM | changes])
        assert words in run("watchdog").out


def test_a_node_that_has_not_looked_yet_says_so(node: StubNode, run: Run) -> None:
    node.verbs["watchdog"] = lambda _: seen(looked_at=None)
    assert "has not looked yet" in run("watchdog").out
    assert run("--json", "watchdog").json["data"]["looked_at"] is None


def test_quiet_is_declared_with_its_reason_and_cleared_alone(node: StubNode, run: Run) -> None:
    node.verbs["quiet"] = lambda args: {"actor": "agent1", "cleared": 0, "quiet": [] if args.get("clear") else [QUIET]}
    assert run("quiet", "900", "--reason", "a build").out == "agent1 is quiet for 15m more: a build\n"
    assert node.asked[-1] == ("quiet", {"seconds": 900, "reason": "a build"})
    assert run("quiet", "--clear", "--actor", "agent1").out == "agent1 is not quiet any more\n"
    assert node.asked[-1] == ("quiet", {"clear": True, "actor": "agent1"})
    for words in (("900",), ("--reason", "r"), ("--clear", "900"), ("--clear", "--reason", "r"), ()):
        assert run("quiet", *words).code == 2


def test_status_shows_who_is_quiet(node: StubNode, run: Run) -> None:
    status = {
        "name": "netsky1", "label": "", "root": False, "fingerprint": "f", "version": "1", "ready": True,
        "uptime_ns": 1, "you": "agent0", "actors": [], "faults": 0,
        "quiet": [QUIET | {"by": "operator"}],
    }  # fmt: skip
    node.verbs["status"] = lambda _: status
    assert "agent1 is quiet for 15m more (says operator): a build" in run("status").out
