"""What befalls the machines of a mesh campaign: a method for each kind of `mesh_faults.py`, as long as its trouble.

Every trouble stands in the history as the test saw it. What a killed node had stored of each stream stands there before
it is up again, beside the acks that its peers had seen: so an ack that went out before its commit shows.
"""

from __future__ import annotations

import collections
import os
import random
import resource
import shutil
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netsky.node.errors import NetskyError
from netsky.node.lab.books import files_in, note_hostile, reading
from netsky.node.lab.history import Appended, Writer

from tests.real import mesh_disk
from tests.real.mesh import Machine, Mesh, until
from tests.real.mesh_clock import Clock, beside
from tests.real.mesh_faults import LOSSES, NETWORK, Fault
from tests.real.mesh_gauges import Gauges
from tests.real.mesh_people import People
from tests.real.mesh_proxy import CLOG, ByProxy, Rule
from tests.real.mesh_spaces import BySpaces

SLOW_DISK_SECONDS = 0.7
LOSSES_APART_SECONDS, LOSSES_APART_MAX = 10.0, 600.0
START_AGAIN_SECONDS = 10.0
"""Within so long after its trouble a node that ended by itself is up again."""
SAID_OTHERWISE = frozenset(("crash", "restore", "behind", "copy for restore", "copy for behind", "part", "one_way"))
"""In their own lines."""

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


@dataclass(frozen=True, slots=True)
class Copy:
    """From which a home is put back later."""

    node: str
    name: str
    newest: int
    """When the last row was stored that is in it."""
    marks: list[dict[str, Any]]
    """And how far its streams had come."""


