from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import threading
from pathlib import Path

import pytest
from netsky.node.db import ledger as module
from netsky.node.db.ledger import APPLICATION_ID, SqliteLedger, SqliteLedgers
from netsky.node.seams.ledger import LedgerBroken, LedgerFull, LedgerUnusable, Statement

TABLE = Statement("CREATE TABLE t (x INTEGER UNIQUE, y BLOB) STRICT")
COUNT = Statement("SELECT count(*) FROM t")


def insert(*numbers: int) -> Statement:
    return Statement("INSERT INTO t VALUES (?, ?)", many=[(number, b"") for number in numbers])


@pytest.fixture
def plain(path: str) -> SqliteLedger:
    return SqliteLedgers().open(path)


async def test_a_transaction_answers_with_the_rows_of_each_statement(plain: SqliteLedger) -> None:
    answer = await plain.transaction(
        [TABLE, insert(1, 2), Statement("SELECT x FROM t ORDER BY x"), Statement("SELECT ?", ("a",))]
    )
    assert answer == [[], [], [(1,), (2,)], [("a",)]]
    plain.close()


async def test_an_empty_transaction_is_none(plain: SqliteLedger) -> None:
    assert await plain.transaction([]) == []
    plain.close()


async def test_what_was_committed_is_there_after_opening_again(plain: SqliteLedger, path: str) -> None:
    await plain.transaction([TABLE, insert(1)])
    plain.close()
    again = SqliteLedgers().open(path)
    assert await again.transaction([COUNT]) == [[(1,)]]
    again.close()


async def test_a_wrong_statement_is_our_mistake_and_leaves_nothing_behind(plain: SqliteLedger) -> None:
    await plain.transaction([TABLE])
    with pytest.raises(AssertionError, match="no such table: nowhere"):
        await plain.transaction([insert(1), Statement("SELECT * FROM nowhere")])
    with pytest.raises(AssertionError, match="UNIQUE"):
        await plain.transaction([insert(1), insert(1)])
    assert await plain.transaction([COUNT]) == [[(0,)]]
    plain.close()


async def test_a_value_that_cannot_be_stored_leaves_nothing_behind(plain: SqliteLedger) -> None:
    await plain.transaction([TABLE])
    with pytest.raises(OverflowError):
        await plain.transaction([insert(1), insert(1 << 80)])
    assert await plain.transaction([COUNT]) == [[(0,)]]
    plain.close()


async def test_the_settings_are_those_a_promise_needs(plain: SqliteLedger) -> None:
    names = ["journal_mode", "synchronous", "foreign_keys", "busy_timeout", "application_id", "mmap_size"]
    rows = await plain.transaction([Statement(f"PRAGMA {name}") for name in names])
    assert [row[0][0] for row in rows] == ["wal", 2, 1, 0, APPLICATION_ID, 0]
    plain.close()


async def test_the_file_is_readable_by_its_owner_alone(plain: SqliteLedger, path: str) -> None:
    await plain.transaction([TABLE])
    assert {os.stat(name).st_mode & 0o777 for name in (path, f"{path}-wal", f"{path}-shm")} == {0o600}
    plain.close()


async def test_a_full_disk_undoes_the_transaction_and_later_ones_work(path: str) -> None:
    plain = SqliteLedgers(pages_max=20).open(path)
    await plain.transaction([TABLE])
    with pytest.raises(LedgerFull, match="No room"):
        await plain.transaction([insert(1), Statement("INSERT INTO t VALUES (2, zeroblob(1000000))")])
    assert await plain.transaction([COUNT]) == [[(0,)]]
    await plain.transaction([insert(1)])
    plain.close()


