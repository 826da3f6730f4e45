"""What the machine answers with: one value that says what to store, what to send only after that is stored, what to
tell the node, when to wake the machine, and whether this is the end.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from netsky.envelope.batch import Batch
from netsky.envelope.fields import Body, Header
from netsky.envelope.kinds import Lane
from netsky.mesh.frames import Ack, Credit, Frame
from netsky.mesh.lineage import Blame, Lineage
from netsky.mesh.outcome import Outcome
from netsky.mesh.roster import Roster
from netsky.mesh.route import Route

Direction = Literal["in", "out"]


Source = Literal["own", "forward", "outcomes"]
"""Where a frame that goes out comes from: this node's outbox, the root's forward queue, the queue of outcomes."""


@dataclass(frozen=True, slots=True)
class Numbered:
    """One frame: what stands in these rows of this source has the numbers first, first + 1 … It is kept until acked."""

    lane: Lane
    life: int
    first: int
    leaves: tuple[bytes, ...]
    seal: bytes  # the link seal or route that it goes out under, and again after a reconnect
    source: Source
    rows: tuple[int, ...]

    @property
    def last(self) -> int:
        return self.first + len(self.leaves) - 1


@dataclass(frozen=True, slots=True)
class Acked:
    """The peer has everything up to this number, which is the last of a frame."""

    lane: Lane
    life: int
    number: int
    leaf: bytes


class Arrival(NamedTuple):
    """One number consumed: an envelope whose origin's seal was verified, or why there is none."""

    number: int
    leaf: bytes
    position: int  # in the batch
    header: Header | None
    body: Body | None
    refusal: str | None


@dataclass(frozen=True, slots=True)
class Arrived:
    """What one data frame brought that is new. The mark moves to the last number, in the same transaction."""

    lane: Lane
    life: int
    lineage: bytes
    batch: Batch
    arrivals: tuple[Arrival, ...]
    claim: bytes  # the link seal or the route
    claim_first: int
    leaves: tuple[bytes, ...]
    """All that the seal covers (`Seen.leaves`): its numbers may begin below the mark, and a route covers leaves that
    have no number. So their count says nothing about `mark`."""
    reign: int
    route: Route | None  # opened from `claim`; None where the receiver is the root itself

    @property
    def first(self) -> int:
        return self.arrivals[0].number

    @property
    def mark(self) -> int:
        return self.arrivals[-1].number

    @property
    def mark_leaf(self) -> bytes:
        return self.arrivals[-1].leaf


@dataclass(frozen=True, slots=True)
class Answered:
    """Outcomes that came in one frame of the reply lane and are new. The mark moves to the last number."""

    lane: Lane  # "reply"
    life: int
    lineage: bytes
    outcomes: tuple[Outcome, ...]
    claim: bytes
    claim_first: int
    leaves: tuple[bytes, ...]  # of the whole claim, which may begin below the mark

    @property
    def mark(self) -> int:
        return self.claim_first + len(self.leaves) - 1

    @property
    def first(self) -> int:
        return self.mark - len(self.outcomes) + 1

    @property
    def mark_leaf(self) -> bytes:
        return self.leaves[-1]


@dataclass(frozen=True, slots=True)
class Enrolled:
    """The root sent a newer roster, which was verified."""

    roster: Roster
    sealed: bytes


@dataclass(frozen=True, slots=True)
class Froze:
    """This lane stands still in this direction, whatever connection comes next, until somebody has looked."""

    lane: Lane
    direction: Direction
    code: str


@dataclass(frozen=True, slots=True)
class Raised:
    """What this node sends on this lane begins anew under this life: all that had a number and no ack gets another."""

    lane: Lane
    life: int
    lineage: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class Restored:
    """This node does not remember what it once did: every stream of it, to whatever peer, begins anew."""

    life: int
    lineage: bytes
    """Of this home, and of all these lives."""
    reason: str


@dataclass(frozen=True, slots=True)
class Stated:
    """Lineages as their node, or the root, states them; those that are new say what to send again."""

    lineages: tuple[Lineage, ...]


@dataclass(frozen=True, slots=True)
class Damaged:
    """The peer cannot take the frame with this first number, whatever is tried: what is in it ends here."""

    lane: Lane
    life: int
    first: int


Record = Numbered | Acked | Arrived | Answered | Enrolled | Froze | Raised | Restored | Stated | Damaged


@dataclass(frozen=True, slots=True)
class Up:
    """Both hellos were exchanged and fit."""

    program: str  # the peer's version
    addresses: tuple[str, ...]  # where it says that it listens


@dataclass(frozen=True, slots=True)
class Holds:
    """What the peer asks us not to send for now: (destination key, actor), actor "" for all of that node.

    It replaces what the root said before, and lapses when it is not said again in time.
    """

    held: frozenset[tuple[bytes, str, Lane]]


@dataclass(frozen=True, slots=True)
class Stored:
    """Envelopes have come in and are durable."""

    lane: Lane
    count: int


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that a person should see: a stream frozen, a peer that was restored or cloned."""

    lane: Lane
    direction: Direction
    code: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Blamed:
    """The peer ended the connection at a frame of ours; what the next connection has to know of it."""

    blame: Blame


Notice = Up | Stored | Holds | Alarm | Blamed

CLOSE_CODES = {
    "stopped": 0, "replaced": 1, "not_allowed": 2, "version": 3, "mesh": 4, "hello": 5, "frame": 6, "stream": 7,
    "claim": 8, "gap": 9, "ack": 10, "silent": 11, "slow": 12, "store": 13, "bye": 14, "route": 15, "credit": 16,
    "reign": 17, "roster": 18, "revoked": 19, "behind": 20, "restored": 21, "cloned": 22,
}  # fmt: skip
"""Why a connection ended, as the number that QUIC carries."""


@dataclass(frozen=True, slots=True)
class Close:
    code: str
    sentence: str
    lane: Lane | None = None
    """Of the data that was at fault."""

    def __post_init__(self) -> None:
        assert self.code in CLOSE_CODES


@dataclass(frozen=True, slots=True)
class Effects:
    persist: tuple[Record, ...] = ()
    send: tuple[tuple[int, Frame], ...] = ()  # channel and frame
    deliver: tuple[Notice, ...] = ()
    deadline: int | None = field(default=None)  # when to call `handle_timer`, on the clock of `now`
    close: Close | None = None

    def __add__(self, later: Effects) -> Effects:
        """Both, as one turn: what is stored is stored together; of a lane only the last ack and credit are sent."""
        assert self.close is None, "after the end nothing follows"
        if later is NOTHING or self is NOTHING:  # most of what a machine is told changes nothing
            return self if later is NOTHING else later
        send = self.send
        again = {(type(frame), frame.lane) for _, frame in later.send if isinstance(frame, Ack | Credit)}
        if again:
            send = tuple(
                item
                for item in send
                if not (isinstance(item[1], Ack | Credit) and (type(item[1]), item[1].lane) in again)
            )
        return Effects(
            self.persist + later.persist,
            send + later.send,
            self.deliver + later.deliver,
            self.deadline if later.deadline is None else later.deadline,
            later.close,
        )


NOTHING = Effects()


def closing(code: str, sentence: str) -> Effects:
    return Effects(close=Close(code, sentence))


def freezing(lane: Lane, direction: Direction, code: str, sentence: str) -> Effects:
    return Effects(persist=(Froze(lane, direction, code),), deliver=(Alarm(lane, direction, code, sentence),))
