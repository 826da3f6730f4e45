"""Nodes of one mesh, their envelopes and a store in memory that can fail at each step.

`Node(0)` is the root; it enrolled 1 and 2. Everybody else is a stranger.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cache

import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from netsky.envelope.batch import Batch, Statement, leaves, seal
from netsky.envelope.fields import Body, Header
from netsky.envelope.kinds import Lane
from netsky.envelope.wire import encode_body, encode_header
from netsky.mesh.driver import Driver
from netsky.mesh.effects import (
    Acked,
    Alarm,
    Answered,
    Arrived,
    Damaged,
    Enrolled,
    Froze,
    Holds,
    Notice,
    Numbered,
    Raised,
    Record,
    Restored,
    Source,
    Stated,
)
from netsky.mesh.ends import Ends, LinkState
from netsky.mesh.limits import WINDOW_BYTES, WINDOW_ENVELOPES
from netsky.mesh.lineage import Lineage
from netsky.mesh.link import Link
from netsky.mesh.offer import Offer, Wanted
from netsky.mesh.outcome import NOT_RELAYED, Outcome, pack_outcome
from netsky.mesh.pieces import cut, with_only
from netsky.mesh.roster import Member, Roster, seal_roster
from netsky.mesh.streams import LANES, FrameState, IncomingState, OutgoingState, Seen

NOW = 1_700_000_000 * 10**9
MESH = b"m" * 16
REIGN = 3


class Node:
    def __init__(self, number: int, mesh: bytes = MESH) -> None:
        self.secret = bytes([number]) * 32
        private = Ed25519PrivateKey.from_private_bytes(self.secret)
        self.key = private.public_key().public_bytes_raw()
        self.sign = private.sign
        self.name = f"netsky{number}"
        self.mesh = mesh

    def batch(self, to: Node, *ids: str, kind: str | None = None, text: str = "hello", **fields: object) -> Batch:
        statements = []
        for id_ in ids:
            values: dict[str, object] = {
                "v": 1, "id": id_, "origin": self.key, "sender": f"agent0@{self.name}", "destination": to.key,
                "to": f"agent0@{to.name}", "kind": kind, "in_reply_to": None, "thread": None, "swarm": None,
                "idempotency_key": None, "requires_ack": False, "ts": NOW, "clock": NOW,
                "expires": NOW + 3600 * 10**9, "parent": None,
            }  # fmt: skip
            header = encode_header(Header(**(values | fields)))  # type: ignore[arg-type]
            statements.append(Statement(header, encode_body(Body(text))))
        return seal(self.sign, self.key, "envelope", self.mesh, statements)

    def ends(self, peer: Node) -> Ends:
        return Ends(
            *(self.key, peer.key, self.mesh, self.sign, ROOT.key, REIGN),
            program=f"1.{self.name[-1]}",
            addresses=(f"127.0.0.{self.name[-1]}:7",),
        )


ROOT, SIBLING, OTHER = Node(0), Node(1), Node(2)


def roster(version: int = 5, *, numbers: Sequence[int] = (0, 1, 2), revoked: Sequence[int] = ()) -> Roster:
    members = [
        Member(Node(number).key, f"netsky{number}", f"machine {number}", (), NOW, NOW if number in revoked else 0)
        for number in numbers
    ]
    return Roster(MESH, ROOT.key, REIGN, version, 1, NOW, tuple(members))


@cache
def _sealed(one: Roster) -> bytes:
    return seal_roster(one, ROOT.sign)


def sealed(one: Roster) -> tuple[Roster, bytes]:
    return one, _sealed(one)


def outcome(id_: str, origin: Node = SIBLING) -> bytes:
    return pack_outcome(Outcome(origin.key, id_, b"l" * 32, "delivered", "", OTHER.key, NOT_RELAYED, 0, 0, NOW))


class Killed(BaseException):
    """What a dead process does: nothing more."""


@dataclass
class Row:
    """One statement of our own, one batch that is passed on, or the outcomes of one frame."""

    id: int
    lane: Lane
    source: Source
    batch: Batch | None = None
    positions: tuple[int, ...] = ()
    packed: tuple[bytes, ...] = ()
    number: int | None = None


def fresh(life: int = 1, lineage: bytes = b"L" * 16) -> LinkState:
    return LinkState({lane: OutgoingState(life, lineage) for lane in LANES}, {lane: IncomingState() for lane in LANES})


@dataclass
class MemoryStore:
    """Keeps what a link hands over, as a database would, and can be told to die before or after a commit."""

    state: LinkState = field(default_factory=fresh)
    rows: list[Row] = field(default_factory=list)
    numbered: list[Numbered] = field(default_factory=list)  # and not acknowledged
    stored: dict[tuple[bytes, str], bytes] = field(default_factory=dict)  # the inbox: (origin, id) -> leaf
    outcomes: list[str] = field(default_factory=list)  # ids
    refused: list[tuple[int, str]] = field(default_factory=list)
    again: list[str] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    log: list[Record] = field(default_factory=list)
    stated: list[Lineage] = field(default_factory=list)
    peer_key: bytes = b""
    known: tuple[Roster | None, bytes] = field(default_factory=lambda: sealed(roster()))
    windows: dict[Lane, tuple[int, int]] = field(
        default_factory=lambda: dict.fromkeys(LANES, (WINDOW_ENVELOPES, WINDOW_BYTES))
    )
    holds: frozenset[tuple[bytes, str, Lane]] = frozenset()
    related: Mapping[bytes, Lineage] = field(default_factory=dict)
    before_commit: Callable[[Sequence[Record]], None] = lambda _: None
    after_commit: Callable[[Sequence[Record]], None] = lambda _: None
    changed: trio.Event = field(default_factory=trio.Event)
    drivers: list[Driver] = field(default_factory=list)

    # What the node does.

    def add(self, lane: Lane, batch: Batch) -> None:
        for at in range(len(batch.statements)):
            self.rows.append(Row(len(self.rows), lane, "own", batch, (at,)))
        self.changed.set()

    def forward(self, lane: Lane, batch: Batch, *positions: int) -> None:
        self.rows.append(Row(len(self.rows), lane, "forward", batch, positions or tuple(range(len(batch.statements)))))
        self.changed.set()

    def answer(self, *packed: bytes) -> None:
        for at in range(0, len(packed), 64):
            self.rows.append(Row(len(self.rows), "reply", "outcomes", packed=packed[at : at + 64]))
        self.changed.set()

    def open_ids(self) -> list[int]:
        return [row.id for row in self.rows if row.number is None]

    def alarms(self) -> list[str]:
        return [notice.code for notice in self.notices if isinstance(notice, Alarm)]

    def told_holds(self) -> list[frozenset[tuple[bytes, str, Lane]]]:
        return [notice.held for notice in self.notices if isinstance(notice, Holds)]

    # What the link asks.

    def load(self) -> LinkState:
        return self.state

    async def persist(self, records: Sequence[Record]) -> None:
        self.before_commit(records)
        await trio.lowlevel.checkpoint()
        self.commit(records)
        self.after_commit(records)

    async def offers(self, lane: Lane, wanted: Wanted) -> Sequence[Offer]:
        await trio.lowlevel.checkpoint()
        return self.find(lane, wanted)

    async def more(self, lane: Lane) -> None:
        heard = self.changed
        await heard.wait()
        if self.changed is heard:
            self.changed = trio.Event()

    def is_quiet(self, lane: Lane) -> bool:
        return not self.changed.is_set()

    def driven(self, driver: Driver) -> AbstractContextManager[None]:
        self.drivers.append(driver)
        return nullcontext()

    async def fates(self) -> None:
        await self.more("reply")

    def tell(self, notice: Notice) -> None:
        self.notices.append(notice)

    def window(self, lane: Lane) -> tuple[int, int]:
        return self.windows[lane]

    def held(self) -> frozenset[tuple[bytes, str, Lane]]:
        return self.holds

    def lineages(self) -> Mapping[bytes, Lineage]:
        return self.related

    def roster(self) -> tuple[Roster | None, bytes]:
        return self.known

    def find(self, lane: Lane, wanted: Wanted) -> list[Offer]:
        if wanted.first is not None:
            frames = [frame for frame in self.numbered if frame.lane == lane and frame.first >= wanted.first]
            return [self._offer([self.rows[row] for row in one.rows], one.first, one.seal) for one in frames]
        offers: list[Offer] = []
        group: list[Row] = []
        for row in [row for row in self.rows if row.lane == lane and row.number is None][: wanted.envelopes]:
            if group and not _joins(group, row):
                offers += self._pieces(group)
                group = []
            group.append(row)
        return offers + (self._pieces(group) if group else [])

    def _pieces(self, group: list[Row]) -> list[Offer]:
        """In as many frames as it takes."""
        whole = self._offer(group)
        if group[0].source != "own":
            return [whole]
        assert whole.batch is not None
        rows = {row.positions[0]: row for row in group}
        return [self._offer([rows[at] for at in piece]) for piece in cut(whole.batch)]

    def _offer(self, group: list[Row], first: int | None = None, seal_: bytes = b"") -> Offer:
        rows, batch, source = tuple(row.id for row in group), group[0].batch, group[0].source
        if batch is None:
            return Offer(source, rows, None, group[0].packed, first, seal_)
        positions = [at for row in group for at in row.positions]
        return Offer(source, rows, with_only(batch, leaves(batch), positions), (), first, seal_, received=NOW - 1)

    def commit(self, records: Sequence[Record]) -> None:
        outgoing, incoming, memory = dict(self.state.outgoing), dict(self.state.incoming), self.state.memory
        for record in records:
            self.log.append(record)
            match record:
                case Numbered(lane=lane):
                    for index, row in enumerate(record.rows):
                        assert self.rows[row].number is None
                        self.rows[row].number = record.first + index
                    self.numbered.append(record)
                    frame = FrameState(record.first, record.leaves)
                    outgoing[lane] = replace(outgoing[lane], frames=(*outgoing[lane].frames, frame))
                case Acked(lane=lane):
                    old = outgoing[lane]
                    [end] = [frame for frame in old.frames if frame.last == record.number]
                    assert end.leaves[-1] == record.leaf
                    left = tuple(frame for frame in old.frames if frame.last > record.number)
                    outgoing[lane] = replace(old, acked=record.number, acked_leaf=record.leaf, frames=left)
                    self.numbered = [f for f in self.numbered if f.lane != lane or f.last > record.number]
                case Arrived(lane=lane) | Answered(lane=lane):
                    self._arrived(record)
                    old_in = incoming[lane]
                    if record.life > old_in.life:
                        old_in = IncomingState(record.life, record.lineage)
                    assert record.first == old_in.mark + 1
                    seen = Seen(record.claim_first, record.leaves, record.claim)
                    incoming[lane] = replace(
                        old_in, mark=record.mark, mark_leaf=record.mark_leaf, recent=(*old_in.recent, seen)
                    )
                case Enrolled():
                    self.known = (record.roster, record.sealed)
                case Froze(lane=lane) if record.direction == "out":
                    outgoing[lane] = replace(outgoing[lane], frozen=record.code)
                case Froze(lane=lane):
                    incoming[lane] = replace(incoming[lane], frozen=record.code)
                case Damaged(lane=lane):
                    [spoilt] = [one for one in self.numbered if (one.lane, one.first) == (lane, record.first)]
                    self.numbered.remove(spoilt)
                case Raised(lane=lane):
                    self._begin(outgoing, lane, record)
                    memory = replace(memory, highest=record.life)
                case Restored():
                    for lane in LANES:
                        self._begin(outgoing, lane, record)
                    memory = replace(memory, highest=record.life, lineage=record.lineage)
                case Stated():
                    self.stated += record.lineages
                    for own in [one for one in record.lineages if one.node == self.peer_key]:
                        before = memory.superseded | ({memory.peer} - {own.lineage, b""})
                        memory = replace(memory, peer=own.lineage, superseded=before)
                        incoming = {lane: replace(one, frozen=None) for lane, one in incoming.items()}
        self.state = LinkState(outgoing, incoming, memory)

    def _begin(self, outgoing: dict[Lane, OutgoingState], lane: Lane, record: Raised | Restored) -> None:
        """What had a number and no ack gets another."""
        outgoing[lane] = OutgoingState(record.life, record.lineage)
        for frame in [frame for frame in self.numbered if frame.lane == lane]:
            self.numbered.remove(frame)
            for row in frame.rows:
                self.rows[row].number = None

    def _arrived(self, record: Arrived | Answered) -> None:
        if isinstance(record, Answered):
            self.outcomes += [one.id for one in record.outcomes]
            return
        for arrival in record.arrivals:
            if arrival.refusal is not None:
                self.refused.append((arrival.number, arrival.refusal))
                continue
            assert arrival.header is not None
            key = (arrival.header.origin, arrival.header.id)
            if key in self.stored:
                self.again.append(arrival.header.id)
            else:
                self.stored[key] = arrival.leaf


def _joins(group: list[Row], row: Row) -> bool:
    last = group[-1]
    if row.source != last.source or row.batch is None or last.batch is None or row.source == "forward":
        return False
    return row.batch.signature == last.batch.signature and last.positions < row.positions


@dataclass
class Side:
    """One node with its store, and the machine of the present connection."""

    node: Node
    peer: Node
    store: MemoryStore = field(default_factory=MemoryStore)
    link: Link | None = None

    @property
    def machine(self) -> Link:
        assert self.link is not None
        return self.link

    def new_link(self) -> Link:
        self.store.peer_key = self.peer.key
        self.link = Link(self.node.ends(self.peer), self.store.load(), *self.store.known)
        return self.link
