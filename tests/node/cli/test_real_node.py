"""Every command against a real daemon, its real answers held against the schemas that ship."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from netsky.node.cli.table import commands

pytestmark = pytest.mark.real

SCHEMAS = Path(str(resources.files("netsky.node"))) / "schemas"
NOT_RUN_HERE = {
    "dead-show",
    "dead-retry",
    "commit-rollback",
    "commit-approve",
    "commit-refuse",
    "demo",
    "bench-seal",
    "bench-bus",
    "bench-mesh",
    "task-unblock",
    "service-install",
}
"""They take long, or need a service manager or another node, and have tests of their own."""


def validator(name: str) -> jsonschema.Draft202012Validator:
    schema = json.loads((SCHEMAS / f"{name}.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())


class Shell:
    """A person's shell with one home; remembers which answers were held against which schema."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.checked: set[tuple[str, bool]] = set()
        self.environ = {name: value for name, value in os.environ.items() if not name.startswith("NETSKY_")}
        self.environ |= {"NETSKY_HOME": str(home), "TZ": "UTC"}

    def plain(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "netsky.node.cli.main", *words],
            env=self.environ, input=stdin, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert "Traceback" not in done.stdout + done.stderr
        return done

    def __call__(self, *words: str, exit: int = 0, stdin: str = "") -> list[dict[str, Any]]:  # noqa: A002
        """The lines of a command with --json, each valid by the schema that it names."""
        done = self.plain("--json", *words, stdin=stdin)
        assert done.returncode == exit, done
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        for line in lines:
            name = line["schema"].removeprefix("netsky.").removesuffix("/1")
            validator(name).validate(line)
            self.checked.add((name, line["ok"]))
        assert all(line["ok"] for line in lines[:-1])
        assert not lines or lines[-1]["ok"] == (exit == 0)
        if exit:
            assert lines[-1]["error"]["exit"] == exit
        return lines

    def one(self, *words: str, exit: int = 0) -> Any:  # noqa: A002
        (line,) = self(*words, exit=exit)
        return line["data" if exit == 0 else "error"]


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    found = Shell(tmp_path_factory.mktemp("real") / "home")
    yield found
    found.plain("down")


def test_every_schema_belongs_to_a_command_and_every_command_has_one() -> None:
    there = {path.stem for path in SCHEMAS.glob("*.json")}
    assert there == {command.schema_name for command in commands().values()} | {"overview", "error"}
    for name in there:
        assert validator(name).schema["title"] == f"netsky.{name}/1"


def test_a_schema_refuses_what_is_neither_answer_nor_error() -> None:
    good = {"schema": "netsky.version/1", "ok": True, "summary": "s", "generated_at": "2026-01-01T00:00:00.000Z"}
    check = validator("version")
    check.validate(good | {"data": {"version": "1"}})
    error = {"code": "c", "exit": 1, "message": "m", "next": "n"}
    for bad in (
        good,
        good | {"data": {}},
        good | {"data": {"version": "1"}, "error": error},
        good | {"ok": False, "data": {"version": "1"}},
        good | {"data": {"version": "1"}, "more": 1},
        good | {"schema": "netsky.version/2", "data": {"version": "1"}},
        good | {"ok": False, "error": error | {"exit": 0}},
    ):
        assert not check.is_valid(bad)


def test_before_there_is_a_home(shell: Shell) -> None:
    shell()
    shell("no-such-command", exit=2)
    for words in (("version",), ("primer",), ("help",), ("help", "start"), ("help", "send"), ("completion", "bash")):
        shell(*words)
    shell("help", "nothing-like-it", exit=3)
    shell("completion", "tcsh", exit=2)
    assert shell.one("status", exit=4)["next"] == "netsky init"
    shell("up", exit=3)
    assert not shell.home.exists()


def test_a_day_with_a_node(shell: Shell) -> None:
    made = shell.one("init", "--root", "--label", "desk")
    assert made["owner_key"].endswith("owner.key")
    assert shell.one("init", "--root")["already"] is True
    config = shell.home / "config.toml"
    config.write_text(config.read_text().replace('# bind = ""', 'bind = "127.0.0.1:0"'))
    shell("query", "SELECT 1", exit=3)
    assert shell.one("status", exit=4)["next"] == "netsky up"
    shell("wait", "ready", "--timeout", "0.1", exit=6)
    shell("wait", "down")
    assert shell.one("up", "1")["added"] == ["agent1"]
    assert shell.one("up")["already"] is True
    shell("wait", "ready")
    shell("wait", "down", "--timeout", "0.1", exit=6)
    status = shell.one("status")
    assert (status["name"], status["label"], status["faults"]) == ("netsky0", "desk", [])


