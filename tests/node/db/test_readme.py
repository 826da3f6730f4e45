"""The page of what is stored where is true."""

from __future__ import annotations

import os
import re

from netsky.node import db
from netsky.node.db.ledger import SqliteLedger
from netsky.node.db.retention import DAY, OBSERVED
from netsky.node.seams.ledger import Statement

from tests.node.db.rows import one


def lines() -> dict[str, str]:
    """The line of each table, by its name."""
    with open(os.path.join(next(iter(db.__path__)), "README.md"), encoding="utf-8") as page:
        found = [re.match(r"\| `(\w+)` \|", line) and line for line in page]
    return {line.split("`")[1]: line for line in found if line and ".py`" not in line}


async def test_every_table_has_its_line_and_every_line_its_table(ledger: SqliteLedger) -> None:
    tables = await one(
        ledger, Statement("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'")
    )
    assert {str(name) for (name,) in tables} == set(lines())


def test_the_retention_on_the_page_is_the_one_in_force() -> None:
    for keep in OBSERVED:
        assert f"{keep.age_ns // DAY} days or {keep.rows:,}" in lines()[keep.table]
