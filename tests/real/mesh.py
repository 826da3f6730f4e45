"""Three daemons as shipped on one machine, joined by invitation, for tests that kill them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from netsky.node import up
from netsky.node.config import with_line
from netsky.node.home import Home
from netsky.node.lab.books import reading

NAMES = ("netsky0", "netsky1", "netsky2")
COMMAND_SECONDS = 60


class Machine:
    """One node and the shell of the person who has it."""

    def __init__(self, path: Path, name: str, shell: Sequence[str] = ()) -> None:
        self.home = Home(str(path))
        self.name = name
        self.shell = shell
        """What a command of that person begins with, `ip netns exec …` for instance."""
        self.troubled: str | None = None
        """If its daemon runs as `troubled_daemon`: where it tells its peers that it listens, or -."""
        self.databases: list[tuple[str, int]] = [(self.home.database, 0)]
        """The one in use last; before it those that a restore set aside. Each with the time at which its use began."""
        self.environ = {word: value for word, value in os.environ.items() if not word.startswith("NETSKY_")}

    def netsky(self, *words: str) -> Any:
        """The data of a command that succeeds."""
        done = subprocess.run(
            [*self.shell, sys.executable, "-m", "netsky.node.cli.main", "--home", self.home.path, "--json", *words],
            env=self.environ, capture_output=True, text=True, check=False, timeout=COMMAND_SECONDS,
        )  # fmt: skip
        assert done.returncode == 0, done
        return json.loads(done.stdout)["data"]

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """From the database itself: a node that was just killed answers nothing."""
        with reading(self.home.database) as database:
            return database.execute(sql, values).fetchall()

    def up(self, managers: int = 0) -> None:
        if self.shell:
            self.netsky("up", str(managers))
            return
        if self.troubled is not None:
            _TROUBLED[self.home.path] = self.troubled
        up.up(self.home, managers)

    def set_aside(self, kept: str, now: int) -> None:
        """It was put back from a backup."""
        self.databases[-1] = (kept, self.databases[-1][1])
        self.databases.append((self.home.database, now))

    def pid(self) -> int | None:
        return up.holder_pid(self.home)

    def configure(self, section: str, name: str, value: object) -> None:
        config = Path(self.home.config)
        config.write_text(with_line(config.read_text(), section, name, value))

    def is_up(self) -> bool:
        return not up.is_free(self.home)

    def kill(self) -> None:
        pid = up.holder_pid(self.home)
        if pid is not None and self.is_up():
            os.kill(pid, signal.SIGKILL)
            until(lambda: up.is_free(self.home))

    @contextmanager
    def paused(self) -> Iterator[None]:
        pid = up.holder_pid(self.home)
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)


class Ways:
    """The network between the three: here loopback, which nobody cuts."""

    bind = "127.0.0.1:0"

    def prepare(self, machines: Sequence[Machine]) -> None:
        """Before there is any home."""

    def sibling_joined(self, sibling: Machine) -> None:
        """Before it comes up for the first time."""

    def end(self) -> None:
        pass


class Mesh:
    """The root and two siblings; what passes between them is what `routes` says."""

    def __init__(self, folder: Path, *, routes: str, actors: int, ways: Ways | None = None) -> None:
        self.root, *self.siblings = self.machines = [Machine(folder / name, name) for name in NAMES]
        self.ways = ways or Ways()
        self._routes = routes
        self._actors = actors

    def build(self) -> None:
        self.ways.prepare(self.machines)
        self.root.netsky("init", "--root")
        self.root.configure("link", "bind", self.ways.bind)
        config = Path(self.root.home.config)
        config.write_text(config.read_text().replace("[routes]\n", f"[routes]\n{self._routes}\n"))
        self.root.up(self._actors)
        tickets = [self.root.netsky("invite", f"machine {sibling.name}")["ticket"] for sibling in self.siblings]
        for sibling, ticket in zip(self.siblings, tickets, strict=True):  # in turn: the root gives out names in turn
            sibling.netsky("join", "--yes", ticket)
            self.ways.sibling_joined(sibling)
        together([partial(sibling.up, self._actors) for sibling in self.siblings])

    def end(self) -> None:
        for machine in self.machines:
            machine.kill()
            shutil.rmtree(machine.home.runtime_folder, ignore_errors=True)  # elsewhere, if the path of the home is long
        self.ways.end()


_TROUBLED: dict[str, str] = {}
_usual_command = up._command


def _command(home: Home) -> list[str]:
    """As `netsky up` starts a daemon, except those that are to run with trouble around them."""
    usual = _usual_command(home)
    if home.path not in _TROUBLED:
        return usual
    return [usual[0], str(Path(__file__).with_name("troubled_daemon.py")), _TROUBLED[home.path], *usual[3:]]


up._command = _command


def together(todo: list[Callable[[], object]]) -> None:
    with ThreadPoolExecutor(len(todo)) as pool:
        for running in [pool.submit(one) for one in todo]:
            running.result()


def until(told: Callable[[], Any], seconds: float = 30, what: str = "it") -> Any:
    limit = time.monotonic() + seconds
    while not (found := told()):
        assert time.monotonic() < limit, f"{what} did not happen in time"
        time.sleep(0.02)
    return found