def test_files_go_with_a_message_and_come_out_again(shell: Shell, tmp_path: Path) -> None:
    report = tmp_path / "report.txt"
    report.write_bytes(b"all green" * 100_000)
    sent = shell.one("send", "agent1", "", "--from", "agent0", "--attach", str(report))["id"]
    [listed] = shell.one("channel", "attachments", sent)["attachments"]
    assert (listed["name"], listed["size"]) == ("report.txt", 900_000)
    assert Path(listed["path"]).read_bytes() == report.read_bytes()
    [written] = shell.one("channel", "attachments", sent, "--to", str(tmp_path / "out"))["attachments"]
    assert Path(written["path"]) == tmp_path / "out" / "report.txt"
    assert Path(written["path"]).read_bytes() == report.read_bytes()
    drained = shell.one("channel", "drain", "agent1", "--limit", "1")
    assert drained["attachments"] == [listed]
    shell("channel", "ack", "agent1", sent)
    assert shell.one("send", "agent1", "x", "--from", "agent0", "--attach", "none", exit=3)["code"] == "no_file"
    shell("channel", "attachments", "no-such-id", exit=3)


def test_a_message_and_its_answer(shell: Shell) -> None:
    shell("agent", "add", "worker1")
    shell("agent", "add", "worker1", "--mode", "none", "--", "true", exit=2)
    shell("agent", "ls")
    sent = shell.one("send", "worker1", "count", "--from", "agent0", "--kind", "brief", "--data", '{"file": "x"}')["id"]
    again = ("send", "worker1", "x", "--from", "agent0", "--kind", "brief", "--idempotency-key", "k")
    assert shell.one(*again)["id"] == shell.one(*again)["id"]
    shell(*(*again[:2], "y", *again[3:]), exit=7)
    shell("send", "worker1", "x", "--from", "worker1", exit=5)
    shell("send", "agent9", "x", "--from", "agent0", exit=3)
    shell("send", "worker1", "x", "--kind", "cron", "--from", "agent0", exit=5)
    assert shell.one("channel", "ls", "worker1")["waiting"][0]["id"] == sent
    shell("channel", "ls")
    assert len(shell("channel", "tail", "worker1")) == 2
    (first, _) = shell("channel", "drain", "worker1")
    assert first["data"]["envelope"]["id"] == sent
    assert first["data"]["trust"] == "checked"
    shell("wait", "taken", sent, "--timeout", "0.1", exit=6)
    assert shell.one("channel", "ack", "worker1", sent[:20])["taken"] == [sent]
    assert shell.one("channel", "ack", sent, "nothing")["unknown"] == ["nothing"]
    shell("channel", "ack", "worker1", "nothing", exit=3)
    shell("channel", "ack", exit=2)
    assert len(shell.one("channel", "ack", "worker1", "--shown")["taken"]) == 1  # the other one that was drained
    assert shell.one("channel", "ack", "worker1", "--shown")["taken"] == []
    shell("wait", "taken", sent)
    shell("wait", "reply", sent, "--timeout", "0.1", exit=6)
    shell("send", "agent0", "6", "--from", "worker1", "--kind", "report", "--in-reply-to", sent)
    assert shell.one("wait", "reply", sent)["reply"]["text"] == "6"
    steps = {step["step"] for step in shell.one("trace", sent)["steps"]}
    assert {"accepted", "stored", "projected", "claimed", "taken", "answered"} <= steps
    shell("trace", "nothing", exit=3)
    assert shell.one("wait", "outcome", sent)["fate"] == "delivered"
    assert shell.one("send", "agent0", "x", "--from", "worker1", "--kind", "report", "--wait-outcome")["outcome"]
    assert shell.one("dead", "ls")["letters"] == []
    assert shell.one("dead", "drop", "--all") == {"dropped": 0}
    shell("dead", "show", sent, exit=3)
    shell("dead", "retry", sent, exit=3)
    assert shell.one("envelope", "verify", sent)["genuine"] is True
    archived = (shell.home / "channels" / "worker1" / "archive").glob("*.json")
    (file,) = (file for file in archived if sent in file.read_text())
    assert shell.one("envelope", "verify", str(file))["genuine"] is True
    assert shell.one("envelope", "show", str(file))["envelope"]["data"] == {"file": "x"}
    changed = shell.home.parent / "changed.json"
    changed.write_bytes(file.read_bytes().replace(b'"count"', b'"c0unt"'))
    shell("envelope", "verify", str(changed), exit=5)
    proven = shell.one("channel", "verify", str(file), "--keep")
    assert (proven["proven"], proven["kept"]) == (True, f"{file}.seal")
    assert shell.one("channel", "verify", sent[:20])["route"] is None
    shell("channel", "verify", str(changed), exit=5)
    shell("channel", "verify", "nothing", exit=3)
    shell("envelope", "show", str(shell.home / "none.json"), exit=3)
    assert shell.one("channel", "replay", "worker1", sent)["ids"] == [sent]
    shell("channel", "replay", "worker1", "nothing", exit=3)


