"""What of a simulated disk is not durable yet: the journal by which a loss of power undoes it.

Names and bytes are lost apart from each other, as on a real disk: a name that was synced may hold a file whose bytes
never came. The changes of one folder are durable in their order, those of two folders in any; a file that was moved
stands under its old name or its new one, never under none or both, as every file system with a journal of its own
keeps it. So a sync of either folder makes a move durable.

Contents are not copied: whoever takes a file's last name away leaves it under a name in a folder of ours.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import takewhile

from netsky.node.seams.chance import Chance

WRITTEN_BACK_NS = 30 * 10**9
"""What is older is durable by itself: Linux writes back what is dirty for so long, and commits names every 5 s."""

LOOK_NS = 10 * 10**9
"""How often the journal is looked through for that: it holds no more than the changes of some 40 s."""

MERGED_NS = 10**9
"""Growth of one file within this time is one change: a log grows thousands of times in it."""


@dataclass(eq=False, slots=True)
class Folder:
    path: str
    changes: list[Change] = field(default_factory=list)
    """Of its names, in their order; a move stands in both of its folders."""
    loose: dict[str, Loose] = field(default_factory=dict)
    """Files in it with bytes that are not durable."""


@dataclass(eq=False, slots=True)
class Place:
    folder: Folder
    name: str

    @property
    def path(self) -> str:
        return f"{self.folder.path}/{self.name}"

    def is_at(self, folder: Folder, name: str) -> bool:
        return self.folder is folder and self.name == name


@dataclass(eq=False, slots=True)
class Change:
    """A name that came (`after` alone), went (`before` alone) or moved."""

    number: int
    at: int
    before: Place | None
    after: Place | None
    kept: str | None
    """Where that lies which had this name until then."""
    loose: Loose | None
    """Of that."""

    def folders(self) -> Iterator[Folder]:
        if self.before is not None:
            yield self.before.folder
        if self.after is not None and (self.before is None or self.after.folder is not self.before.folder):
            yield self.after.folder

    def touches(self, folder: Folder, name: str) -> bool:
        return any(place is not None and place.is_at(folder, name) for place in (self.before, self.after))

    def undo(self) -> None:
        """What others have done to these names meanwhile stays."""
        if self.after is None:
            assert self.before is not None
            if self.kept is None:
                os.mkdir(self.before.path, 0o700)
            elif not os.path.lexists(self.before.path):
                os.rename(self.kept, self.before.path)
            return
        if self.before is not None and not os.path.lexists(self.before.path):
            os.rename(self.after.path, self.before.path)
        if self.kept is not None:
            os.rename(self.kept, self.after.path)
        elif self.before is None and os.path.isdir(self.after.path):
            shutil.rmtree(self.after.path)
        elif self.before is None:
            os.unlink(self.after.path)


@dataclass(slots=True)
class Mark:
    """A file before some bytes of it changed: its size, and what stood from `offset` on."""

    at: int
    size: int
    offset: int
    before: bytes


@dataclass(eq=False, slots=True)
class Loose:
    """A file with bytes that are not durable."""

    marks: list[Mark]
    sealed: bool = False
    """What comes next is no part of the last change: somebody syncs up to there."""
    holes: list[tuple[int, int]] = field(default_factory=list)
    """From and to: a sync of these failed, and no later one writes them."""

    def rewritten(self, start: int, end: int) -> None:
        self.holes = [
            part
            for low, high in self.holes
            for part in ((low, min(high, start)), (max(low, end), high))
            if part[0] < part[1]
        ]


class Cut:
    """Where the loss of power falls: all that was not synced survives it, or nothing, or of each a part."""

    def __init__(self, chance: Chance) -> None:
        self._chance = chance
        mood = chance.fraction()
        self._share = 1.0 if mood < 0.25 else 0.0 if mood < 0.5 else None

    def kept(self, count: int) -> int:
        """Of so many changes, how many survive."""
        if self._share is not None or not count:
            return round(count * (self._share or 0.0))
        return int(self._chance.fraction() * (count + 1))

    def torn(self) -> bool:
        """Whether the first that did not survive left some of itself."""
        return self._share is None

    def fraction(self) -> float:
        return self._chance.fraction()


class Journal:
    """Of one disk. Whoever changes a folder says so afterwards."""

    def __init__(self) -> None:
        self.folders: dict[str, Folder] = {}
        self._never: list[Change] = []
        """Those whose sync failed: no later one writes them, unless the name is written anew."""
        self._number = 0
        self._looked_at = 0

    def folder(self, path: str) -> Folder:
        found = self.folders.get(path)
        if found is None:
            found = self.folders[path] = Folder(path)
        return found

    # What happens.

    def changed(self, now: int, before: Place | None, after: Place | None, kept: str | None = None) -> None:
        self._look(now)
        source = before.folder.loose.pop(before.name, None) if before is not None else None
        target = after.folder.loose.pop(after.name, None) if after is not None else None
        if before is not None and after is not None and source is not None:
            after.folder.loose[after.name] = source
        self._number += 1
        change = Change(self._number, now, before, after, kept, source if after is None else target)
        for folder in change.folders():
            folder.changes.append(change)
        if self._never:
            names = [place for place in (before, after) if place is not None]
            self._forget_never([one for one in self._never if any(one.touches(at.folder, at.name) for at in names)])

    def grew(self, now: int, folder: Folder, name: str, size: int) -> None:
        """From this size on."""
        self.rewrote(now, Place(folder, name), size, size, b"")

    def rewrote(self, now: int, at: Place, size: int, offset: int, before: bytes) -> None:
        self._look(now)
        loose = at.folder.loose.get(at.name)
        if loose is None:
            loose = at.folder.loose[at.name] = Loose([])
        loose.marks.append(Mark(now, size, offset, before))
        loose.sealed = False

    @staticmethod
    def is_growing(now: int, folder: Folder, name: str) -> bool:
        """Whether growth of now belongs to a change that is known."""
        loose = folder.loose.get(name)
        return loose is not None and not loose.sealed and bool(loose.marks) and now - loose.marks[-1].at < MERGED_NS

    @staticmethod
    def written(at: Place, start: int, end: int) -> None:
        """Whatever was there before is written anew, and so is what an earlier sync failed to write."""
        loose = at.folder.loose.get(at.name)
        if loose is not None and loose.holes:
            loose.rewritten(start, end)

    @staticmethod
    def sealed(at: Place) -> None:
        loose = at.folder.loose.get(at.name)
        if loose is not None:
            loose.sealed = True

    @staticmethod
    def bytes_synced(at: Place, since: int, size: int, *, failed: bool) -> None:
        """Those that were written before the sync began; `failed`: they never will be."""
        loose = at.folder.loose.get(at.name)
        if loose is None:
            return
        done = [mark for mark in loose.marks if mark.at <= since]
        del loose.marks[: len(done)]
        if failed and done:
            loose.holes.append((min(mark.offset for mark in done), size))
        if not loose.marks and not loose.holes:
            del at.folder.loose[at.name]

    def moved_folder(self, path: str, to: str) -> None:
        if path not in self.folders:
            return
        for folder in list(self.folders.values()):
            if folder.path == path or folder.path.startswith(f"{path}/"):
                del self.folders[folder.path]
                folder.path = to + folder.path.removeprefix(path)
                self.folders[folder.path] = folder

    # What becomes durable, and what never does.

    def synced(self, folder: Folder) -> None:
        if folder.changes:
            self._durable(folder, len(folder.changes))

    def never_synced(self, folder: Folder) -> None:
        for change in folder.changes:
            self._never.append(change)
            for other in change.folders():
                if other is not folder:
                    other.changes.remove(change)
        folder.changes = []

    def _durable(self, folder: Folder, count: int) -> None:
        done, folder.changes = folder.changes[:count], folder.changes[count:]
        for change in done:
            _drop(change.kept)
            for other in change.folders():
                if other is not folder and change in other.changes:
                    self._durable(other, other.changes.index(change) + 1)

    def _look(self, now: int) -> None:
        if now - self._looked_at < LOOK_NS:
            return
        self._looked_at = now
        old = now - WRITTEN_BACK_NS
        for folder in self.folders.values():
            self._durable(folder, sum(1 for _ in takewhile(lambda change: change.at < old, folder.changes)))
            for name, loose in list(folder.loose.items()):
                del loose.marks[: sum(1 for _ in takewhile(lambda mark: mark.at < old, loose.marks))]
                if not loose.marks and not loose.holes:
                    del folder.loose[name]

    def _forget_never(self, changes: list[Change]) -> None:
        for change in changes:
            self._never.remove(change)
            _drop(change.kept)

    # What is lost.

    def lose(self, now: int, cut: Cut) -> int:
        """The disk as it is after the cut; how many changes did not survive it."""
        self._looked_at -= LOOK_NS
        self._look(now)
        lost = self._lost(cut)
        count = len(lost)
        for folder in self.folders.values():
            for name, loose in folder.loose.items():
                count += _tear(f"{folder.path}/{name}", loose, cut)
        for change in sorted([*lost, *self._never], key=lambda one: one.number, reverse=True):
            if change.loose is not None and change.kept is not None:
                _tear(change.kept, change.loose, cut)
            with suppress(OSError):
                change.undo()
                if change.before is not None and change.after is not None:
                    self.moved_folder(change.after.path, change.before.path)
        self.forget()
        return count

    def forget(self) -> None:
        """All is durable as it stands."""
        for folder in self.folders.values():
            for change in folder.changes:
                _drop(change.kept)
            folder.changes, folder.loose = [], {}
        self._forget_never(list(self._never))

    def _lost(self, cut: Cut) -> list[Change]:
        """The last of each folder from some point on, and in other folders what came after these."""
        drawn: set[int] = set()
        for folder in self.folders.values():
            drawn.update(change.number for change in folder.changes[cut.kept(len(folder.changes)) :])
        all_of_them = {change.number: change for folder in self.folders.values() for change in folder.changes}
        lost, cut_off = [], set[str]()
        for number in sorted(all_of_them):
            change = all_of_them[number]
            paths = {folder.path for folder in change.folders()}
            if number in drawn or paths & cut_off:
                lost.append(change)
                cut_off |= paths
        return lost


def _drop(kept: str | None) -> None:
    if kept is not None:
        with suppress(OSError):
            os.unlink(kept)


def _tear(path: str, loose: Loose, cut: Cut) -> int:
    """The file with the bytes that the cut left it; how many changes it lost."""
    kept = cut.kept(len(loose.marks))
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return 0  # somebody took it away, by no seam
    try:
        for mark in reversed(loose.marks[kept + 1 :]):
            _back_to(descriptor, mark)
        if kept < len(loose.marks):
            _tear_one(descriptor, loose.marks[kept], cut)
        size = os.fstat(descriptor).st_size
        for low, high in loose.holes:
            os.pwrite(descriptor, bytes(max(0, min(high, size) - low)), low)
    finally:
        os.close(descriptor)
    return len(loose.marks) - kept


def _tear_one(descriptor: int, mark: Mark, cut: Cut) -> None:
    """Of growth some may be there: to a byte, and behind it nothing, or zeros where only the size was written."""
    grown = os.fstat(descriptor).st_size - mark.size
    if mark.before or grown <= 0 or not cut.torn():
        _back_to(descriptor, mark)
        return
    os.ftruncate(descriptor, mark.size + int(cut.fraction() * grown))
    if cut.fraction() < 0.5:
        os.ftruncate(descriptor, mark.size + grown)


def _back_to(descriptor: int, mark: Mark) -> None:
    os.ftruncate(descriptor, mark.size)
    os.pwrite(descriptor, mark.before, mark.offset)
