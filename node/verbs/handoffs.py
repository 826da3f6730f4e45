"""Verbs of restarts: asking for one, looking at them, waiting for the proof of a new life."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio
from netsky.envelope.fields import Body
from netsky.envelope.invalid import Invalid
from netsky.envelope.wire import encode_body
from netsky.node.db import handoffs
from netsky.node.errors import NotFound, Refused, TimedOut, Usage
from netsky.node.handoff.judge import SECOND
from netsky.node.handoff.limits import PROVE_SECONDS, PROVE_SECONDS_MAX, TEXT_BYTES_MAX, WHY_BYTES_MAX
from netsky.node.handoff.new_life import LIFE_SIGNAL
from netsky.node.handoff.restarts import RESTARTS_SIGNAL
from netsky.node.limits import LIST_ROWS_MAX, WAIT_SECONDS_MAX
from netsky.node.verbs.actors import local_name
from netsky.node.verbs.control import until

if TYPE_CHECKING:
    from netsky.node.daemon.caller import Caller
    from netsky.node.daemon.node import Node
    from netsky.node.db.handoffs import HandoffRow
    from netsky.node.verbs.args import Args

_NUMBER_MAX = (1 << 63) - 1


async def restart_actor(node: Node, caller: Caller, args: Args) -> dict[str, Any]:
    """Of one actor, with what is handed on. The operator may for all, agent0 and managers for themselves."""
    actor = local_name(args.text("actor"))
    text, why = args.maybe_text("handoff"), args.maybe_text("reason") or ""
    within = args.seconds("within", PROVE_SECONDS, PROVE_SECONDS_MAX)
    args.nothing_else()
    if caller.actor is not None:
        _check_own(caller.actor, actor)
    _check_texts(text, why)
    row = await node.restarts.ask(
        actor, by=caller.name, why=why, text=text, within_ns=max(SECOND, round(within * SECOND))
    )
    return shown(row)


def _check_own(caller: str, actor: str) -> None:
    """Deny by default: a restart ends what others may wait for, so each may ask for its own, and a worker for none."""
    if caller != actor:
        raise Refused(
            f"you are {caller}; only the operator restarts {actor}", next=f"netsky restart {caller}", code="not_you"
        )
    if actor.startswith("worker"):
        raise Refused(
            "a worker does not restart itself: its manager decides",
            next="tell your manager why: netsky send $NETSKY_MANAGER --kind question TEXT",
            code="not_for_workers",
        )


def _check_texts(text: str | None, why: str) -> None:
    for name, given, most in (("handoff", text, TEXT_BYTES_MAX), ("reason", why, WHY_BYTES_MAX)):
        if given is not None and len(given.encode("utf-8", "surrogatepass")) > most:
            raise Usage(f"the {name} has more than {most} bytes", next="netsky help restart", code="too_large")
        try:
            encode_body(Body(given or "", None, ()))
        except Invalid as wrong:
            raise Usage(f"{name}: {wrong.sentence}", next="netsky help restart", code=wrong.code) from None
    if text is not None and not text.strip():
        raise Usage("an empty handoff hands nothing on", next="leave it out, or say something", code="empty_handoff")


async def handoffs_ls(node: Node, caller: Caller, args: Args) -> dict[str, Any]:
    """Open and recent ones, newest first. An actor sees its own."""
    named = args.maybe_text("actor")
    limit = args.whole("limit", 20, 1, LIST_ROWS_MAX)
    args.nothing_else()
    actor = caller.actor or (None if named is None else _name(named))
    [found] = await node.ledger.transaction([handoffs.listed(limit, actor)])
    return {"handoffs": [shown(row) for row in handoffs.rows(found)]}


def _name(named: str) -> str:
    return named if named == handoffs.NODE else local_name(named)


async def handoff_wait(node: Node, caller: Caller, args: Args) -> dict[str, Any]:
    """Until this restart is proved or given up."""
    number = args.whole("id", 0, 1, _NUMBER_MAX)
    seconds = args.seconds("timeout", PROVE_SECONDS, WAIT_SECONDS_MAX)
    args.nothing_else()

    async def ended() -> dict[str, Any] | None:
        row = await _row(node, caller, number)
        return None if row.ended is None else shown(row)

    found = await until(node, ended, RESTARTS_SIGNAL, seconds)
    if found is not None:
        return found
    row = await _row(node, caller, number)
    raise TimedOut(
        f"the restart of {row.actor} is not proved yet after {seconds:g} s: it is {row.state}",
        next=f"netsky handoffs; netsky agent logs {row.actor}",
    )


async def new_life(node: Node, caller: Caller, args: Args) -> dict[str, Any]:  # noqa: ARG001 - the form of a verb
    """What this life of the node has proved after a restart; with `timeout`, once that is decided."""
    seconds = args.seconds("timeout", 0, WAIT_SECONDS_MAX)
    args.nothing_else()
    with trio.move_on_after(seconds):
        heard = node.signals.count(LIFE_SIGNAL)
        while node.life.state == "starting":
            heard = await node.signals.wait_beyond(LIFE_SIGNAL, heard)
    return node.life.shown()


async def _row(node: Node, caller: Caller, number: int) -> HandoffRow:
    [found] = await node.ledger.transaction([handoffs.by_id(number)])
    rows = [row for row in handoffs.rows(found) if caller.actor in {None, row.actor}]
    if not rows:
        raise NotFound(f"there is no restart {number}", next="netsky handoffs", code="unknown_handoff")
    return rows[0]


def shown(row: HandoffRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "actor": row.actor,
        "by": row.asked_by,
        "forced": row.forced,
        "why": row.why,
        "state": row.state,
        "open": row.cleared is None,
        "at": row.at,
        "restarted_at": row.restarted,
        "ended_at": row.ended,
        "within_ns": row.within,
        "tries": row.tries,
        "returned": row.returned,
        "handoff": row.text,
        "envelope": row.envelope,
        "said": row.said,
        "ran": dict(row.ran),
    }