def test_what_was_refused_is_listed(shell: Shell) -> None:
    outbox = shell.home / "channels" / "worker1" / "outbox"
    shell("channel", "forward-outbox", "worker1")
    name = "00000000000000000001-0000000001-00000001-0000000001-from-worker1.json"
    (outbox / name).write_text('{"from": "agent0", "to": "agent1", "text": "as another", "ts": "2026-01-01T00:00:00Z"}')
    shell("channel", "forward-outbox", "worker1")
    shell("channel", "forward-outbox", "worker9", exit=3)
    shell("channel", "ls", "--quarantine")
    shell("channel", "ls", "worker9", exit=3)
    shell("channel", "drain", "worker9", exit=3)
    shell("channel", "tail", "worker9", exit=3)


def test_what_the_owner_says_and_gets(shell: Shell) -> None:
    said = ("owner", "ask", "drop it?", "--from", "worker1", "--deadline", "2h")
    shell(*said, exit=2)
    asked = shell.one(*said, "--otherwise", "keep it")
    report = shell.one("send", "owner", "all is well", "--from", "agent0", "--kind", "report")["id"]
    shell(*said, "--otherwise", "keep it", "--wait=0.1s", exit=6)
    found = shell.one("owner", "inbox", "--peek")
    assert (found["waiting"], found["new"], found["asks"]) == (3, 3, 2)
    assert shell.one("owner", "show", asked["id"])["ask"]["otherwise"] == "keep it"
    replied = shell.one("owner", "reply", asked["id"], "yes")
    assert replied["answers"] == asked["id"]
    assert shell.one("owner", "reply", asked["id"], "yes")["duplicate"] is True
    shell("owner", "reply", asked["id"], "no", exit=7)
    shell("owner", "reply", "nothing", "no", exit=3)
    assert shell.one("wait", "reply", asked["id"])["reply"]["data"]["by"] == "owner"
    verified = shell.one("channel", "verify", replied["id"])
    assert (verified["answered"], verified["owner"]) == ("owner", True)
    assert shell.one("owner", "take", report)["taken"] == [report]
    assert len(shell.one("owner", "inbox", "--all")["items"]) == 3
    assert len(shell.one("owner", "asks", "--all")["asks"]) == 2
    sent = shell.one("owner", "send", "how far is it?")
    shell("send", "owner", "done", "--from", "agent0", "--kind", "reply", "--in-reply-to", sent["id"])
    assert (
        shell.one("owner", "send", "and now?", "--about", asked["id"], "--idempotency-key", "o")["duplicate"] is False
    )


def test_looking_at_what_happened(shell: Shell) -> None:
    assert shell.one("query", "SELECT count(*) AS n FROM messages")["columns"] == ["n"]
    assert shell.one("tick")["round"] > 0
    shell("query", "DELETE FROM messages", exit=2)
    assert shell.plain("query", "--csv", "SELECT 1 AS a, 'x,y' AS b").stdout == 'a,b\n1,"x,y"\n'
    assert shell.plain("query", "-", stdin="SELECT 5 AS five").stdout == "five\n5\n"
    kinds = {line["data"]["event"]["kind"] for line in shell("events")}
    assert "taken" in kinds
    assert {line["data"]["event"]["kind"] for line in shell("events", "--kind", "taken")} == {"taken"}


