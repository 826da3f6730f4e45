"""What a program uses now, with all that it started, and which of its bounds that exceeds.

For the keeper, which stands beside the program and ends it then. Standard library alone: it is loaded by a script that
knows nothing of our packages. Where the kernel itself holds a bound (a cgroup, RLIMIT_NPROC) this is the second line;
where it holds none it is the only one, and looks so often that it takes a twentieth of a processor at most.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

LOOK_SECONDS = 0.02
SHARE = 20
"""A look that took so long is followed by a pause that is so many times as long."""
WALK_SECONDS = 1.0
NAME_BYTES = 4096
"""A name on a disk counts as much, however little is in it: a million of empty files fills a disk as well."""
BYTES_A_NAME = 16 * 1024
"""As disks are made: one for so many bytes."""
PAGES_OF_ITS_OWN = ("RssAnon", "RssShmem", "VmSwap")


@dataclass(slots=True)
class Use:
    tasks: int = 0
    memory: int = 0


@dataclass(slots=True)
class Free:
    """What is left on a disk."""

    size: int = 0
    names: int = 0
    """0 where a disk does not count them."""

    def gone_since(self, before: Free) -> int:
        return max(0, before.size - self.size) + NAME_BYTES * max(0, before.names - self.names)

    def is_under(self, floor: int, before: Free) -> bool:
        few = self.names < min(floor // BYTES_A_NAME, before.names // 2)
        return few or self.size < min(floor, before.size // 2)


@dataclass(slots=True)
class Walk:
    """How much stands in a folder."""

    size: int = 0
    blind: bool = False
    """Some of it could not be looked at."""


@dataclass(slots=True)
class Gauge:
    bounds: Mapping[str, Any]
    inside: bool
    """Whether everything that is to be seen is the program's: the keeper is process 1 of a fence."""
    _before: Walk = field(default_factory=Walk)
    _free_before: Free = field(default_factory=Free)
    _free_at_walk: Free = field(default_factory=Free)
    _shared_before: int = 0
    _look_at: float = 0.0
    _walk_at: float = 0.0

    def begin(self) -> None:
        """Before the program runs: what is there already is not its."""
        self._shared_before = shared_memory()
        if self._grows:
            self._free_before = self._free_at_walk = free_on_disk(self._grows)
            self._before = walk(self._grows)

    @property
    def _grows(self) -> str:
        return str(self.bounds["grows"])

    def wait_ms(self) -> int:
        return max(1, round((self._look_at - time.monotonic()) * 1000))

    def look(self) -> str:
        """The bound that is exceeded: "processes", "memory", "growth" or "free_space"; "" as long as none is."""
        now = time.monotonic()
        if now < self._look_at:
            return ""
        found = self._processes_or_memory() or (self._disk(now) if self._grows else "")
        took = time.monotonic() - now
        self._look_at = now + took + max(LOOK_SECONDS, SHARE * took)
        return found

    def _processes_or_memory(self) -> str:
        numbers = list(family(self.inside))
        use = used(numbers)
        if use.tasks > self.bounds["processes"]:
            return "processes"
        most = int(self.bounds["memory"])
        more = system_five() if self.inside else 0
        if use.memory + more <= most and shared_memory() - self._shared_before > most // 2:
            more += unmapped(numbers)
        if use.memory + more > most and exactly(numbers, use.memory) + more > most:
            return "memory"
        return ""

    def _disk(self, now: float) -> str:
        free, most = free_on_disk(self._grows), int(self.bounds["growth"])
        if free.is_under(int(self.bounds["free_floor"]), self._free_before):
            return "free_space"
        if now < self._walk_at and free.gone_since(self._free_at_walk) < most // 4:
            return ""
        found = walk(self._grows)
        took = time.monotonic() - now
        self._walk_at, self._free_at_walk = now + took + max(WALK_SECONDS, SHARE * took), free
        unseen = found.blind and free.gone_since(self._free_before) > most
        return "growth" if unseen or found.size - self._before.size > most else ""


def family(inside: bool) -> Iterator[int]:
    """The processes of the program: inside a fence all but us, else all that descend from us."""
    me = os.getpid()
    numbers = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    if inside:
        yield from (number for number in numbers if number != me)
        return
    children: dict[int, list[int]] = {}
    for number in numbers:
        parent = facts(number).get("PPid")
        if parent is not None:
            children.setdefault(parent, []).append(number)
    found = list(children.get(me, ()))
    while found:
        number = found.pop()
        yield number
        found += children.get(number, ())


def facts(number: int) -> dict[str, int]:
    """The numbers of /proc/N/status; none once the process is gone."""
    found = {}
    try:
        with open(f"/proc/{number}/status", encoding="utf-8", errors="replace") as lines:
            for line in lines:
                name, _, value = line.partition(":\t")
                first = value.split(maxsplit=1)
                if first and first[0].isdigit():
                    found[name] = int(first[0])
    except OSError:
        return {}
    return found


def used(numbers: list[int]) -> Use:
    use = Use()
    for number in numbers:
        known = facts(number)
        use.tasks += known.get("Threads", 0)
        use.memory += 1024 * sum(known.get(name, 0) for name in PAGES_OF_ITS_OWN)
    return use


def exactly(numbers: list[int], roughly: int) -> int:
    """Pages that several share counted once, where the kernel tells; looked at only when it matters."""
    found = 0
    for number in numbers:
        try:
            with open(f"/proc/{number}/smaps_rollup", encoding="ascii") as lines:
                shares = [line.split() for line in lines if line.startswith(("Pss_Anon:", "Pss_Shmem:", "SwapPss:"))]
        except PermissionError:
            return roughly  # it hides from us, so it has what it seems to have
        except OSError:
            continue
        found += 1024 * sum(int(words[1]) for words in shares)
    return found


def unmapped(numbers: list[int]) -> int:
    """Memory that stands in files without a name, mapped by nobody."""
    found = {}
    for number in numbers:
        try:
            for name in os.listdir(f"/proc/{number}/fd"):
                if os.readlink(f"/proc/{number}/fd/{name}").startswith("/memfd:"):
                    held = os.stat(f"/proc/{number}/fd/{name}")
                    found[held.st_dev, held.st_ino] = held.st_blocks * 512
        except OSError:
            continue
    return sum(found.values())


def system_five() -> int:
    """Shared memory of System V, which is nobody's as long as nobody has it attached."""
    try:
        with open("/proc/sysvipc/shm", encoding="ascii") as lines:
            heads = next(lines).split()
            rss = heads.index("rss")
            return sum(int(line.split()[rss]) for line in lines)
    except (OSError, StopIteration, ValueError):
        return 0


def shared_memory() -> int:
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            return next((1024 * int(line.split()[1]) for line in lines if line.startswith("Shmem:")), 0)
    except OSError:
        return 0


def free_on_disk(folder: str) -> Free:
    disk = os.statvfs(folder)
    return Free(disk.f_bavail * disk.f_frsize, disk.f_favail if disk.f_files else 0)


def walk(folder: str) -> Walk:
    """What stands in the folder, and never through a link."""
    found, left = Walk(), [folder]
    while left:
        try:
            with os.scandir(left.pop()) as entries:
                for entry in entries:
                    found.size += NAME_BYTES + entry.stat(follow_symlinks=False).st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        left.append(entry.path)
        except OSError:
            found.blind = True  # gone, or closed to us; whoever closed it may have filled it
    return found