def log_descriptor(path: str) -> int:
    for name in os.listdir("/proc/self/fd"):
        try:
            if os.readlink(f"/proc/self/fd/{name}") == f"{path}-wal":
                return int(name)
        except FileNotFoundError:
            continue
    raise AssertionError("the log is not open")


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="finds the log's descriptor by /proc")
async def test_a_device_without_room_is_a_full_disk_and_heals(plain: SqliteLedger, path: str) -> None:
    await plain.transaction([TABLE])
    log = log_descriptor(path)
    kept, full = os.dup(log), os.open("/dev/full", os.O_RDWR)
    os.dup2(full, log)
    with pytest.raises(LedgerFull):
        await plain.transaction([insert(1)])
    os.dup2(kept, log)
    await plain.transaction([insert(2)])
    assert await plain.transaction([COUNT]) == [[(1,)]]
    plain.close()
    os.close(kept)
    os.close(full)


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="finds the log's descriptor by /proc")
async def test_after_a_failed_write_nothing_is_accepted_any_more(plain: SqliteLedger, path: str) -> None:
    await plain.transaction([TABLE, insert(1)])
    log = log_descriptor(path)
    kept, readable_only = os.dup(log), os.open("/dev/null", os.O_RDONLY)
    os.dup2(readable_only, log)
    with pytest.raises(LedgerBroken, match=r"SQLITE_IOERR"):
        await plain.transaction([insert(2)])
    os.dup2(kept, log)  # a disk that says it is well again is not believed
    with pytest.raises(LedgerBroken, match=r"SQLITE_IOERR"):
        await plain.transaction([COUNT])
    plain.close()
    os.close(kept)
    os.close(readable_only)
    again = SqliteLedgers().open(path)
    assert await again.transaction([COUNT]) == [[(1,)]]
    again.close()


class FailingConnection:
    """A connection on which one statement fails, as a disk does."""

    def __init__(self, connection: sqlite3.Connection, on: dict[str, int]) -> None:
        self._connection = connection
        self._on = on

    @property
    def in_transaction(self) -> bool:
        return self._connection.in_transaction

    def execute(self, sql: str, values: object = ()) -> sqlite3.Cursor:
        if sql in self._on:
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = self._on[sql]
            raise error
        return self._connection.execute(sql, values)  # type: ignore[arg-type]

    def close(self) -> None:
        self._connection.close()


def failing(on: dict[str, int]) -> SqliteLedger:
    return SqliteLedger(FailingConnection(sqlite3.connect(":memory:", isolation_level=None), on))  # type: ignore[arg-type]


async def test_a_failed_sync_in_a_commit_breaks_the_ledger() -> None:
    broken = failing({"COMMIT": sqlite3.SQLITE_IOERR_FSYNC})
    with pytest.raises(LedgerBroken):
        await broken.transaction([])
    with pytest.raises(LedgerBroken):
        await broken.transaction([])
    broken.close()


async def test_a_full_disk_that_cannot_even_be_undone_breaks_the_ledger() -> None:
    broken = failing({"COMMIT": sqlite3.SQLITE_FULL, "ROLLBACK": sqlite3.SQLITE_IOERR_WRITE})
    with pytest.raises(LedgerBroken):
        await broken.transaction([])
    with pytest.raises(LedgerBroken):
        await broken.transaction([])
    broken.close()


async def test_no_room_for_the_index_of_the_log_is_a_full_disk() -> None:
    full = failing({"COMMIT": sqlite3.SQLITE_IOERR_SHMSIZE})
    with pytest.raises(LedgerFull):
        await full.transaction([])
    full.close()


async def test_a_closed_ledger_is_no_ledger(plain: SqliteLedger) -> None:
    plain.close()
    with pytest.raises(LedgerBroken, match="closed"):
        await plain.transaction([])


async def test_another_writer_stops_us(plain: SqliteLedger, path: str) -> None:
    await plain.transaction([TABLE])
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(LedgerBroken, match="locked"):
        await plain.transaction([COUNT])  # from its first statement on, not only when it comes to write
    other.close()
    plain.close()


def refused(path: str) -> str:
    before = Path(path).read_bytes() if Path(path).is_file() else None
    with pytest.raises(LedgerUnusable) as caught:
        SqliteLedgers().open(path)
    if before is not None:
        assert Path(path).read_bytes() == before, "nothing of a refused file is changed"
    return str(caught.value)


def test_a_file_of_another_program_is_refused(path: str) -> None:
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE theirs (x)")
    other.close()
    assert "another program" in refused(path)


def test_a_marked_file_of_another_program_is_refused(path: str) -> None:
    other = sqlite3.connect(path)
    other.execute("PRAGMA application_id = 7")
    other.close()
    assert "another program" in refused(path)


def test_what_is_no_database_is_refused(path: str) -> None:
    Path(path).write_bytes(b"no database at all, but long enough to be read as one" * 100)
    assert "damaged" in refused(path)


def test_a_folder_in_its_place_is_refused(path: str) -> None:
    os.mkdir(path)
    assert "cannot be opened" in refused(path)


