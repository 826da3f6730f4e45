"""What a node delivers and what died of its own, noted in the turn in which it is durable: a ledger that looks at each
commit with such a row. What a life that was killed in a commit could not say, the next one finds and says.

Whoever looks into the database later sees it by the node's own clock, which may stand still or jump; and what a killed
life says after its commit nobody hears.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from netsky.node.lab.history import Writer
from netsky.node.seams.ledger import Ledger, OpenLedger, Row, Statement

Names = Callable[[bytes], str]
"""A node's name by its key."""


FORGETS = "UPDATE outbox SET kept = 0"
"""How the statement begins by which an origin lets go of bytes; then the numbers of its rows."""
_FORGOTTEN = "SELECT id, origin FROM messages WHERE seq IN (SELECT value FROM json_each(?))"
_IS_THERE = "SELECT count(*) FROM sqlite_schema WHERE name = ?"


@dataclass(slots=True)
class _Table:
    """One whose new rows are told."""

    inserts: str
    newest: str
    new: str
    seen: int | None = None


def _tables(*, submissions: bool) -> dict[str, _Table]:
    submitted = _Table(
        "INTO messages", "SELECT coalesce(max(seq), 0) FROM messages",
        "SELECT seq, id, origin, leaf, recipient FROM messages WHERE seq > ? AND via != 'link' ORDER BY seq",
    )  # fmt: skip
    first = {"submit": submitted} if submissions else {}
    return first | {
        "deliver": _Table(
            "INTO inbox", "SELECT coalesce(max(seq), 0) FROM inbox",
            "SELECT inbox.seq, id, origin, leaf, actor, kind, messages.lane, inbox.life, number FROM inbox "
            "JOIN messages USING (seq) WHERE inbox.seq > ? ORDER BY inbox.seq",
        ),
        "dead": _Table(
            "INTO dead_letters", "SELECT coalesce(max(number), 0) FROM dead_letters",
            "SELECT number, id, origin, fate, code, ender FROM dead_letters JOIN messages USING (seq) "
            "WHERE number > ? ORDER BY number",
        ),
    }  # fmt: skip


class DeliveringLedgers:
    def __init__(
        self, ledgers: OpenLedger, said: Callable[[], Writer], names: Names, *, submissions: bool = False
    ) -> None:
        """`submissions`: tells as well what was accepted here, for a run in which not all who send write lines."""
        self._ledgers, self._said, self._names, self._submissions = ledgers, said, names, submissions
        self._tables: dict[str, dict[str, _Table]] = {}

    def open(self, path: str) -> Ledger:
        tables = self._tables.setdefault(path, _tables(submissions=self._submissions))
        return _Delivering(self._ledgers.open(path), self._said(), self._names, tables)


class _Delivering:
    def __init__(self, ledger: Ledger, said: Writer, names: Names, tables: dict[str, _Table]) -> None:
        self._ledger, self._said, self._names, self._tables = ledger, said, names, tables
        self._is_new = True
        self._inserting: dict[str, tuple[str, ...]] = {}
        """By the text of a statement: what of its rows is told."""

    async def transaction(self, statements: Sequence[Statement]) -> list[list[Row]]:
        if self._is_new:
            self._is_new = False
            await self._find_unsaid()
        told = {ev for statement in statements for ev in self._told_of(statement.sql)}
        due = [(ev, table) for ev, table in self._tables.items() if ev in told]
        for _, table in due:
            if table.seen is None:
                [[(newest,)]] = await self._ledger.transaction([Statement(table.newest)])
                assert isinstance(newest, int)
                table.seen = newest
        rows = await self._ledger.transaction(statements)
        for ev, table in due:
            await self._say_new(ev, table)
        for statement in statements:
            if statement.sql.startswith(FORGETS):
                await self._say_forgotten(statement.values)
        return rows

    def _told_of(self, sql: str) -> tuple[str, ...]:
        known = self._inserting.get(sql)
        if known is None:
            known = tuple(ev for ev, table in self._tables.items() if table.inserts in sql)
            self._inserting[sql] = known
        return known

    async def _say_forgotten(self, seqs: Sequence[Any]) -> None:
        [found] = await self._ledger.transaction([Statement(_FORGOTTEN, tuple(seqs))])
        said = [{"id": id_, "origin": origin.hex()} for id_, origin in found if isinstance(origin, bytes)]
        self._said.seen_by("node").note_all("prune", said)

    async def _find_unsaid(self) -> None:
        """Where rows were lost, what comes in their place will be new."""
        for ev, table in self._tables.items():
            if table.seen is None:
                continue
            [[(there,)]] = await self._ledger.transaction([Statement(_IS_THERE, (table.inserts.split()[-1],))])
            [[(newest,)]] = await self._ledger.transaction([Statement(table.newest)]) if there else [[(0,)]]
            assert isinstance(newest, int)
            if newest < table.seen:
                table.seen = newest
            elif newest > table.seen:
                await self._say_new(ev, table)

    async def _say_new(self, ev: str, table: _Table) -> None:
        [new] = await self._ledger.transaction([Statement(table.new, (table.seen,))])
        for row in new:
            assert isinstance(row[0], int)
            table.seen = row[0]
            match ev:
                case "submit":
                    self._submit(row)
                case "deliver":
                    self._deliver(row)
                case _:
                    self._die(row)

    def close(self) -> None:
        self._ledger.close()

    def __getattr__(self, name: str) -> object:
        return getattr(self._ledger, name)

    def _submit(self, row: tuple[Any, ...]) -> None:
        """Its words are for whoever wrote them to tell."""
        _, id_, origin, leaf, recipient = row
        dest = recipient if "@" in recipient else f"{recipient}@{self._said.node}"
        self._said.note("submit_ok", id=id_, origin=origin.hex(), hash=leaf.hex(), dest=dest)

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
