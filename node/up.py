"""Starting and stopping the daemon from outside. Standard library only: these are everyday commands.

A daemon that was started here reports by a pipe: one line when it serves, or one line with the error that a person
can act upon. A pipe that closes without a line was a crash, and the log says the rest.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from netsky.node import client as clients
from netsky.node.daemon.exits import REASONS
from netsky.node.errors import Conflict, NetskyError, TimedOut, Unreachable
from netsky.node.home import HOLDER_NAME, LOCK_NAME, Home, check_permissions, take_lock
from netsky.node.limits import STOP_SECONDS
from netsky.node.seams.real import RealTime
from netsky.node.seams.real_files import RealFiles

START_SECONDS = 30.0
"""A start after a crash checks the whole database."""

_POLL_SECONDS = 0.02
_REPORT_BYTES_MAX = 64 * 1024
_NOT_FOR_A_DAEMON = ("NETSKY_SOCKET", "NETSKY_ACTOR", "NETSKY_CHANNEL", "NETSKY_NODE", "NETSKY_HOME")


@dataclass(frozen=True, slots=True)
class Up:
    pid: int
    already: bool
    added: tuple[str, ...]
    """Actors that were registered by this call."""


@dataclass(frozen=True, slots=True)
class Down:
    already: bool
    pid: int | None


def up(home: Home, managers: int = 0, *, timeout: float = START_SECONDS) -> Up:
    """The node runs afterwards, with agent0 and agent1 to agentN on its bus; one that runs is left alone."""
    running = running_pid(home)
    pid = running if running is not None else _start(home, timeout)
    return Up(pid, running is not None, register(home, managers))


def foreground(home: Home, *, echo: bool = True) -> None:
    """Becomes the daemon: this process is replaced and does not return. `echo`: the log on stderr as well."""
    check_permissions(home, RealFiles())
    command = [*_command(home), *(("--foreground",) if echo else ())]
    os.execve(sys.executable, command, _environment(os.environ))  # noqa: S606


def down(home: Home, *, timeout: float = STOP_SECONDS + 5) -> Down:
    """The node does not run afterwards. TimedOut, with the pid, if it does not end."""
    time = RealTime()
    until = time.monotonic() + int(timeout * 1e9)
    pid = _ask_to_stop(home, timeout)
    if pid is None and is_free(home):
        return Down(already=True, pid=None)
    while not is_free(home):
        if time.monotonic() > until:
            pid = pid or holder_pid(home) or 0
            raise TimedOut(
                f"the node (pid {pid}) did not end within {timeout:g} s",
                next=f"look into {home.node_log}; to end it at once: kill -9 {pid}",
            )
        select.select([], [], [], _POLL_SECONDS)
        if pid is None:  # it was starting when it was asked, and does not serve before it is up
            pid = _ask_to_stop(home, timeout)
    return Down(already=False, pid=pid)


def _ask_to_stop(home: Home, timeout: float) -> int | None:
    """The pid of the node that heard it, None if nobody answers."""
    try:
        with clients.Client.connect(home, timeout=min(timeout, clients.CALL_SECONDS)) as node:
            pid = int(node.call("ping")["pid"])
            with suppress(Unreachable):  # it may be faster than its answer
                node.call("stop")
            return pid
    except Unreachable:
        return None
    except TimedOut:
        return holder_pid(home) or 0


def restart(home: Home, *, timeout: float = START_SECONDS) -> Up:
    down(home)
    return up(home, timeout=timeout)


def running_pid(home: Home) -> int | None:
    """The daemon's pid if it answers."""
    try:
        with clients.Client.connect(home, timeout=5) as node:
            return int(node.call("ping")["pid"])
    except Unreachable:
        return None


