"""What befalls the machines of a mesh campaign, drawn by its seed: kills, pauses, cuts, restores, hostile files.

Every trouble stands in the history as the test saw it. What a killed node had stored of each stream stands there before
it is up again, beside the acks that its peers had seen: so an ack that went out before its commit shows.
"""

from __future__ import annotations

import collections
import os
import random
import tarfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from netsky.node.errors import NetskyError
from netsky.node.lab.books import reading
from netsky.node.lab.history import Appended, Writer

from tests.real.mesh import Machine, Mesh
from tests.real.mesh_gauges import Gauges
from tests.real.mesh_people import People
from tests.real.mesh_proxy import ByProxy
from tests.real.mesh_spaces import BySpaces

CLIENT_KILLED = 0.25
"""So often a client is killed beside a daemon."""
DOWN_SECONDS_MAX = 1.5
PAUSE_SECONDS_MAX = 8.0
CUT_SECONDS_MAX = 9.0
"""A link is dead after 5 s of silence."""
KILLS_PER_PAUSE = 4
SLOW_DISK = 0.4
"""So often a daemon dies with a slow disk."""
SLOW_DISK_SECONDS = 0.7
KILLS_PER_HOSTILE = 3
BACKUP_AT, RESTORE_AT = 0.2, 0.55
"""In the share of time that each restore has for itself: no node forgets what another has forgotten too."""

Do = Callable[[Machine, Any], None]
_NEWEST = (
    "SELECT max(at) FROM (SELECT max(stored_at) AS at FROM inbox UNION ALL SELECT max(accepted_at) FROM messages "
    "UNION ALL SELECT max(done_at) FROM outbox)"
)
HOSTILE: dict[str, Callable[[Path], None]] = {
    "fifo": os.mkfifo,
    "link": lambda path: path.symlink_to("/etc/passwd"),
    "folder": lambda path: path.mkdir(),
}


