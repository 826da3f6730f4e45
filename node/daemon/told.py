"""What the parts of a node tell: bells for whoever waits, events for whoever listens, lines for the log."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from netsky.envelope.kinds import Lane
from netsky.node.events import Events, Signals
from netsky.node.log import Log

OUTBOX_SIGNAL = "outbox/"
"""Rung when every link should look at what it may send. No actor has such a name."""


Next = tuple[bytes, Lane]
"""A node on the way, and the lane on which something goes there."""


def outbox_signal(peer: bytes, lane: Lane) -> str:
    """Rung when something was stored that goes to this node next."""
    return f"{OUTBOX_SIGNAL}{peer.hex()}/{lane}"


def fates_signal(peer: bytes) -> str:
    """Rung when outcomes were stored that go to this node next."""
    return f"{OUTBOX_SIGNAL}{peer.hex()}/fates"


ENDED_SIGNAL = "ended/"
"""Rung when envelopes of this node have got their outcome."""

ROSTER_SIGNAL = "roster/"
"""Rung when another roster is in force."""

TAKEN_SIGNAL = "taken/"
"""Rung when an envelope was taken."""

JOINS_SIGNAL = "joins/"
"""Rung when an invite was used, decided upon or withdrawn."""


class Told:
    def __init__(self, log: Log, events: Events, signals: Signals) -> None:
        self._log = log
        self._events = events
        self._signals = signals

    def arrived(self, actor: str) -> None:
        """New files stand in this actor's inbox."""
        self._signals.ring(actor)

    def outbox(self, going: Iterable[Next]) -> None:
        """Something for these nodes was stored."""
        for peer, lane in going:
            self._signals.ring(outbox_signal(peer, lane))

    def taken(self) -> None:
        self._signals.ring(TAKEN_SIGNAL)

    def event(self, kind: str, **fields: Any) -> None:
        self._log.event(f"bus.{kind}", **fields)
        self._events.publish(kind, **fields)
