"""What is known of one envelope's way, gathered from the tables that each hold a part of it."""

from __future__ import annotations

from dataclasses import dataclass

from netsky.node.seams.ledger import Row, Statement


@dataclass(frozen=True, slots=True)
class TraceRow:
    """Times in ns, None for what did not happen (yet) or not here."""

    seq: int
    origin: bytes
    id: str
    leaf: bytes
    sender: str
    recipient: str
    kind: str | None
    in_reply_to: str | None
    via: str
    ts: int
    expires: int
    accepted_at: int
    is_sealed: int
    actor: str | None
    file: str | None
    state: str | None
    stored_at: int | None
    projected_at: int | None
    claimed_at: int | None
    taken_at: int | None
    taken_by: str | None
    peer: bytes | None
    number: int | None
    numbered_at: int | None
    acked_at: int | None
    done_at: int | None
    destination: bytes
    lane: str
    in_life: int | None
    in_number: int | None
    root_received: int | None
    root_routed: int | None
    attaching: int | None
    """1: it waits here until the next node holds its attachments."""


def by_id(id: str) -> Statement:  # noqa: A002 - the envelope's word
    """One row for each origin that used this id."""
    return Statement(
        "SELECT messages.seq, origin, id, leaf, sender, recipient, kind, in_reply_to, via, ts, expires, accepted_at, "
        "seal IS NOT NULL, actor, file, inbox.state, stored_at, projected_at, claimed_at, taken_at, taken_by, "
        "peer, outbox.number, numbered_at, acked_at, done_at, messages.destination, messages.lane, inbox.life, "
        "inbox.number, root_received, root_routed, outbox.state = 'open' AND outbox.attached = 1 "
        "FROM messages LEFT JOIN inbox USING (seq) LEFT JOIN outbox USING (seq) WHERE id = ? ORDER BY messages.seq",
        (id,),
    )


def rows(found: list[Row]) -> list[TraceRow]:
    return [TraceRow(*row) for row in found]  # type: ignore[arg-type] # STRICT tables: the columns have these types
