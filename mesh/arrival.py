"""Judges what a data frame brought, once its seal and numbers are in order.

Nothing here ends a link: what fails consumes its number and is stored as refused, with a stable word for the reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from netsky.envelope.address import parse_address
from netsky.envelope.batch import Batch, BatchCache, Statement, verify_batch
from netsky.envelope.invalid import Invalid
from netsky.envelope.kinds import Lane, lane_of
from netsky.envelope.wire import decode_body, decode_header
from netsky.mesh.effects import Arrival
from netsky.mesh.ends import Ends
from netsky.mesh.roster import Roster


@dataclass(frozen=True, slots=True)
class Judge:
    """What the receiving node goes by. The root takes from a peer what that peer itself sealed, for anybody; a sibling
    takes what any member sealed, for itself, because the root let it pass.
    """

    ends: Ends
    roster: Roster
    cache: BatchCache

    def arrivals(
        self, batch: Batch, hashed: Sequence[bytes], lane: Lane, bare: Sequence[Arrival]
    ) -> tuple[Arrival, ...]:
        """The verdict on each number that is new. `hashed` are the leaves of the batch."""
        refusal = self._batch_refusal(batch, hashed)
        return tuple(self._arrival(batch, lane, arrival, refusal) for arrival in bare)

    def _batch_refusal(self, batch: Batch, hashed: Sequence[bytes]) -> str | None:
        if batch.type != "envelope":
            return "batch_type"
        if batch.mesh != self.ends.mesh:
            return "batch_mesh"
        if self.ends.at_root and batch.key != self.ends.peer:
            return "origin_not_peer"
        member = self.roster.by_key.get(batch.key)
        if member is None:
            return "origin_unknown"
        if member.revoked:
            return "origin_revoked"
        return None if verify_batch(batch, self.cache, hashed) is None else "seal_invalid"

    def _arrival(self, batch: Batch, lane: Lane, bare: Arrival, refusal: str | None) -> Arrival:
        number, leaf, position = bare.number, bare.leaf, bare.position
        if refusal is not None:
            return Arrival(number, leaf, position, None, None, refusal)
        statement = batch.statements[position]
        assert isinstance(statement, Statement)
        try:
            header, body = decode_header(statement.header), decode_body(statement.body)
        except Invalid as fault:
            return Arrival(number, leaf, position, None, None, fault.code)
        if header.origin != batch.key:
            refusal = "origin_mismatch"
        elif parse_address(header.sender).node != self.roster.by_key[batch.key].name:
            refusal = "sender_name"  # the key decides who it is, and the name must say the same
        elif not self.ends.at_root and header.destination != self.ends.me:
            refusal = "destination_other"
        elif lane_of(header.kind) != lane:
            refusal = "lane_wrong"
        return Arrival(number, leaf, position, header, body, refusal)
