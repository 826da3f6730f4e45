"""What the machine answers with: one value that says what to store, what to send only after that is stored, what to
tell the node, when to wake the machine, and whether this is the end.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from netsky.envelope.batch import Batch
from netsky.envelope.fields import Body, Header
from netsky.envelope.kinds import Lane
from netsky.mesh.frames import Ack, Frame

Direction = Literal["in", "out"]


@dataclass(frozen=True, slots=True)
class Numbered:
    """These outbox rows have the numbers first, first + 1 … from now on."""

    lane: Lane
    life: int
    first: int
    rows: tuple[int, ...]
    leaf: bytes  # under the last of these numbers


@dataclass(frozen=True, slots=True)
class Acked:
    """The peer has everything up to this number."""

    lane: Lane
    life: int
    number: int


@dataclass(frozen=True, slots=True)
class Arrival:
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
    claim: bytes
    claim_first: int
    leaves: tuple[bytes, ...]  # of the whole claim, which may begin below the mark
    reign: int

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
class Froze:
    """This lane stands still in this direction, whatever connection comes next, until somebody has looked."""

    lane: Lane
    direction: Direction
    code: str


Record = Numbered | Acked | Arrived | Froze


@dataclass(frozen=True, slots=True)
class Up:
    """Both hellos were exchanged and fit."""


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


Notice = Up | Stored | Alarm

CLOSE_CODES = {
    "stopped": 0, "replaced": 1, "not_allowed": 2, "version": 3, "mesh": 4, "hello": 5, "frame": 6, "stream": 7,
    "claim": 8, "gap": 9, "ack": 10, "silent": 11, "slow": 12, "store": 13, "bye": 14,
}  # fmt: skip
"""Why a connection ended, as the number that QUIC carries."""


@dataclass(frozen=True, slots=True)
class Close:
    code: str
    sentence: str

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
        """Both, as one turn: what is stored is stored together, and only the last ack of a lane is sent."""
        assert self.close is None, "after the end nothing follows"
        send = self.send
        acked = {frame.lane for _, frame in later.send if isinstance(frame, Ack)}
        if acked:
            send = tuple(item for item in send if not (isinstance(item[1], Ack) and item[1].lane in acked))
        return Effects(
            self.persist + later.persist,
            send + later.send,
            self.deliver + later.deliver,
            self.deadline if later.deadline is None else later.deadline,
            later.close,
        )


NOTHING = Effects()
