"""What changes when a node was restored: this one, or another that we send to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from netsky.mesh.lineage import Lineage
from netsky.node.db.sets import blobs
from netsky.node.seams.ledger import NO_ROWS, Row, Statement

LINEAGES_KEPT = 256
"""Of one node: who is restored every day is still recognised after a year."""


@dataclass(frozen=True, slots=True)
class NewLife:
    life: int
    lineage: bytes
    at: int
    reason: str


_NO_NUMBER = "state = 'open', number = NULL"


def lineages(nodes: Sequence[bytes]) -> Statement:
    """Those in force."""
    if not nodes:
        return NO_ROWS
    places, values = blobs(nodes)
    return Statement(
        f"SELECT node, lineage, since FROM lineages WHERE superseded = 0 AND node IN ({places})",
        values,
    )


def all_lineages() -> Statement:
    """(node, lineage, since, superseded), the oldest first."""
    return Statement("SELECT node, lineage, since, superseded FROM lineages ORDER BY first_at, superseded DESC")


def lineage_rows(found: list[Row]) -> list[Lineage]:
    return [Lineage(*row) for row in found]  # type: ignore[arg-type] # STRICT tables: the columns have these types


def put_lineage(one: Lineage, at: int) -> list[Statement]:
    """It is in force; those before it are superseded and never forgotten within the bound."""
    return [
        Statement("UPDATE lineages SET superseded = 1 WHERE node = ? AND lineage != ?", (one.node, one.lineage)),
        Statement(
            "INSERT INTO lineages (node, lineage, since, first_at, superseded) VALUES (?, ?, ?, ?, 0) "
            "ON CONFLICT (node, lineage) DO UPDATE SET since = excluded.since, superseded = 0",
            (one.node, one.lineage, one.since, at),
        ),
        Statement(
            "DELETE FROM lineages WHERE node = ?1 AND lineage NOT IN "
            "(SELECT lineage FROM lineages WHERE node = ?1 ORDER BY superseded, first_at DESC LIMIT ?2)",
            (one.node, LINEAGES_KEPT),
        ),
    ]


def newest_from_links() -> Statement:
    """When the last envelope came that a link brought: everything up to then is remembered here."""
    return Statement("SELECT stored_at FROM inbox WHERE life IS NOT NULL ORDER BY seq DESC LIMIT 1")


def highest_life() -> Statement:
    return Statement("SELECT ifnull(max(life), 0) FROM lives WHERE direction = 'out'")


# Streams.


def raise_stream(peer: bytes, lane: str, new: NewLife) -> list[Statement]:
    """What goes out to this peer on this lane begins anew. What had a number there gets another."""
    return [
        Statement(
            "UPDATE streams SET life = ?, lineage = ?, number = 0, leaf = NULL, acked = 0, acked_leaf = NULL, "
            "frozen = NULL WHERE peer = ? AND direction = 'out' AND lane = ?",
            (new.life, new.lineage, peer, lane),
        ),
        _began(new, " AND peer = ? AND lane = ?", peer, lane),
        Statement(
            "UPDATE answers SET state = 'open' WHERE seq IN (SELECT each.value FROM flight, json_each(flight.rows) "
            "AS each WHERE flight.peer = ? AND lane = ? AND source = 'outcomes')",
            (peer, lane),
        ),
        Statement(
            "UPDATE forward SET state = 'open' WHERE seq IN (SELECT each.value FROM flight, json_each(flight.rows) "
            "AS each WHERE flight.peer = ? AND lane = ? AND source = 'forward')",
            (peer, lane),
        ),
        Statement("DELETE FROM flight WHERE peer = ? AND lane = ?", (peer, lane)),
        Statement(f"UPDATE outbox SET {_NO_NUMBER} WHERE peer = ? AND lane = ? AND state = 'numbered'", (peer, lane)),
    ]


def raise_all(new: NewLife) -> list[Statement]:
    """Of a node that was restored. Whatever it takes for unsent may have been sent, and even have arrived."""
    return [
        Statement(
            "UPDATE streams SET life = ?, lineage = ?, number = 0, leaf = NULL, acked = 0, acked_leaf = NULL "
            "WHERE direction = 'out'",
            (new.life, new.lineage),
        ),
        Statement("UPDATE streams SET frozen = NULL"),
        _began(new),
        Statement("UPDATE answers SET state = 'open'"),
        Statement("DELETE FROM flight"),
        Statement("DELETE FROM forward"),
        Statement(
            f"UPDATE outbox SET {_NO_NUMBER}, acked_at = NULL, life = ifnull(life, 0), put_back = max(put_back, 1) "
            "WHERE state != 'done'"
        ),
    ]


def thaw_incoming(peer: bytes) -> Statement:
    """The peer was restored since, and comes with a life that is new."""
    return Statement("UPDATE streams SET frozen = NULL WHERE peer = ? AND direction = 'in'", (peer,))


def _began(new: NewLife, only: str = "", *values: bytes | str) -> Statement:
    return Statement(
        "INSERT OR IGNORE INTO lives (peer, direction, lane, life, lineage, began_at, reason) "
        f"SELECT peer, 'out', lane, ?, ?, ?, ? FROM streams WHERE direction = 'out'{only}",
        (new.life, new.lineage, new.at, new.reason, *values),
    )


# What is sent again.


def put_back_open(peer: bytes) -> Statement:
    """What this peer acknowledged and nobody has answered: it may have forgotten it."""
    return Statement(
        f"UPDATE outbox SET {_NO_NUMBER}, acked_at = NULL, "
        "put_back = max(put_back, 1 + (destination = peer)) "
        "WHERE peer = ? AND state = 'acked'",
        (peer,),
    )


def put_back_all(destination: bytes, since: int) -> Statement:
    """What went to this node and may be lost there. It knows by id what it still has."""
    return Statement(
        f"UPDATE outbox SET {_NO_NUMBER}, acked_at = NULL, done_at = NULL, put_back = 3 - kept "
        "WHERE destination = ? AND (state = 'acked' "
        "OR (state = 'done' AND ifnull(fate, 'delivered') = 'delivered' AND done_at >= ?))",
        (destination, since),
    )
