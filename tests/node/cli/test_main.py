"""How a command ends: its exit code, its streams, and never with a traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from netsky.node.cli import run as run_module
from netsky.node.errors import BY_EXIT

from tests.node.cli.conftest import Run, StubNode

Spawn = Callable[..., subprocess.Popen[str]]


def test_netsky_alone_lists_every_command_by_topic(run: Run) -> None:
    ran = run()
    assert (ran.code, ran.err) == (0, "")
    for word in ("init", "channel drain", "trace", "agent add", "Messages", "netsky help start"):
        assert word in ran.out
    assert all(len(line) <= 80 for line in ran.out.splitlines())


@pytest.mark.parametrize("code", sorted(BY_EXIT))
def test_an_error_of_the_node_keeps_its_exit_code(code: int, run: Run, node: StubNode) -> None:
    node.verbs["trace"] = lambda args: {
        "error": {"code": "x", "exit": code, "message": "It failed.", "next": "do that"}
    }
    ran = run("trace", "a" * 32)
    assert ran.code == code
    assert ran.err == "netsky: It failed.\n  next: do that\n"
    again = run("--json", "trace", "a" * 32)
    assert again.code == code
    assert again.json["error"] == {"code": "x", "exit": code, "message": "It failed.", "next": "do that"}


def test_a_mistake_of_ours_is_a_sentence_with_the_path_of_a_log(
    run: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(handler: str) -> object:
        raise ZeroDivisionError("secret thing")

    monkeypatch.setattr(run_module, "_load", broken)
    ran = run("status")
    assert ran.code == 1
    assert "Traceback" not in ran.err + ran.out
    assert ran.err.count("\n") == 2
    (log,) = (home / "logs").glob("cli-crash-*.txt")
    assert str(log) in ran.err
    assert "ZeroDivisionError: secret thing" in log.read_text()
    assert log.stat().st_mode & 0o077 == 0


def test_a_crash_without_a_home_is_logged_elsewhere(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETSKY_HOME", str(tmp_path / "nowhere"))
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))

    def broken(handler: str) -> object:
        raise ZeroDivisionError

    monkeypatch.setattr(run_module, "_load", broken)
    ran = run("status")
    (log,) = tmp_path.glob("cli-crash-*.txt")
    assert str(log) in ran.err
    assert not (tmp_path / "nowhere").exists()


def test_a_machine_error_names_what_and_where(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(handler: str) -> object:
        raise PermissionError(13, "Permission denied", "/some/file")

    monkeypatch.setattr(run_module, "_load", broken)
    ran = run("status")
    assert ran.code == 1
    assert ran.err == "netsky status: Permission denied: /some/file\n  next: netsky doctor\n"


def test_without_a_home_the_next_step_is_init(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NETSKY_HOME", str(tmp_path / "nowhere"))
    ran = run("agent", "ls")
    assert ran.code == 4
    assert "there is no home at" in ran.err
    assert "next: netsky init" in ran.err


def test_with_the_node_down_the_next_step_is_up(run: Run, home: Path) -> None:
    ran = run("agent", "ls")
    assert ran.code == 4
    assert ran.err == f"netsky: the node of {home} is not running\n  next: netsky up\n"


def test_inside_an_actor_the_next_step_is_to_wait(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NETSKY_SOCKET", str(tmp_path / "actor.sock"))
    ran = run("trace", "a" * 32)
    assert ran.code == 4
    assert "next: netsky wait ready" in ran.err


@pytest.mark.parametrize(
    "words", ["down", "restart", "channel drain agent2", "channel ack agent2 --shown", "channel ls agent2"]
)
def test_an_actor_is_refused_what_is_not_its_own_with_5(
    words: str, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NETSKY_SOCKET", str(tmp_path / "actor.sock"))
    monkeypatch.setenv("NETSKY_ACTOR", "agent1")
    ran = run(*words.split())
    assert (ran.code, "agent1" in ran.err) == (5, True)


@pytest.mark.real
def test_a_reader_that_goes_away_is_no_fault(spawn: Spawn) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    process = spawn("help", "bus", stdout=writing)
    os.close(writing)
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (141, "")


@pytest.mark.real
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_with_its_number_and_no_word(number: int, code: int, spawn: Spawn, home: Path) -> None:
    (home / "channels" / "agent0" / "inbox").mkdir(parents=True)
    process = spawn("channel", "tail", "agent0", "--follow")
    assert process.stderr is not None
    assert process.stderr.readline() == "nothing waits for agent0\n"
    process.send_signal(number)
    out, errors = process.communicate(timeout=30)
    assert (process.returncode, out, errors) == (code, "", "")


@pytest.mark.real
def test_closed_streams_are_no_fault(home: Path) -> None:
    command = f"{sys.executable} -m netsky.node.cli.main help >&- 2>&- <&-"
    assert subprocess.run(["bash", "-c", command], check=False).returncode == 0


@pytest.mark.real
def test_a_closed_stdin_is_an_empty_one(home: Path) -> None:
    command = f"{sys.executable} -m netsky.node.cli.main send agent1 - --from agent0 <&-"
    done = subprocess.run(["bash", "-c", command], check=False, capture_output=True, text=True)
    assert (done.returncode, "stdin held nothing" in done.stderr) == (2, True), done.stderr


@pytest.mark.real
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has /dev/full")
@pytest.mark.parametrize("words", ["help", "help limits", "version --json", "trace x --json"])
def test_an_answer_that_finds_no_room_is_one_sentence(words: str, home: Path) -> None:
    command = f"{sys.executable} -m netsky.node.cli.main {words} > /dev/full"
    done = subprocess.run(["bash", "-c", command], check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert "No space left on device" in done.stderr
    assert done.stderr.count("\n") == 2


@pytest.mark.real
def test_a_locale_without_letters_prints_them_escaped(spawn: Spawn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "C")
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    process = spawn("primer")
    out, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")
    assert "\\u2026" in out


EVERYDAY = (
    ("send", "agent0", "hi"),
    ("send", "agent0", "hi", "--from", "worker1"),
    ("status",),
    ("channel", "ls"),
    ("channel", "ls", "worker1"),
    ("channel", "ack", "worker1", "x" * 32),
    ("channel", "drain", "worker1"),
    ("channel", "drain", "worker1", "--json"),
    ("channel", "tail", "worker1"),
    ("agent", "ls"),
    ("trace", "x" * 32),
    ("wait", "ready", "--timeout", "0"),
    ("help",),
    ("primer",),
)
HEAVY = {"trio", "iroh", "rich", "click", "msgspec", "msgpack", "cryptography", "asyncio", "sqlite3", "aiosqlite"}


@pytest.mark.real
@pytest.mark.parametrize("words", EVERYDAY, ids=" ".join)
@pytest.mark.parametrize("up", [False, True], ids=["down", "up"])
def test_an_everyday_command_imports_nothing_heavy(
    words: tuple[str, ...], up: bool, home: Path, node: StubNode
) -> None:
    (home / "channels" / "worker1").mkdir(parents=True)
    if not up:
        node.stop()
    # Measuring coverage would import sqlite3 by itself.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "netsky.node.cli.main", *words],
        env=environ, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    imported = {
        line.rpartition("|")[2].strip().split(".")[0]
        for line in done.stderr.splitlines()
        if line.startswith("import time")
    }
    assert "argparse" in imported
    assert not imported & HEAVY, f"netsky {' '.join(words)}"
    assert "Traceback" not in done.stderr
