"""Three daemons as shipped on one machine, joined by invitation, for tests that kill them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from netsky.node import up
from netsky.node.config import with_line
from netsky.node.home import Home, take_lock
from netsky.node.seams.real_files import RealFiles

NAMES = ("netsky0", "netsky1", "netsky2")
COMMAND_SECONDS = 60


class Machine:
    """One node and the shell of the person who has it."""

    def __init__(self, path: Path, name: str) -> None:
        self.home = Home(str(path))
        self.name = name
        self.environ = {word: value for word, value in os.environ.items() if not word.startswith("NETSKY_")}

    def netsky(self, *words: str) -> Any:
        """The data of a command that succeeds."""
        done = subprocess.run(
            [sys.executable, "-m", "netsky.node.cli.main", "--home", self.home.path, "--json", *words],
            env=self.environ, capture_output=True, text=True, check=False, timeout=COMMAND_SECONDS,
        )  # fmt: skip
        assert done.returncode == 0, done
        return json.loads(done.stdout)["data"]

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """From the database itself: a node that was just killed answers nothing."""
        with closing(sqlite3.connect(f"file:{self.home.database}?mode=ro", uri=True, timeout=10)) as database:
            return database.execute(sql, values).fetchall()

    def up(self) -> None:
        up.up(self.home)

    def is_up(self) -> bool:
        return not is_free(self.home)

    def kill(self) -> None:
        pid = up.holder_pid(self.home)
        if pid is not None and self.is_up():
            os.kill(pid, signal.SIGKILL)
            until(lambda: is_free(self.home))

    @contextmanager
    def paused(self) -> Iterator[None]:
        pid = up.holder_pid(self.home)
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)


class Mesh:
    """The root and two siblings; what passes between them is what `routes` says."""

    def __init__(self, folder: Path, *, routes: str, actors: int) -> None:
        self.root, *self.siblings = self.machines = [Machine(folder / name, name) for name in NAMES]
        self._routes = routes
        self._actors = str(actors)

    def build(self) -> None:
        self.root.netsky("init", "--root")
        config = Path(self.root.home.config)
        text = with_line(config.read_text(), "link", "bind", "127.0.0.1:0")
        config.write_text(text.replace("[routes]\n", f"[routes]\n{self._routes}\n"))
        self.root.netsky("up", self._actors)
        tickets = [self.root.netsky("invite", f"machine {sibling.name}")["ticket"] for sibling in self.siblings]
        for sibling, ticket in zip(self.siblings, tickets, strict=True):  # in turn: the root gives out names in turn
            sibling.netsky("join", "--yes", ticket)
        together([lambda sibling=sibling: sibling.netsky("up", self._actors) for sibling in self.siblings])

    def end(self) -> None:
        for machine in self.machines:
            machine.kill()
            shutil.rmtree(machine.home.runtime_folder, ignore_errors=True)  # elsewhere, if the path of the home is long


def together(todo: list[Callable[[], object]]) -> None:
    threads = [threading.Thread(target=one) for one in todo]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def is_free(home: Home) -> bool:
    if not os.path.exists(home.path):
        return True
    lock = take_lock(home, RealFiles())
    if lock is not None:
        lock.release()
    return lock is not None


def until(told: Callable[[], Any], seconds: float = 30, what: str = "it") -> Any:
    limit = time.monotonic() + seconds
    while not (found := told()):
        assert time.monotonic() < limit, f"{what} did not happen in time"
        time.sleep(0.02)
    return found
