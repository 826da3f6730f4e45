"""What the disk and the database under a bench can do alone, measured in the same run."""

from __future__ import annotations

import fcntl
import os
import sys
import time

import trio
from netsky.node.bench.figures import Figure
from netsky.node.db.ledger import SqliteLedgers
from netsky.node.seams.ledger import Statement

ROWS = 20_000
GROUP = 64
FILES = 3_000
COMMITS = 200
_GET_FLAGS, _SET_FLAGS, _TOP_OF_FOLDERS = 0x80086601, 0x40086602, 0x00020000
"""Linux: FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, FS_TOPDIR_FL (`chattr +T`)."""


def disk_reference(folder: str) -> list[Figure]:
    return [_rows(folder), _files(folder)]


def keep_apart(folder: str) -> None:
    """Folders made in this one begin in places of their own on the disk, where ext4 is the file system.

    It looks again at every file that was deleted in the last minutes before it gives out the place of one: beside the
    remains of another bench, a new file takes 300 us of processor time instead of 15.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        flags = bytearray(8)
        fcntl.ioctl(descriptor, _GET_FLAGS, flags)
        flags = bytearray((int.from_bytes(flags, sys.byteorder) | _TOP_OF_FOLDERS).to_bytes(8, sys.byteorder))
        fcntl.ioctl(descriptor, _SET_FLAGS, flags)
    except OSError:
        pass  # another file system
    finally:
        os.close(descriptor)


def _rows(folder: str) -> Figure:
    ledger = SqliteLedgers().open(os.path.join(folder, "reference.db"))
    row = os.urandom(1024)

    async def insert() -> float:
        await ledger.transaction([Statement("CREATE TABLE t (a INTEGER PRIMARY KEY, b BLOB) STRICT")])
        begun = time.monotonic()
        for _ in range(ROWS // GROUP):
            await ledger.transaction([Statement("INSERT INTO t (b) VALUES (?)", many=[(row,)] * GROUP)])
        return time.monotonic() - begun

    took = trio.run(insert)
    ledger.close()
    name = f"reference: rows of 1 KiB, groups of {GROUP}"
    return Figure("reference_rows_per_s", name, ROWS / took, "rows/s", "", "SQLite, FULL")


def _files(folder: str) -> Figure:
    content = os.urandom(1024)
    place = os.path.join(folder, "reference")
    os.mkdir(place)
    begun = time.monotonic()
    for number in range(FILES):
        path = os.path.join(place, str(number))
        with open(path + ".tmp", "wb") as file:
            file.write(content)
        os.rename(path + ".tmp", path)
    took = time.monotonic() - begun
    return Figure(
        "reference_files_per_s", "reference: files written and renamed", FILES / took, "files/s", "", "no sync"
    )


def commit_reference(folder: str) -> Figure:
    """One row in one commit: what each round with anything to remember pays at least."""
    ledger = SqliteLedgers().open(os.path.join(folder, "commits.db"))

    async def insert() -> float:
        await ledger.transaction([Statement("CREATE TABLE t (a INTEGER PRIMARY KEY) STRICT")])
        begun = time.process_time()
        for _ in range(COMMITS):
            await ledger.transaction([Statement("INSERT INTO t VALUES (NULL)")])
        return time.process_time() - begun

    took = trio.run(insert)
    ledger.close()
    return Figure(
        "reference_commit_ms", "reference: a commit of one row", took / COMMITS * 1e3, "ms", "", "SQLite, FULL"
    )
