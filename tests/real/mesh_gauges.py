"""What three nodes take up, measured by the test itself from /proc and the folders, as gauges of the history.

Beside them, per stream that a node sends: which acks it has seen, and what it has dropped of what it must keep until
then (one look at `streams` and `flight`, in one transaction).
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from netsky.node.db.limits import WAL_BYTES_MAX
from netsky.node.lab.books import reading
from netsky.node.lab.history import Appended, Writer
from netsky.node.limits import LOG_BYTES_MAX, LOG_FILES_MAX

from tests.real.mesh import Machine

EVERY_SECONDS = 2.0
IDLE_SECONDS = 3.0

RSS_BASE = 120 << 20
RSS_PER_LINK = 4 << 20
FDS_MAX = 256
THREADS_MAX = 64
STATE_BASE = LOG_BYTES_MAX * LOG_FILES_MAX + (64 << 20)
STATE_PER_ENVELOPE = 8 << 10
"""Database, log and blobs, of all that was sent through the mesh; channel folders are looked at once, at the end."""

_STREAMS = (
    "SELECT peer, lane, life, number, acked, "
    "(SELECT min(first) FROM flight WHERE flight.peer = streams.peer AND flight.lane = streams.lane) "
    "FROM streams WHERE direction = 'out' AND life > 0"
)
_MARKS = "SELECT peer, direction, lane, life, number FROM streams WHERE life > 0"
_INCOMING = "SELECT peer, lane, life, number FROM streams WHERE direction = 'in' AND life > 0"


@dataclass
class Gauges:
    """A thread that looks at every node now and then, until `stop`."""

    path: str
    machines: list[Machine]
    names: Mapping[str, str]
    """Node key -> name."""
    envelopes: int
    most: dict[str, dict[str, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._appended = Appended(self.path)
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look_forever)
        self._forgotten: dict[tuple[str, str], int] = {}

    def begin(self) -> None:
        bounds = {
            "rss_base": RSS_BASE, "rss_per_link": RSS_PER_LINK, "fds": FDS_MAX, "threads": THREADS_MAX, "children": 0,
            "state_cap": STATE_BASE + self.envelopes * STATE_PER_ENVELOPE, "wal_cap": WAL_BYTES_MAX,
        }  # fmt: skip
        for machine in self.machines:
            self._note(machine, "gauge", [{"reason": "bounds", "value": bounds}])
        self._all("base")
        self._thread.start()

    def stop(self) -> None:
        """After the drain, with the clients that were there at the beginning."""
        self._over.set()
        self._thread.join()
        self._all("drained")
        self._all("idle")
        time.sleep(IDLE_SECONDS)
        self._all("idle")

    def found(self, machine: Machine) -> list[dict[str, Any]]:
        """What a node that is down has stored of each stream that comes in."""
        return [
            {"link": f"{self.names[peer.hex()]}>{machine.name}", "ln": lane, "epoch": life, "n": number}
            for peer, lane, life, number in machine.rows(_INCOMING)
        ]

    def marks(self, machine: Machine, database: str) -> list[dict[str, Any]]:
        """How far a copy of its database has come with each stream, in and out."""
        with reading(database) as opened:
            every = opened.execute(_MARKS).fetchall()
        me = machine.name
        return [
            {
                "link": f"{self.names[peer.hex()]}>{me}" if direction == "in" else f"{me}>{self.names[peer.hex()]}",
                "ln": lane,
                "epoch": life,
                "n": number,
            }
            for peer, direction, lane, life, number in every
        ]

    def forget(self, machine: Machine) -> None:
        """It was restored: what was acknowledged in the lives of before says nothing about it any more."""
        for other in self.machines:
            for peer, lane, life, *_ in other.rows(_STREAMS):
                name = self.names[peer.hex()]
                if machine.name in {other.name, name}:
                    self._forgotten[f"{other.name}>{name}", lane] = life

    def acks(self, machine: Machine) -> None:
        """What this node sends: the acks it has seen, and that it dropped nothing without."""
        acked, dropped = [], []
        for peer, lane, life, number, ack, first in machine.rows(_STREAMS):
            stream = {"link": f"{machine.name}>{self.names[peer.hex()]}", "ln": lane, "epoch": life}
            if life <= self._forgotten.get((stream["link"], lane), 0):
                continue
            gone = number if first is None else first - 1
            if ack:
                acked.append({**stream, "n": ack})
            if gone:
                dropped.append({**stream, "n": gone})
        self._note(machine, "link_ack_rx", acked)
        self._note(machine, "prune", dropped)

    def text(self) -> str:
        each = [
            f"{name} {most['rss'] >> 20} MiB, {most['fds']} descriptors, {most['threads']} threads, "
            f"{most['state'] >> 20} MiB of state, {most['wal'] >> 20} MiB of log"
            for name, most in sorted(self.most.items())
        ]
        return f"at most: {'; '.join(each)}"

    def _look_forever(self) -> None:
        while not self._over.wait(EVERY_SECONDS):
            for machine in self.machines:
                with suppress(sqlite3.DatabaseError):  # it is being put back just now
                    self.acks(machine)
            self._all(None)

    def _all(self, reason: str | None) -> None:
        for machine in self.machines:
            value = figures(machine)
            if value is None:
                continue  # it is down
            most = self.most.setdefault(machine.name, dict(value))
            most.update({what: max(count, most[what]) for what, count in value.items()})
            if reason == "base":
                del value["threads"]  # trio keeps some for ten seconds: only their bound is judged
            self._note(machine, "gauge", [{"value": value} | ({"reason": reason} if reason else {})])

    def _note(self, machine: Machine, ev: str, many: list[dict[str, Any]]) -> None:
        if many:
            with self._lock:
                Writer(self._appended, time.time_ns, node=machine.name, by="test").note_all(ev, many)


def figures(machine: Machine) -> dict[str, int] | None:
    """None of a node that does not run."""
    pid = machine.pid()
    try:
        with open(f"/proc/{pid}/status") as file:
            status = dict(line.split(":", 1) for line in file)
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        fds = len(os.listdir(f"/proc/{pid}/fd"))
        rss = int(status["VmRSS"].split()[0]) << 10
    except (OSError, KeyError, ValueError):
        return None
    home = machine.home
    wal = _size(home.database + "-wal")
    # Without the logs, which have a cap of their own: an idle node may say a line, and never stores anything.
    state = _size(home.database) + wal + _tree(home.blobs)
    return {
        "rss": rss, "links": 2 if machine.name == "netsky0" else 1, "fds": fds, "threads": int(status["Threads"]),
        "children": len(children), "state": state, "wal": wal,
    }  # fmt: skip


def _size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except FileNotFoundError:
        return 0


def _tree(path: str) -> int:
    return sum(_size(os.path.join(where, name)) for where, _, names in os.walk(path) for name in names)


def counted(path: str) -> tuple[int, int]:
    """How many envelopes a database has of its own, and how many of them have no outcome yet."""
    with reading(path) as database:
        [(every,)] = database.execute("SELECT count(*) FROM outbox")
        [(open_,)] = database.execute("SELECT count(*) FROM outbox WHERE state != 'done'")
    return every, open_
