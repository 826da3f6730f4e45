"""Types the demo's commands, shows them with their answers, and cleans up whatever happens."""

from __future__ import annotations

import json
import os
import shutil
import signal
import site
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

from netsky.node import up
from netsky.node.errors import NetskyError
from netsky.node.home import Home

COMMAND_SECONDS = 60.0
_WORD_CHARS_MAX = 48


class Show:
    """One folder, and in it a home for each machine of the mesh that is shown."""

    def __init__(self, folder: str, machines: Sequence[str], *, quiet: bool) -> None:
        self.folder = folder
        self.homes = {machine: os.path.join(folder, machine) for machine in machines}
        self.repository = os.path.join(folder, "repository")
        self._environ = _environment(os.path.join(folder, "user"))
        self._quiet = quiet

    def title(self, text: str) -> None:
        self.say(f"\n== {text}")

    def say(self, text: str) -> None:
        if not self._quiet:
            print(text, flush=True)

    def run(self, machine: str, *command: str) -> None:
        """A command whose answer people read."""
        self._type(machine, command)
        self.say(self._finish(machine, command).stdout.rstrip())

    def ask(self, machine: str, *command: str) -> dict[str, Any]:
        """A command whose answer the story needs: the data of its --json answer."""
        self._type(machine, command)
        return self.look(machine, *command)

    def look(self, machine: str, *command: str, hold: bool = True) -> dict[str, Any]:
        """The same, not shown: how the demo itself watches. One that only waits need not `hold` a Ctrl-C back."""
        data: dict[str, Any] = json.loads(self._finish(machine, ("--json", *command), hold=hold).stdout)["data"]
        return data

    def kill(self, machine: str) -> int:
        """As the kernel does when memory is short, or a person who pulls the plug. Returns the pid."""
        pid = up.holder_pid(Home(self.homes[machine]))
        if pid is None:
            raise NetskyError(f"the node of {machine} cannot be found", next="netsky demo --keep", code="no_pid")
        self.say(f"{machine}$ kill -9 {pid}")
        os.kill(pid, signal.SIGKILL)
        return pid

    def end(self, *, running: bool, files: bool) -> None:
        """Stops the nodes unless they may go on `running`, removes the `files` unless they stay; on Ctrl-C too."""
        with held_signals():
            if not running:
                for stopping in [(machine, self._start(machine, ("down",))) for machine in self.homes]:
                    self._stopped(*stopping)
            if not files:
                for home in self.homes.values():
                    # A long path of the home puts the sockets elsewhere, and only the home says where.
                    shutil.rmtree(Home.find(home).runtime_folder, ignore_errors=True)
                shutil.rmtree(self.folder, ignore_errors=True)

    def _stopped(self, machine: str, stopping: subprocess.Popen[str]) -> None:
        """A node that does not end when it is asked ends all the same: nothing of a demo outlives it."""
        try:
            stopping.communicate(timeout=COMMAND_SECONDS)
        except subprocess.TimeoutExpired:
            stopping.kill()
            stopping.communicate()
        pid = up.holder_pid(Home(self.homes[machine])) if stopping.returncode != 0 else None
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _type(self, machine: str, command: Sequence[str]) -> None:
        shown = " ".join(_quoted(word) for word in command)
        self.say(f"{machine}$ netsky {shown}")

    def _finish(self, machine: str, command: Sequence[str], *, hold: bool = True) -> subprocess.CompletedProcess[str]:
        with held_signals() if hold else nullcontext():
            process = self._start(machine, command)
            try:
                stdout, stderr = process.communicate(timeout=COMMAND_SECONDS)
            except BaseException:
                process.kill()
                process.communicate()
                raise
        if process.returncode != 0:
            words = " ".join(word for word in command if word != "--json")
            raise NetskyError(
                f"`netsky {words}` on {machine} ended with exit code {process.returncode}: {_why(stdout, stderr)}",
                next="netsky demo --keep, then netsky doctor with a home that it names",
            )
        return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)

    def _start(self, machine: str, command: Sequence[str]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "netsky.node.cli.main", "--home", self.homes[machine], *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self._environ,
            start_new_session=True,  # a Ctrl-C at the terminal is for the demo, not for the command that it waits for
        )


def _environment(user: str) -> dict[str, str]:
    """A throw-away home of the user, too: a fence makes folders there that it would leave behind in the real one."""
    os.mkdir(user)
    packages = {"PYTHONUSERBASE": base} if (base := site.getuserbase()) else {}
    return {**os.environ, **packages, "HOME": user, "TMUX_TMPDIR": user}


@contextmanager
def held_signals() -> Iterator[None]:
    """Ctrl-C, SIGTERM and a closed terminal wait for the end of the block: a daemon whose `up` was killed lives on."""
    came: list[int] = []
    before = {
        number: signal.signal(number, lambda caught, _frame: came.append(caught))
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])


def _why(stdout: str, stderr: str) -> str:
    """What a command that failed said, whichever way it was asked to answer."""
    if stderr.strip():
        return stderr.strip()[-500:]
    try:
        return str(json.loads(stdout)["error"]["message"])
    except (ValueError, LookupError, TypeError):
        return stdout.strip()[-500:]


def _quoted(word: str) -> str:
    if word == sys.executable:
        return "python"
    if len(word) > _WORD_CHARS_MAX and " " not in word and "/" not in word:
        return word[:16] + "…"  # a ticket, which nobody reads
    if word and all(char.isalnum() or char in "-_./@:=" for char in word):
        return word
    return "'" + word.replace("'", "'\\''") + "'"
