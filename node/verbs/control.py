"""Verbs of the daemon itself, and waiting without polling."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import trio
from netsky.envelope.address import parse_address
from netsky.envelope.file import Proof, to_file
from netsky.envelope.wire import decode_body, decode_header
from netsky.node.daemon.told import ENDED_SIGNAL, TAKEN_SIGNAL
from netsky.node.db import messages, trace
from netsky.node.errors import TimedOut, Usage
from netsky.node.limits import WAIT_SECONDS_MAX
from netsky.node.verbs.bus import channel_of
from netsky.node.verbs.look import is_party, visible_rows
from netsky.node.verbs.outcome import ENDED, STAGES, stage_of
from netsky.relay.acks import ack_id

if TYPE_CHECKING:
    from netsky.node.daemon.caller import Caller
    from netsky.node.daemon.node import Node
    from netsky.node.db.messages import MessageRow
    from netsky.node.db.trace import TraceRow
    from netsky.node.verbs.args import Args
    from netsky.node.verbs.verb import Emit

_LOOK_SECONDS = 1.0
"""Between looks that no bell asked for: a reply to somebody else's inbox, a folder that a consumer emptied itself."""

_STAGE_SECONDS = 0.25
"""Where somebody watches how far it comes: numbers and acks ring no bell."""


async def ping(node: Node, caller: Caller, args: Args) -> dict[str, Any]:
    args.nothing_else()
    return {"name": node.identity.name, "pid": node.pid, "ready": node.is_ready, "you": caller.name}


async def stop(node: Node, caller: Caller, args: Args) -> dict[str, Any]:
    """An orderly stop begins; this is answered before it does."""
    args.nothing_else()
    node.request_stop(f"asked by {caller.name}")
    return {"pid": node.pid}


async def wait(node: Node, caller: Caller, args: Args) -> dict[str, Any]:
    """Until the envelope was taken by its reader, until one came that answers it, or until its outcome is known; with
    `beyond` (a stage), until it has come further than that."""
    what, id, seconds = args.text("what"), args.text("id"), args.seconds("timeout", 60, WAIT_SECONDS_MAX)  # noqa: A001
    beyond = args.maybe_text("beyond") if what == "outcome" else None
    args.nothing_else()
    look: Callable[[], Awaitable[dict[str, Any] | None]]
    if what == "taken":
        await visible_rows(node, caller, id)  # an id that nobody knows is told at once
        look, bell = (lambda: _taken(node, id)), TAKEN_SIGNAL
    elif what == "reply":
        asked = await visible_rows(node, caller, id)
        look, bell = (lambda: _reply(node, caller, asked)), parse_address(asked[0].sender).actor
    elif what == "outcome":
        if beyond not in {None, *STAGES}:
            raise Usage(f"{beyond!r} is no stage; there are {', '.join(STAGES)}", next="netsky wait -h")
        look, bell = (lambda: _outcome(node, caller, id, beyond)), ENDED_SIGNAL
    else:
        raise Usage(f"cannot wait for {what[:64]!r}; there are taken, reply and outcome", next="netsky wait -h")
    found = await until(node, look, bell, seconds, _LOOK_SECONDS if beyond is None else _STAGE_SECONDS)
    if found is not None:
        return found
    if what == "outcome":
        stage = (await stage_of(node, caller, id))["stage"]
        raise TimedOut(f"{id} has no outcome yet after {seconds:g} s: it is {stage}", next=f"netsky wait outcome {id}")
    missing = "taken" if what == "taken" else "answered"
    raise TimedOut(f"{id} was not {missing} within {seconds:g} s", next=f"netsky trace {id}")


async def until(
    node: Node,
    look: Callable[[], Awaitable[dict[str, Any] | None]],
    bell: str,
    seconds: float,
    patience: float = _LOOK_SECONDS,
) -> dict[str, Any] | None:
    """Looks when the bell rings, and sometimes without; None when the time is over."""
    with trio.move_on_after(seconds):
        while True:
            heard = node.signals.count(bell)
            found = await look()
            if found is not None:
                return found
            with trio.move_on_after(patience):
                await node.signals.wait_beyond(bell, heard)
    return None


async def follow(node: Node, caller: Caller, args: Args, emit: Emit) -> dict[str, Any]:
    """An event whenever new files stand in an actor's inbox; the first at once, so that none is missed."""
    actor = channel_of(node, caller, args.maybe_text("actor"))
    args.nothing_else()
    heard = node.signals.count(actor)
    with node.acts.following(actor):
        while True:
            await emit({"actor": actor})
            heard = await node.signals.wait_beyond(actor, heard)


async def _taken(node: Node, id: str) -> dict[str, Any] | None:  # noqa: A002 - the envelope's word
    [found] = await node.ledger.transaction([trace.by_id(id)])
    for row in trace.rows(found):
        if row.state == "taken":
            return {"id": id, "actor": row.actor, "taken_at": row.taken_at, "taken_by": row.taken_by}
    return None


async def _reply(node: Node, caller: Caller, asked: list[TraceRow]) -> dict[str, Any] | None:
    """The first that its reader wrote; that it was taken is no answer."""
    id = asked[0].id  # noqa: A001
    acks = {ack_id(row.origin, row.id) for row in asked}
    [found] = await node.ledger.transaction([messages.replies_to([id], 16)])
    for row in messages.rows(found):
        if row.id not in acks and is_party(node, caller, row):
            return {"id": id, "reply": readable(row)}
    return None


async def _outcome(node: Node, caller: Caller, id: str, beyond: str | None) -> dict[str, Any] | None:  # noqa: A002
    found = await stage_of(node, caller, id)
    return found if found["stage"] == ENDED or beyond not in {None, found["stage"]} else None


def readable(row: MessageRow) -> dict[str, Any] | None:
    """The envelope as its file shows it; None once its bytes are pruned."""
    if row.header is None or row.body is None:
        return None
    proof = Proof(row.origin, row.id, row.leaf)
    fields: dict[str, Any] = json.loads(to_file(decode_header(row.header), decode_body(row.body), proof))
    return fields
