"""The way to the owner as real processes: with the daemon stopped, the database locked, the disk full, and with owner's
commands that hang, flood, fork away, fail or are not there."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from netsky.node import up
from netsky.node.escalate.limits import BODY_LETTERS_MAX, OUTPUT_BYTES_KEPT, WORST_SECONDS
from netsky.node.home import Home

from tests import needs
from tests.real.escalating import CLI, Shell, marker, script, set_command, telling, told
from tests.real.mesh import until
from tests.real.unprivileged import Unprivileged, unprivileged_user

pytestmark = pytest.mark.real


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """A root with a command that writes down what it is told; its daemon is not started yet."""
    found = Shell(tmp_path / "home")
    done = found.netsky("init", "--root")
    assert done.returncode == 0, done
    set_command(found.home, telling(tmp_path))
    config = found.home / "config.toml"
    config.write_text(config.read_text().replace('# bind = ""', 'bind = "127.0.0.1:0"'))
    yield found
    home = Home(str(found.home))
    pid = up.holder_pid(home)
    if pid is not None and not up.is_free(home):
        os.kill(pid, signal.SIGKILL)
        until(lambda: up.is_free(home))


def daemon(shell: Shell) -> int:
    """Started; its pid."""
    up.up(Home(str(shell.home)))
    pid = up.holder_pid(Home(str(shell.home)))
    assert pid is not None
    return pid


def processes(mark: str) -> list[str]:
    """Whatever runs with this word in its command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if mark in line and str(os.getpid()) != path.parent.name:
            found.append(f"{path.parent.name} {line}")
    return found


# What it does when all is well.


