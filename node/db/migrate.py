"""Numbered migrations: files of SQL in `migrations/`, each run once, in order, with its record in one transaction."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable

from netsky.node.seams.ledger import Ledger, LedgerUnusable, Statement


@dataclass(frozen=True, slots=True)
class Migration:
    version: int
    name: str
    statements: tuple[Statement, ...]


def shipped(after: int = 0) -> list[Migration]:
    """Those of this program behind so many, in order, without gaps."""
    files = _files()
    assert [int(f.name[:4]) for f in files] == list(range(1, len(files) + 1)), "migrations are numbered without gaps"
    return [Migration(int(f.name[:4]), f.name, split(f.read_text(encoding="utf-8"))) for f in files[after:]]


def _files() -> list[Traversable]:
    folder = resources.files("netsky.node.db") / "migrations"
    return sorted((entry for entry in folder.iterdir() if entry.name.endswith(".sql")), key=lambda entry: entry.name)


def split(script: str) -> tuple[Statement, ...]:
    """Its statements. A semicolon inside a string, a comment or a trigger ends none."""
    statements, pending = [], ""
    for line in script.splitlines(keepends=True):
        if not pending and (not line.strip() or line.lstrip().startswith("--")):
            continue
        pending += line
        if sqlite3.complete_statement(pending):
            statements.append(Statement(pending.strip()))
            pending = ""
    assert not pending, f"a statement is not finished: {pending}"
    return tuple(statements)


async def version(ledger: Ledger) -> int:
    """The number of the last migration this file has seen; 0 for a new one."""
    there = Statement("SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'schema_version'")
    if (await ledger.transaction([there])) == [[(0,)]]:
        return 0
    [[(number,)]] = await ledger.transaction([Statement("SELECT coalesce(max(version), 0) FROM schema_version")])
    assert isinstance(number, int)
    return number


async def migrate(ledger: Ledger, now: int, program: str, migrations: list[Migration] | None = None) -> list[int]:
    """Brings the file to this program's schema. Returns the numbers that were applied."""
    have = await version(ledger)
    known = len(_files() if migrations is None else migrations)
    if have > known:
        raise LedgerUnusable(
            f"meta.db has schema {have}, and this program ({program}) knows schema {known}: "
            "it was used by a newer one; install that again, or take a backup from before."
        )
    wanted = shipped(after=have) if migrations is None else migrations[have:]
    for migration in wanted:
        record = Statement("INSERT INTO schema_version VALUES (?, ?, ?)", (migration.version, now, program))
        await ledger.transaction([*migration.statements, record])
    return [migration.version for migration in wanted]
