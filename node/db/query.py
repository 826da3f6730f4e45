"""The rules of `netsky query`: one statement, that only reads, for five seconds, with a bounded answer.

The rules hold for a connection of its own: through the daemon (`reader.py`), and directly when it is down.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from netsky.node.db.ledger import APPLICATION_ID
from netsky.node.db.limits import (
    QUERY_BYTES_MAX,
    QUERY_CHUNK_ROWS,
    QUERY_ROWS_MAX,
    QUERY_SECONDS,
    QUERY_SQL_BYTES_MAX,
    QUERY_VALUE_BYTES_MAX,
)
from netsky.node.errors import NetskyError, NotFound, TimedOut, Usage
from netsky.node.seams.ledger import Row, Value

_PRAGMAS_WITH_ARGUMENT = frozenset(
    {
        *("foreign_key_check", "foreign_key_list", "index_info", "index_list", "index_xinfo", "integrity_check"),
        *("quick_check", "table_info", "table_list", "table_xinfo"),
    }
)
"""An argument names what to look at; with any other pragma it would be a new value."""

_READ_PRAGMAS = _PRAGMAS_WITH_ARGUMENT | {
    *("application_id", "collation_list", "compile_options", "database_list", "freelist_count", "function_list"),
    *("journal_mode", "page_count", "page_size", "pragma_list", "schema_version", "synchronous", "user_version"),
}

_TABLES = 'netsky query "SELECT name, sql FROM sqlite_schema" shows what there is'
_READS_ONLY = "ask with SELECT; what changes the node are commands: netsky help"
_OPCODES_BETWEEN_LOOKS = 20_000
"""Of the direct query's clock: well under a millisecond."""


@dataclass(frozen=True, slots=True)
class QueryResult:
    columns: tuple[str, ...]
    rows: list[Row]
    truncated: bool  # there was more, by rows or by bytes


@dataclass(slots=True)
class Rules:
    """SQLite asks it about everything a statement wants to do, before it is run."""

    refusal: str | None = None

    def allow(self, action: int, first: str | None, second: str | None, _database: str | None, _by: str | None) -> int:
        sentence = _forbidden(action, first, second)
        if sentence is None:
            return sqlite3.SQLITE_OK
        self.refusal = self.refusal or sentence
        return sqlite3.SQLITE_DENY


@dataclass(slots=True)
class Collected:
    """Rows up to the caps of one answer."""

    rows_max: int = QUERY_ROWS_MAX
    bytes_max: int = QUERY_BYTES_MAX
    rows: list[Row] = field(default_factory=list)
    truncated: bool = False
    _bytes: int = 0

    def wanted(self) -> int:
        """Rows to fetch next; one more than fits, to know whether there is more."""
        return min(QUERY_CHUNK_ROWS, self.rows_max + 1 - len(self.rows))

    def add(self, chunk: Sequence[Row]) -> bool:
        """False when no more is needed."""
        for row in chunk:
            self._bytes += sum(map(_size, row))
            if len(self.rows) >= self.rows_max or self._bytes > self.bytes_max:
                self.truncated = True
                return False
            self.rows.append(row)
        return bool(chunk)


def open_read_only(path: str) -> tuple[sqlite3.Connection, Rules]:
    """To be used on the thread that called. What a crashed daemon left in the log is read, too, and stays there."""
    connection = sqlite3.connect(
        f"file:{quote(os.path.abspath(path))}?mode=ro", uri=True, timeout=1, isolation_level=None, cached_statements=32
    )
    try:
        if connection.execute("PRAGMA application_id").fetchone() != (APPLICATION_ID,):
            raise sqlite3.DatabaseError("it is not the database of a netsky node")
        connection.execute("PRAGMA query_only = 1").close()
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, QUERY_VALUE_BYTES_MAX)
        connection.setlimit(sqlite3.SQLITE_LIMIT_SQL_LENGTH, QUERY_SQL_BYTES_MAX)
        connection.text_factory = _decode
        rules = Rules()
        connection.set_authorizer(rules.allow)
    except BaseException:
        connection.close()
        raise
    return connection, rules


def check(sql: str) -> None:
    """What can be said before SQLite sees it."""
    if "\0" in sql or (not sql.isascii() and not _storable(sql)):
        raise Usage("The query holds a NUL or half a character.", next="type it again without", code="query_invalid")
    if len(sql.encode()) > QUERY_SQL_BYTES_MAX:
        raise Usage(
            f"The query is longer than {QUERY_SQL_BYTES_MAX} bytes.",
            next="ask for less at a time",
            code="query_too_long",
        )


