"""What one look reads, and how it becomes a value for each actor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import trio
from netsky.node.db import node_state, watching
from netsky.node.db.watching import Inbox
from netsky.node.errors import NetskyError
from netsky.node.seams.ledger import NO_ROWS, LedgerBroken
from netsky.node.watch.limits import READ_SECONDS
from netsky.node.watch.memory import KEY
from netsky.node.watch.progress import SECOND, Newest, Seen, Watched
from netsky.relay.authority import ROOT_MANAGER, VOICES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from netsky.node.daemon.node import Node
    from netsky.node.seams.ledger import Row


@dataclass(frozen=True, slots=True)
class Facts:
    seen: Mapping[str, Seen]
    complete: bool
    """The actors are known; a node that starts, or starts them again, does not know them yet."""
    handled: frozenset[str]
    """Of the envelopes asked about, those that agent0 has taken."""
    kept: object = None


class DatabaseHangs(Exception):
    """The message says how."""


async def read(
    node: Node, *, before: Mapping[str, Watched], told: Iterable[str], quiet: frozenset[str], first: bool
) -> Facts:
    """One query, and a bound on it."""
    states = {str(state["name"]): state for state in node.actors.states() if state["name"] != "owner"}
    names = sorted({*states, *VOICES})
    lasts = {name: before[name].last if name in before else 0 for name in names}
    asked = {name: one for name in names if (one := node.acts.asked(name)) is not None}
    found = await _rows(node, lasts, sorted(told), sorted(asked.values()), first=first)
    inboxes, taken, answered, kept = found
    no_longer = watching.names(answered)
    open_ = {name: one for name, one in asked.items() if one not in no_longer}
    seen = {
        row.actor: _seen(node, row, states.get(row.actor), open_.get(row.actor), quiet=row.actor in quiet)
        for row in watching.inbox_rows(inboxes)
    }
    return Facts(
        seen=seen,
        complete=node.actors.serving,
        handled=frozenset(watching.names(taken)),
        kept=node_state.value(kept),
    )


async def _rows(
    node: Node, lasts: Mapping[str, int], told: list[str], asked: list[str], *, first: bool
) -> list[list[Row]]:
    with trio.move_on_after(READ_SECONDS):
        try:
            return await node.group.read(
                [
                    watching.inboxes(lasts),
                    watching.taken_of(ROOT_MANAGER, told),
                    watching.answered(asked),
                    node_state.get(KEY) if first else NO_ROWS,
                ]
            )
        except (NetskyError, LedgerBroken) as error:
            raise DatabaseHangs(str(error)) from None
    raise DatabaseHangs(f"a query of a millisecond did not end within {READ_SECONDS:g} s")


def _seen(node: Node, row: Inbox, state: dict[str, Any] | None, asked: str | None, *, quiet: bool) -> Seen:
    mode = "code" if state is None else str(state["mode"])
    return Seen(
        name=row.actor,
        mode=mode,
        state="" if state is None else str(state["state"]),
        reason="" if state is None else str(state["reason"]),
        pid=None if state is None else state["pid"],
        limit_ns=node.actors.row(row.actor).timeout * SECOND if mode == "per_envelope" else 0,
        waiting=row.waiting,
        left=row.left,
        last=row.last,
        oldest_at=row.oldest_at,
        claimed_at=row.claimed_at or 0,
        unclaimed=row.waiting > 0 and row.newest_claimed_at is None,
        newest=Newest(row.taken_at, row.taken_by) if row.ever else None,
        acts=node.acts.count(row.actor),
        asked=asked,
        follows=node.acts.follows(row.actor),
        quiet=quiet,
    )
