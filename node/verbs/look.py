"""Verbs that tell: what is, what was, and what is proven."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netsky.envelope.batch import Batch, encode_batch
from netsky.envelope.batch import Statement as Sealed
from netsky.node.db import messages, outcomes, trace
from netsky.node.errors import NotFound, Usage
from netsky.relay.acks import ack_id

if TYPE_CHECKING:
    from netsky.node.daemon.caller import Caller
    from netsky.node.daemon.node import Node
    from netsky.node.db.messages import MessageRow
    from netsky.node.db.trace import TraceRow
    from netsky.node.seams.ledger import Value
    from netsky.node.verbs.args import Args
    from netsky.node.verbs.verb import Emit

KINDS_MAX = 32
_LEAF_BYTES = 32


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


async def trace_verb(node: Node, caller: Caller, args: Args) -> dict[str, Any]:
    """The steps of one envelope with their times; a step without a time has not happened yet."""
    id = args.text("id")  # noqa: A001
    args.nothing_else()
    row, *others = await visible_rows(node, caller, id)
    [found, replies] = await node.ledger.transaction(
        [outcomes.find([outcomes.key_of(row.origin, row.id)]), messages.replies_to([id], KINDS_MAX)]
    )
    ends = outcomes.rows(found)
    outcome = ends[0] if ends else None
    steps = [{"step": step, "at": at, "detail": detail} for step, at, detail in _steps(row)]
    for answer in messages.rows(replies):
        if is_party(node, caller, answer):
            said = f"{answer.kind or 'text'} from {answer.sender}: {answer.id}"
            step = "acknowledged" if answer.id == ack_id(row.origin, row.id) else "answered"
            steps.append({"step": step, "at": answer.accepted_at, "detail": said})
    if outcome is not None:
        detail = outcome.fate + (f" ({outcome.code})" if outcome.code else "")
        steps.append({"step": "outcome", "at": outcome.at, "detail": detail})
    return {
        "id": row.id,
        "origin": row.origin.hex(),
        "leaf": row.leaf.hex(),
        "from": row.sender,
        "to": row.recipient,
        "kind": row.kind or "text",
        "in_reply_to": row.in_reply_to,
        "via": row.via,
        "expires": row.expires,
        "outcome": None if outcome is None else outcome.fate,
        "code": None if outcome is None else outcome.code,
        "steps": steps,
        "other_origins": [other.origin.hex() for other in others],
    }


def _steps(row: TraceRow) -> list[tuple[str, int | None, str]]:
    steps: list[tuple[str, int | None, str]] = [("accepted", row.accepted_at, f"from {row.sender} via {row.via}")]
    if row.peer is not None:
        to = f"to {row.peer.hex()[:16]}"
        steps += [
            ("numbered", row.numbered_at, to if row.number is None else f"{to}, number {row.number}"),
            ("acked", row.acked_at, "stored by the next node"),
            ("done", row.done_at, ""),
        ]
    if row.actor is not None:
        steps += [
            ("stored", row.stored_at, f"for {row.actor}"),
            ("projected", row.projected_at, row.file or ""),
            ("claimed", row.claimed_at, ""),
            ("taken", row.taken_at, f"by {row.taken_by}" if row.taken_by else ""),
        ]
        if row.taken_at is not None:  # what a consumer skipped on the way will not happen any more
            steps = [step for step in steps if step[1] is not None]
    return steps


async def envelope(node: Node, caller: Caller, args: Args) -> dict[str, Any]:
    """The sealed bytes of an id: its batch with every other statement as a bare leaf, for checking with own hands."""
    id = args.text("id")  # noqa: A001
    args.nothing_else()
    await visible_rows(node, caller, id)
    [found] = await node.ledger.transaction([messages.by_id(id)])
    row, *_ = messages.rows(found)
    if row.header is None or row.body is None or row.seal is None:
        raise NotFound(f"the sealed bytes of {id} are pruned", next=f"netsky trace {id}", code="pruned")
    [found] = await node.ledger.transaction([messages.seals_by_hash([row.seal])])
    [seal] = messages.seals(found)
    leaves: list[Sealed | bytes] = [
        seal.leaves[at : at + _LEAF_BYTES] for at in range(0, len(seal.leaves), _LEAF_BYTES)
    ]
    leaves[row.position] = Sealed(row.header, row.body)
    batch = Batch(1, seal.type, seal.mesh, seal.signer, seal.signature, tuple(leaves))
    return {"id": id, "origin": row.origin.hex(), "leaf": row.leaf.hex(), "batch": encode_batch(batch).hex()}


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
