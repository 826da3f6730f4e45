"""Rows to put into a database, with everything that a test does not care about filled in."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

from netsky.node.db.inbox import NewInbox
from netsky.node.db.ledger import SqliteLedger
from netsky.node.db.messages import MessageRow, SealRow
from netsky.node.seams.ledger import Row, Statement

HERE = b"h" * 32
THERE = b"t" * 32


def message(id: str, **changes: Any) -> MessageRow:  # noqa: A002 - the row's word
    row = MessageRow(
        origin=HERE,
        id=id,
        leaf=hashlib.sha256(id.encode()).digest(),
        header=b"header",
        body=b"body",
        seal=None,
        position=0,
        sender="agent0",
        recipient="agent1",
        destination=HERE,
        kind=None,
        lane="work",
        in_reply_to=None,
        thread=None,
        parent=None,
        clock=10,
        ts=11,
        expires=1_000,
        via="actor",
        accepted_at=12,
    )
    return replace(row, **changes)


def seal(hash: bytes = b"s" * 32) -> SealRow:  # noqa: A002
    return SealRow(hash, "envelope", bytes(16), HERE, b"g" * 64, b"l" * 64)


def arrival(seq: int, id: str, actor: str = "agent1", **changes: Any) -> NewInbox:  # noqa: A002
    """Of the message with this seq: those of a test that gives none count from 1."""
    return replace(NewInbox(seq, actor, f"{id}.json", 20), **changes)


async def run(ledger: SqliteLedger, *statements: Statement) -> list[list[Row]]:
    return await ledger.transaction(statements)


async def one(ledger: SqliteLedger, statement: Statement) -> list[Row]:
    [rows] = await ledger.transaction([statement])
    return rows


async def everything(ledger: SqliteLedger, table: str) -> list[Row]:
    return await one(ledger, Statement(f"SELECT * FROM {table}"))