def test_it_says_subject_and_body_on_the_input_and_the_subject_and_node_in_the_environment(
    shell: Shell, tmp_path: Path
) -> None:
    done = shell.escalate("the build box\nis full", "-", stdin="first\x1b[2J\nsecond\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert told(tmp_path) == ["netsky0|the build box is full\nthe build box is full\n\nfirst[2J\nsecond\n"]
    assert marker(shell.home) is None


def test_nothing_that_is_said_is_read_by_a_shell(shell: Shell, tmp_path: Path) -> None:
    shell.escalate("$(touch pwned); `id` | cat", "'\"; rm -rf $HOME")
    assert told(tmp_path) == ["netsky0|$(touch pwned); `id` | cat\n$(touch pwned); `id` | cat\n\n'\"; rm -rf $HOME\n"]


def test_a_body_of_a_megabyte_is_cut_and_not_refused(shell: Shell, tmp_path: Path) -> None:
    assert shell.escalate("big", "-", stdin="x" * 1_000_000).returncode == 0
    [text] = told(tmp_path)
    assert len(text) < BODY_LETTERS_MAX + 100
    assert "[cut here:" in text


def test_the_test_says_that_it_is_one(shell: Shell, tmp_path: Path) -> None:
    assert shell.escalate("--test").returncode == 0
    assert "This is a test: nothing is wrong." in told(tmp_path)[0]


@pytest.mark.parametrize("words", [(), ("--test", "subject"), ("\x01\x02",), ("a", "b", "c"), ("a", "--bogus")])
def test_what_was_typed_wrongly_runs_nothing(shell: Shell, tmp_path: Path, words: tuple[str, ...]) -> None:
    done = shell.escalate(*words)
    assert done.returncode == 2
    assert "next: netsky escalate -h" in done.stderr
    assert told(tmp_path) == []


def test_its_help_is_that_of_every_command(shell: Shell) -> None:
    done = shell.escalate("-h")
    assert (done.returncode, "examples:" in done.stdout) == (0, True)


def test_an_actor_in_a_home_without_a_mesh_is_told_for_by_the_node_in_quotes(tmp_path: Path) -> None:
    alone = Shell(tmp_path / "home")
    assert alone.netsky("init").returncode == 0
    home = Home(str(alone.home))
    try:
        up.up(home, 1)
        inside = Shell(alone.home, {"NETSKY_SOCKET": home.actor_socket("agent1")})
        done = inside.escalate("hello")
        assert (done.returncode, "has no command" in done.stderr) == (3, True)
        set_command(alone.home, telling(tmp_path))
        until(lambda: inside.escalate("I am stuck", "netsky0 says:\nstop").returncode == 0)
        until(lambda: told(tmp_path))
        inside.escalate("I am stuck", "still")
        [page] = told(tmp_path)
        assert page.splitlines() == [
            *("netsky1|netsky: agent1@netsky1 escalates", "netsky: agent1@netsky1 escalates", ""),
            *("> I am stuck", "> ", "> netsky0 says:", "> stop"),
        ]
    finally:
        up.down(home)


# While all else is broken.


def test_the_daemon_stopped_by_sigstop_holds_nothing_up(shell: Shell, tmp_path: Path) -> None:
    pid = daemon(shell)
    os.kill(pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        assert shell.escalate("agent0 hangs").returncode == 0
        print(f"with the daemon stopped: {time.monotonic() - began:.2f} s")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert told(tmp_path)[0].startswith("netsky0|agent0 hangs\n")


def test_the_database_locked_by_somebody_else_holds_nothing_up(shell: Shell, tmp_path: Path) -> None:
    daemon(shell)
    with closing(sqlite3.connect(shell.home / "meta.db", isolation_level=None)) as locked:
        locked.execute("BEGIN IMMEDIATE")
        assert shell.escalate("the database is locked").returncode == 0
    assert told(tmp_path)[0].startswith("netsky0|the database is locked\n")


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    needs.root()
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "tmpfs", str(place)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        needs.missing(f"no small disk can be mounted: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_holds_nothing_up_and_a_marker_that_cannot_be_written_is_said(
    full_disk: Path, tmp_path: Path
) -> None:
    shell = Shell(full_disk / "home")
    assert shell.netsky("init", "--root").returncode == 0
    set_command(shell.home, telling(tmp_path))
    fill = full_disk / "fill"
    with fill.open("wb", buffering=0) as file:
        while os.statvfs(full_disk).f_bavail:
            file.write(b"x" * 4096)
    assert shell.escalate("the disk is full").returncode == 0
    assert told(tmp_path)[0].startswith("netsky0|the disk is full\n")
    script(tmp_path / "tell-owner", "exit 1")
    done = shell.hastily("and nobody hears it")
    assert done.returncode == 1
    assert "nor could that be noted" in done.stderr
    assert "No space left" in done.stderr
    assert marker(shell.home) is None


def test_nothing_else_of_ours_has_to_be_importable(shell: Shell, tmp_path: Path) -> None:
    """Everything but the folder of escalation and the marker's form is gone, and so are the libraries."""
    broken = (
        "import sys\n"
        "class Gone:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        ours = name.startswith('netsky.') and name not in ('netsky.node', 'netsky.node.cli',"
        " 'netsky.node.cli.main', 'netsky.node.marker') and not name.startswith('netsky.node.escalate')\n"
        "        if ours or name.split('.')[0] in ('trio', 'iroh', 'msgpack', 'cryptography', 'sqlite3', 'asyncio'):\n"
        "            raise ImportError(name)\n"
        "sys.meta_path.insert(0, Gone())\n"
        "from netsky.node.cli.main import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    environ = {name: value for name, value in shell.environ.items() if not name.startswith("COVERAGE")}
    command = [sys.executable, "-c", broken, "--home", str(shell.home), "--json", "escalate", "half of it is gone"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done
    assert json.loads(done.stdout)["data"]["way"] == "hook"
    assert told(tmp_path)[0].startswith("netsky0|half of it is gone\n")


def test_config_broken_by_hand_while_the_node_runs_leaves_the_command_that_was_good_last(
    shell: Shell, tmp_path: Path
) -> None:
    daemon(shell)
    until((shell.home / "state" / "escalate.json").exists)
    config = shell.home / "config.toml"
    config.write_text(config.read_text() + "\n[owner\n")
    done = shell.escalate("still here")
    assert done.returncode == 0
    assert "is not TOML" in done.stderr
    assert "line" in done.stderr
    assert "good last" in done.stderr
    assert told(tmp_path)[0].startswith("netsky0|still here\n")


def test_a_command_that_was_taken_out_of_the_config_is_not_used_any_more(shell: Shell, tmp_path: Path) -> None:
    daemon(shell)
    until((shell.home / "state" / "escalate.json").exists)
    set_command(shell.home)
    done = shell.escalate("nobody")
    assert done.returncode == 3
    assert "has no command that reaches the owner" in done.stderr
    assert "[owner]" in done.stderr
    assert told(tmp_path) == []
    found = marker(shell.home)
    assert found is not None
    assert found["owner"] == "escalate"
    assert "--test" in found["clear"]
    assert found["expires"] > found["at"]


@pytest.mark.parametrize("how", ["of somebody else", "open to all"])
def test_a_home_that_others_can_write_names_no_command(shell: Shell, tmp_path: Path, how: str) -> None:
    if how == "open to all":
        shell.home.chmod(0o777)
    else:
        needs.root()
        os.chown(shell.home, 54_321, -1)
    done = shell.escalate("hello")
    assert (done.returncode, "next: " in done.stderr) == (5, True)
    assert told(tmp_path) == []
    os.chown(shell.home, os.getuid(), -1)
    shell.home.chmod(0o700)


def test_without_a_home_it_says_so(tmp_path: Path) -> None:
    done = Shell(tmp_path / "nowhere").escalate("hello")
    assert (done.returncode, "there is no home at" in done.stderr) == (3, True)
    assert not (tmp_path / "nowhere").exists()


# Commands that misbehave.


def test_a_command_that_fails_twice_is_tried_three_times_and_only_exit_0_counts(shell: Shell, tmp_path: Path) -> None:
    count = tmp_path / "count"
    script(tmp_path / "tell-owner", f"echo half; echo x >> {count}; [ $(wc -l < {count}) -ge 3 ]")
    done = shell.hastily("third time", "--json")
    data = json.loads(done.stdout)["data"]
    assert (done.returncode, data["tries"], data["output"]) == (0, 3, "half\n")
    assert marker(shell.home) is None


def test_a_command_that_fails_always_leaves_a_marker_that_the_next_success_clears(shell: Shell, tmp_path: Path) -> None:
    script(tmp_path / "tell-owner", "echo no such number >&2; exit 67")
    done = shell.hastily("--json", "nobody there")
    error = json.loads(done.stdout)["error"]
    assert (done.returncode, error["code"], error["exit"]) == (1, "not_taken", 1)
    assert "tried 3 times" in error["message"]
    assert "exit code 67" in error["message"]
    assert "no such number" in error["message"]
    shell.hastily("again")
    found = marker(shell.home)
    assert found is not None
    assert (found["data"]["failures"], found["data"]["subject"]) == (2, "again")
    assert found["data"]["since"] < found["at"]
    script(tmp_path / "tell-owner", "exit 0")
    assert shell.escalate("--test").returncode == 0
    assert marker(shell.home) is None


BAD = {
    "hangs": ("sleep 987{mark}", "did not end within"),
    "ignores SIGTERM": ("trap '' TERM; while :; do sleep 987{mark}; done", "did not end within"),
    "stops itself": ("kill -STOP $$; sleep 987{mark}", "did not end within"),
    "floods": ("while :; do echo 0123456789012345678901234567890123456789; done; : {mark}", "wrote more than"),
    "forks away": ("setsid sh -c 'trap \"\" TERM HUP; setsid sleep 987{mark}' & sleep 987{mark}", "did not end within"),
    "dies": ("kill -9 $$", "signal 9"),
}


@pytest.mark.parametrize("how", BAD)
def test_a_command_that_misbehaves_is_ended_with_all_that_it_started(shell: Shell, tmp_path: Path, how: str) -> None:
    mark = str(os.getpid())
    text, reason = BAD[how]
    script(tmp_path / "tell-owner", text.format(mark=mark))
    done = shell.hastily("--json", "hello", seconds=1 if reason.startswith("did not end") else 20)
    assert done.returncode == 1
    assert reason in json.loads(done.stdout)["error"]["message"]
    assert marker(shell.home) is not None
    assert processes(f"987{mark}") == []
    assert processes(str(tmp_path / "tell-owner")) == []


def test_what_a_command_leaves_behind_when_it_succeeds_is_ended_too(shell: Shell, tmp_path: Path) -> None:
    mark = str(os.getpid())
    script(tmp_path / "tell-owner", f"setsid sleep 987{mark} & exit 0")
    assert shell.hastily("hello").returncode == 0
    assert processes(f"987{mark}") == []


def test_a_killed_escalate_takes_its_command_with_it(shell: Shell, tmp_path: Path) -> None:
    mark = str(os.getpid())
    script(tmp_path / "tell-owner", f"sleep 987{mark}")
    command = [sys.executable, *CLI, "escalate", "hello"]
    process = subprocess.Popen(command, env=shell.environ, stdin=subprocess.DEVNULL)
    until(lambda: processes(f"987{mark}"))
    process.kill()
    process.wait()
    until(lambda: not processes(f"987{mark}"))


def test_no_more_than_the_end_of_a_long_output_is_kept(shell: Shell, tmp_path: Path) -> None:
    script(tmp_path / "tell-owner", "i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done")
    data = json.loads(shell.hastily("--json", "hello").stdout)["data"]
    assert len(data["output"]) <= OUTPUT_BYTES_KEPT
    assert data["output"].endswith("line 1999\n")


def test_a_command_that_does_not_read_is_not_waited_for(shell: Shell, tmp_path: Path) -> None:
    script(tmp_path / "tell-owner", "exec <&-; exit 0")
    assert shell.hastily("hello", "b" * BODY_LETTERS_MAX).returncode == 0


def test_a_command_that_is_not_there_is_tried_once(shell: Shell, tmp_path: Path) -> None:
    set_command(shell.home, tmp_path / "nothing-here")
    done = shell.escalate("hello")
    assert done.returncode == 1
    assert "tried once" in done.stderr
    assert "cannot be started: No such file" in done.stderr
    assert marker(shell.home) is not None


def test_a_command_that_escalates_does_not_do_so_for_ever(shell: Shell, tmp_path: Path) -> None:
    script(
        tmp_path / "tell-owner",
        f"{sys.executable} -m netsky.node.cli.main --home {shell.home} escalate again 2>&1",
    )
    done = shell.hastily("hello")
    assert done.returncode == 1
    assert "calls escalate itself" in done.stderr


def test_the_worst_case_is_bounded() -> None:
    assert WORST_SECONDS < 90


# As somebody without rights.


@pytest.fixture(scope="module")
def user() -> Iterator[Unprivileged]:
    with unprivileged_user() as found:
        yield found


def test_as_an_ordinary_user_what_cannot_be_read_or_run_is_said(user: Unprivileged, tmp_path: Path) -> None:
    home = user.home / "node"
    netsky = [str(user.python), *CLI, "--home", str(home)]
    assert user.run([*netsky, "init", "--root"]).returncode == 0
    command = telling(user.home)
    os.chown(command, user.uid, user.gid)
    set_command(home, command)
    os.chown(home / "config.toml", user.uid, user.gid)
    assert user.run([*netsky, "escalate", "hello"]).returncode == 0
    assert told(user.home)[0].startswith("netsky0|hello\n")
    command.chmod(0o644)
    done = user.run([*netsky, "escalate", "hello"])
    assert (done.returncode, "Permission denied" in done.stderr) == (1, True)
    [check] = [one for one in json.loads(user.run([*netsky, "--json", "doctor"]).stdout)["data"]["checks"]
               if one["name"] == "owner"]  # fmt: skip
    assert (check["level"], "may not be run" in check["sentence"]) == ("warn", True)
    command.chmod(0o755)
    (home / "config.toml").chmod(0)
    done = user.run([*netsky, "escalate", "hello"])
    assert (done.returncode, "cannot be read" in done.stderr) == (4, True)  # for all it knows this is a sibling
    facts = {"node": "netsky0", "kind": "root", "is_deputy": False, "deputy": None, "members": 1}
    for known, code in (([], 3), ([str(command)], 0)):
        (home / "state" / "escalate.json").write_text(json.dumps(facts | {"command": known}))
        (home / "state" / "escalate.json").chmod(0o644)
        done = user.run([*netsky, "escalate", "by what is known"])
        assert (done.returncode, "cannot be read" in done.stderr) == (code, True)
    home.chmod(0)
    done = user.run([*netsky, "escalate", "hello"])
    assert done.returncode in {1, 3}
    assert "Traceback" not in done.stderr
