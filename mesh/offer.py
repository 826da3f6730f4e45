"""What may go out: asked for by the machine, found by the node."""

from __future__ import annotations

from dataclasses import dataclass

from netsky.envelope.batch import Batch
from netsky.mesh.effects import Source


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the machine would send now: numbered frames from number `first` on, or new ones where it is None.

    At most so many envelopes or outcomes and so many bytes together, but one offer whatever its bytes. What is offered
    beyond that is left alone and may be offered again.
    """

    life: int
    first: int | None
    envelopes: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Offer:
    """One frame."""

    source: Source
    rows: tuple[int, ...]
    """own: one outbox seq for each full statement; forward, outcomes: the queue seq of the frame."""
    batch: Batch | None
    """own, forward: the origin's batch, the others as leaves. It fits a frame."""
    outcomes: tuple[bytes, ...] = ()
    """Packed."""
    first: int | None = None
    """The number of the first, if they have numbers already; then `seal` is what was stored with them."""
    seal: bytes = b""
    received: int = 0
    """At the root, wall clock ns: when it had stored what it forwards, or accepted its own."""
    hashed: tuple[bytes, ...] = ()
    """The leaves of the batch, if whoever sealed it keeps them; else they are computed."""
    packed: bytes = b""
    """The batch as it goes into the frame, likewise."""
