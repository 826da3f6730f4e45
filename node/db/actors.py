"""Who is part of this constellation, and each run of their programs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import cast

from netsky.node.seams.ledger import Row, Statement


@dataclass(frozen=True, slots=True)
class Scope:
    """What it may reach from the sandbox of tasks beside its working folder: nothing, if nothing is named."""

    hosts: tuple[str, ...] = ()
    readable: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ActorRow:
    name: str
    command: tuple[str, ...]
    mode: str  # "resident", "per_envelope", "none"
    manager: str | None
    fenced: bool
    enabled: bool
    environment: Mapping[str, str]
    added_at: int
    cwd: str = ""
    timeout: int = 1_800
    scope: Scope | None = None
    """None: it runs behind the usual fence, or without one."""


@dataclass(frozen=True, slots=True)
class SessionRow:
    id: int
    actor: str
    pid: int
    started_at: int
    ended_at: int | None
    exit: str | None
    reason: str | None


_SESSION = "id, actor, pid, started_at, ended_at, exit, reason"


def put(actor: ActorRow) -> Statement:
    """Adds it, or replaces all but the time it was added."""
    return Statement(
        "INSERT INTO actors (name, command, mode, manager, fenced, enabled, environment, added_at, cwd, timeout, "
        "scope) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET command = excluded.command, "
        "mode = excluded.mode, manager = excluded.manager, fenced = excluded.fenced, enabled = excluded.enabled, "
        "environment = excluded.environment, cwd = excluded.cwd, timeout = excluded.timeout, "
        "scope = excluded.scope",
        (
            *(actor.name, json.dumps(actor.command), actor.mode, actor.manager, int(actor.fenced)),
            *(int(actor.enabled), json.dumps(dict(actor.environment), sort_keys=True), actor.added_at),
            *(actor.cwd, actor.timeout, None if actor.scope is None else json.dumps(asdict(actor.scope))),
        ),
    )


def remove(name: str) -> Statement:
    """Its envelopes and sessions stay. Returns its name if it was there."""
    return Statement("DELETE FROM actors WHERE name = ? RETURNING name", (name,))


def enable(name: str, enabled: bool) -> Statement:
    return Statement("UPDATE actors SET enabled = ? WHERE name = ?", (int(enabled), name))


def all() -> Statement:  # noqa: A001 - read as actors.all()
    return Statement(
        "SELECT name, command, mode, manager, fenced, enabled, environment, added_at, cwd, timeout, scope "
        "FROM actors ORDER BY name"
    )


def start_session(actor: str, pid: int, at: int) -> Statement:
    """Returns its id."""
    return Statement("INSERT INTO sessions (actor, pid, started_at) VALUES (?, ?, ?) RETURNING id", (actor, pid, at))


def end_session(session: int, at: int, exit: str, reason: str) -> Statement:  # noqa: A002 - the column's word
    return Statement(
        "UPDATE sessions SET ended_at = ?, exit = ?, reason = ? WHERE id = ? AND ended_at IS NULL",
        (at, exit, reason, session),
    )


def lose_sessions(at: int) -> Statement:
    """At a start: those that the last daemon did not see ending. Returns them."""
    return Statement(
        "UPDATE sessions SET ended_at = ?, exit = 'unknown', reason = 'lost' WHERE ended_at IS NULL "
        f"RETURNING {_SESSION}",
        (at,),
    )


def sessions(actor: str, limit: int) -> Statement:
    """Newest first."""
    return Statement(f"SELECT {_SESSION} FROM sessions WHERE actor = ? ORDER BY id DESC LIMIT ?", (actor, limit))


def ended_since(at: int) -> Statement:
    """One number: programs that were ended from outside since then, or ended with the node."""
    return Statement("SELECT count(*) FROM sessions WHERE ended_at >= ? AND reason IN ('stopped', 'lost')", (at,))


def open_sessions() -> Statement:
    return Statement(f"SELECT {_SESSION} FROM sessions WHERE ended_at IS NULL ORDER BY id")


def rows(found: list[Row]) -> list[ActorRow]:
    return [_actor(row) for row in found]


def session_rows(found: list[Row]) -> list[SessionRow]:
    return [SessionRow(*row) for row in found]  # type: ignore[arg-type] # STRICT tables: the columns have these types


def _actor(row: Row) -> ActorRow:
    name, command, mode, manager, fenced, enabled, environment, added_at, cwd, timeout, scope = row
    return ActorRow(
        name=cast("str", name),
        command=tuple(json.loads(cast("str", command))),
        mode=cast("str", mode),
        manager=cast("str | None", manager),
        fenced=bool(fenced),
        enabled=bool(enabled),
        environment=json.loads(cast("str", environment)),
        added_at=cast("int", added_at),
        cwd=cast("str", cwd),
        timeout=cast("int", timeout),
        scope=None if scope is None else _scope(json.loads(cast("str", scope))),
    )


def _scope(found: dict[str, list[str]]) -> Scope:
    return Scope(tuple(found["hosts"]), tuple(found["readable"]))
