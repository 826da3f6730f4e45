"""Rows about what happened, for people and for the watchdog. No decision about an envelope depends on one.

They are given to `GroupCommit.ride`: never waited for, dropped and counted when there are too many. So nothing here
may fail, whatever it is handed: texts are made storable and cut.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from netsky.node.db.limits import DETAIL_CHARS_MAX
from netsky.node.seams.ledger import Row, Statement

_INTEGER_MAX = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class QuarantineRow:
    id: int
    at: int
    actor: str
    name: str
    reason: str
    sentence: str
    size: int | None


@dataclass(frozen=True, slots=True)
class CrashRow:
    id: int
    at: int
    task: str
    kind: str
    detail: str
    node_stops: bool


def quarantined(at: int, actor: str, name: str, *, reason: str, sentence: str, size: int | None) -> Statement:
    return Statement(
        "INSERT INTO quarantine (at, actor, name, reason, sentence, size) VALUES (?, ?, ?, ?, ?, ?)",
        (at, actor, _text(name), reason, _text(sentence), None if size is None else min(size, _INTEGER_MAX)),
    )


def crashed(at: int, task: str, kind: str, detail: str, *, node_stops: bool) -> Statement:
    return Statement(
        "INSERT INTO crashes (at, task, kind, detail, node_stops) VALUES (?, ?, ?, ?, ?)",
        (at, _text(task), _text(kind), _text(detail), int(node_stops)),
    )


def ticked(at: int, source: str, detail: Mapping[str, Any]) -> Statement:
    return Statement("INSERT INTO ticks (at, source, detail) VALUES (?, ?, ?)", (at, _text(source), _object(detail)))


def cli_invoked(at: int, caller: str, verb: str, *, exit: int, code: str | None, duration: int) -> Statement:  # noqa: A002
    return Statement(
        "INSERT INTO cli_invocations (at, caller, verb, exit, code, duration) VALUES (?, ?, ?, ?, ?, ?)",
        (at, _text(caller), _text(verb), exit, code, duration),
    )


def tokens_used(
    at: int,
    actor: str,
    session: str,
    model: str,
    *,
    input: int,  # noqa: A002 - the column's word
    output: int,
    cached: int,
    cost: int | None,
) -> Statement:
    return Statement(
        "INSERT INTO token_usage (at, actor, session, model, input, output, cached, cost) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (at, actor, _text(session), _text(model), input, output, cached, cost),
    )


def watchdog_saw(
    at: int, event: str, *, actor: str | None, severity: str, status: str, detail: Mapping[str, Any]
) -> Statement:
    return Statement(
        "INSERT INTO watchdog_events (at, event, actor, severity, status, detail) VALUES (?, ?, ?, ?, ?, ?)",
        (at, event, actor, severity, status, _object(detail)),
    )


def link_event(at: int, event: str, peer: bytes, label: str | None, detail: Mapping[str, Any]) -> Statement:
    """The key itself is never stored: whoever reads this table learns nobody's address on the wire."""
    return Statement(
        "INSERT INTO iroh_events (at, event, peer_hash, label, detail) VALUES (?, ?, ?, ?, ?)",
        (at, event, peer_hash(peer), label, _object(detail)),
    )


def logged(at: int, level: str, event: str, fields: Mapping[str, Any]) -> Statement:
    return Statement(
        "INSERT INTO logs (at, level, event, fields) VALUES (?, ?, ?, ?)", (at, level, _text(event), _object(fields))
    )


def peer_hash(peer: bytes) -> str:
    return hashlib.sha256(peer).hexdigest()[:16]


def quarantine(actor: str | None, limit: int) -> Statement:
    """Newest first, of one actor or of all."""
    return Statement(
        "SELECT id, at, actor, name, reason, sentence, size FROM quarantine WHERE coalesce(actor = ?, TRUE) "
        "ORDER BY id DESC LIMIT ?",
        (actor, limit),
    )


def quarantine_counts() -> Statement:
    """(actor, rows) for each actor with any."""
    return Statement("SELECT actor, count(*) FROM quarantine GROUP BY actor")


def crashes(limit: int, since: int = 0) -> Statement:
    """Newest first."""
    return Statement(
        "SELECT id, at, task, kind, detail, node_stops FROM crashes WHERE at >= ? ORDER BY id DESC LIMIT ?",
        (since, limit),
    )


def quarantine_rows(found: list[Row]) -> list[QuarantineRow]:
    return [QuarantineRow(*row) for row in found]  # type: ignore[arg-type] # STRICT tables: the columns have these types


def crash_rows(found: list[Row]) -> list[CrashRow]:
    return [CrashRow(*(*row[:-1], bool(row[-1]))) for row in found]  # type: ignore[arg-type]


def _text(given: str) -> str:
    """Half surrogates (a file name that is no UTF-8) are shown as escapes: SQLite takes none."""
    return given[:DETAIL_CHARS_MAX].encode("utf-8", "backslashreplace").decode()


def _object(given: Mapping[str, Any]) -> str:
    made = json.dumps(given, default=str, sort_keys=True)
    return made if len(made) <= DETAIL_CHARS_MAX else json.dumps({"cut": made[: DETAIL_CHARS_MAX // 2]})
