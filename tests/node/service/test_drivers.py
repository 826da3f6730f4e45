"""What service managers say, in our words."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from netsky.node.errors import NetskyError, TimedOut, Unreachable
from netsky.node.home import Home
from netsky.node.service import launchd, systemd
from netsky.node.service.manager import State, ask, failed

NO_BUS = "Failed to connect to bus: No medium found"


@pytest.mark.parametrize(
    ("booted", "runtime", "said", "step"),
    [
        (False, "", "this machine does not run systemd", "netsky up"),
        (True, "/run/user/7", "this shell does not know the user's systemd", "export XDG_RUNTIME_DIR=/run/user/7,"),
        (True, "", "no systemd of ada runs", "log in as ada by console or ssh"),
    ],
)
def test_an_absent_user_bus_becomes_what_to_do(booted: bool, runtime: str, said: str, step: str) -> None:
    error = systemd.unreachable(NO_BUS, user="ada", booted=booted, runtime=runtime)
    assert error.message == f"{said} (systemctl --user: {NO_BUS})"
    assert error.next.startswith(step)
    assert (error.exit, error.code) == (4, "no_service_manager")


LOADED = {"LoadState": "loaded", "NRestarts": "0", "Result": "success", "ExecMainStatus": "0", "StatusText": ""}


@pytest.mark.parametrize(
    ("shown", "state"),
    [
        ({"ActiveState": "active", "SubState": "running", "NRestarts": "2"}, State("running", 2)),
        ({"ActiveState": "activating", "SubState": "start"}, State("starting")),
        ({"ActiveState": "inactive", "SubState": "dead"}, State("stopped")),
        ({"ActiveState": "inactive", "LoadState": "not-found"}, State("not loaded")),
        (
            {"ActiveState": "activating", "SubState": "auto-restart", "Result": "signal"},
            State("waits", 0, "it was killed"),
        ),
        (
            {
                "ActiveState": "failed",
                "Result": "exit-code",
                "ExecMainStatus": "78",
                "StatusText": "meta.db is no database",
            },
            State("failed", 0, "meta.db is no database (its database cannot be used)"),
        ),
        (
            {"ActiveState": "failed", "Result": "exit-code", "ExecMainStatus": "9"},
            State("failed", 0, "it ended with exit code 9"),
        ),
        ({"ActiveState": "failed", "Result": "something-new"}, State("failed", 0, "something-new")),
    ],
)
def test_what_systemctl_shows_is_read(shown: dict[str, str], state: State) -> None:
    assert systemd.read_state(LOADED | shown) == state


@pytest.mark.parametrize(
    ("printed", "state"),
    [
        ("gui/501/local.netsky = {\n\tactive count = 1\n\tstate = running\n\n\tpid = 91\n}\n", State("running")),
        ("x = {\n\tstate = not running\n\tlast exit code = 0\n}\n", State("stopped")),
        ("x = {\n\tstate = not running\n\tlast exit code = (never exited)\n}\n", State("stopped")),
        (
            "x = {\n\tstate = not running\n\tlast exit code = 78: EX_CONFIG\n}\n",
            State("failed", 0, "it ended with exit code 78"),
        ),
    ],
)
def test_what_launchctl_prints_is_read(printed: str, state: State) -> None:
    """As Apple's manual shows it; no Mac was there to ask."""
    assert launchd.read_state(printed) == state


def test_a_machine_without_the_program_is_told_what_to_do_instead(tmp_path: Path) -> None:
    agent = launchd.Launchd("local.netsky", str(tmp_path), 501, Home(str(tmp_path)))
    if sys.platform != "darwin":
        with pytest.raises(Unreachable) as absent:
            agent.reach()
        assert "no launchctl" in absent.value.message
        assert absent.value.next.startswith("netsky up")
    assert agent.file == f"{tmp_path}/local.netsky.plist"


def test_a_manager_that_hangs_is_given_up() -> None:
    with pytest.raises(TimedOut) as hung:
        ask(["sleep", "60"], 0.05)
    assert "`sleep 60`" in hung.value.message


def test_a_failure_repeats_what_the_manager_said_in_one_line() -> None:
    done = ask(["sh", "-c", "echo one >&2; echo two >&2; exit 3"])
    error: NetskyError = failed(["systemctl", "--user", "enable", "x"], done)
    assert error.message == "`systemctl --user enable x` failed: one two"
