"""The databases of a simulated disk: the shipped ledger on a real file, with what the disk may do to it.

Which commits survive a loss of power is asked of the live connection (`PRAGMA synchronous`): with FULL each was synced,
with NORMAL what the last checkpoint wrote back, with OFF none. The log is then cut at a frame behind those that are
sure. Nothing is changed in place: a dead life's connection is open in this process still, with its locks and its
mapped index, and goes on with the old files, which have no names any more. SQLite sees that its file has moved, and
touches nothing of the new one when it closes.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio
from netsky.node.db.ledger import SqliteLedgers
from netsky.node.lab.unsynced import Cut
from netsky.node.seams.ledger import Ledger, LedgerBroken, LedgerFull, OpenLedger, Row, Statement

if TYPE_CHECKING:
    from netsky.node.lab.disk import Disk

_LEVEL = Statement("PRAGMA synchronous")
_OFF, _NORMAL, _FULL = range(3)

_LOG_HEADER = 32
_PAGE_SIZE = slice(8, 12)
_SALTS = slice(16, 24)
_FRAME_HEADER = 24
_FRAME_COMMITS = slice(4, 8)
_FRAME_SALTS = slice(8, 16)
_INDEX_FRAMES = slice(16, 20)
_INDEX_SALTS = slice(32, 40)
_INDEX_BACK = slice(96, 100)
_INDEX_BYTES = 100
"""SQLite's formats of the log, and of the index of it in shared memory: https://www.sqlite.org/walformat.html."""


@dataclass(frozen=True, slots=True)
class Frames:
    """A number of frames of one generation of a log: its salts are new each time that it begins anew."""

    salts: bytes
    count: int


@dataclass(frozen=True, slots=True)
class Index:
    all: Frames
    back: Frames
    """Those that a checkpoint has written back, and synced."""


@dataclass(eq=False, slots=True)
class Database:
    path: str
    level: int = _FULL
    open: DiskLedger | None = None
    sure: Frames | None = None
    """So many are durable, because a checkpoint of an earlier life wrote them back."""
    unsure: Frames | None = None
    """Behind these is what a sync under way is to write."""
    hole: Frames | None = None
    """Behind these is what a sync failed to write: none does that is not told to write it once more, and SQLite reads
    no frame behind a hole."""


class Databases:
    """The seam. It remembers what of each file is sure, over the lives of those who open it."""

    def __init__(self, disk: Disk, ledgers: OpenLedger | None = None) -> None:
        self._disk = disk
        self._ledgers = ledgers or SqliteLedgers()
        self._known: dict[str, Database] = {}

    def open(self, path: str) -> Ledger:
        known = self._known.setdefault(path, Database(path))
        _bury(known)
        known.unsure = None  # a sync that its process did not live to see the end of goes on without it
        _age(path)
        known.open = DiskLedger(self._ledgers.open(path), known, self._disk)
        if not _is_aged(path):  # all of the log was written and synced once more
            known.hole = None
        return known.open

    def put_away(self) -> None:
        """Connections of dead lives are closed, and have changed nothing."""
        for known in self._known.values():
            _bury(known)

    def lose(self, cut: Cut) -> int:
        return sum(_lose(known, cut) for known in self._known.values())


class DiskLedger:
    def __init__(self, ledger: Ledger, database: Database, disk: Disk) -> None:
        self._ledger = ledger
        self._database = database
        self._disk = disk
        self._turn = trio.Lock()
        self._broken: str | None = None
        self._writes: dict[str, bool] = {}
        """By the text of a statement: whether it may."""

    async def transaction(self, statements: Sequence[Statement]) -> list[list[Row]]:
        disk = self._disk
        writes = any(self._may_write(statement.sql) for statement in statements)
        if self._turn.locked() or (writes and (disk.full or disk.fail_syncs or disk.sync_seconds)):
            async with self._turn:  # nobody sees what a sync under way is to write
                return await (self._commit(statements) if writes else self._read(statements))
        return await (self._run(statements) if writes else self._read(statements))

    async def _read(self, statements: Sequence[Statement]) -> list[list[Row]]:
        if self._broken is not None:
            raise LedgerBroken(self._broken)
        return await self._ledger.transaction(statements)

    async def _run(self, statements: Sequence[Statement]) -> list[list[Row]]:
        if self._broken is not None:
            raise LedgerBroken(self._broken)
        [[(level,)], *rows] = await self._ledger.transaction([_LEVEL, *statements])
        assert isinstance(level, int)
        self._database.level = level
        return rows

    async def _commit(self, statements: Sequence[Statement]) -> list[list[Row]]:
        """One whose sync takes long, or fails: then the next start finds it in the log, or does not."""
        known, disk = self._database, self._disk
        if disk.full:
            raise LedgerFull("No room left for meta.db: the simulated disk is full.")
        if known.level < _FULL:
            return await self._run(statements)  # no sync, no trouble
        fails = disk.sync_fails()
        is_written = not fails or disk.chance.fraction() < 0.5
        known.unsure = _frames(known.path)
        rows = await self._run(statements) if is_written else []
        await disk.wait()  # who dies in it leaves behind what is unsure
        known.unsure, before = None, known.unsure
        if fails:
            if is_written:
                known.hole = _earlier(known.hole, _not_written_back(known.path, before))
            self._broken = "meta.db failed: disk I/O error (the simulated disk failed to sync)."
            raise LedgerBroken(self._broken)
        return rows

    def _may_write(self, sql: str) -> bool:
        known = self._writes.get(sql)
        if known is None:
            words = sql.upper().split()
            known = words[0] not in {"SELECT", "PRAGMA", "WITH"} or bool({"INSERT", "UPDATE", "DELETE"} & {*words})
            self._writes[sql] = known
        return known

    def close(self) -> None:
        """The last connection writes the log back and removes it, unless the disk fails again."""
        self._broken = "meta.db is closed."
        if self._database.open is self and self._disk.sync_fails():
            _bury(self._database)
        else:
            self.close_really()

    def close_really(self) -> None:
        if self._database.open is self:
            self._database.open = None
        self._ledger.close()


