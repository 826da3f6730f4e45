"""A disk in memory that keeps no more than it must: whatever was not synced is there, in part, or not, in any order.

What a power cut may do: of each sector any of the versions written since the last sync, one of them half; the file's
length as it was at any of those moments; names made and removed since their folder was synced, or only the first of
them. A sync that fails (once) loses what it was for and says so once: the next one succeeds, and what was written
before lies in memory alone until it is written again. A process that is killed loses nothing of this.

Every call is counted; the armed one is the last that is heard. Sectors outside of what is being written stay as they
are, which SQLite relies on as it ships (SQLITE_IOCAP_POWERSAFE_OVERWRITE).
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Container
from dataclasses import dataclass

SECTOR = 512
PAGE = 4_096


class PowerCut(BaseException):
    """This life is over. Not an Exception: nobody may go on after it."""


class SyncFailed(Exception):
    """The device could not write (EIO)."""


class All:
    """Every call there is."""

    def __contains__(self, call: object) -> bool:
        return True


EVERY_CALL = All()


@dataclass(frozen=True, slots=True)
class Mood:
    """How a cut treats what was not synced."""

    survives: float  # of the sectors
    unit: int  # what is written at once: a sector, or a page of the system's cache
    tears: bool  # the last of what came to a sector is there in part

    def text(self) -> str:
        return f"{self.survives:.0%} of {self.unit} bytes each survive"


def any_mood(chance: random.Random) -> Mood:
    return Mood(
        survives=chance.choice((0.0, 0.1, 0.5, 0.9, 1.0)),
        unit=chance.choice((SECTOR, PAGE)),
        tears=chance.random() < 0.85,
    )


@dataclass(frozen=True, slots=True)
class _Change:
    offset: int
    new: bytes | None  # None: the file was cut to `offset`
    old: bytes  # what stood there, as far as there was anything
    size: int  # of the file before


class File:
    """What a name leads to. `data` is what programs see."""

    def __init__(self) -> None:
        self.data = bytearray()
        self._unsynced: list[_Change] = []
        self._lied: dict[int, bytes] = {}  # pages that a failed sync left in memory alone: what the device has of them

    def clone(self) -> File:
        made = File()
        made.data = bytearray(self.data)
        made._unsynced, made._lied = self._unsynced.copy(), self._lied.copy()
        return made

    def write(self, offset: int, new: bytes) -> None:
        data, size = self.data, len(self.data)
        if offset > size:
            data.extend(bytes(offset - size))
        end = offset + len(new)
        self._unsynced.append(_Change(offset, new, bytes(data[offset:end]), size))
        data[offset:end] = new

    def truncate(self, size: int) -> None:
        self._unsynced.append(_Change(size, None, bytes(self.data[size:]), len(self.data)))
        del self.data[size:]

    def sync(self) -> None:
        if self._lied:
            for page in self._touched():
                self._lied.pop(page, None)
        self._unsynced.clear()

    def renew(self) -> None:
        """All of it once more: where the device has the same, that is no change."""
        for page in sorted(self._lied):
            self.write(page * PAGE, bytes(self.data[page * PAGE : (page + 1) * PAGE]))

    def fail_to_sync(self) -> None:
        now = bytes(self.data)
        touched = self._touched()
        self._undo()
        for page in touched:
            self._lied.setdefault(page, bytes(self.data[page * PAGE : (page + 1) * PAGE]))
        self.data[:] = now

    def _touched(self) -> list[int]:
        pages = dict.fromkeys(
            page
            for change in self._unsynced
            if change.new is not None
            for page in range(change.offset // PAGE, (change.offset + len(change.new) - 1) // PAGE + 1)
        )
        return list(pages)

    def _undo(self) -> None:
        data = self.data
        for change in reversed(self._unsynced):
            data[change.offset : change.offset + len(change.old)] = change.old
            del data[change.size :]
        self._unsynced = []

    def cut(self, chance: random.Random, mood: Mood) -> int:
        """What is left. Returns how many writes are there in part."""
        changes, lied = self._unsynced, self._lied
        self._lied = {}
        if not changes and not lied:
            return 0
        end_size = len(self.data)
        rewritten = set(self._touched())
        self._undo()
        data = self.data
        sizes = [len(data), *(change.size for change in changes[1:]), end_size] if changes else [end_size]
        data.extend(bytes(max(0, max(sizes, default=0) - len(data))))
        for page, old in lied.items():
            if page not in rewritten or chance.random() >= mood.survives:
                data[page * PAGE : page * PAGE + PAGE] = old.ljust(PAGE, b"\0")
        torn = _apply(data, changes, chance, mood)
        kept = {0.0: 0, 1.0: len(sizes) - 1}.get(mood.survives)
        del data[sizes[chance.randrange(len(sizes)) if kept is None else kept] :]
        return torn


def _apply(data: bytearray, changes: list[_Change], chance: random.Random, mood: Mood) -> int:
    """Each sector gets some of what was written to it, in order. Returns how many writes were torn by that."""
    sectors: dict[int, list[tuple[int, int, bytes]]] = {}
    unit, parts = mood.unit, [0] * len(changes)
    for number, change in enumerate(changes):
        new = bytes(change.size - change.offset) if change.new is None else change.new
        at, end = change.offset, change.offset + len(new)
        while at < end:
            until = min(end, (at // unit + 1) * unit)
            sectors.setdefault(at // unit, []).append((number, at, new[at - change.offset : until - change.offset]))
            parts[number] += 1
            at = until
    wanted = parts.copy()
    torn = 0
    draw = chance.random
    for pieces in sectors.values():
        if mood.survives in {0.0, 1.0}:
            kept = len(pieces) if mood.survives else 0
        else:
            kept = len(pieces) if draw() < mood.survives else int(draw() * len(pieces))
        for number, at, piece in pieces[:kept]:
            data[at : at + len(piece)] = piece
            parts[number] -= 1
        if mood.tears and kept < len(pieces) and draw() < 0.25:
            _, at, piece = pieces[kept]
            half = int(draw() * len(piece))
            data[at : at + half] = piece[:half]
            torn += 1
    return torn + sum(0 < left < all_ for left, all_ in zip(parts, wanted, strict=True))


class Disk:
    """One folder of files, and when it dies."""

    def __init__(self) -> None:
        self.files: dict[str, File] = {}
        self.calls = 0
        self.fell: str | None = None
        """The call before which the power went; the disk is dead until `revive`."""
        self.failed: str | None = None
        """The last sync that failed in this life."""
        self.written_back = 0
        """How often the database itself was synced."""
        self._renames: list[tuple[str, File | None]] = []  # not synced: a name, and what it led to before
        self._counted: Container[str] = EVERY_CALL
        self._left = 0
        self._syncs_left = 0

    def clone(self) -> Disk:
        made = Disk()
        twins = {id(file): file.clone() for file in self.files.values()}
        made.files = {name: twins[id(file)] for name, file in self.files.items()}
        for name, before in self._renames:
            if before is not None and id(before) not in twins:
                twins[id(before)] = before.clone()
            made._renames.append((name, None if before is None else twins[id(before)]))
        return made

    # When it dies.

    def arm(self, counted: Container[str], number: int) -> None:
        """The power goes before the so-manyth of these calls. 0: never."""
        self._counted, self._left = counted, number

    def disarm(self) -> tuple[Container[str], int]:
        """For a while; `arm` takes what it gives."""
        armed, self._left = (self._counted, self._left), 0
        return armed

    def arm_sync(self, number: int) -> None:
        """The so-manyth sync fails. 0: none."""
        self._syncs_left = number

    def step(self, call: str) -> None:
        """Before each call."""
        if self.fell is not None:
            raise PowerCut(self.fell)
        self.calls += 1
        if self._left and call in self._counted:
            self._left -= 1
            if not self._left:
                self.die(call)
                raise PowerCut(call)

    def die(self, call: str) -> None:
        """From here on nothing is heard."""
        self.fell = call

    def revive(self, chance: random.Random, mood: Mood | None) -> Counter[str]:
        """Power again. Without a mood only the process had died: its files are as it saw them."""
        found: Counter[str] = Counter()
        self.fell = self.failed = None
        self._left = self._syncs_left = 0
        if mood is None:
            return found
        kept = {0.0: 0, 1.0: len(self._renames)}.get(mood.survives)
        found["names forgotten"] = self._forget_names(chance.randint(0, len(self._renames)) if kept is None else kept)
        for name in sorted(self.files):
            found["torn writes"] += self.files[name].cut(chance, mood)
        return found

    def _forget_names(self, kept: int) -> int:
        forgotten = self._renames[kept:]
        for name, before in reversed(forgotten):
            if before is None:
                self.files.pop(name, None)
            else:
                self.files[name] = before
        self._renames = []
        return len(forgotten)

    # What programs do.

    def create(self, name: str) -> None:
        if name not in self.files:
            self._renames.append((name, None))
            self.files[name] = File()

    def delete(self, name: str) -> None:
        self._renames.append((name, self.files.pop(name)))

    def renew(self, name: str) -> None:
        """Written once more as it is, and synced."""
        file = self.files.get(name)
        if file is None or not file.data:
            return
        self.step("write log")
        file.renew()
        self.step("sync log")
        self.sync(file, "sync log")

    def sync(self, file: File, call: str) -> None:
        if self._syncs_left:
            self._syncs_left -= 1
            if not self._syncs_left:
                self.failed = call
                file.fail_to_sync()
                raise SyncFailed(call)
        file.sync()
        self.written_back += call == "sync database"

    def sync_names(self) -> None:
        self._renames.clear()