def test_the_way_to_the_owner(shell: Shell, tmp_path: Path) -> None:
    assert shell.one("escalate", "hello", exit=3)["code"] == "no_owner_command"
    config = shell.home / "config.toml"
    before = config.read_text()
    config.write_text(before.replace("# command = []", f'command = ["{sys.executable}", "-c", "print(input())"]'))
    said = shell.one("escalate", "--test")
    assert (said["way"], said["tries"], said["output"]) == ("hook", 1, "netsky: test of the owner's channel\n")
    shell("escalate", exit=2)
    config.write_text(before)


def test_what_a_round_costs(shell: Shell) -> None:
    figures = {one["key"] for one in shell.one("bench", "tick", "--at", str(shell.home.parent))["figures"]}
    assert {"round_ms", "cron_ms", "loops_ms", "reading_step_ms", "reference_commit_ms"} <= figures


def test_what_a_simulation_comes_to_and_costs(shell: Shell) -> None:
    told = shell.one("sim", "--seed", "1", "--nodes", "2", "--hours", "0.003", "--faults", "light")
    assert (told["class"], told["runs"]) == (None, 1)
    figures = {one["key"] for one in shell.one("bench", "sim", "--seconds", "3", "--nodes", "3")["figures"]}
    assert {"real", "stand_ins", "envelope_ms", "share_trio", "node_ms", "reference_commit_ms"} <= figures


def test_what_a_ticket_costs(shell: Shell) -> None:
    done = shell.one("bench", "work", "--count", "60", "--at", str(shell.home.parent))
    assert {"tickets_per_s", "queued_mib", "resume_s"} < {one["key"] for one in done["figures"]}


def test_schedules_and_loops(shell: Shell) -> None:
    nightly = ("cron", "add", "nightly", "30 3 * * *", "agent0", "look")
    added = shell.one(*nightly, "--tz", "Europe/Berlin", "--missed", "skip")
    assert (added["words"], len(added["next"])) == ("At 03:30 every day", 3)
    shell(*nightly, exit=7)
    shell("cron", "add", "never", "0 0 31 2 *", "agent0", "look", exit=2)
    shell("cron", "add", "gone", "* * * * *", "agent8", "look", exit=3)
    assert shell.one("cron", "ls")["entries"][0]["missed"] == "skip"
    assert len(shell.one("cron", "next", "nightly", "--count", "5")["fires"]) == 5
    shell("cron", "next", "other", exit=3)
    assert shell.one("cron", "tick") == {
        "entries": 1, "fired": 0, "late": 0, "missed": 0, "refused": 0, "waiting": 0,
    }  # fmt: skip
    assert "03:30 Europe/Berlin, in " in shell.plain("cron", "ls").stdout
    assert shell.one("cron", "rm", "nightly") == {"label": "nightly"}
    shell("cron", "rm", "nightly", exit=3)
    made = shell.one("loop", "create", "dynamic", "how is it?", "--id", "watch")
    assert (made["target"], made["interval_s"]) == ("agent0", None)
    shell("loop", "create", "30m", "again", "--id", "watch", exit=7)
    shell("loop", "create", "now and then", "again", exit=2)
    shell("loop", "create", "5s", "again", exit=2)
    assert shell.one("loop", "create", "15m", "check the next merge window")["id"] == "loop1"
    shell("loop", "rm", "loop1")
    assert shell.one("loop", "tick")["fired"] <= 1
    again = shell.one("loop", "reschedule", "watch", "--in", "2h")
    assert again["fired"] is not None
    assert len(shell.one("loop", "ls")["loops"]) == 1
    assert shell.one("loop", "rm", "watch") == {"id": "watch"}
    shell("loop", "rm", "watch", exit=3)


def test_who_is_watched_and_who_is_quiet(shell: Shell) -> None:
    shell("tick")
    found = shell.one("watchdog")
    assert {"agent0", "agent1", "agentcron"} <= {one["actor"] for one in found["actors"]}
    assert found["alarms"] == []
    said = shell.one("quiet", "900", "--reason", "a long build", "--actor", "agent1")
    assert (said["actor"], said["quiet"][0]["by"]) == ("agent1", "operator")
    assert [one["actor"] for one in shell.one("status")["quiet"]] == ["agent1"]
    assert "operator" in {one["owner"] for one in shell.one("watchdog")["markers"]}
    assert shell.one("quiet", "--clear", "--actor", "agent1")["cleared"] == 1
    shell("quiet", "3601", "--reason", "too long", exit=2)
    shell("quiet", "60", "--reason", "of nobody", "--actor", "agent77", exit=3)


