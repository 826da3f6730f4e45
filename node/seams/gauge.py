"""What a program uses now, with all that it started, and which of its bounds that exceeds.

For the keeper, which stands beside the program and ends it then. Standard library alone: it is loaded by a script that
knows nothing of our packages. Where the kernel itself holds a bound (a cgroup, RLIMIT_NPROC) this is the second line;
where it holds none it is the only one, and looks so often that it takes a twentieth of a processor at most.
"""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False  # what describes types is slow to load, and this is loaded in front of every program
if TYPE_CHECKING:
    from collections.abc import Iterator

LOOK_SECONDS = 0.02
SHARE = 20
"""A look that took so long is followed by a pause that is so many times as long."""
WALK_SECONDS = 1.0
NAME_BYTES = 4096
"""A name on a disk counts as much, however little is in it: a million of empty files fills a disk as well."""
BYTES_A_NAME = 16 * 1024
"""As disks are made: one for so many bytes."""
PAGES_OF_ITS_OWN = ("RssAnon", "RssShmem", "VmSwap")


class Free:
    """What is left on a disk. No names where a disk does not count them."""

    def __init__(self, size: int = 0, names: int = 0) -> None:
        self.size = size
        self.names = names

    def gone_since(self, before: Free) -> int:
        return max(0, before.size - self.size) + NAME_BYTES * max(0, before.names - self.names)

    def is_under(self, floor: int, before: Free) -> bool:
        few = self.names < min(floor // BYTES_A_NAME, before.names // 2)
        return few or self.size < min(floor, before.size // 2)


class Bounds:
    """As the keeper was given them, in one word."""

    def __init__(self, text: str) -> None:
        *numbers, self.grows = text.split(",", 6)
        self.door, self.processes, self.memory, self.file, self.growth, self.free_floor = map(int, numbers)


class Gauge:
    def __init__(self, bounds: Bounds, inside: bool) -> None:
        """`inside`: everything that is to be seen is the program's, and the keeper is process 1 of a fence."""
        self.bounds = bounds
        self.inside = inside
        self._before = 0
        self._free_before = self._free_at_walk = Free()
        self._shared_before = 0
        self._look_at = self._walk_at = 0.0

    def begin(self) -> None:
        """Before the program runs: what is there already is not its."""
        self._shared_before = shared_memory()
        if self.bounds.grows:
            self._free_before = self._free_at_walk = free_on_disk(self.bounds.grows)
            self._before, _ = walk(self.bounds.grows)

    def wait_ms(self) -> int:
        return max(1, round((self._look_at - time.monotonic()) * 1000))

    def look(self) -> str:
        """The bound that is exceeded: "processes", "memory", "growth" or "free_space"; "" as long as none is."""
        now = time.monotonic()
        if now < self._look_at:
            return ""
        found = self._processes_or_memory() or (self._disk(now) if self.bounds.grows else "")
        took = time.monotonic() - now
        self._look_at = now + took + max(LOOK_SECONDS, SHARE * took)
        return found

    def _processes_or_memory(self) -> str:
        numbers = list(family(self.inside))
        tasks, memory = used(numbers)
        if tasks > self.bounds.processes:
            return "processes"
        most = self.bounds.memory
        more = system_five() if self.inside else 0
        if memory + more <= most and shared_memory() - self._shared_before > most // 2:
            more += unmapped(numbers)
        if memory + more > most and exactly(numbers, memory) + more > most:
            return "memory"
        return ""

    def _disk(self, now: float) -> str:
        most = self.bounds.growth
        try:
            free = free_on_disk(self.bounds.grows)
        except OSError:
            return ""  # without walls it can take the folder away, and then fills it no more
        if free.is_under(self.bounds.free_floor, self._free_before):
            return "free_space"
        if now < self._walk_at and free.gone_since(self._free_at_walk) < most // 4:
            return ""
        size, blind = walk(self.bounds.grows)
        took = time.monotonic() - now
        self._walk_at, self._free_at_walk = now + took + max(WALK_SECONDS, SHARE * took), free
        unseen = blind and free.gone_since(self._free_before) > most
        return "growth" if unseen or size - self._before > most else ""


def family(inside: bool) -> Iterator[int]:
    """The processes of the program: inside a fence all but us, else all that descend from us."""
    me = os.getpid()
    try:
        numbers = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except FileNotFoundError:
        return  # not Linux, where there are no walls either
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


def used(numbers: list[int]) -> tuple[int, int]:
    """How many processes and threads, and how much memory, what they share counted for each."""
    tasks = memory = 0
    for number in numbers:
        known = facts(number)
        tasks += known.get("Threads", 0)
        memory += 1024 * sum(known.get(name, 0) for name in PAGES_OF_ITS_OWN)
    return tasks, memory


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


def walk(folder: str) -> tuple[int, bool]:
    """How much stands in the folder, never through a link; and whether some of it could not be looked at."""
    size, blind, left = 0, False, [folder]
    while left:
        try:
            with os.scandir(left.pop()) as entries:
                for entry in entries:
                    size += NAME_BYTES + entry.stat(follow_symlinks=False).st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        left.append(entry.path)
        except OSError:
            blind = True  # gone, or closed to us; whoever closed it may have filled it
    return size, blind
