"""Verbs that tell: what is, what was, and what is proven."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netsky.node.db import trace
from netsky.node.errors import NotFound, Usage

if TYPE_CHECKING:
    from netsky.node.daemon.caller import Caller
    from netsky.node.daemon.node import Node
    from netsky.node.db.messages import MessageRow
    from netsky.node.db.trace import TraceRow
    from netsky.node.seams.ledger import Value
    from netsky.node.verbs.args import Args
    from netsky.node.verbs.verb import Emit

KINDS_MAX = 32


async def visible_rows(node: Node, caller: Caller, id: str) -> list[TraceRow]:  # noqa: A002 - the envelope's word
    """What this node knows of an id. An actor sees what it sent and what it got, like its own folder shows it."""
    [found] = await node.ledger.transaction([trace.by_id(id)])
    rows = [row for row in trace.rows(found) if is_party(node, caller, row)]
    if not rows:
        raise NotFound(f"no envelope has the id {id[:64]!r}", next="netsky channel ls", code="unknown_id")
    return rows


def is_party(node: Node, caller: Caller, row: TraceRow | MessageRow) -> bool:
    """Whether the caller sent or got it. In what passes between nodes, names have the node behind them."""
    if caller.is_operator:
        return True
    return bool({caller.actor, f"{caller.actor}@{node.identity.name}"} & {row.sender, row.recipient})


async def copy(node: Node, _caller: Caller, args: Args) -> dict[str, Any]:
    """A consistent copy of the database, for `netsky backup`; in the reader's turn, so that no commit waits."""
    path = args.text("into")
    args.nothing_else()
    if not path.startswith("/"):
        raise Usage("into has to be an absolute path", next="netsky backup FILE", code="bad_argument")
    await node.reader.copy_to(path)
    return {"into": path}


async def query(node: Node, caller: Caller, args: Args) -> dict[str, Any]:  # noqa: ARG001 - the form of a verb
    """One SELECT on the reading connection; blobs come as hex."""
    sql = args.text("sql")
    args.nothing_else()
    found = await node.reader.query(sql)
    rows = [[_plain(value) for value in row] for row in found.rows]
    return {"columns": list(found.columns), "rows": rows, "truncated": found.truncated}


def _plain(value: Value) -> int | str | float | None:
    return value.hex() if isinstance(value, bytes) else value


async def events(node: Node, caller: Caller, args: Args, emit: Emit) -> dict[str, Any]:  # noqa: ARG001
    """The latest that are kept; with `follow` also what comes."""
    follow = args.flag("follow")
    kinds = args.texts("kinds", KINDS_MAX, needed=False)
    args.nothing_else()
    wanted = frozenset(kinds) if kinds else None
    if any(not kind for kind in kinds):
        raise Usage("events: a kind is a word", next="netsky events --follow", code="bad_argument")
    with node.events.subscribe(wanted) as subscription:
        for event in node.events.latest():
            if wanted is None or event["kind"] in wanted:
                await emit(event)
        while follow:
            await emit(await subscription.next())
    return {}
