from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import trio
from netsky.node.db import messages, query
from netsky.node.db.ledger import SqliteLedger, SqliteLedgers
from netsky.node.db.limits import QUERY_BYTES_MAX, QUERY_ROWS_MAX, QUERY_SQL_BYTES_MAX
from netsky.node.db.opening import begin
from netsky.node.db.query import QueryResult, Rules, direct_query, explain
from netsky.node.errors import NetskyError, NotFound, TimedOut, Usage
from netsky.node.seams.ledger import Statement

from tests.node.db.rows import message, run

ENDLESS = "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT {} FROM n"

REFUSED = [
    # query, code, words of the sentence
    ("INSERT INTO node_state VALUES ('a', 1)", "query_refused", "only reads"),
    ("UPDATE messages SET id = 'x'", "query_refused", "only reads"),
    ("DELETE FROM messages", "query_refused", "only reads"),
    ("UPDATE sqlite_master SET sql = ''", "query_invalid", "may not be modified"),
    ("DELETE FROM sqlite_master", "query_", ""),
    ("WITH a AS (SELECT 1) DELETE FROM messages", "query_refused", "only reads"),
    ("REPLACE INTO node_state VALUES ('a', 1)", "query_refused", "only reads"),
    ("EXPLAIN DELETE FROM messages", "query_refused", "only reads"),
    ("CREATE TABLE mine (x)", "query_refused", "only reads"),
    ("CREATE TEMP TABLE mine (x)", "query_refused", "only reads"),
    ("CREATE VIRTUAL TABLE mine USING fts5 (x)", "query_refused", "only reads"),
    ("DROP TABLE messages", "query_refused", "only reads"),
    ("ALTER TABLE messages ADD COLUMN x", "query_refused", "only reads"),
    ("REINDEX", "query_refused", "only reads"),
    ("ANALYZE", "query_refused", "only reads"),
    ("VACUUM", "query_", ""),
    ("VACUUM INTO '/tmp/stolen.db'", "query_", ""),
    ("ATTACH 'other.db' AS other", "query_refused", "attach"),
    ("DETACH main", "query_refused", "attach"),
    ("BEGIN", "query_refused", "transaction by itself"),
    ("COMMIT", "query_refused", "transaction by itself"),
    ("SAVEPOINT a", "query_refused", "transaction by itself"),
    ("PRAGMA query_only = 0", "query_refused", "not one that only reads"),
    ("PRAGMA wal_checkpoint", "query_refused", "not one that only reads"),
    ("PRAGMA writable_schema = 1", "query_refused", "not one that only reads"),
    ("PRAGMA journal_mode = delete", "query_refused", "look at PRAGMA journal_mode, not set it"),
    ("PRAGMA user_version = 9", "query_refused", "look at PRAGMA user_version, not set it"),
    ("SELECT load_extension('evil.so')", "query_refused", "load_extension"),
    ("SELECT 1; SELECT 2", "query_more_than_one", "one statement"),
    ("SELECT 1; DROP TABLE messages", "query_more_than_one", "one statement"),
    ("", "query_empty", "no columns"),
    ("-- nothing", "query_empty", "no columns"),
    ("SELECT", "query_invalid", "SQLite cannot do that"),
    ("SELECT * FROM nowhere", "query_invalid", "no such table: nowhere"),
    ("SELECT ?", "query_invalid", "SQLite cannot do that"),
    ("SELECT 'a\0b'", "query_invalid", "NUL"),
    ("SELECT '\ud800'", "query_invalid", "half a character"),
    (f"SELECT '{'x' * QUERY_SQL_BYTES_MAX}'", "query_too_long", "longer than 65536 bytes"),
    ("SELECT zeroblob(5000000)", "query_too_big", "larger than 4 MiB"),
    ("SELECT zeroblob(5000000000)", "query_too_big", "larger than 4 MiB"),
    (
        f"SELECT group_concat(printf('%.900c', 'x')) FROM ({ENDLESS.format('x')} LIMIT 9999)",
        "query_too_big",
        "larger than 4 MiB",
    ),
]

ALLOWED = [
    "SELECT 1",
    "select count(*) from messages;",
    "VALUES (1, 2)",
    "WITH a (x) AS (VALUES (1), (2)) SELECT sum(x) FROM a",
    "EXPLAIN SELECT * FROM messages",
    "EXPLAIN QUERY PLAN SELECT * FROM messages",
    "PRAGMA table_info(messages)",
    "PRAGMA table_info = messages",
    "PRAGMA journal_mode",
    "PRAGMA quick_check(1)",
    "SELECT name FROM pragma_table_info('messages')",
    "SELECT value FROM json_each('[1]')",
    "SELECT name, sql FROM sqlite_schema",
    "SELECT json_extract('{\"a\": 1}', '$.a'), upper('é'), datetime(0, 'unixepoch')",
]


