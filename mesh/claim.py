"""The link seal: which leaves a node sent under which numbers, to whom, under its own signature.

It goes at the head of every data frame. TLS already says who is speaking; the claim still says it to anybody later,
which is what a restored or cloned node is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256

import msgpack
from netsky.envelope.kinds import Lane
from netsky.envelope.limits import BATCH_MAX
from netsky.mesh.frame_reader import FrameReader
from netsky.mesh.frames import LANE_CHANNELS
from netsky.mesh.sealed import Sealed

_SEALED = Sealed("link", "claim", "The link seal", "is not a link seal of this peer in this mesh")


@dataclass(frozen=True, slots=True)
class Claim:
    reign: int
    lane: Lane
    life: int
    first: int
    count: int
    leaves: bytes  # SHA-256 of them all
    receiver: bytes


def leaves_hash(leaves: Sequence[bytes]) -> bytes:
    return sha256(b"".join(leaves)).digest()


def seal_claim(sign: Callable[[bytes], bytes], key: bytes, mesh: bytes, claim: Claim) -> bytes:
    header: bytes = msgpack.packb(
        (
            *(claim.reign, LANE_CHANNELS[claim.lane], claim.life, claim.first, claim.count),
            *(claim.leaves, claim.receiver),
        )
    )
    return _SEALED.seal(sign, key, mesh, header)


def open_claim(data: bytes, key: bytes, mesh: bytes) -> Claim:
    """The claim, if `key` sealed it in this mesh. Raises Invalid, whatever the bytes are."""
    return _read(_SEALED.header(data, key, mesh))


def _read(header: bytes) -> Claim:
    reader = FrameReader(header, "claim")
    reader.fields(7)
    claim = Claim(
        *(reader.number(), reader.lane(), reader.number(), reader.number(), reader.number()),
        *(reader.exact(32), reader.exact(32)),
    )
    reader.end()
    if not claim.life or not claim.first or not 1 <= claim.count <= BATCH_MAX:
        raise _SEALED.invalid(f"must have a life, a first number and 1 to {BATCH_MAX} statements")
    return claim
