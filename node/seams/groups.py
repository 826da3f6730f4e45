"""Control groups: a wall of the kernel behind the bounds of a program, where this node may put up one.

May means delegated: whoever manages the machine's groups (systemd) has given us the one that we are in, with what is
beneath it. Where it has not, `find` says so and the keeper's look at the program is what there is. The wall stands a
little behind the bound, so that the keeper ends a program with a reason and the kernel only one that was too fast.
"""

from __future__ import annotations

import os
from contextlib import suppress
from itertools import count

from netsky.node.seams.processes import Bounds

ROOT, OWN = "/sys/fs/cgroup", "/proc/self/cgroup"
WANTED = ("memory", "pids")
LEAF = "node"
"""Beneath ours, for ourselves: a group with processes of its own can give its children no bounds."""
CELL = "cell-"
SPARE_BYTES = 512 << 20
"""Behind the bound: files in memory, of which scratch is the largest, count here and not there."""
SPARE_TASKS = 32
MOVES_MAX = 16
DELEGATED = ("user.delegate", "trusted.delegate")


class Groups:
    """The group that was given to us."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._numbers = count()

    def make(self, bounds: Bounds) -> Group | None:
        """One for a program; None if it cannot be made now."""
        group = Group(os.path.join(self.folder, f"{CELL}{os.getpid()}-{next(self._numbers)}"))
        try:
            os.mkdir(group.folder)
            _write(group.folder, "memory.max", str(bounds.memory + SPARE_BYTES))
            _write(group.folder, "pids.max", str(bounds.processes + SPARE_TASKS))
            _write(group.folder, "memory.oom.group", "1")  # all of it, not the one process that asked last
            with suppress(OSError):  # where nothing is swapped there is no such file
                _write(group.folder, "memory.swap.max", "0")
        except OSError:
            group.remove()
            return None
        return group


class Group:
    def __init__(self, folder: str) -> None:
        self.folder = folder

    def door(self) -> int:
        """Whoever writes 0 into this descriptor is inside from then on."""
        return os.open(os.path.join(self.folder, "cgroup.procs"), os.O_WRONLY | os.O_CLOEXEC)

    def exceeded(self) -> str:
        """ "memory" if the kernel ended it for that."""
        with suppress(OSError, ValueError):
            facts = dict(line.split() for line in _read(self.folder, "memory.events").splitlines())
            return "memory" if int(facts.get("oom_kill", 0)) > 0 else ""
        return ""

    def remove(self) -> None:
        with suppress(OSError):  # somebody in it is still dying: the next start of the node takes it away
            os.rmdir(self.folder)


def find(root: str = ROOT, own: str = OWN) -> Groups | None:
    """Moves ourselves into a leaf, so that our group can bound its children. None where it is not ours to do so."""
    try:
        with open(own, encoding="utf-8") as lines:
            path = next((line.strip().removeprefix("0::") for line in lines if line.startswith("0::")), "")
        folder = os.path.join(root, path.lstrip("/"))
        if not path or not _is_ours(folder) or not set(WANTED) <= set(_read(folder, "cgroup.controllers").split()):
            return None
        if os.path.basename(folder) == LEAF:
            return None  # of a node that we are a program of
        _settle(folder)
        for name in os.listdir(folder):
            if name.startswith(CELL):
                Group(os.path.join(folder, name)).remove()
    except OSError:
        return None
    return Groups(folder)


def _is_ours(folder: str) -> bool:
    for name in DELEGATED:
        with suppress(OSError):
            if os.getxattr(folder, name) == b"1":
                return True
    return False


def _settle(folder: str) -> None:
    leaf = os.path.join(folder, LEAF)
    with suppress(FileExistsError):
        os.mkdir(leaf)
    for _ in range(MOVES_MAX):  # what we started may start something just now
        numbers = _read(folder, "cgroup.procs").split()
        if not numbers:
            break
        for number in numbers:
            with suppress(ProcessLookupError):
                _write(leaf, "cgroup.procs", number)
    _write(folder, "cgroup.subtree_control", " ".join(f"+{name}" for name in WANTED))


def _read(folder: str, name: str) -> str:
    with open(os.path.join(folder, name), encoding="ascii") as file:
        return file.read()


def _write(folder: str, name: str, text: str) -> None:
    """In one call, as the kernel takes it."""
    descriptor = os.open(os.path.join(folder, name), os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)