class Ticking:
    """Every look at it takes ten milliseconds."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        self.now += 10_000_000
        return self.now


@pytest.fixture
def filled(ledger: SqliteLedger, path: str) -> str:
    trio.run(run, ledger, messages.insert([message(f"{n:05}") for n in range(20)]))
    return path


def ask(path: str, sql: str) -> QueryResult:
    return direct_query(path, sql, Ticking())


def test_a_question_is_answered_with_names_and_rows(filled: str) -> None:
    result = ask(filled, "SELECT id, clock AS c FROM messages ORDER BY seq LIMIT 2")
    assert result == QueryResult(("id", "c"), [("00000", 10), ("00001", 10)], truncated=False)


@pytest.mark.parametrize("sql", ALLOWED, ids=range(len(ALLOWED)))
def test_what_only_reads_is_answered(filled: str, sql: str) -> None:
    assert ask(filled, sql).columns


@pytest.mark.parametrize(("sql", "code", "words"), REFUSED, ids=range(len(REFUSED)))
def test_what_breaks_a_rule_gets_the_rule_and_a_next_step(filled: str, sql: str, code: str, words: str) -> None:
    size = os.path.getsize(filled)
    with pytest.raises(Usage) as caught:
        ask(filled, sql)
    assert caught.value.code.startswith(code)
    assert words in caught.value.message
    assert caught.value.next
    assert os.path.getsize(filled) == size
    assert not os.path.exists("/tmp/stolen.db")


@pytest.mark.parametrize("what", ["count(*)", "x"])
def test_an_endless_query_is_ended(filled: str, what: str) -> None:
    endless = ENDLESS.format(what) + " WHERE x < 0"
    with pytest.raises(TimedOut, match="may take 5 seconds") as caught:
        ask(filled, endless)
    assert caught.value.code == "query_too_slow"


def test_rows_beyond_the_cap_are_left_out_and_that_is_said(filled: str) -> None:
    result = ask(filled, ENDLESS.format("x"))
    assert len(result.rows) == QUERY_ROWS_MAX
    assert result.truncated


def test_as_many_rows_as_the_cap_are_not_cut(filled: str) -> None:
    result = ask(filled, f"{ENDLESS.format('x')} LIMIT {QUERY_ROWS_MAX}")
    assert len(result.rows) == QUERY_ROWS_MAX
    assert not result.truncated


def test_an_answer_is_capped_by_its_bytes(filled: str) -> None:
    result = ask(filled, ENDLESS.format("zeroblob(1000000)"))
    assert result.truncated
    assert 0 < len(result.rows) <= QUERY_BYTES_MAX // 1_000_000


def test_broken_text_is_shown_and_does_not_fail(filled: str) -> None:
    assert ask(filled, "SELECT CAST(x'41ff42' AS TEXT)").rows == [("A\ufffdB",)]


def test_a_missing_file_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="There is no"):
        ask(str(tmp_path / "meta.db"), "SELECT 1")
    assert os.listdir(tmp_path) == []


def test_a_foreign_file_is_not_read(path: str) -> None:
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE theirs (x)")
    other.close()
    with pytest.raises(NetskyError, match="not the database of a netsky node"):
        ask(path, "SELECT * FROM theirs")


def test_a_file_that_is_no_database_is_said(path: str) -> None:
    Path(path).write_bytes(b"nothing of the kind" * 500)
    with pytest.raises(NetskyError, match="could not be read"):
        ask(path, "SELECT 1")


def test_a_path_with_signs_that_mean_something_in_an_address_is_only_a_path(tmp_path: Path) -> None:
    path = str(tmp_path / "50%3F?mode=rwc#x")
    SqliteLedgers().open(path).close()
    assert ask(path, "SELECT 1").rows == [(1,)]


def test_damage_met_in_the_middle_is_no_fault_of_the_query() -> None:
    error = sqlite3.DatabaseError("database disk image is malformed")
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    assert explain(error, Rules(), 5).code == "database_unreadable"


def test_what_a_killed_daemon_left_in_its_log_is_read_and_stays(path: str) -> None:
    """Its last rows stand in the log alone: a reader finds them there and takes nothing away."""
    script = f"""
import os, trio
from netsky.node.db.ledger import SqliteLedgers
from netsky.node.db.opening import begin
from netsky.node.db import node_state
async def main():
    ledger = SqliteLedgers().open({path!r})
    await begin(ledger, {path!r}, 1, "test")
    await ledger.transaction([node_state.put("last", 42)])
    os.kill(os.getpid(), 9)
trio.run(main)
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -9
    os.unlink(f"{path}-shm")  # as after a power cut
    log = Path(f"{path}-wal").read_bytes()
    assert ask(path, "SELECT value FROM node_state WHERE key = 'last'").rows == [(42,)]
    assert Path(f"{path}-wal").read_bytes() == log
    assert ask(path, "SELECT value FROM node_state WHERE key = 'last'").rows == [(42,)]


async def test_what_an_orderly_end_left_is_read_and_the_node_can_start_after(path: str) -> None:
    ledger = SqliteLedgers().open(path)
    await begin(ledger, path, 1, "test")
    ledger.close()
    assert ask(path, "SELECT count(*) FROM schema_version").rows[0][0]
    again = SqliteLedgers().open(path)
    await run(again, Statement("INSERT INTO node_state VALUES ('a', 1)"))
    again.close()


async def test_a_reader_does_not_write_even_past_the_rules(filled: str) -> None:
    """Rules, query_only and the mode of the file each hold by themselves."""
    connection, _ = query.open_read_only(filled)
    connection.set_authorizer(None)
    assert connection.execute("PRAGMA query_only").fetchone() == (1,)
    with pytest.raises(sqlite3.OperationalError, match=r"readonly|attempt to write"):
        connection.execute("DELETE FROM messages")
    connection.execute("PRAGMA query_only = 0")
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        connection.execute("DELETE FROM messages")
    connection.close()
