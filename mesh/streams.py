"""One lane in one direction: numbers without gaps, cumulative acks, credit, and what two ends compare when they meet.

Pure arithmetic on what was loaded. `Outgoing` and `Incoming` answer with values and never with an effect; the link
makes effects of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from netsky.envelope.kinds import Lane
from netsky.envelope.limits import BATCH_MAX
from netsky.mesh.frames import NOWHERE, Position
from netsky.mesh.limits import DATA_FRAME_BYTES_MAX, ON_THE_WAY_MAX, WINDOW_BYTES, WINDOW_ENVELOPES
from netsky.mesh.route import routed_positions

LANES: tuple[Lane, ...] = get_args(Lane)


@dataclass(frozen=True, slots=True)
class FrameState:
    """One frame that has numbers and no ack yet: its first number, and the leaf under each."""

    first: int
    leaves: tuple[bytes, ...]

    @property
    def last(self) -> int:
        return self.first + len(self.leaves) - 1


@dataclass(frozen=True, slots=True)
class Seen:
    """One data frame that came in, as far as it is remembered: to recognise it, and to prove what its sender said."""

    first: int
    leaves: tuple[bytes, ...]
    """All that the seal covers, in order: for a route those of the batch that have no number too."""
    claim: bytes
    """The link seal or the route."""


@dataclass(frozen=True, slots=True)
class OutgoingState:
    """As stored. `frames` hold the numbers acked + 1 … the last one given, oldest first."""

    life: int
    lineage: bytes
    acked: int = 0
    acked_leaf: bytes = b""
    frames: tuple[FrameState, ...] = ()
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
    """What this node sends on one lane. Invariant: acked <= sent <= last, each the end of a frame."""

    def __init__(self, state: OutgoingState) -> None:
        assert state.life > 0
        assert len(state.lineage) == 16
        self.life = state.life
        self.lineage = state.lineage
        self.acked = self.last = state.acked
        self.sent = state.acked  # in this connection; what is numbered beyond it goes out again
        self.frozen = state.frozen
        self.credit = (0, 0)  # as the peer states it in this connection: up to this number, and bytes beyond the ack
        self.acked_leaf = state.acked_leaf
        self._frames: deque[FrameState] = deque()
        self._sizes: deque[int] = deque()  # of the frames acked + 1 … sent
        self._bytes = 0
        for frame in state.frames:
            self._append(frame)

    def leaf(self, number: int) -> bytes:
        assert self.acked <= number <= self.last
        if number == self.acked:
            return self.acked_leaf
        frame = next(frame for frame in self._frames if number <= frame.last)
        return frame.leaves[number - frame.first]

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
        """Envelopes and bytes that may follow now: what the peer allows, and never more than is good for the others."""
        number, size = self.credit
        envelopes = min(number - self.sent, ON_THE_WAY_MAX - (self.sent - self.acked))
        left = min(size, WINDOW_BYTES) - self._bytes
        return (envelopes, min(left, DATA_FRAME_BYTES_MAX)) if envelopes > 0 and left > 0 else (0, 0)

    def next_frame(self) -> FrameState | None:
        """The first that has numbers and was not sent in this connection."""
        return next((frame for frame in self._frames if frame.first > self.sent), None)

    def number(self, leaves: Sequence[bytes]) -> FrameState:
        """Gives these the next numbers."""
        assert self.sent == self.last, "what has a number goes first"
        assert 0 < len(leaves) <= BATCH_MAX
        frame = FrameState(self.last + 1, tuple(leaves))
        self._append(frame)
        return frame

    def note_sent(self, frame: FrameState, size: int) -> None:
        assert frame.first == self.sent + 1
        self.sent = frame.last
        self._sizes.append(size)
        self._bytes += size

    def ack(self, number: int) -> bool:
        """Whether that is news. It counts down to the last end of a frame; the caller has checked it against `last`."""
        assert number <= self.last
        before = self.acked
        while self._frames and self._frames[0].last <= number:
            frame = self._frames.popleft()
            self.acked, self.acked_leaf = frame.last, frame.leaves[-1]
            if self._sizes:
                self._bytes -= self._sizes.popleft()
        self.sent = max(self.sent, self.acked)
        return self.acked > before

    def _append(self, frame: FrameState) -> None:
        assert frame.first == self.last + 1, "numbers have no gaps"
        self._frames.append(frame)
        self.last = frame.last


class Incoming:
    """What this node receives on one lane. It accepts mark + 1 alone and remembers the last window."""

    def __init__(self, state: IncomingState) -> None:
        self.life = state.life
        self.lineage = state.lineage
        self.mark = state.mark
        self.frozen = state.frozen
        self._mark_leaf = state.mark_leaf
        self._recent = deque(state.recent)
        self._window = (0, 0)  # granted to the peer
        self._stated = 0  # the number it was told last in this connection
        self.allowed = 0  # the highest it was told

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

    def seen(self, number: int) -> tuple[Seen, bytes] | None:
        """The frame that brought this number, and the leaf under it, if it is still remembered."""
        assert number <= self.mark
        # Frames follow one another without gaps, so the newest that begins at it or before is the one.
        seen = next((seen for seen in reversed(self._recent) if seen.first <= number), None)
        return None if seen is None else (seen, _numbered(seen)[number - seen.first])

    def advance(self, seen: Seen, last: int, leaf: bytes) -> None:
        """The frame came in; this is its last number, and the leaf under it."""
        assert seen.first <= self.mark + 1 <= last
        self.mark, self._mark_leaf = last, leaf
        self._recent.append(seen)
        # Where the next one begins, a frame has ended.
        while len(self._recent) > 1 and self._recent[1].first - 1 <= self.mark - WINDOW_ENVELOPES:
            self._recent.popleft()

    def grant(self, window: tuple[int, int]) -> bool:
        """What the peer may have on its way from now on; whether that is another window than before."""
        envelopes, size = window
        # A frame has up to a batch of numbers: a peer that may send fewer could have one that never fits.
        assert (envelopes >= BATCH_MAX and size > 0) or (envelopes, size) == (0, 0)
        changed, self._window = self._window != window, window
        return changed

    @property
    def window(self) -> tuple[int, int]:
        return self._window

    def credit(self) -> tuple[int, int]:
        """The number and the bytes to state now."""
        self._stated = self.mark + self._window[0]
        self.allowed = max(self.allowed, self._stated)
        return self._stated, self._window[1]

    def owes_credit(self) -> bool:
        """The mark has moved by a quarter of the window, or less than a whole batch could follow what was stated."""
        envelopes, due = self._window[0], self.mark + self._window[0] - self._stated
        return bool(envelopes) and due > 0 and (4 * due >= envelopes or self._stated - self.mark < BATCH_MAX)


def _numbered(seen: Seen) -> tuple[bytes, ...]:
    """The leaves that took numbers: a route says which, a link seal covers no others."""
    positions = routed_positions(seen.claim)
    return seen.leaves if positions is None else tuple(seen.leaves[at] for at in positions)