def test_an_actor_with_a_program(shell: Shell) -> None:
    program = "import json,sys; print(len(json.load(sys.stdin)['text']), 'letters'); print('looked', file=sys.stderr)"
    unfenced = ("--unfenced", "--confirm", "worker2")
    shell("agent", "add", "worker2", "--unfenced", "--", "true", exit=5)
    shell("agent", "add", "worker2", "--mode", "per-envelope", *unfenced, "--", sys.executable, "-c", program)
    shell("agent", "add", "worker2", *unfenced, "--", "another", exit=7)
    sent = shell.one("send", "worker2", "seven!!", "--from", "agent0", "--kind", "brief")["id"]
    assert shell.one("wait", "reply", sent, "--timeout", "30")["reply"]["text"].strip() == "7 letters"
    assert "looked" in shell.one("agent", "logs", "worker2")["lines"]
    shell("agent", "logs", "worker9", exit=3)
    shell("agent", "rm", "worker2")
    shell("agent", "rm", "worker2", exit=3)


def test_a_program_is_started_anew(shell: Shell) -> None:
    shell("agent", "add", "worker3", "--unfenced", "--confirm", "worker3", "--", "sleep", "99")
    lines = shell.one("drill", "crash", "--actor", "worker3")["lines"]
    assert "not proved" not in {line["word"] for line in lines}, lines
    shell("drill", "nothing", exit=2)
    asked = shell.one("restart", "worker3", "--reason", "a test", "--detach")["restart"]
    assert (asked["state"], asked["why"]) == ("written", "a test")
    shell("restart", "worker9", exit=3)
    assert shell.one("handoffs", "worker3")["handoffs"][0]["id"] == asked["id"]
    shell("agent", "rm", "worker3")


def test_a_machine_joins_and_leaves(shell: Shell) -> None:
    other = Shell(shell.home.parent / "other")
    other.checked = shell.checked
    ticket = shell.one("invite", "studio", "--capability", "gpu")["ticket"]
    shell("invite", "two\nlines", exit=2)
    other("join", ticket, exit=2)
    joined = other.one("join", ticket, "--yes")
    assert (joined["name"], joined["made"]) == ("netsky1", True)
    nodes = shell.one("nodes")
    assert [(one["name"], one["capabilities"]) for one in nodes["members"]] == [("netsky0", []), ("netsky1", ["gpu"])]
    shell("approve", "studio", exit=3)
    held = shell.one("invite", "box", "--hold")["ticket"]
    third = Shell(shell.home.parent / "third")
    third.checked = shell.checked
    third("join", held, "--yes", "--timeout", "1", exit=6)
    [waiting] = shell.one("nodes")["pending"]
    assert shell.one("approve", "box")["words"] == waiting["words"]
    assert third.one("join", held, "--yes")["name"] == "netsky2"
    assert shell.one("deputy") == {"name": None, "label": None, "changed": False, "version": nodes["version"] + 1}
    assert shell.one("deputy", "studio")["name"] == "netsky1"
    assert [one["name"] for one in shell.one("nodes")["members"] if "deputy" in one["capabilities"]] == ["netsky1"]
    shell("deputy", "netsky0", exit=7)
    shell("deputy", "nobody", exit=3)
    shell("invite", "more", "--capability", "deputy", exit=2)
    assert shell.one("deputy", "--none")["changed"] is True
    assert shell.one("revoke", "box", "--yes")["already"] is False
    assert third.one("join", held, "--yes", exit=5)["code"] == "revoked"
    shell("revoke", "netsky0", "--yes", exit=7)


def test_a_halt_and_its_end(shell: Shell) -> None:
    halted = shell.one("halt", "--node", "netsky0", "--reason", "a test")
    assert (halted["done"], halted["here"]["stored"]) == (1, True)
    everybody = shell.plain("--json", "halt", "--all")  # an answer, and exit 6 for the one that is away
    assert everybody.returncode == 6
    answer = json.loads(everybody.stdout)
    validator("halt").validate(answer)
    assert (answer["ok"], answer["data"]["done"], answer["data"]["waiting"]) == (True, 1, 1)
    assert shell.one("send", "agent1", "x", "--from", "agent0", exit=8)["code"] == "halted"
    shell("channel", "drain", "agent0")
    shell("nodes")
    shell("status")
    shell("doctor")
    shell("halt", "--node", "nobody", exit=3)
    shell("halt", "--node", "netsky1", "--all", exit=2)
    assert shell.one("resume", "--node", "netsky0")["here"]["halted"] is False


