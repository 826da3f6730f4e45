"""Judges what a data frame brought, once its link seal and numbers are in order.

Nothing here ends a link: what fails consumes its number and is stored as refused, with a stable word for the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from netsky.envelope.address import parse_address
from netsky.envelope.batch import Batch, BatchCache, Statement, verify_batch
from netsky.envelope.invalid import Invalid
from netsky.envelope.kinds import Lane, lane_of
from netsky.envelope.wire import decode_body, decode_header
from netsky.mesh.effects import Arrival
from netsky.mesh.pieces import full_positions
from netsky.mesh.streams import Seen


@dataclass(frozen=True, slots=True)
class Judge:
    """What the receiving node knows: its key, its mesh, and whose envelopes may come in by this link."""

    me: bytes
    mesh: bytes
    origins: Mapping[bytes, str]
    cache: BatchCache

    def arrivals(self, batch: Batch, lane: Lane, seen: Seen, known: int) -> tuple[Arrival, ...]:
        """One for each number of the frame, without the first `known`, which came before."""
        refusal = self._batch_refusal(batch)
        new = list(enumerate(full_positions(batch)))[known:]
        return tuple(
            self._arrival(batch, lane, Arrival(seen.first + index, seen.leaves[index], at, None, None, refusal))
            for index, at in new
        )

    def _batch_refusal(self, batch: Batch) -> str | None:
        if batch.type != "envelope":
            return "batch_type"
        if batch.mesh != self.mesh:
            return "batch_mesh"
        if batch.key not in self.origins:
            return "origin_unknown"
        return None if verify_batch(batch, self.cache) is None else "seal_invalid"

    def _arrival(self, batch: Batch, lane: Lane, bare: Arrival) -> Arrival:
        if bare.refusal is not None:
            return bare
        number, leaf, position = bare.number, bare.leaf, bare.position
        statement = batch.statements[position]
        assert isinstance(statement, Statement)
        try:
            header, body = decode_header(statement.header), decode_body(statement.body)
        except Invalid as fault:
            return Arrival(number, leaf, position, None, None, fault.code)
        refusal = None
        if header.origin != batch.key:
            refusal = "origin_mismatch"
        elif parse_address(header.sender).node != self.origins[batch.key]:
            refusal = "sender_name"  # the key decides who it is, and the name must say the same
        elif header.destination != self.me:
            refusal = "destination_other"
        elif lane_of(header.kind) != lane:
            refusal = "lane_wrong"
        return Arrival(number, leaf, position, header, body, refusal)