def test_a_link_in_its_place_is_refused(path: str, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(b"")
    os.symlink(tmp_path / "elsewhere", path)
    assert "cannot be opened" in refused(path)


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    assert "cannot be opened" in refused(str(tmp_path / "no" / "meta.db"))


def test_a_file_where_a_folder_should_be_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert "cannot be opened" in refused(str(tmp_path / "file" / "meta.db"))


def test_a_log_without_its_database_is_not_thrown_away(path: str) -> None:
    Path(f"{path}-wal").write_bytes(b"what was accepted last")
    assert "write-ahead log is not" in refused(path)
    assert Path(f"{path}-wal").read_bytes() == b"what was accepted last"


def test_a_file_in_use_is_said(path: str) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    assert "in use by another program" in refused(path)
    other.close()


def test_a_file_in_use_for_a_moment_is_waited_for(path: str) -> None:
    """As when somebody reads it while it is being started again after a kill."""
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    moment = threading.Timer(0.1, other.close)
    moment.start()
    SqliteLedgers().open(path).close()
    moment.join()


def test_any_other_trouble_is_said() -> None:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR_READ
    assert "Check the disk" in module.unusable_sentence("meta.db", error)


def test_a_setting_that_did_not_take_is_refused(path: str) -> None:
    """A file system without shared memory leaves another journal mode; so does a database in memory."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    with pytest.raises(LedgerUnusable, match="journal_mode = memory where wal is needed"):
        module._set_up(connection, path, 100)
    connection.close()


def test_a_setting_that_is_unknown_is_refused(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`PRAGMA mmap_size` answers nothing where it was compiled out or for a database in memory."""

    class Forgetful(sqlite3.Connection):
        def execute(self, sql: str, *values: object) -> sqlite3.Cursor:  # type: ignore[override]
            return super().execute("PRAGMA no_such_pragma" if sql == "PRAGMA synchronous" else sql)

    connection = sqlite3.connect(path, isolation_level=None, factory=Forgetful)
    with pytest.raises(LedgerUnusable, match="synchronous = nothing"):
        module._set_up(connection, path, 100)
    connection.close()


def test_an_old_sqlite_is_refused(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 36, 0))
    assert "too old" in refused(path)


def as_killed(path: str, to: Path) -> str:
    """What a killed node leaves, at another place: the file and its log."""
    for ending in ("", "-wal"):
        shutil.copyfile(f"{path}{ending}", f"{to}{ending}")
    return str(to)


def log_of(path: str) -> bytes:
    return Path(f"{path}-wal").read_bytes()


async def test_a_log_is_written_and_synced_once_more_before_it_is_believed(
    plain: SqliteLedger, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHUNK_BYTES", 5_000)
    await plain.transaction([TABLE, insert(*range(900))])
    left = as_killed(path, tmp_path / "left.db")
    before = log_of(left)
    done: list[tuple[str, int]] = []
    write, sync = os.pwrite, os.fsync
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: (done.append(("write", at)), write(fd, data, at))[1])
    monkeypatch.setattr(os, "fsync", lambda fd: (done.append(("sync", 0)), sync(fd))[1])
    again = SqliteLedgers().open(left)
    assert log_of(left) == before
    assert len(before) > 10_000
    assert done == [*(("write", at) for at in range(0, len(before), 5_000)), ("sync", 0)]
    assert await again.transaction([COUNT]) == [[(900,)]]
    again.close()
    plain.close()


async def test_a_log_that_cannot_be_synced_again_is_not_believed(
    plain: SqliteLedger, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await plain.transaction([TABLE, insert(1)])
    left = as_killed(path, tmp_path / "left.db")

    def fails(fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fails)
        with pytest.raises(LedgerUnusable, match=r"left.db-wal cannot be written: .*error.*Check the disk"):
            SqliteLedgers().open(left)
    again = SqliteLedgers().open(left)
    assert await again.transaction([COUNT]) == [[(1,)]]
    again.close()
    plain.close()


async def test_a_log_of_another_program_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = sqlite3.connect(tmp_path / "other.db", isolation_level=None)
    other.execute("PRAGMA journal_mode = wal").close()
    other.execute("CREATE TABLE theirs (x)").close()
    monkeypatch.setattr(os, "pwrite", lambda *_: pytest.fail("it was written"))
    with pytest.raises(LedgerUnusable, match="another program"):
        SqliteLedgers().open(str(tmp_path / "other.db"))
    other.close()
