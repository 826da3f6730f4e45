"""`proof`: the bytes by which anybody can check with own hands who ordered an envelope. Nothing is judged here."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

from netsky.envelope.address import parse_address
from netsky.envelope.batch import VERSION, Batch, encode_batch
from netsky.envelope.batch import Statement as Sealed
from netsky.node.db import messages, routes
from netsky.node.errors import NotFound
from netsky.node.verbs.look import visible_rows

if TYPE_CHECKING:
    from netsky.node.daemon.caller import Caller
    from netsky.node.daemon.node import Node
    from netsky.node.db.messages import MessageRow, SealRow
    from netsky.node.verbs.args import Args

CHAIN_MAX = 8
"""Causes of causes that are told; orders go down three levels (design: depth 3), and answers come back up."""

_LEAF_BYTES = 32


async def proof(node: Node, caller: Caller, args: Args) -> dict[str, Any]:
    """Of what the caller sent or got: its batch with every other statement as a bare leaf, the route by which it came,
    and the chain of what it follows from. Of those an actor learns the headers alone: who, to whom, when, what kind.
    """
    id = args.text("id")  # noqa: A001
    args.nothing_else()
    place, *_ = await visible_rows(node, caller, id)
    [found, routed] = await node.ledger.transaction(
        [messages.by_id(id), routes.of_number(place.lane, place.in_life or 0, place.in_number or 0)]
    )
    row = next(one for one in messages.rows(found) if one.origin == place.origin)
    if row.header is None or row.body is None or row.seal is None:
        raise NotFound(f"the sealed bytes of {id} are pruned", next=f"netsky trace {id}", code="pruned")
    seal = await _seal(node, row.seal)
    causes, missing = await _causes(node, caller, row)
    return {
        "id": id,
        "origin": row.origin.hex(),
        "leaf": row.leaf.hex(),
        "batch": encode_batch(_batch(seal, {row.position: Sealed(row.header, row.body)})).hex(),
        "route": bytes(routed[0][0]).hex() if routed and place.via == "link" else None,  # type: ignore[arg-type]
        "life": place.in_life,
        "number": place.in_number,
        "via": row.via,
        "causes": causes,
        "missing": missing,
    }


async def _causes(node: Node, caller: Caller, row: MessageRow) -> tuple[list[dict[str, Any]], str | None]:
    """Nearest first, and the id where it goes on without this node. An actor hears of nothing that the sender of what
    follows from it never got: else it would learn of any message by naming it as the cause of its own."""
    causes: list[dict[str, Any]] = []
    seen = {row.id}
    while (wanted := row.parent or row.in_reply_to) is not None and wanted not in seen and len(causes) < CHAIN_MAX:
        seen.add(wanted)
        [found] = await node.ledger.transaction([messages.by_id(wanted)])
        known = [one for one in messages.rows(found) if one.header is not None and one.body is not None and one.seal]
        known.sort(key=lambda one: not _got(row, one))  # two nodes may have used one id
        if not known or not (caller.is_operator or _got(row, known[0])):
            return causes, wanted
        row = known[0]
        assert row.header is not None
        assert row.body is not None
        assert row.seal is not None
        causes.append(
            {
                "id": row.id,
                "header": row.header.hex(),
                "body_hash": sha256(row.body).hexdigest(),
                "batch": encode_batch(_batch(await _seal(node, row.seal), {})).hex(),
                "via": row.via,
            }
        )
    return causes, None


def _got(row: MessageRow, cause: MessageRow) -> bool:
    """Whether who sent the one was the one that the other was for."""
    same_actor = parse_address(cause.recipient).actor == parse_address(row.sender).actor
    return same_actor and cause.destination == row.origin


async def _seal(node: Node, hash: bytes) -> SealRow:  # noqa: A002 - the column's word
    [found] = await node.ledger.transaction([messages.seals_by_hash([hash])])
    [seal] = messages.seals(found)
    return seal


def _batch(seal: SealRow, shown: dict[int, Sealed]) -> Batch:
    bare = [seal.leaves[at : at + _LEAF_BYTES] for at in range(0, len(seal.leaves), _LEAF_BYTES)]
    statements = tuple(shown.get(at, leaf) for at, leaf in enumerate(bare))
    return Batch(VERSION, seal.type, seal.mesh, seal.signer, seal.signature, statements)
