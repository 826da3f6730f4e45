from __future__ import annotations

import re
from pathlib import Path

import pytest
import trio
from netsky.node.db.ledger import SqliteLedger, SqliteLedgers
from netsky.node.db.migrate import Migration, migrate, shipped, split, version
from netsky.node.seams.ledger import LedgerUnusable, Row, Statement

from tests.node.db.rows import everything, one


def test_all_statements_of_a_script_are_found() -> None:
    script = """
        -- a comment; with a semicolon
        CREATE TABLE a (x TEXT);  -- and another; one

        INSERT INTO a VALUES ('not; the end');
        CREATE TRIGGER t AFTER INSERT ON a BEGIN
            DELETE FROM a;
            DELETE FROM a;
        END;
    """
    assert [statement.sql.split()[0] for statement in split(script)] == ["CREATE", "INSERT", "CREATE"]


def test_an_unfinished_script_is_our_mistake() -> None:
    with pytest.raises(AssertionError, match="not finished"):
        split("CREATE TABLE a (x)")


def test_all_tables_are_strict_and_times_have_a_unit() -> None:
    for migration in shipped():
        for statement in migration.statements:
            if statement.sql.startswith("CREATE TABLE"):
                assert re.search(r"\) STRICT(, WITHOUT ROWID)?;$", statement.sql), statement.sql
            for line in statement.sql.splitlines():
                if re.match(r"\s+(\w+_at|at|expires|clock|ts|duration)\s+INTEGER", line):
                    assert re.search(r"-- .*\bns\b", line), line


async def test_a_new_file_gets_the_whole_schema_and_says_so(path: str) -> None:
    ledger = SqliteLedgers().open(path)
    assert await version(ledger) == 0
    assert await migrate(ledger, 7, "1.2.3") == [m.version for m in shipped()]
    assert await everything(ledger, "schema_version") == [(m.version, 7, "1.2.3") for m in shipped()]
    assert await migrate(ledger, 8, "1.2.4") == []
    assert await version(ledger) == len(shipped())
    ledger.close()


async def test_only_what_is_missing_is_applied(ledger: SqliteLedger) -> None:
    further = Migration(len(shipped()) + 1, "x", (Statement("CREATE TABLE more (x ANY) STRICT"),))
    assert await migrate(ledger, 9, "2", [*shipped(), further]) == [further.version]
    assert await everything(ledger, "more") == []


async def test_a_newer_file_is_refused(ledger: SqliteLedger) -> None:
    with pytest.raises(LedgerUnusable, match=rf"schema {len(shipped())}, and this program \(0.1\) knows schema 0"):
        await migrate(ledger, 9, "0.1", [])


async def test_a_migration_that_fails_half_way_leaves_nothing(ledger: SqliteLedger) -> None:
    bad = Migration(
        len(shipped()) + 1, "x", (Statement("CREATE TABLE more (x ANY) STRICT"), Statement("CREATE TABLE more (x ANY)"))
    )
    with pytest.raises(AssertionError):
        await migrate(ledger, 9, "2", [*shipped(), bad])
    assert await version(ledger) == len(shipped())
    assert await one(ledger, Statement("SELECT name FROM sqlite_schema WHERE name = 'more'")) == []


class DiesAt(SqliteLedger):
    """A ledger whose process dies before its n-th transaction."""

    left = 0

    async def transaction(self, statements: object) -> list[list[Row]]:
        self.left -= 1
        if self.left < 0:
            raise SystemExit
        return await super().transaction(statements)  # type: ignore[arg-type]


def test_a_crash_between_any_two_transactions_leaves_a_file_that_migrates(tmp_path: Path) -> None:
    deaths = 0
    while True:
        path = str(tmp_path / f"{deaths}.db")
        ledger = SqliteLedgers().open(path)
        dying = DiesAt(ledger._connection)
        dying.left = deaths
        try:
            trio.run(migrate, dying, 1, "1")
        except SystemExit:
            deaths += 1
        else:
            break
        finally:
            ledger.close()
        again = SqliteLedgers().open(path)
        trio.run(migrate, again, 2, "1")
        assert trio.run(version, again) == len(shipped())
        again.close()
    assert deaths == 1 + len(shipped()), "one to look, one for each migration"
