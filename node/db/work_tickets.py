"""Tickets: their rows, what comes before what, and who may ask for which. At the node that gives work out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from typing import NamedTuple, cast

from netsky.node.db.sets import numbers, texts
from netsky.node.seams.ledger import NO_ROWS, Row, Statement


@dataclass(frozen=True, slots=True)
class TicketRow:
    seq: int
    id: str
    run: str
    parent: int | None
    depth: int
    spec: str
    place: str
    state: str
    since: int
    owner: str
    missing: int = 0
    due: int = 0
    till: int | None = None
    tries: int = 0
    crashes: int = 0
    alone: int = 0
    node: str = ""
    fence: str = ""
    code: str = ""
    reason: str = ""
    report: str | None = None
    start: str = ""


class Held(NamedTuple):
    """What a node is at work on, as netsky0 counts it."""

    node: str
    used: int
    alone: bool


class Ready(NamedTuple):
    """Tickets that wait for the same room."""

    place: str
    alone: int


_COLUMNS = ", ".join(field.name for field in fields(TicketRow))
_CHANGED = ("state", "since", "owner", "due", "till", "tries", "crashes", "alone", "node", "fence", "code", "reason",
            "report", "start")  # fmt: skip
_SEQS = "seq IN (SELECT value FROM json_each(?))"
_ALL = f"SELECT {_COLUMNS} FROM work_tickets WHERE"
_HELD = "state IN ('offered', 'leased')"
_READY = "state = 'waiting' AND missing = 0"
_OPEN = "state NOT IN ('committed', 'cancelled', 'dead')"


def newest() -> Statement:
    """Its number; seq are given by whoever inserts."""
    return Statement("SELECT ifnull(max(seq), 0) FROM work_tickets")


def insert(new: Sequence[TicketRow]) -> Statement:
    """What is there already stays as it is."""
    places = ", ".join("?" * len(fields(TicketRow)))
    return Statement(
        f"INSERT INTO work_tickets ({_COLUMNS}) VALUES ({places})", many=[cast("Row", astuple(row)) for row in new]
    )


def insert_after(pairs: Sequence[tuple[int, int]]) -> Statement:
    return Statement("INSERT INTO work_after (ticket, needs) VALUES (?, ?)", many=pairs) if pairs else NO_ROWS


def insert_context(found: Sequence[tuple[int, str, str]]) -> Statement:
    """(seq, pointer, text)."""
    return (
        Statement("INSERT INTO work_context (ticket, pointer, text) VALUES (?, ?, ?)", many=found) if found else NO_ROWS
    )


def context(seq: int) -> Statement:
    return Statement("SELECT pointer, text FROM work_context WHERE ticket = ? ORDER BY pointer", (seq,))


def put(changed: Sequence[TicketRow]) -> Statement:
    """Each as it is now; `missing` is counted by `committed` alone."""
    places = ", ".join(f"{name} = ?" for name in _CHANGED)
    return Statement(
        f"UPDATE work_tickets SET {places} WHERE seq = ?",
        many=[(*(getattr(row, name) for name in _CHANGED), row.seq) for row in changed],
    )


def committed(seqs: Sequence[int]) -> Statement:
    """Those that come after them miss one less. Returns (place, alone) of those that miss none now."""
    some = numbers(seqs)
    return Statement(
        "UPDATE work_tickets SET missing = missing - (SELECT count(*) FROM work_after WHERE ticket = seq "
        "AND needs IN (SELECT value FROM json_each(?1))) WHERE seq IN (SELECT ticket FROM work_after WHERE needs IN "
        "(SELECT value FROM json_each(?1))) RETURNING place, alone, missing",
        (some,),
    )


def by_ids(ids: Sequence[str]) -> Statement:
    return Statement(f"{_ALL} id IN (SELECT value FROM json_each(?))", (texts(ids),))


def by_seqs(seqs: Sequence[int]) -> Statement:
    return Statement(f"{_ALL} {_SEQS} ORDER BY seq", (numbers(seqs),))


def like(part: str, limit: int) -> Statement:
    """(id,) of those that begin so, or are called so within their run."""
    return Statement(
        "SELECT id FROM work_tickets WHERE (id >= ?1 AND id < ?2) OR id LIKE ?3 ESCAPE '\\' ORDER BY seq DESC LIMIT ?4",
        (part, part + "\uffff", "%." + part.replace("\\", "").replace("%", "").replace("_", "\\_"), limit),
    )


def ready_places() -> Statement:
    """All of them: asked once, at a start."""
    return Statement(f"SELECT DISTINCT place, alone FROM work_tickets WHERE {_READY}")


def ready(one: Ready, now: int, limit: int) -> Statement:
    return Statement(
        f"{_ALL} {_READY} AND place = ? AND alone = ? AND due <= ? ORDER BY due, seq LIMIT ?",
        (one.place, one.alone, now, limit),
    )


def next_due(one: Ready, now: int) -> Statement:
    """(due,) of the next that waits for a time; nothing if none does."""
    return Statement(
        f"SELECT due FROM work_tickets WHERE {_READY} AND place = ? AND alone = ? AND due > ? ORDER BY due LIMIT 1",
        (one.place, one.alone, now),
    )


def held() -> Statement:
    """(node, how many, whether one of them must be alone)."""
    return Statement(f"SELECT node, count(*), max(alone) FROM work_tickets WHERE {_HELD} GROUP BY node")


def held_by(node: str) -> Statement:
    return Statement(f"{_ALL} {_HELD} AND node = ? ORDER BY seq", (node,))


def offered() -> Statement:
    """Whose offer may not have been sent."""
    return Statement(f"{_ALL} state = 'offered' AND {_HELD} ORDER BY seq")


def timed_out(now: int, limit: int) -> Statement:
    """Leases that are over, and parked ones that go on."""
    return Statement(
        f"{_ALL} state IN ('offered', 'leased', 'parked') AND till <= ? ORDER BY till LIMIT ?", (now, limit)
    )


def next_till() -> Statement:
    return Statement(
        "SELECT till FROM work_tickets WHERE state IN ('offered', 'leased', 'parked') AND till > 0 "
        "ORDER BY till LIMIT 1"
    )


def in_state(state: str, limit: int, after: int = 0) -> Statement:
    """`state` is reported or verified."""
    return Statement(
        f"{_ALL} state IN ('reported', 'verified') AND state = ? AND seq > ? ORDER BY seq LIMIT ?",
        (state, after, limit),
    )


def renew(fences: Sequence[tuple[str, str]], node: str, till: int) -> Statement:
    """These (id, fence) are still at work there."""
    return Statement(
        f"UPDATE work_tickets SET till = ? WHERE id = ? AND fence = ? AND node = ? AND {_HELD}",
        many=[(till, id_, fence, node) for id_, fence in fences],
    )


def grace(till: int) -> Statement:
    """At a start: no lease ends before its node could be heard."""
    return Statement(f"UPDATE work_tickets SET till = ? WHERE {_HELD} AND till IS NOT NULL AND till < ?", (till, till))


def dependents(seqs: Sequence[int]) -> Statement:
    """All that come after them, near and far, and wait."""
    return Statement(
        "WITH RECURSIVE behind (seq) AS (SELECT ticket FROM work_after WHERE needs IN (SELECT value FROM json_each(?)) "
        f"UNION SELECT ticket FROM work_after JOIN behind ON needs = behind.seq) {_ALL} "
        "seq IN (SELECT seq FROM behind) AND state IN ('waiting', 'blocked', 'dead') ORDER BY seq",
        (numbers(seqs),),
    )


def before(seq: int) -> Statement:
    """(id, state) of those that it comes after."""
    return Statement(
        "SELECT id, state FROM work_tickets JOIN work_after ON needs = seq WHERE ticket = ? ORDER BY seq", (seq,)
    )


def behind(seq: int) -> Statement:
    """(id, state) of those that come directly after it."""
    return Statement(
        "SELECT id, state FROM work_tickets JOIN work_after ON ticket = seq WHERE needs = ? ORDER BY seq", (seq,)
    )


def children(seq: int) -> Statement:
    return Statement(f"{_ALL} parent = ? ORDER BY seq", (seq,))


def open_children(seq: int) -> Statement:
    return Statement(f"SELECT count(*) FROM work_tickets WHERE parent = ? AND {_OPEN}", (seq,))


def is_moving(run: str) -> Statement:
    """(1,) if anything of this run goes on by itself."""
    return Statement(
        "SELECT 1 FROM work_tickets WHERE run = ? AND (state IN ('offered', 'leased', 'reported', 'verified', "
        "'parked') OR (state = 'waiting' AND missing = 0)) LIMIT 1",
        (run,),
    )


def listed(
    *,
    run: str = "",
    owner: str = "",
    state: str = "",
    asked_at: str = "",
    is_open: bool = False,
    after: int = 0,
    limit: int = 100,
) -> Statement:
    """`asked_at`: of runs that were asked for on this node."""
    of_node = "run IN (SELECT id FROM work_runs WHERE asked_by LIKE ?)"
    node = f"%@{asked_at}" if asked_at else ""
    asked = [("run = ?", run), ("owner = ?", owner), ("state = ?", state), (of_node, node)]
    kept = [(sql, value) for sql, value in asked if value]
    where = " AND ".join([*(sql for sql, _ in kept), *([_OPEN] if is_open else []), "seq > ?"])
    return Statement(f"{_ALL} {where} ORDER BY seq LIMIT ?", (*(value for _, value in kept), after, limit))


def open_of(run: str, limit: int) -> Statement:
    return Statement(f"{_ALL} run = ? AND {_OPEN} ORDER BY seq LIMIT ?", (run, limit))


def edges(run: str, limit: int) -> Statement:
    """(id, id of one that comes before it)."""
    return Statement(
        "SELECT t.id, b.id FROM work_tickets t JOIN work_after a ON a.ticket = t.seq JOIN work_tickets b "
        "ON b.seq = a.needs WHERE t.run = ? ORDER BY t.seq, b.seq LIMIT ?",
        (run, limit),
    )


def by_state(run: str) -> Statement:
    return Statement("SELECT state, count(*) FROM work_tickets WHERE run = ? GROUP BY state", (run,))


def ends() -> Statement:
    """(code, role, node, count): why tries ended, over all tickets."""
    return Statement(
        "SELECT c.code, ifnull(json_extract(t.spec, '$.role'), 'worker'), c.node, count(*) FROM work_checkpoints c "
        "JOIN work_tickets t ON t.seq = c.ticket WHERE c.code != '' AND c.event IN "
        "('again', 'block', 'park', 'kill', 'cancel', 'stopped', 'stale') GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1, 2, 3"
    )


def rows(found: list[Row]) -> list[TicketRow]:
    return [TicketRow(*row) for row in found]  # type: ignore[arg-type] # a STRICT table: the columns have these types


def held_rows(found: list[Row]) -> list[Held]:
    return [Held(cast("str", node), cast("int", used), bool(alone)) for node, used, alone in found]


def ready_rows(found: list[Row]) -> set[Ready]:
    return {Ready(cast("str", row[0]), cast("int", row[1])) for row in found}
