"""The disk as SQLite sees it: an apsw VFS. The one place that imports apsw, with the ledger beside it.

The memory that connections share (-shm) is that of SQLite's own VFS for one process: what is left of it after a cut
is thrown away by whoever opens the file first, so it has nothing to lose. So are its locks.
"""

from __future__ import annotations

import os
import random
from typing import Any

import apsw
from netsky.node.lab.pages.disk import Disk, File, SyncFailed

NAME = "netsky-lossy"
_KINDS = {"-wal": "log", "-journal": "journal"}


def kind_of(name: str) -> str:
    return next((kind for ending, kind in _KINDS.items() if name.endswith(ending)), "database")


class Vfs(apsw.VFS):
    """One for a process: SQLite draws its own chance from its default VFS, and a seed must decide that too."""

    def __init__(self, folder: str) -> None:
        self.disk = Disk()
        self._chance = random.Random(0)  # noqa: S311 - reproducible on purpose
        self._shadow = os.path.join(folder, "shadow.db")
        super().__init__(NAME, "unix-excl", makedefault=True)

    def put_in(self, disk: Disk, seed: int) -> None:
        self.disk = disk
        self._chance = random.Random(seed)  # noqa: S311
        apsw.randomness(0)

    def xRandomness(self, size: int) -> bytes:  # noqa: N802 - SQLite's names
        return self._chance.randbytes(size)

    def xFullPathname(self, name: str) -> str:  # noqa: N802
        return name

    def xAccess(self, name: str, flags: int) -> bool:  # noqa: N802
        self.disk.step(f"look for {kind_of(name)}")
        del flags
        return name in self.disk.files

    def xDelete(self, name: str, sync_folder: bool) -> None:  # noqa: N802
        disk = self.disk
        disk.step(f"delete {kind_of(name)}")
        if name not in disk.files:
            raise apsw.IOError(name)
        disk.delete(name)
        if sync_folder:
            disk.sync_names()

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> Any:  # noqa: N802
        if name is None:  # a statement's own memory, spilled: it dies with the process
            flags[1] = flags[0]
            return _Alone(self.disk, File(), "temporary", created=False)
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        kind, disk = kind_of(path), self.disk
        create = bool(flags[0] & apsw.SQLITE_OPEN_CREATE)
        known = path in disk.files
        disk.step(f"{'open' if known or not create else 'create'} {kind}")
        if not known:
            if not create:
                raise apsw.CantOpenError(path)
            disk.create(path)
        flags[1] = flags[0]
        file = disk.files[path]
        if kind == "database":
            return _Shared(self._shadow, flags, disk, file)
        return _Alone(disk, file, kind, create)


class _Opened:
    def __init__(self, disk: Disk, file: File, kind: str, created: bool) -> None:
        self._disk, self._file, self._step = disk, file, disk.step
        self._read, self._write, self._measure = f"read {kind}", f"write {kind}", f"measure {kind}"
        self._truncate, self._sync = f"truncate {kind}", f"sync {kind}"
        self._names_due = created  # as SQLite's own VFS: the first sync of a log is that of its folder as well

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802
        self._step(self._read)
        return bytes(self._file.data[offset : offset + amount])

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        self._step(self._write)
        self._file.write(offset, data)

    def xTruncate(self, size: int) -> None:  # noqa: N802
        self._step(self._truncate)
        self._file.truncate(size)

    def xSync(self, flags: int) -> None:  # noqa: N802
        del flags
        self._step(self._sync)
        try:
            self._disk.sync(self._file, self._sync)
        except SyncFailed as error:
            failure: Any = apsw.IOError(str(error))
            failure.extendedresult = apsw.SQLITE_IOERR_FSYNC
            raise failure from error
        if self._names_due:
            self._disk.sync_names()
            self._names_due = False

    def xFileSize(self) -> int:  # noqa: N802
        self._step(self._measure)
        return len(self._file.data)


class _Alone(_Opened):
    """Log, journal, what is temporary: no locks of their own."""

    def xClose(self) -> None:  # noqa: N802
        pass

    def xLock(self, level: int) -> None:  # noqa: N802
        pass

    def xUnlock(self, level: int) -> None:  # noqa: N802
        pass

    def xCheckReservedLock(self) -> bool:  # noqa: N802
        return False

    def xFileControl(self, op: int, pointer: int) -> bool:  # noqa: N802
        del op, pointer
        return False

    def xSectorSize(self) -> int:  # noqa: N802
        return 4_096

    def xDeviceCharacteristics(self) -> int:  # noqa: N802
        return apsw.SQLITE_IOCAP_POWERSAFE_OVERWRITE


class _Shared(_Opened, apsw.VFSFile):
    """The database: an empty file of SQLite's own VFS lends it locks and shared memory."""

    def __init__(self, shadow: str, flags: list[int], disk: Disk, file: File) -> None:
        apsw.VFSFile.__init__(self, "unix-excl", shadow, flags)
        _Opened.__init__(self, disk, file, "database", created=False)
