"""What a ledger holds after each transaction of a traffic, on a disk that loses nothing: what every other disk is held
against."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from netsky.node.db import node_state
from netsky.node.db.opening import begin
from netsky.node.lab.pages.disk import Disk
from netsky.node.lab.pages.ledger import PATH, PageLedgers
from netsky.node.lab.pages.traffic import Traffic
from netsky.node.lab.pages.vfs import Vfs
from netsky.node.seams.ledger import Ledger, LedgerUnusable, Row, Statement

T = TypeVar("T")

BEGAN = 1_800_000_000 * 10**9
PROGRAM = "pages"
KEPT_EVERY = 8
"""Transactions from one kept disk to the next: whoever begins near one plays no more than these first."""

TABLES = Statement("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
CHECKS = (Statement("PRAGMA integrity_check(3)"), Statement("PRAGMA foreign_key_check"))
BOOKS = {
    "what is in flight is not what was numbered and not acknowledged": (
        "SELECT count(*) FROM streams AS s WHERE direction = 'out' AND number - acked != (SELECT coalesce(sum(last - "
        "first + 1), 0) FROM flight AS f WHERE f.peer = s.peer AND f.lane = s.lane AND f.life = s.life)"
    ),
    "an envelope has a number that its stream never gave": (
        "SELECT count(*) FROM streams AS s WHERE direction = 'out' AND number < (SELECT coalesce(max(number), 0) "
        "FROM outbox AS o WHERE o.peer = s.peer AND o.lane = s.lane AND o.life = s.life)"
    ),
    "an envelope came under a number beyond the mark of its stream": (
        "SELECT count(*) FROM link_window JOIN streams USING (peer, lane, life) "
        "WHERE direction = 'in' AND last > number"
    ),
    "a message is for nobody": (
        "SELECT count(*) FROM messages WHERE seq NOT IN (SELECT seq FROM inbox) AND seq NOT IN (SELECT seq FROM outbox)"
    ),
}
_BOOKS = tuple(Statement(sql) for sql in BOOKS.values())


class Violation(Exception):
    """A promise that the disk, or what stands on it, did not keep."""

    def __init__(self, sentence: str, lost: int = 0) -> None:
        super().__init__(sentence)
        self.lost = lost


def done(coroutine: Coroutine[Any, Any, T]) -> T:
    """The ledger waits for nothing, so it needs no loop."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        answer: T = end.value
        return answer
    raise AssertionError("it waits for something")


def start(ledgers: PageLedgers) -> Ledger:
    """As a node does."""
    ledger = ledgers.open()
    try:
        done(begin(ledger, PATH, BEGAN, PROGRAM))
    except LedgerUnusable:
        ledger.close()
        raise
    return ledger


@dataclass(frozen=True)
class Reference:
    traffic: Traffic
    tables: tuple[Statement, ...]
    states: list[int]  # after so many transactions
    kept: dict[int, Disk]  # as after so many, with the log behind
    written_back: list[int]  # transactions that wrote the log back

    def disk_before(self, number: int) -> tuple[int, Disk]:
        numbers = list(self.kept)
        at = numbers[max(0, bisect_right(numbers, number) - 1)]
        return at, self.kept[at].clone()

    def judge(self, ledger: Ledger, at_least: int, at_most: int) -> int:
        """How many transactions are there: whole ones, those acknowledged among them. Or a Violation."""
        answers = done(ledger.transaction([*CHECKS, *_BOOKS, *self.tables]))
        sound, references, *rest = answers
        if sound != [("ok",)] or references:
            raise Violation(f"meta.db is damaged: {[*sound[:3], *references[:3]]}")
        for what, found in zip(BOOKS, rest, strict=False):
            if found != [(0,)]:
                raise Violation(f"the books do not balance: {what}")
        state = _hash(rest[len(BOOKS) :])
        for number in range(at_most, at_least - 1, -1):
            if self.states[number] == state:
                return number
        if state in self.states:
            there = max(number for number, one in enumerate(self.states) if one == state)
            if there < at_least:
                raise Violation(f"{at_least} transactions were acknowledged and {there} are there", at_least - there)
            raise Violation(f"{there} transactions are there and {at_most} were given")
        raise Violation(f"a transaction is there in part, between {at_least} acknowledged and {at_most} given")


def build(vfs: Vfs, traffic: Traffic, seed: int) -> Reference:
    disk = Disk()
    vfs.put_in(disk, seed)
    ledgers = PageLedgers(vfs)
    ledger = start(ledgers)
    [names] = done(ledger.transaction([TABLES]))
    tables = tuple(_all_of(str(name)) for (name,) in names)
    states, kept, written_back = [_state(ledger, tables)], {0: disk.clone()}, []
    for number, statements in enumerate(traffic.transactions):
        if number in traffic.ends:
            ledger.close()
            ledger = start(ledgers)
        before = disk.written_back
        done(ledger.transaction(statements))
        if disk.written_back > before:
            written_back.append(number)
        states.append(_state(ledger, tables))
        if (number + 1) % KEPT_EVERY == 0:
            kept[number + 1] = disk.clone()
    ledgers.die()
    return Reference(traffic, tables, states, kept, written_back)


def _all_of(table: str) -> Statement:
    """Whether a daemon runs is not the traffic's to say: each start does."""
    but = f" WHERE key != '{node_state.RUNNING_SINCE}'" if table == "node_state" else ""
    return Statement(f"SELECT * FROM {table}{but}")  # noqa: S608 - a name from the schema


def _state(ledger: Ledger, tables: tuple[Statement, ...]) -> int:
    return _hash(done(ledger.transaction(tables)))


def _hash(rows: list[list[Row]]) -> int:
    """Of this process alone."""
    return hash(tuple(tuple(some) for some in rows))