class Trouble:
    def __init__(self, folder: Path, mesh: Mesh, chance: random.Random) -> None:
        self._folder = folder
        self._chance = chance
        self._machines = {machine.name: machine for machine in mesh.machines}
        self._ways = mesh.ways
        self._appended = Appended(str(folder / "test.history"))
        self._lock = threading.Lock()
        self.clocks = {name: Clock(machine.home.path) for name, machine in self._machines.items()}
        self.count: collections.Counter[str] = collections.Counter()
        """Faults by kind."""
        self.besides: collections.Counter[str] = collections.Counter()
        """What else happened by them."""
        self.wrong: list[str] = []
        self.copies: list[Copy] = []
        self._lost: list[float] = []
        """When each loss was over."""
        self.hostile: list[tuple[str, str, str]] = []
        """Node, actor, name of the file."""
        self.looked_at: list[tuple[str, str, str]] = []
        """Of these, before their home was put back: an older copy may hold them still."""

    def note(self, node: str, ev: str, **fields: object) -> None:
        self.note_all(node, ev, [fields])

    def note_all(self, node: str, ev: str, many: list[dict[str, Any]], by: Any = "test") -> None:
        with self._lock:  # in the order of its times
            Writer(self._appended, time.time_ns, node=node, by=by).note_all(ev, many)

    def befall(self, people: People, gauges: Gauges, todo: list[Fault]) -> None:
        """All of it, at its time; some of it overlaps, but on one machine or one cable it comes in turn."""
        self._people, self._gauges = people, gauges
        began = time.monotonic()
        places: dict[str, list[Fault]] = {}
        for fault in todo:
            places.setdefault(f"cable of {fault.node}" if fault.kind in NETWORK else fault.node, []).append(fault)
        threads = [threading.Thread(target=self._in_turn, args=(began, some), daemon=True) for some in places.values()]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            people.check()
            time.sleep(0.1)

    def _in_turn(self, began: float, todo: list[Fault]) -> None:
        for fault in todo:
            time.sleep(max(0.0, began + fault.at - time.monotonic()))
            self._guarded(fault)

    def _guarded(self, fault: Fault) -> None:
        machine, name = self._machines[fault.node], fault.kind.replace(" ", "_")
        do: Do = getattr(self, f"_{name}")
        if fault.kind.startswith("copy"):
            until(lambda: self._may_copy(fault.how), LOSSES_APART_MAX, "the loss before")
        try:
            with self._said(fault) if fault.kind not in SAID_OTHERWISE else nullcontext():
                do(machine, fault.how)
                if fault.kind not in NETWORK:  # one of those may be over while its machine is just starting
                    self._stands_again(machine)
        except Exception as error:  # noqa: BLE001 - a thread's border: the campaign is judged all the same
            self.wrong.append(f"{fault} failed: {error!r}")
        if not fault.kind.startswith("copy"):
            self.count[fault.kind] += 1
        if fault.kind in LOSSES:
            self._lost.append(time.monotonic())

    def _may_copy(self, name: str) -> bool:
        """No node forgets what another has forgotten too: all have heard of the loss before."""
        number = int(name.rpartition("-")[2])
        return len(self._lost) >= number and time.monotonic() > max(self._lost, default=0) + LOSSES_APART_SECONDS

    @contextmanager
    def _said(self, fault: Fault, **more: str) -> Iterator[None]:
        lasting = f"{fault.kind} {fault.node} {fault.at:.3f}"
        self.note(fault.node, "fault", key=lasting, reason=fault.kind, **more)
        try:
            yield
        finally:
            self.note(fault.node, "heal", key=lasting, **more)

    # The process.

    def _crash(self, machine: Machine, how: tuple[float, bool]) -> None:
        """At any moment; or while its disk is slow, so that it is likely to be in the middle of a commit."""
        down_seconds, slow = how
        if slow and machine.troubled is not None:
            with self._slow(machine):
                time.sleep(SLOW_DISK_SECONDS)
                self.besides["killed with a slow disk"] += 1
                self._kill(machine)
        else:
            self._kill(machine)
        time.sleep(down_seconds)
        self._start(machine)

    def _kill(self, machine: Machine) -> None:
        machine.kill()
        self.note(machine.name, "crash")  # not sooner: until then it may have said something

    def _start(self, machine: Machine) -> None:
        """Of a node that is down, with the word that it is."""
        for other in self._machines.values():
            if other is not machine:
                self._gauges.acks(other)
        self.note(machine.name, "start")
        self.note_all(machine.name, "start", self._gauges.found(machine))
        machine.up()

    def _stands_again(self, machine: Machine) -> None:
        """What stopped safely when its disk or its descriptors failed is started again, as its service would do."""
        if machine.is_up():
            return
        self.besides["ended by itself"] += 1
        self.note(machine.name, "crash")
        limit = time.monotonic() + START_AGAIN_SECONDS
        while True:
            try:
                self._start(machine)
            except (NetskyError, OSError) as error:
                if time.monotonic() > limit:
                    self.wrong.append(f"{machine.name} did not start again: {error}")
                    return
                self.note(machine.name, "crash")
                time.sleep(0.2)
            else:
                return

    def _pause(self, machine: Machine, seconds: float) -> None:
        """Long enough that its peers take it for dead: what it had read and not stored comes late."""
        with machine.paused():
            time.sleep(seconds)

    def _descriptors(self, machine: Machine, how: tuple[float, bool, int]) -> None:
        seconds, dies, more = how
        pid = machine.pid()
        assert pid is not None
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        few = max(8, len(os.listdir(f"/proc/{pid}/fd")) + more)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (few, before[1]))
        time.sleep(seconds)
        if dies:
            self._kill(machine)
            self._start(machine)
        with suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_NOFILE, before)

    # The disk.

    @contextmanager
    def _slow(self, machine: Machine) -> Iterator[None]:
        mark = Path(beside(machine.home.path, "slow-disk"))
        mark.touch()
        try:
            yield
        finally:
            mark.unlink()

    def _disk_slow(self, machine: Machine, seconds: float) -> None:
        with self._slow(machine):
            time.sleep(seconds)

    def _disk_full(self, machine: Machine, how: tuple[float, bool, int]) -> None:
        seconds, dies, left = how
        with mesh_disk.full(machine.home, left):
            self._bear(machine, seconds, dies=dies)

    def _read_only(self, machine: Machine, how: tuple[float, bool, str]) -> None:
        seconds, dies, what = how
        home = machine.home
        paths = {"actor": [home.channel("agent1")], "channels": [home.channels], "home": [home.path]}[what]
        with mesh_disk.read_only(paths):
            self._bear(machine, seconds, dies=dies)

    def _bear(self, machine: Machine, seconds: float, *, dies: bool) -> None:
        """Its disk fails it; some are killed in the middle of it and try to start before it is over."""
        time.sleep(seconds / 2)
        if dies:
            self._kill(machine)
            self.besides["killed with a failing disk"] += 1
            try:
                self._start(machine)
            except (NetskyError, OSError):
                self.besides["start refused"] += 1
        time.sleep(seconds / 2)

    # The network.

    def _part(self, machine: Machine, how: tuple[str, float]) -> None:
        """Stands in the history only while nothing comes through, so that whoever has heard something is a liar."""
        way, seconds = how
        assert isinstance(self._ways, ByProxy | BySpaces)
        ends = ("netsky0", machine.name) if way == "from_root" else (machine.name, "netsky0")
        kind = "one_way" if way.endswith("root") else "part"
        self._ways.cut(machine.name, way)
        with self._said(Fault(time.monotonic(), kind, machine.name), link=">".join(ends)):
            time.sleep(seconds)
        self.besides.update({f"datagrams {what}": n for what, n in self._ways.heal(machine.name).items() if n})

    _one_way = _part

    def _fares(self, machine: Machine, way: str, rule: Rule, seconds: float) -> None:
        assert isinstance(self._ways, ByProxy)
        self._ways.trouble(machine.name, way, rule)
        time.sleep(seconds)
        self.besides.update({f"datagrams {what}": n for what, n in self._ways.heal(machine.name).items() if n})

    def _clog(self, machine: Machine, how: tuple[str, float]) -> None:
        way, seconds = how
        self._fares(machine, way, CLOG, seconds)

    def _delay(self, machine: Machine, how: tuple[str, float, float, float]) -> None:
        way, seconds, delay, jitter = how
        self._fares(machine, way, Rule(delay=delay, jitter=jitter), seconds)

    def _loss(self, machine: Machine, how: tuple[str, float, float, float]) -> None:
        way, seconds, share, twice = how
        self._fares(machine, way, Rule(loss=share, twice=twice), seconds)

    # The clock.

    def _clock_jump(self, machine: Machine, how: tuple[float, float, float]) -> None:
        seconds, jump, gains = how
        self.clocks[machine.name].set(round(jump * 1e9), gains)
        time.sleep(seconds)
        self.clocks[machine.name].set_right()

    _clock_drift = _clock_freeze = _clock_jump

    # The memory.

    def _copy_for_restore(self, machine: Machine, name: str) -> None:
        file = str(self._folder / f"{name}.tar")
        machine.netsky("backup", file)
        copy = self._folder / f"{name}.db"
        with tarfile.open(file) as archive:
            data = archive.extractfile("meta.db")
            assert data is not None
            copy.write_bytes(data.read())
        self._note_copy(machine, copy, name)
        copy.unlink()

    def _note_copy(self, machine: Machine, database: Path, name: str) -> None:
        with reading(str(database)) as opened:
            [(newest,)] = opened.execute(_NEWEST)
        self.copies.append(Copy(machine.name, name, newest, self._gauges.marks(machine, str(database))))

    @contextmanager
    def _fallen(self, machine: Machine, name: str) -> Iterator[None]:
        """The machine fails with all that is on it, and is put back from what is called so."""
        self._people.rest(machine.name)
        self._kill(machine)
        self._gauges.forget(machine)
        yield
        self.note(machine.name, "start", reason="restored", key=name)
        self.note_all(machine.name, "start", self._gauges.found(machine))
        machine.up()
        self._people.go_on(machine.name)

    def _restore(self, machine: Machine, name: str) -> None:
        """What is not the database is there still."""
        with self._fallen(machine, name):
            kept = machine.netsky("restore", str(self._folder / f"{name}.tar"))["kept"]
            machine.set_aside(kept, time.time_ns())

    def _copy_for_behind(self, machine: Machine, name: str) -> None:
        """Of a node that is down, the whole home."""
        self._people.rest(machine.name)
        self._kill(machine)
        shutil.copytree(machine.home.path, self._folder / name, symlinks=True, ignore=_no_pipes)
        self._note_copy(machine, self._folder / name / "meta.db", name)
        self._start(machine)
        self._people.go_on(machine.name)

    def _behind(self, machine: Machine, name: str) -> None:
        self._look_at_hostile(machine)
        with self._fallen(machine, name):
            kept = self._folder / f"{name}-kept"
            kept.mkdir()
            for file in Path(machine.home.path).glob("meta.db*"):
                shutil.move(file, kept)
            for path in Path(machine.home.path).iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            shutil.copytree(self._folder / name, machine.home.path, symlinks=True, dirs_exist_ok=True)
            shutil.rmtree(self._folder / name)
            machine.set_aside(str(kept / "meta.db"), time.time_ns())

    def _look_at_hostile(self, machine: Machine) -> None:
        """What lies in its quarantine goes with the home."""
        mine = [one for one in self.hostile if one[0] == machine.name]
        outboxes = [Path(machine.home.channel(actor), "outbox", name) for _, actor, name in mine]
        until(lambda: not any(os.path.lexists(path) for path in outboxes), what="the quarantine")
        self.wrong += note_hostile(files_in(self._folder), [machine], mine, time.time_ns())
        self.looked_at += mine
        self.hostile = [one for one in self.hostile if one[0] != machine.name]

    # Its actors.

    def _hostile(self, machine: Machine, shape: str) -> None:
        actor = "agent1"
        name = f"evil-{self.count['hostile']}-{time.monotonic_ns()}-{shape}.json"
        self.note_all(machine.name, "submit_call", [{"key": name, "reason": "hostile"}], by="client")
        HOSTILE[shape](Path(machine.home.channel(actor), "outbox", name))
        self.hostile.append((machine.name, actor, name))

    def _client(self, machine: Machine, how: Any) -> None:
        self._people.kill_one(self._chance)


def _no_pipes(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if not os.path.islink(path := os.path.join(folder, name)) and _is_odd(path)]


def _is_odd(path: str) -> bool:
    return not (os.path.isfile(path) or os.path.isdir(path))