def _bury(database: Database) -> None:
    """Its connection ends as with its process: all that it has written is there, in the system's memory at least."""
    if database.open is None:
        return
    index = _index(database.path)
    if index is not None and index.back.count >= _count(database.sure, index.back.salts):
        database.sure = index.back
    _renew(database.path)
    database.open.close_really()


def _renew(path: str) -> None:
    """The same under the same names, and no other name of it: who has the old files open keeps those."""
    for name in (path, _log(path)):
        fresh = f"{name}.fresh"
        with suppress(FileNotFoundError):
            shutil.copy(name, fresh)
            os.rename(fresh, name)
    with suppress(FileNotFoundError):
        os.unlink(f"{path}-shm")


def _lose(database: Database, cut: Cut) -> int:
    """How many commits."""
    unsure, database.unsure = database.unsure, None
    _bury(database)
    if database.level >= _FULL and unsure is None and database.hole is None:
        return 0
    log = _log(database.path)
    if not os.path.exists(log):
        return 0
    _renew(database.path)
    salts, size, commits = _read_log(log)
    sure, most = _count(database.sure, salts), len(commits)
    if database.level == _OFF:
        sure = 0
    elif database.level >= _FULL:
        sure = most if unsure is None else max(sure, _count(unsure, salts))
    if database.hole is not None and database.hole.salts == salts:
        most = min(most, database.hole.count)
        sure = min(sure, most)
    kept = sure + cut.kept(most - sure)
    if kept == 0:
        os.unlink(log)
    elif kept < len(commits):
        os.truncate(log, _LOG_HEADER + kept * size)
    database.hole = None
    return sum(commits[kept:])


def _read_log(log: str) -> tuple[bytes, int, list[bool]]:
    """Its salts, the bytes of a frame, and of each frame of this generation whether a commit ends there."""
    descriptor = os.open(log, os.O_RDONLY | os.O_CLOEXEC)
    try:
        header, commits = os.pread(descriptor, _LOG_HEADER, 0), list[bool]()
        salts, size = header[_SALTS], int.from_bytes(header[_PAGE_SIZE]) + _FRAME_HEADER
        end = os.fstat(descriptor).st_size
        for at in range(_LOG_HEADER, end - size + 1, size):
            frame = os.pread(descriptor, _FRAME_HEADER, at)
            if frame[_FRAME_SALTS] != salts:
                break  # of an earlier generation
            commits.append(any(frame[_FRAME_COMMITS]))
    finally:
        os.close(descriptor)
    return salts, size, commits


def _index(path: str) -> Index | None:
    try:
        with open(f"{path}-shm", "rb") as file:
            read = file.read(_INDEX_BYTES)
    except FileNotFoundError:
        return None
    if len(read) < _INDEX_BYTES:
        return None
    salts = read[_INDEX_SALTS]
    return Index(*(Frames(salts, int.from_bytes(read[part], sys.byteorder)) for part in (_INDEX_FRAMES, _INDEX_BACK)))


def _frames(path: str) -> Frames:
    index = _index(path)
    return Frames(b"", 0) if index is None else index.all


def _not_written_back(path: str, before: Frames | None) -> Frames | None:
    """Where the hole is, unless a checkpoint within the commit has written what it was about."""
    index = _index(path)
    if index is None or before is None:
        return None
    hole = Frames(index.all.salts, _count(before, index.all.salts))
    return hole if index.back.count <= hole.count else None


def _count(frames: Frames | None, salts: bytes) -> int:
    return frames.count if frames is not None and frames.salts == salts else 0


def _earlier(known: Frames | None, new: Frames | None) -> Frames | None:
    return known if known is not None and new is not None and known.salts == new.salts else new or known


def _age(path: str) -> None:
    """So that one sees whether somebody writes to the log."""
    with suppress(FileNotFoundError):
        os.utime(_log(path), ns=(0, 0))


def _is_aged(path: str) -> bool:
    try:
        return os.stat(_log(path)).st_mtime_ns == 0
    except FileNotFoundError:
        return True


def _log(path: str) -> str:
    return f"{path}-wal"
