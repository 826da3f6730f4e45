"""What may wait for company: acks that nobody hurries for, and rows that only say what a peer will say again.

An ack that comes a moment later costs its sender nothing while its window is open, and one for four frames costs both
ends a quarter. What an ack changes here (`Acked`) the peer's next hello tells too, so it is stored with whatever is
stored next: lost with the connection, it is learned again. Neither is ever held back behind what cannot wait.

Pure: effects in, effects out.
"""

from __future__ import annotations

from dataclasses import replace

from netsky.envelope.kinds import Lane
from netsky.mesh.effects import Acked, Arrived, Effects, Record
from netsky.mesh.frames import CONTROL, Ack, Frame
from netsky.mesh.limits import (
    ACK_AT_ONCE,
    ACK_WAITS_NS,
    OUTCOME_ACK_WAITS_NS,
    RECORDS_WAIT_NS,
    RECORDS_WAITING_MAX,
)


class Patience:
    def __init__(self) -> None:
        self._records: list[Record] = []
        self._acks: dict[Lane, Ack] = {}
        self._said: dict[Lane, tuple[int, int]] = {}  # life and number of the last ack that went out
        self._said_at = 0
        self._records_due: int | None = None
        self._acks_due: int | None = None

    @property
    def due(self) -> int | None:
        """When something has waited long enough: then let `part` see any effects, empty ones too."""
        return min((due for due in (self._records_due, self._acks_due) if due is not None), default=None)

    def part(self, effects: Effects, now: int) -> Effects:
        """What is to be obeyed now: all that cannot wait, with what has waited so far where it goes along."""
        persist, send = self._stored_now(effects, now), self._sent_now(effects, now)
        if persist is effects.persist and send is effects.send:
            return effects
        return replace(effects, persist=persist, send=send)

    def _stored_now(self, effects: Effects, now: int) -> tuple[Record, ...]:
        if not self._records and not effects.persist:
            return effects.persist
        self._records += effects.persist
        can_wait = all(isinstance(record, Acked) for record in effects.persist) and effects.close is None
        is_due = self._records_due is not None and now >= self._records_due
        if not self._records or (can_wait and not is_due and len(self._records) < RECORDS_WAITING_MAX):
            if self._records and self._records_due is None:
                self._records_due = now + RECORDS_WAIT_NS
            return ()
        stored, self._records, self._records_due = tuple(self._records), [], None
        return stored

    def _sent_now(self, effects: Effects, now: int) -> tuple[tuple[int, Frame], ...]:
        if not self._acks and not effects.send:
            return effects.send
        others = []
        for channel, frame in effects.send:
            if isinstance(frame, Ack):
                self._acks[frame.lane] = frame  # acks are cumulative: the last one says it all
            else:
                others.append((channel, frame))
        if not self._acks:
            return effects.send
        is_due = self._acks_due is not None and now >= self._acks_due
        spoke = now < self._said_at + ACK_WAITS_NS
        talks = effects.close is not None or any(channel == CONTROL or not spoke for channel, _ in others)
        if not (is_due or talks or any(self._presses(ack) for ack in self._acks.values())):
            self._acks_due = self._wait(effects, now)
            return tuple(others)
        self._said |= {lane: (ack.life, ack.number) for lane, ack in self._acks.items()}
        self._said_at = now
        said = tuple((CONTROL, ack) for ack in self._acks.values())
        self._acks, self._acks_due = {}, None
        return (*said, *others)

    def _wait(self, effects: Effects, now: int) -> int | None:
        """Until when, with these."""
        if not any(isinstance(frame, Ack) for _, frame in effects.send):
            return self._acks_due
        fills = any(isinstance(record, Arrived) for record in effects.persist)
        due = now + (ACK_WAITS_NS if fills else OUTCOME_ACK_WAITS_NS)
        return due if self._acks_due is None else min(due, self._acks_due)

    def _presses(self, ack: Ack) -> bool:
        """So much came since the last one that its sender may soon stand still; or it came again, and is asked for."""
        life, number = self._said.get(ack.lane, (0, 0))
        return life != ack.life or ack.number - number >= ACK_AT_ONCE or ack.number <= number
