"""Things to say that are right in every byte, or wrong in one place: what an adversary (`adversary.py`) is made of.

    forger = Forger(mesh, secret, "netsky3")
    batch = forger.envelopes(forger.header("a", to="agent0@netsky0", destination=root, now=now))
    frame = forger.claimed(batch, 1, root)                  as netsky3 may send it to its root
    frame = forger.claimed(batch, 1, root, life=7)          as it may not

Nothing here looks at a clock, draws or sends, and nothing is refused: whoever holds a key can sign anything with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from netsky.envelope.batch import Batch, Statement, decode_batch, encode_batch, leaves, seal
from netsky.envelope.fields import Body, Header
from netsky.envelope.wire import encode_body, encode_header
from netsky.mesh.claim import Claim, leaves_hash, seal_claim
from netsky.mesh.frames import NOWHERE, Data, Hello, LaneHello, Outcomes, Position
from netsky.mesh.outcome import NOT_RELAYED, Outcome, outcome_leaf, pack_outcome
from netsky.mesh.pieces import full_positions, with_only
from netsky.mesh.route import Route, bitmap_of, seal_route

HOUR_NS = 3_600 * 10**9
LINEAGE = b"an adversary's  "


@dataclass(frozen=True)
class Forger:
    """One key and the name that it goes by, in one mesh."""

    mesh: bytes
    secret: bytes
    name: str
    reign: int = 1

    @cached_property
    def _private(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.secret)

    @cached_property
    def key(self) -> bytes:
        return self._private.public_key().public_bytes_raw()

    def sign(self, data: bytes) -> bytes:
        return self._private.sign(data)

    # Envelopes.

    def header(self, id_: str, *, to: str, destination: bytes, now: int, **changed: Any) -> Header:
        values: dict[str, Any] = {
            "v": 1, "id": id_, "origin": self.key, "sender": f"agent0@{self.name}", "destination": destination,
            "to": to, "kind": None, "in_reply_to": None, "thread": None, "swarm": None, "idempotency_key": None,
            "requires_ack": False, "ts": now, "clock": now, "expires": now + HOUR_NS, "parent": None,
        }  # fmt: skip
        return Header(**(values | changed))

    def envelopes(self, *headers: Header, text: str = "hello", type_: str = "envelope") -> Batch:
        """One batch of these, sealed by this key, whoever they say that they are from."""
        statements = [Statement(encode_header(header), encode_body(Body(text))) for header in headers]
        return seal(self.sign, self.key, type_, self.mesh, statements)

    # What stands at the head of a frame.

    def claim(self, own: Sequence[bytes], first: int, receiver: bytes, **changed: Any) -> bytes:
        """The link seal over these leaves."""
        claim = Claim(self.reign, "work", 1, first, len(own), leaves_hash(own), receiver)
        return seal_claim(self.sign, self.key, self.mesh, replace(claim, **changed))

    def route(self, batch: Batch, first: int, destination: bytes, *, now: int = 1, **changed: Any) -> bytes:
        """The route of the full statements of a batch."""
        positions = full_positions(batch)
        route = Route(
            *(self.reign, "work", 1, first, destination, len(positions), leaves_hash(leaves(batch))),
            *(bitmap_of(positions), 1, now, now),
        )
        return seal_route(self.sign, self.key, self.mesh, replace(route, **changed))

    # Frames.

    def claimed(self, batch: Batch, first: int, receiver: bytes, **changed: Any) -> Data:
        """As a sibling sends to its root."""
        every = leaves(batch)
        own = [every[at] for at in full_positions(batch)]
        return Data(self.claim(own, first, receiver, **changed), encode_batch(batch))

    def routed(self, batch: Batch, first: int, destination: bytes, **changed: Any) -> Data:
        """As a root sends to a sibling."""
        return Data(self.route(batch, first, destination, **changed), encode_batch(batch))

    def outcomes(self, *ended: Outcome, first: int, receiver: bytes, **changed: Any) -> Outcomes:
        packed = tuple(pack_outcome(outcome) for outcome in ended)
        own = [outcome_leaf(one) for one in packed]
        return Outcomes(self.claim(own, first, receiver, lane="reply", **changed), packed)

    def outcome(self, origin: bytes, id_: str, leaf: bytes, *, now: int, code: str = "", **changed: Any) -> Outcome:
        """How this node ended that envelope: delivered, or dead with a code."""
        fate: Any = "dead" if code else "delivered"
        made = Outcome(origin, id_, leaf, fate, code, self.key, NOT_RELAYED, 0, 0, now)
        return made._replace(**changed)

    def hello(self, **changed: Any) -> Hello:
        """Of a node that starts all its streams and has received nothing."""
        began = LaneHello(Position(1, LINEAGE, 0, b""), NOWHERE)
        hello = Hello(1, self.mesh, self.reign, 1, (), "9.9.9", (), LINEAGE, 0, began, began)
        return replace(hello, **changed)

    def resealed(self, data: bytes) -> bytes:
        """A packed batch of somebody's, a roster for instance, under this key's seal."""
        batch = decode_batch(data)
        statements = [one for one in batch.statements if isinstance(one, Statement)]
        return encode_batch(seal(self.sign, self.key, batch.type, self.mesh, statements))


def under_key(batch: Batch, key: bytes) -> Batch:
    """The same batch and signature, with another key put in as the one that made it."""
    return replace(batch, key=key)


def with_leaf(batch: Batch, at: int, leaf: bytes) -> Batch:
    """One leaf more than were sealed."""
    return replace(batch, statements=(*batch.statements[:at], leaf, *batch.statements[at:]))


def without(batch: Batch, at: int) -> Batch:
    """One statement or leaf fewer than were sealed."""
    return replace(batch, statements=(*batch.statements[:at], *batch.statements[at + 1 :]))


def bare(batch: Batch, *positions: int) -> Batch:
    """The same batch, these statements as their leaves: right, as far as the origin's seal goes."""
    kept = [at for at in full_positions(batch) if at not in positions]
    return with_only(batch, leaves(batch), kept)