def test_work(shell: Shell) -> None:
    plan = shell.home.parent / "plan.toml"
    plan.write_text('name = "demo"\n[[ticket]]\nid = "build"\n[[ticket]]\nid = "test"\nafter = ["build", "bild"]\n')
    error = shell.one("run", str(plan), exit=2)
    assert f"{plan}:6: test comes after bild" in error["message"]
    plan.write_text('name = "demo"\n[[ticket]]\nid = "build"\n[[ticket]]\nid = "test"\nafter = ["build"]\n')
    assert shell.one("run", str(plan), "--check")["run"] is None
    done = shell.one("run", str(plan))
    assert (done["run"]["state"], done["states"]) == ("completed", {"committed": 2})
    plan.write_text(
        'name = "later"\n[[ticket]]\nid = "gpu"\nneeds = ["gpu"]\n[[ticket]]\nid = "after"\nafter = ["gpu"]\n'
    )
    later = shell.one("run", str(plan), "--no-wait")["run"]["id"]
    shown = shell.one("task", "show", f"{later}.gpu")
    assert shown["waits"] == "waiting: needs gpu; no node has it"
    assert [one["id"] for one in shell.one("task", "ls", "--open")["tickets"]] == [f"{later}.gpu", f"{later}.after"]
    assert len(shell.one("task", "tree", later)["tickets"]) == 2
    assert shell.one("task", "add", "more", "--run", later)["ticket"] == f"{later}.more"
    assert shell.one("note", f"{later}.gpu", "who has one?")["pointer"] == "note:1"
    assert shell.one("task", "cancel", f"{later}.gpu", "--reason", "no gpu")["cancelled"] == [f"{later}.gpu"]
    assert shell.one("task", "show", f"{later}.after")["state"] == "dead"
    assert shell.one("task", "reasons")["reasons"]
    assert shell.one("task", "retry", f"{later}.gpu")["retried"] == [f"{later}.gpu", f"{later}.after"]
    shell("task", "retry", f"{later}.gpu", exit=7)
    shell("task", "show", "nothing-like-it", exit=3)
    shell("task", "unblock", f"{later}.gpu", exit=7)
    shell("task", "cancel", "--run", later)
    shell.plain("task", "ls")
    shell.plain("task", "show", f"{later}.gpu")
    shell.plain("task", "tree", later)


def test_nothing_was_committed_and_nothing_lies_about(shell: Shell) -> None:
    assert shell.one("commit", "log")["commits"] == []
    assert shell.one("gc", "--dry-run") == {"dry": True, "things": [], "freed": 0}
    assert shell.one("gc")["things"] == []
    for words in (("rollback", "k"), ("approve", "k"), ("refuse", "k", "--why", "no")):
        assert shell.one("commit", *words, exit=3)["code"] == "no_such_key"


def test_health(shell: Shell) -> None:
    shell("doctor")
    assert shell.one("service", "beat")["word"] == "well"
    assert shell.one("service", "status")["installed"] is False
    assert shell.one("service", "uninstall")["already"] is True


def test_the_end(shell: Shell) -> None:
    shell("restart")
    backup = str(shell.home.parent / "backup.tar")
    assert "meta.db" in shell.one("backup", backup)["files"]
    shell("backup", backup, exit=7)
    shell("restore", backup, exit=7)
    assert shell.one("down")["already"] is False
    assert shell.one("restore", backup)["files"] == []
    assert shell.one("down")["already"] is True
    assert shell.one("query", "SELECT count(*) FROM messages")["rows"][0][0] > 3
    kept = shell.one("send", "agent0", "later", "--from", "worker1", "--kind", "report")
    assert kept["stored"] == "outbox"
    shell("agent", "ls", exit=4)
    shell("channel", "drain", "agent0")
    shell("up")
    for _ in range(100):
        if shell.one("query", "SELECT count(*) FROM messages WHERE via = 'outbox'")["rows"] == [[1]]:
            break
    else:
        pytest.fail("what was kept in the outbox was not sent")


def test_every_answer_and_every_error_was_held_against_its_schema(shell: Shell) -> None:
    answers = {name for name, ok in shell.checked if ok}
    assert answers == {command.schema_name for command in commands().values()} - NOT_RUN_HERE | {"overview"}
    errors = {name for name, ok in shell.checked if not ok}
    assert len(errors) >= 20