def not_a_question() -> Usage:
    return Usage("The query returns no columns.", next=f"{_READS_ONLY}; {_TABLES}", code="query_empty")


def explain(error: Exception, rules: Rules, seconds: float) -> NetskyError:
    """What SQLite or Python said about a query, as a rule and a next step."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    refusal, rules.refusal = rules.refusal, None
    if refusal is not None:
        return Usage(refusal, next=_READS_ONLY, code="query_refused")
    if "one statement" in str(error):
        return Usage(
            "A query is one statement; this is more.", next="ask one after the other", code="query_more_than_one"
        )
    if code == sqlite3.SQLITE_INTERRUPT:
        return TimedOut(
            f"A query may take {seconds:g} seconds; this one was ended.",
            next="narrow it down with WHERE or LIMIT, or copy meta.db of a stopped node and ask there",
            code="query_too_slow",
        )
    if code == sqlite3.SQLITE_TOOBIG or isinstance(error, MemoryError):
        return Usage(
            f"A value in it is larger than {QUERY_VALUE_BYTES_MAX >> 20} MiB.",
            next="ask for parts of it with substr()",
            code="query_too_big",
        )
    if code in {sqlite3.SQLITE_ERROR, sqlite3.SQLITE_RANGE, sqlite3.SQLITE_MISMATCH, 0}:
        return Usage(f"SQLite cannot do that: {error}.", next=_TABLES, code="query_invalid")
    return NetskyError(f"meta.db could not be read: {error}.", next="netsky doctor", code="database_unreadable")


def direct_query(
    path: str,
    sql: str,
    monotonic: Callable[[], int],
    *,
    rows_max: int = QUERY_ROWS_MAX,
    seconds: float = QUERY_SECONDS,
) -> QueryResult:
    """For the CLI, when the daemon is down and the home's lock is held. `monotonic` counts nanoseconds."""
    check(sql)
    if not os.path.exists(path):
        raise NotFound(f"There is no {path}.", next="netsky init makes a node, netsky up starts it")
    rules = Rules()
    try:
        connection, rules = open_read_only(path)
    except sqlite3.Error as error:
        raise NetskyError(
            f"{path} could not be read: {error}.", next="netsky doctor", code="database_unreadable"
        ) from error
    deadline = monotonic() + int(seconds * 1e9)
    connection.set_progress_handler(lambda: int(monotonic() > deadline), _OPCODES_BETWEEN_LOOKS)
    try:
        return _run(connection, sql, Collected(rows_max))
    except (sqlite3.Error, sqlite3.Warning, MemoryError) as error:
        raise explain(error, rules, seconds) from error
    finally:
        connection.close()


def _run(connection: sqlite3.Connection, sql: str, collected: Collected) -> QueryResult:
    cursor = connection.execute(sql)
    if cursor.description is None:
        raise not_a_question()
    while collected.add(cursor.fetchmany(collected.wanted())):
        pass
    return QueryResult(tuple(column[0] for column in cursor.description), collected.rows, collected.truncated)


def _forbidden(action: int, first: str | None, second: str | None) -> str | None:
    """None, or the sentence."""
    match action:
        case sqlite3.SQLITE_SELECT | sqlite3.SQLITE_READ | sqlite3.SQLITE_RECURSIVE:
            return None
        case sqlite3.SQLITE_UPDATE if first == "sqlite_master":
            return None  # asked at the first use of json_each and its like; a real one is an error in any case
        case sqlite3.SQLITE_FUNCTION:
            name = (second or "").lower()
            return f"A query may not call {name}()." if name in {"load_extension", "fts3_tokenizer"} else None
        case sqlite3.SQLITE_PRAGMA:
            name = (first or "").lower()
            if name not in _READ_PRAGMAS:
                return f"PRAGMA {name} is not one that only reads."
            if second is not None and name not in _PRAGMAS_WITH_ARGUMENT:
                return f"A query may look at PRAGMA {name}, not set it."
            return None
        case sqlite3.SQLITE_ATTACH | sqlite3.SQLITE_DETACH:
            return "A query may not attach another database."
        case sqlite3.SQLITE_TRANSACTION | sqlite3.SQLITE_SAVEPOINT:
            return "A query is a transaction by itself; it may not begin or end one."
        case _:
            return "A query only reads; this one would write."


def _decode(raw: bytes) -> str:
    """Nothing stored by us is broken text, but a query can make it."""
    return raw.decode("utf-8", "replace")


def _storable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _size(value: Value) -> int:
    return len(value) + 16 if isinstance(value, str | bytes) else 16