def holder_pid(home: Home) -> int | None:
    """Who says that it holds the lock; for sentences only, the lock is the truth."""
    try:
        with open(home.at(HOLDER_NAME), encoding="ascii") as file:
            return int(json.loads(file.read(1024))["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError, OverflowError):  # gone, or somebody else's by now
        return False
    return pid > 1


def is_free(home: Home) -> bool:
    """Nobody has the home. A process that was killed may have it a moment longer, by threads that still end."""
    if not os.path.exists(home.at(LOCK_NAME)):
        return True
    lock = take_lock(home, RealFiles())
    if lock is None:
        return False
    lock.release()
    return True


def _start(home: Home, timeout: float) -> int:
    files = RealFiles()
    check_permissions(home, files)  # before anything of it is written
    files.make_folder(home.logs)
    reading, writing = os.pipe()
    output = os.open(home.daemon_output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        process = subprocess.Popen(
            [*_command(home), "--report-fd", str(writing)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=home.path,
            env=_environment(os.environ),
            pass_fds=(writing,),
            start_new_session=True,
        )
    finally:
        os.close(output)
        os.close(writing)
    try:
        line = _report(reading, timeout)
    except BaseException:  # Ctrl-C: whoever says "not any more" must not find it running a moment later
        _end(process)
        raise
    finally:
        os.close(reading)
    if line is None:
        process.kill()
        process.wait()
        raise TimedOut(f"the node did not serve within {timeout:g} s and was ended", next=f"look into {home.node_log}")
    return _started(home, process, line, timeout)


def _end(process: subprocess.Popen[bytes]) -> None:
    """In order, or at once if that takes too long or is interrupted too: a kill at any moment loses nothing."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        process.kill()
        process.wait()


def _started(home: Home, process: subprocess.Popen[bytes], line: bytes, timeout: float) -> int:
    try:
        report: dict[str, Any] = json.loads(line)
    except ValueError:
        code = process.wait()
        why = REASONS.get(code, f"signal {-code}" if code < 0 else f"exit code {code}")
        raise NetskyError(
            f"the node ended while it started: {why}",
            next=f"look into {home.node_log} and {home.daemon_output}",
            code="start_failed",
        ) from None
    if "error" not in report:
        process.returncode = 0  # it lives on without us: nobody waits for it, and the interpreter need not warn
        return process.pid
    process.wait()
    error = clients.error_from(report["error"])
    if error.code != "home_in_use":
        raise error
    return _somebody_elses(home, error, timeout)


def _somebody_elses(home: Home, error: NetskyError, timeout: float) -> int:
    """Somebody started it at the same moment: theirs is as good as ours, once it answers."""
    time = RealTime()
    until = time.monotonic() + int(timeout * 1e9)
    while (pid := running_pid(home)) is None:
        if time.monotonic() > until:
            raise Conflict(error.message, next=error.next, code=error.code)
        select.select([], [], [], _POLL_SECONDS)
    return pid


def _report(reading: int, timeout: float) -> bytes | None:
    """The line that the daemon wrote, what there is of it when it died, None when the time is over."""
    time = RealTime()
    until = time.monotonic() + int(timeout * 1e9)
    line = b""
    while not line.endswith(b"\n") and len(line) < _REPORT_BYTES_MAX:
        left = (until - time.monotonic()) / 1e9
        if left <= 0 or not select.select([reading], [], [], left)[0]:
            return None
        data = os.read(reading, _REPORT_BYTES_MAX)
        if not data:
            break
        line += data
    return line


def register(home: Home, managers: int) -> tuple[str, ...]:
    """agent1 to agentN are on the bus afterwards; which of them were not before."""
    if not managers:
        return ()
    with clients.Client.connect(home) as node:
        here = {actor["name"] for actor in node.call("agent_ls")["actors"]}
        wanted = [f"agent{number}" for number in range(1, managers + 1)]
        missing = tuple(name for name in wanted if name not in here)
        for name in missing:
            node.call("agent_add", actor=name, mode="none")
    return missing


def _command(home: Home) -> list[str]:
    return [sys.executable, "-m", "netsky.node.daemon", "--home", home.path]


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Ours, without what only an actor has: a daemon that an actor starts is not that actor."""
    return {name: value for name, value in environ.items() if name not in _NOT_FOR_A_DAEMON}
