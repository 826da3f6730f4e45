"""What ends without having arrived: past its time, or on its way to a node that no longer belongs to the mesh.

Pure: rows in, fates and statements out. What never had a number is dead. What had one may have been stored there, so
it is in doubt; and an origin waits for the root's word first, which knows more.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from netsky.envelope.batch import Batch, Statement, decode_batch, encode_batch, leaves
from netsky.envelope.fields import Header
from netsky.envelope.wire import decode_header
from netsky.mesh.outcome import Fate, Outcome, ended_by
from netsky.mesh.pieces import full_positions, statement_size, with_only
from netsky.mesh.roster import Roster
from netsky.node.db import forward
from netsky.node.db.forward import ForwardRow
from netsky.node.db.outbox import Mine
from netsky.node.seams.ledger import Statement as Sql

REVOKED_PATIENCE_NS = 60 * 10**9
"""An origin gives the root so long to say what became of what is on its way to a revoked node."""


@dataclass(slots=True)
class Swept:
    own: dict[int, tuple[Mine, str]] = field(default_factory=dict)
    """This node's own that end here, by seq, each with its code."""
    fates: list[Outcome] = field(default_factory=list)
    """Of what the root had in its forward queue."""
    statements: list[Sql] = field(default_factory=list)
    removals: list[Sql] = field(default_factory=list)
    shrunk: list[tuple[bytes, bytes, int, int]] = field(default_factory=list)
    """(peer, origin, envelopes, bytes) less in the queue."""


def own_over(rows: Sequence[Mine], roster: Roster, now: int, numbered: Collection[int]) -> dict[int, tuple[Mine, str]]:
    """`numbered` are those that got their number in this very transaction."""
    over: dict[int, tuple[Mine, str]] = {}
    for row in rows:
        if row.seq in numbered:
            continue
        destination = roster.by_key.get(row.destination)
        revoked = destination.revoked if destination is not None else 0
        if revoked and (not row.was_numbered or now - revoked > REVOKED_PATIENCE_NS):
            over[row.seq] = (row, "dest_revoked")
        elif row.put_back == 3 or (row.expires < now and row.put_back == 2):
            over[row.seq] = (row, "restored")  # its destination forgot it, and it cannot be sent any more
        elif row.expires < now and not row.was_numbered:
            over[row.seq] = (row, "expired")
    return over


def forward_expired(rows: Sequence[ForwardRow], me: bytes, now: int, numbered: Collection[int], swept: Swept) -> None:
    for row in rows:
        if row.seq in numbered:
            continue
        batch = decode_batch(row.batch)
        headers = _headers(batch)
        over = [at for at, header in headers.items() if header.expires < now]
        rest = [at for at in headers if at not in over]
        swept.fates += _fates(batch, headers, over, me, fate="dead", code="expired", now=now)
        if rest:
            size = sum(statement_size(batch, at) for at in rest)
            kept = encode_batch(with_only(batch, leaves(batch), rest))
            expires = min(headers[at].expires for at in rest)
            swept.statements.append(forward.shrink(row, len(rest), size, kept, expires))
            swept.shrunk.append((row.peer, row.origin, len(over), row.size - size))
        else:
            swept.removals.append(forward.remove([row.seq]))


def forward_cut(
    rows: Sequence[ForwardRow], me: bytes, now: int, *, was_numbered: bool, swept: Swept, code: str = "dest_revoked"
) -> None:
    """The link that these wait for has ended for good or does not take them, or what belongs to them is lost."""
    for row in rows:
        batch = decode_batch(row.batch)
        headers = _headers(batch)
        fate: Fate = "in_doubt" if was_numbered else "dead"
        swept.fates += _fates(batch, headers, list(headers), me, fate=fate, code=code, now=now)
    if rows:
        swept.removals.append(forward.remove([row.seq for row in rows]))


def _headers(batch: Batch) -> dict[int, Header]:
    found: dict[int, Header] = {}
    for at in full_positions(batch):
        stated = batch.statements[at]
        assert isinstance(stated, Statement)
        found[at] = decode_header(stated.header)
    return found


def _fates(
    batch: Batch, headers: dict[int, Header], positions: Sequence[int], me: bytes, *, fate: Fate, code: str, now: int
) -> list[Outcome]:
    own = leaves(batch)
    return [ended_by(me, (headers[at].origin, headers[at].id, own[at]), fate, code, now) for at in positions]