class Trouble:
    def __init__(self, folder: Path, mesh: Mesh, seed: int) -> None:
        self._folder = folder
        self._chance = random.Random(seed)
        self._machines = {machine.name: machine for machine in mesh.machines}
        self._ways = mesh.ways
        self._appended = Appended(str(folder / "test.history"))
        self._lock = threading.Lock()
        self.count: collections.Counter[str] = collections.Counter()
        self.wrong: list[str] = []
        self.backups: list[tuple[int, str, str]] = []
        """When, whose, and the file."""
        self.hostile: list[tuple[str, str, str]] = []
        """Node, actor, name of the file."""

    def note(self, node: str, ev: str, **fields: object) -> None:
        self.note_all(node, ev, [fields])

    def note_all(self, node: str, ev: str, many: list[dict[str, Any]], by: Any = "test") -> None:
        with self._lock:  # in the order of its times
            Writer(self._appended, time.time_ns, node=node, by=by).note_all(ev, many)

    def befall(self, people: People, gauges: Gauges, todo: list[tuple[float, str, Do, str, Any]]) -> None:
        """All of it, at its time; some of it overlaps, but on one machine or one cable it comes in turn."""
        self._people, self._gauges = people, gauges
        began = time.monotonic()
        busy: dict[str, threading.Thread] = {}
        for at, what, do, name, how in todo:
            time.sleep(max(0.0, began + at - time.monotonic()))
            people.check()
            if self._chance.random() < CLIENT_KILLED:
                people.kill_one(self._chance)
            place = f"{what} {name}" if what == "cut" else name
            if place in busy:
                busy[place].join()
            busy[place] = threading.Thread(target=self._guarded, args=(do, self._machines[name], how))
            busy[place].start()
        for thread in busy.values():
            thread.join()

    def draw(self, seconds: float, kills: int, cuts: int, restores: int) -> list[tuple[float, str, Do, str, Any]]:
        """When, what, to whom, and how."""
        draw, names = self._chance, sorted(self._machines)
        todo: list[tuple[float, str, Do, str, Any]] = []

        def some(count: int, what: str, do: Do, among: list[str], how: Callable[[], Any]) -> None:
            todo.extend((draw.uniform(0.02, 1), what, do, draw.choice(among), how()) for _ in range(count))

        some(kills, "kill", self.kill, names, lambda: (draw.uniform(0.05, DOWN_SECONDS_MAX), draw.random() < SLOW_DISK))
        some(kills // KILLS_PER_PAUSE, "pause", self.pause, names, lambda: draw.uniform(0, PAUSE_SECONDS_MAX))
        some(kills // KILLS_PER_HOSTILE, "hostile", self.drop_hostile, names, lambda: draw.choice(sorted(HOSTILE)))
        longest = min(CUT_SECONDS_MAX, seconds / 2)
        ways = getattr(self._ways, "WAYS", ("both",))
        some(cuts, "cut", self.cut, names[1:], lambda: (draw.choice(ways), draw.uniform(0.5, longest)))
        order = [names[at % len(names)] for at in range(restores)]
        draw.shuffle(order)
        for at, name in enumerate(order):
            file = str(self._folder / f"{name}-{at}.tar")
            todo.append(((at + BACKUP_AT) / restores, "backup", self.backup, name, file))
            todo.append(((at + RESTORE_AT) / restores, "restore", self.restore, name, file))
        return [(part * seconds, *rest) for part, *rest in sorted(todo, key=lambda one: one[0])]

    def kill(self, machine: Machine, how: tuple[float, bool]) -> None:
        """At any moment; or while its disk is slow, so that it is likely to be in the middle of a commit."""
        down_seconds, slow = how
        mark = Path(machine.home.path, "slow-disk")
        if slow and machine.troubled is not None:
            mark.touch()
            time.sleep(SLOW_DISK_SECONDS)
            self.count["killed with a slow disk"] += 1
        machine.kill()
        self.note(machine.name, "crash")  # once it is dead: it says nothing after that
        mark.unlink(missing_ok=True)
        self.count[machine.name] += 1
        time.sleep(down_seconds)
        for other in self._machines.values():
            if other is not machine:
                self._gauges.acks(other)
        self.note(machine.name, "start")
        self.note_all(machine.name, "start", self._gauges.found(machine))
        self._up(machine)

    def pause(self, machine: Machine, seconds: float) -> None:
        """Long enough that its peers take it for dead: what it had read and not stored comes late."""
        self.note(machine.name, "fault", key=f"pause {machine.name}")
        with machine.paused():
            time.sleep(seconds)
        self.count["pauses"] += 1
        self.note(machine.name, "heal", key=f"pause {machine.name}")

    def cut(self, machine: Machine, how: tuple[str, float]) -> None:
        assert isinstance(self._ways, ByProxy | BySpaces)
        way, seconds = how
        self.note(machine.name, "fault", key=f"cut {machine.name}")
        self._ways.cut(machine.name, way)
        time.sleep(seconds)
        lost = self._ways.heal(machine.name)
        self.note(machine.name, "heal", key=f"cut {machine.name}")
        self.count["cuts"] += 1
        self.count["datagrams lost in cuts"] += lost or 0

    def backup(self, machine: Machine, file: str) -> None:
        machine.netsky("backup", file)
        copy = self._folder / f"{Path(file).stem}.db"
        with tarfile.open(file) as archive:
            data = archive.extractfile("meta.db")
            assert data is not None
            copy.write_bytes(data.read())
        with reading(str(copy)) as database:
            [(newest,)] = database.execute(_NEWEST)
        copy.unlink()
        self.backups.append((newest + 1, machine.name, Path(file).name))

    def restore(self, machine: Machine, file: str) -> None:
        """The machine fails with all that is on it, and is put back from that backup; the rest of its home is there."""
        self._people.rest(machine.name)
        machine.kill()
        self.note(machine.name, "crash")
        self._gauges.forget(machine)
        kept = machine.netsky("restore", file)["kept"]
        machine.set_aside(kept, time.time_ns())
        self.note(machine.name, "start", reason="restored", key=Path(file).name)
        self.note_all(machine.name, "start", self._gauges.found(machine))
        self._up(machine)
        self.count["restored"] += 1
        self._people.go_on(machine.name)

    def drop_hostile(self, machine: Machine, shape: str) -> None:
        actor = "agent1"
        name = f"evil-{len(self.hostile)}-{shape}.json"
        self.note_all(machine.name, "submit_call", [{"key": name, "reason": "hostile"}], by="client")
        HOSTILE[shape](Path(machine.home.channel(actor), "outbox", name))
        self.hostile.append((machine.name, actor, name))

    def _up(self, machine: Machine) -> None:
        try:
            machine.up()
        except NetskyError as error:
            self.wrong.append(f"{machine.name} did not start again: {error.message}")

    def _guarded(self, do: Do, machine: Machine, how: Any) -> None:
        try:
            do(machine, how)
        except Exception as error:  # noqa: BLE001 - a thread's border: the campaign is judged all the same
            self.wrong.append(f"{getattr(do, '__name__', do)} of {machine.name} failed: {error!r}")
