"""The route: the root's seal over one origin batch, by which a sibling knows that the root let this work pass.

It stands at the head of every frame of envelopes from root to sibling, where between other ends the link seal stands,
and is one: a batch of type `route` with one statement and an empty body, signed by the charter's root key. Its header
is a msgpack array in shortest form [reign, lane, life, first, destination, count, leaves, bitmap, roster, received,
routed]. `leaves` is SHA-256 over *all* leaves of the origin batch in their order, `bitmap` (8 bytes, big endian, bit k
for position k) says which of them are routed by this frame; the n-th of those has number first + n - 1. `received` and
`routed` are the root's wall clock in ns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgpack
from netsky.envelope.batch import Statement, decode_batch
from netsky.envelope.kinds import Lane
from netsky.envelope.limits import BATCH_MAX
from netsky.mesh.frame_reader import FrameReader
from netsky.mesh.frames import LANE_CHANNELS
from netsky.mesh.sealed import Sealed

_SEALED = Sealed("route", "route", "The route", "is not sealed by the root of this mesh")

BITMAP_BYTES = BATCH_MAX // 8


@dataclass(frozen=True, slots=True)
class Route:
    reign: int
    lane: Lane
    life: int
    first: int
    destination: bytes
    count: int
    leaves: bytes
    bitmap: int
    roster: int
    """The roster version by which the root decided."""
    received: int
    """When the root had stored it: wall clock of the root, ns."""
    routed: int
    """When it got its number, likewise."""

    @property
    def positions(self) -> tuple[int, ...]:
        """Those that have numbers, in order."""
        return tuple(at for at in range(BATCH_MAX) if self.bitmap >> at & 1)


def seal_route(sign: Callable[[bytes], bytes], key: bytes, mesh: bytes, route: Route) -> bytes:
    header: bytes = msgpack.packb(
        (
            *(route.reign, LANE_CHANNELS[route.lane], route.life, route.first, route.destination, route.count),
            *(route.leaves, route.bitmap.to_bytes(BITMAP_BYTES, "big"), route.roster, route.received, route.routed),
        )
    )
    return _SEALED.seal(sign, key, mesh, header)


def open_route(data: bytes, root_key: bytes, mesh: bytes) -> Route:
    """The route, if the root's key sealed it in this mesh. Raises Invalid, whatever the bytes are."""
    return _read(_SEALED.header(data, root_key, mesh))


def routed_positions(data: bytes) -> tuple[int, ...] | None:
    """Of a seal that was opened before it was stored: the positions that it routes; None for a link seal."""
    batch = decode_batch(data)
    statement = batch.statements[0]
    assert isinstance(statement, Statement)
    return _read(statement.header).positions if batch.type == "route" else None


def bitmap_of(positions: Sequence[int]) -> int:
    return sum(1 << position for position in positions)


def _read(header: bytes) -> Route:
    reader = FrameReader(header, "route")
    reader.fields(11)
    reign, lane, life, first, destination = (
        *(reader.number(), reader.lane(), reader.number(), reader.number()),
        reader.exact(32),
    )
    count, leaves, bitmap = reader.number(), reader.exact(32), int.from_bytes(reader.exact(BITMAP_BYTES), "big")
    route = Route(
        *(reign, lane, life, first, destination, count, leaves, bitmap),
        *(reader.number(), reader.number(), reader.number()),
    )
    reader.end()
    if not route.reign or not route.life or not route.first or not route.roster:
        raise _SEALED.invalid("must have a reign, a life, a first number and a roster version")
    if not 1 <= route.count <= BATCH_MAX or route.bitmap.bit_count() != route.count:
        raise _SEALED.invalid("must count what its bitmap routes")
    return route
