"""What a node delivers and what died of its own, noted in the turn in which it is durable: a ledger that looks at each
commit with such a row.

Whoever looks into the database later sees it by the node's own clock, which may stand still or jump; and what a killed
life says after its commit nobody hears.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from netsky.node.lab.history import Writer
from netsky.node.seams.ledger import Ledger, OpenLedger, Row, Statement

Names = Callable[[bytes], str]
"""A node's name by its key."""


class _Table(NamedTuple):
    """One whose new rows are told."""

    inserts: str
    newest: str
    new: str


_TABLES = {
    "deliver": _Table(
        "INTO inbox",
        "SELECT coalesce(max(seq), 0) FROM inbox",
        "SELECT inbox.seq, id, origin, leaf, actor, kind, messages.lane, inbox.life, number FROM inbox "
        "JOIN messages USING (seq) WHERE inbox.seq > ? ORDER BY inbox.seq",
    ),
    "dead": _Table(
        "INTO dead_letters",
        "SELECT coalesce(max(number), 0) FROM dead_letters",
        "SELECT number, id, origin, fate, code, ender FROM dead_letters JOIN messages USING (seq) "
        "WHERE number > ? ORDER BY number",
    ),
}


class DeliveringLedgers:
    """Of one machine, for all lives of its node: what one was killed before it could say, the next one says."""

    def __init__(self, ledgers: OpenLedger, said: Callable[[], Writer], names: Names) -> None:
        self._ledgers, self._said, self._names = ledgers, said, names
        self._seen = dict.fromkeys(_TABLES, 0)

    def open(self, path: str) -> Ledger:
        return _Delivering(self._ledgers.open(path), self._said(), self._names, self._seen)


@dataclass
class _Delivering:
    _ledger: Ledger
    _said: Writer
    _names: Names
    _seen: dict[str, int]
    _begun: bool = False

    async def transaction(self, statements: Sequence[Statement]) -> list[list[Row]]:
        due = [ev for ev, table in _TABLES.items() if any(table.inserts in statement.sql for statement in statements)]
        if due and not self._begun:
            self._begun = True
            await self._begin()
        rows = await self._ledger.transaction(statements)
        for ev in due:
            await self._tell(ev)
        return rows

    async def _begin(self) -> None:
        """A home that was put back knows less than was told."""
        for ev, table in _TABLES.items():
            [[(newest,)]] = await self._ledger.transaction([Statement(table.newest)])
            assert isinstance(newest, int)
            self._seen[ev] = min(self._seen[ev], newest)
            await self._tell(ev)

    async def _tell(self, ev: str) -> None:
        [new] = await self._ledger.transaction([Statement(_TABLES[ev].new, (self._seen[ev],))])
        for row in new:
            assert isinstance(row[0], int)
            self._seen[ev] = row[0]
            (self._deliver if ev == "deliver" else self._die)(row)

    def close(self) -> None:
        self._ledger.close()

    def __getattr__(self, name: str) -> object:
        return getattr(self._ledger, name)

    def _deliver(self, row: tuple[Any, ...]) -> None:
        _, id_, origin, leaf, actor, kind, lane, life, number = row
        here = self._said.node
        fields = {"id": id_, "origin": origin.hex(), "hash": leaf.hex(), "dest": f"{actor}@{here}"}
        if life is None:
            if kind == "error":  # the node's own word
                self._said.seen_by("node").note("submit_ok", reason="daemon", **fields)
            self._said.note("deliver", **fields)
            self._said.note("outcome", id=id_, origin=origin.hex(), reason="delivered")  # the row is that as well
        else:
            came_from = "netsky0" if here != "netsky0" else self._names(origin)
            stream = {"link": f"{came_from}>{here}", "ln": lane, "epoch": life, "value": {"number": number}}
            self._said.note("deliver", **fields, **stream)

    def _die(self, row: tuple[Any, ...]) -> None:
        _, id_, origin, fate, code, ender = row
        which = {"id": id_, "origin": origin.hex()}
        if fate == "dead":
            self._said.seen_by("test", self._names(ender)).note("dead_letter", **which, reason=code)
        self._said.note("outcome", **which, reason=f"{fate}({code})")
