"""Mistakes, planted into a copy of the package: a node is run from that copy, killed at one commit and started again.

Nothing of the product is changed for it, and nothing of the mistake is known to whoever judges: the lab's checker reads
what the clients and the nodes wrote.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from netsky.node.lab.books import left
from netsky.node.lab.checker.rules import Report, check
from netsky.node.lab.history import Appended, Writer, read_history

from tests.real.mesh import NAMES, Machine, together, until
from tests.real.mesh_client import Flow, send

REPO = Path(__file__).resolve().parents[2]
PACKAGES = ("envelope", "mesh", "relay", "node")
ENVELOPES = 3
SETTLE_SECONDS = 20.0
BROKEN_SECONDS = 2.0
"""A mesh with a mistake in it may never settle."""

_DELIVERED = "SELECT stored_at, id, origin, actor FROM inbox JOIN messages USING (seq)"
_ENDED = (
    "SELECT outbox.done_at, id, origin, outcomes.fate, outcomes.code FROM outbox JOIN messages USING (seq) "
    "JOIN outcomes ON outcomes.leaf = messages.leaf WHERE outbox.state = 'done'"
)


@dataclass(frozen=True, slots=True)
class Mistake:
    """A text of one file, and what stands there instead."""

    file: str
    right: str
    wrong: str


@dataclass(frozen=True, slots=True)
class Death:
    """Before the transaction of this node in which a statement begins so: the `nth`."""

    node: str
    sql: str
    nth: int = 1


def planted(folder: Path, mistake: Mistake | None) -> Path:
    """A folder to import the package from."""
    for package in PACKAGES:
        shutil.copytree(REPO / package, folder / "netsky" / package)
    if mistake is not None:
        path = folder / "netsky" / mistake.file
        text = path.read_text()
        assert text.count(mistake.right) == 1, f"{mistake.file} no longer has the text to be spoilt"
        path.write_text(text.replace(mistake.right, mistake.wrong))
    return folder


class Trial:
    """Three nodes from homes that are joined already, one of them with a mistake, one of them to die."""

    def __init__(self, folder: Path, homes: Path) -> None:
        self.folder = folder
        self.machines = [Machine(folder / name, name) for name in NAMES]
        self._by_name = {machine.name: machine for machine in self.machines}
        self._test = Appended(str(folder / "test.history"))
        for name in NAMES:
            shutil.copytree(homes / name, folder / name, ignore=shutil.ignore_patterns("*.sock"))

    def note(self, node: str, ev: str, **fields: object) -> None:
        Writer(self._test, time.time_ns, node=node, by="test").note(ev, **fields)

    def run(self, death: Death, mistake: Mistake | None, spoilt: str) -> None:
        """`spoilt` is the node with the mistake, until it dies, or the other one does."""
        code = planted(self.folder / "code", mistake) if mistake is not None else None
        fused = {
            name: self._daemon(name, death if name == death.node else None, code if name == spoilt else None)
            for name in {death.node, spoilt}
        }
        with self._clients():
            together([one.up for one in self.machines if one.name not in fused])
            assert fused[death.node].wait(20) == -signal.SIGKILL
            self.note(death.node, "crash")
            self._by_name[death.node].up()
            self._settle(death.node, BROKEN_SECONDS if mistake is not None else SETTLE_SECONDS)
        for one in fused.values():
            one.kill()
            one.wait()

    def _daemon(self, name: str, death: Death | None, code: Path | None) -> subprocess.Popen[bytes]:
        """As `crashing_daemon` runs it; without a death of its own it dies at no call."""
        words = ["0"] if death is None else [str(death.nth), death.sql]
        argv = [sys.executable, str(Path(__file__).with_name("crashing_daemon.py")), self._by_name[name].home.path]
        environ = dict(os.environ) if code is None else {**os.environ, "PYTHONPATH": str(code)}
        with open(self.folder / f"{name}.output", "wb") as output:
            return subprocess.Popen([*argv, str(self.folder / "book"), *words], env=environ, stderr=output)

    @contextmanager
    def _clients(self) -> Iterator[None]:
        """Somebody sends from netsky1 and takes at netsky2, whatever dies."""
        sender, taker = self.machines[1:]
        path = str(self.folder / "take.history")
        argv = [sys.executable, "-m", "tests.real.mesh_client", "drain", taker.home.path, taker.name]
        taking = subprocess.Popen([*argv, taker.name, path, "agent1"], cwd=REPO)
        history = Writer(Appended(str(self.folder / "send.history")), time.time_ns, node=sender.name, by="client")
        flow = Flow("agent1", "agent1@netsky2", ENVELOPES, 0, ("text",), time.time(), None)
        sending = threading.Thread(target=send, args=(sender.home, history, sender.name, flow, 0))
        sending.start()
        try:
            yield
            sending.join(30)
            assert not sending.is_alive()
        finally:
            taking.kill()
            taking.wait()

    def _settle(self, died: str, seconds: float) -> None:
        """Until nothing is under way, or for so long after the one that died has met its peers again."""
        path, pid = str(self.folder / f"node-{died}.history"), self._by_name[died].pid()
        linked = 2 if died == NAMES[0] else 1

        def met() -> bool:
            links = {event["link"] for event in read_history(path) if "link" in event and event["boot"] == pid}
            return sum(link.endswith(f">{died}") for link in links) == linked

        until(met, 30, f"a link of {died}")
        limit = time.monotonic() + seconds
        while left(self.machines) and time.monotonic() < limit:
            time.sleep(0.05)

    def judge(self) -> Report:
        self.end()
        events = sorted(event for machine in self.machines for event in _ends(machine))
        write = Appended(str(self.folder / "end.history"))
        for at, node, ev, rest in events:
            said = dict(zip(("id", "origin", "dest" if ev == "deliver" else "reason"), rest, strict=True))
            Writer(write, lambda at=at: at, node=node, by="test").note(ev, **said)
        write.close()
        return check(sorted(str(path) for path in self.folder.glob("*.history")))

    def end(self) -> None:
        for machine in self.machines:
            machine.kill()
            shutil.rmtree(machine.home.runtime_folder, ignore_errors=True)


def _ends(machine: Machine) -> Iterator[tuple[int, str, str, tuple[str, ...]]]:
    """What its database says about deliveries here and about what was sent from here, at the time of its storing."""
    for at, id_, origin, actor in machine.rows(_DELIVERED):
        yield at, machine.name, "deliver", (id_, origin.hex(), f"{actor}@{machine.name}")
    for at, id_, origin, fate, code in machine.rows(_ENDED):
        yield at, machine.name, "outcome", (id_, origin.hex(), f"{fate}({code})" if code else fate)
