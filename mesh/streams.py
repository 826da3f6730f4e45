"""One lane in one direction: numbers without gaps, cumulative acks, and what two ends compare when they meet again.

Pure arithmetic on what was loaded. `Outgoing` and `Incoming` answer with values and never with an effect; the link
makes effects of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from netsky.mesh.frames import NOWHERE, Position
from netsky.mesh.limits import DATA_FRAME_BYTES_MAX, WINDOW_BYTES, WINDOW_ENVELOPES


@dataclass(frozen=True, slots=True)
class Seen:
    """One data frame that came in, as far as it is remembered: to recognise it, and to prove what its sender said."""

    first: int
    leaves: tuple[bytes, ...]
    claim: bytes

    @property
    def last(self) -> int:
        return self.first + len(self.leaves) - 1

    def leaf(self, number: int) -> bytes:
        return self.leaves[number - self.first]


@dataclass(frozen=True, slots=True)
class OutgoingState:
    """As stored. `leaves` are those of acked + 1 … the last number given."""

    life: int
    lineage: bytes
    acked: int = 0
    acked_leaf: bytes = b""
    leaves: tuple[bytes, ...] = ()
    frozen: str | None = None


@dataclass(frozen=True, slots=True)
class IncomingState:
    """As stored. `recent` are the frames of the last window, oldest first; life 0 if nothing ever came."""

    life: int = 0
    lineage: bytes = b""
    mark: int = 0
    mark_leaf: bytes = b""
    recent: tuple[Seen, ...] = ()
    frozen: str | None = None


class Outgoing:
    """What this node sends on one lane. Invariant: acked <= sent <= last, and `unacked` is acked + 1 … last."""

    def __init__(self, state: OutgoingState) -> None:
        assert state.life > 0
        assert len(state.lineage) == 16
        self.life = state.life
        self.lineage = state.lineage
        self.acked = state.acked
        self.sent = state.acked  # in this connection; what is numbered beyond it goes out again
        self.frozen = state.frozen
        self._acked_leaf = state.acked_leaf
        self._unacked = deque(state.leaves)
        self._sizes: deque[int] = deque()  # of acked + 1 … sent
        self._bytes = 0

    @property
    def last(self) -> int:
        return self.acked + len(self._unacked)

    def leaf(self, number: int) -> bytes:
        assert self.acked <= number <= self.last
        return self._acked_leaf if number == self.acked else self._unacked[number - self.acked - 1]

    def position(self) -> Position:
        return Position(self.life, self.lineage, self.last, self.leaf(self.last))

    def fault(self, received: Position) -> tuple[str, str] | None:
        """What is wrong with the peer's account of what it received from us: code and sentence."""
        if received.life > self.life or (received.life == self.life and received.number > self.last):
            return "behind", "The peer has seen more from us than we remember sending: this home was restored."
        # A life that it has not heard of is a stream of which it has received nothing.
        number = received.number if received.life == self.life else 0
        if received.life == self.life and received.lineage != self.lineage:
            return "diverged", "The peer knows another lineage of our stream: this home was cloned or restored."
        if number < self.acked:
            return "peer_behind", "The peer has lost what it acknowledged: it was restored."
        if number and received.leaf != self.leaf(number):
            return "diverged", "The peer holds something else under a number of ours: this home was cloned or restored."
        return None

    def room(self) -> tuple[int, int]:
        """Envelopes and bytes that may follow now. A frame fits while any room is left."""
        envelopes = WINDOW_ENVELOPES - (self.sent - self.acked)
        return (max(0, envelopes), DATA_FRAME_BYTES_MAX) if self._bytes < WINDOW_BYTES else (0, 0)

    def number(self, leaves: Sequence[bytes]) -> int:
        """The first of the numbers that these get."""
        assert self.sent == self.last, "what has a number goes first"
        first = self.last + 1
        self._unacked.extend(leaves)
        return first

    def note_sent(self, first: int, sizes: Sequence[int]) -> None:
        assert first == self.sent + 1
        self.sent += len(sizes)
        assert self.sent <= self.last
        self._sizes.extend(sizes)
        self._bytes += sum(sizes)

    def ack(self, number: int) -> bool:
        """Whether that is news. The number was checked against `last` by the caller."""
        assert number <= self.last
        if number <= self.acked:
            return False
        while self.acked < number:
            self._acked_leaf = self._unacked.popleft()
            self.acked += 1
            if self._sizes:
                self._bytes -= self._sizes.popleft()
        self.sent = max(self.sent, self.acked)
        return True


class Incoming:
    """What this node receives on one lane. It accepts mark + 1 alone and remembers the last window."""

    def __init__(self, state: IncomingState) -> None:
        self.life = state.life
        self.lineage = state.lineage
        self.mark = state.mark
        self.frozen = state.frozen
        self._mark_leaf = state.mark_leaf
        self._recent = deque(state.recent)

    def position(self) -> Position:
        return Position(self.life, self.lineage, self.mark, self._mark_leaf) if self.life else NOWHERE

    def fault(self, sends: Position) -> tuple[str, str] | None:
        """What is wrong with the peer's account of what it sends: code and sentence."""
        if sends.life > self.life:
            return None  # a new life begins; the old one is closed with its mark
        if sends.life < self.life or sends.number < self.mark:
            return "peer_rolled_back", "The peer has sent us more than it remembers: it was restored."
        if sends.lineage != self.lineage:
            return "diverged", "The peer's stream has another lineage under the same life: it was cloned or restored."
        if sends.number == self.mark and sends.leaf != self._mark_leaf:
            return "diverged", "The peer holds something else under our mark: it was cloned or restored."
        return None

    def begin(self, life: int, lineage: bytes) -> None:
        """From now on numbers are those of this life."""
        if life > self.life:
            self.life, self.lineage, self.mark, self._mark_leaf = life, lineage, 0, b""
            self._recent.clear()

    def seen(self, number: int) -> Seen | None:
        """The frame that brought this number, if it is still remembered."""
        assert number <= self.mark
        return next((seen for seen in reversed(self._recent) if seen.first <= number <= seen.last), None)

    def advance(self, seen: Seen) -> None:
        assert seen.first <= self.mark + 1 <= seen.last
        self.mark, self._mark_leaf = seen.last, seen.leaves[-1]
        self._recent.append(seen)
        while self._recent[0].last <= self.mark - WINDOW_ENVELOPES:
            self._recent.popleft()
