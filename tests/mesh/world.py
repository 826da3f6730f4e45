"""Two nodes, their envelopes and a store in memory that can fail at each step: what the tests of a link stand on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from netsky.envelope.batch import ZERO_MESH, Batch, Statement, leaves, seal
from netsky.envelope.fields import Body, Header
from netsky.envelope.kinds import Lane
from netsky.envelope.wire import encode_body, encode_header
from netsky.mesh.effects import Acked, Alarm, Arrived, Froze, Notice, Numbered, Record
from netsky.mesh.link import LANES, Ends, Link, LinkState, Offer, Wanted
from netsky.mesh.streams import IncomingState, OutgoingState, Seen

NOW = 1_700_000_000 * 10**9


class Node:
    def __init__(self, number: int, mesh: bytes = ZERO_MESH) -> None:
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
        return Ends(self.key, peer.key, self.mesh, self.sign, {peer.key: peer.name})


class Killed(BaseException):
    """What a dead process does: nothing more."""


@dataclass
class Row:
    id: int
    lane: Lane
    batch: Batch
    position: int
    number: int | None = None

    @property
    def leaf(self) -> bytes:
        return leaves(self.batch)[self.position]


def fresh(life: int = 1, lineage: bytes = b"L" * 16) -> LinkState:
    return LinkState({lane: OutgoingState(life, lineage) for lane in LANES}, {lane: IncomingState() for lane in LANES})


@dataclass
class MemoryStore:
    """Keeps what a link hands over, as a database would, and can be told to die before or after a commit."""

    state: LinkState = field(default_factory=fresh)
    rows: list[Row] = field(default_factory=list)
    stored: dict[tuple[bytes, str], bytes] = field(default_factory=dict)  # the inbox: (origin, id) -> leaf
    refused: list[tuple[int, str]] = field(default_factory=list)
    again: list[str] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    log: list[Record] = field(default_factory=list)
    before_commit: Callable[[Sequence[Record]], None] = lambda _: None
    after_commit: Callable[[Sequence[Record]], None] = lambda _: None
    changed: trio.Event = field(default_factory=trio.Event)

    # What the node does.

    def add(self, lane: Lane, batch: Batch) -> None:
        for at in range(len(batch.statements)):
            self.rows.append(Row(len(self.rows), lane, batch, at))
        self.changed.set()

    def open_ids(self) -> list[int]:
        return [row.id for row in self.rows if row.number is None]

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

    async def more(self) -> None:
        await self.changed.wait()
        self.changed = trio.Event()

    def tell(self, notice: Notice) -> None:
        self.notices.append(notice)

    def alarms(self) -> list[str]:
        return [notice.code for notice in self.notices if isinstance(notice, Alarm)]

    def find(self, lane: Lane, wanted: Wanted) -> list[Offer]:
        rows = [row for row in self.rows if row.lane == lane]
        if wanted.first is None:
            rows = [row for row in rows if row.number is None]
        else:
            rows = [row for row in rows if row.number is not None and row.number >= wanted.first]
        offers: list[Offer] = []
        for row in rows[: wanted.envelopes]:
            statements = list(leaves(row.batch))
            statements[row.position] = row.batch.statements[row.position]  # type: ignore[call-overload]
            last = offers[-1] if offers else None
            if (
                last
                and last.batch.signature == row.batch.signature
                and self.rows[last.rows[-1]].position < row.position
            ):
                joined = list(last.batch.statements)
                joined[row.position] = row.batch.statements[row.position]
                offers[-1] = replace(
                    last, batch=replace(last.batch, statements=tuple(joined)), rows=(*last.rows, row.id)
                )
            else:
                offers.append(Offer(replace(row.batch, statements=tuple(statements)), (row.id,), row.number))
        return offers

    def commit(self, records: Sequence[Record]) -> None:
        outgoing, incoming = dict(self.state.outgoing), dict(self.state.incoming)
        for record in records:
            self.log.append(record)
            lane = record.lane
            match record:
                case Numbered():
                    own = []
                    for index, row in enumerate(record.rows):
                        assert self.rows[row].number is None
                        self.rows[row].number = record.first + index
                        own.append(self.rows[row].leaf)
                    outgoing[lane] = replace(outgoing[lane], leaves=(*outgoing[lane].leaves, *own))
                case Acked():
                    old = outgoing[lane]
                    count = record.number - old.acked
                    assert count > 0
                    outgoing[lane] = replace(
                        old, acked=record.number, acked_leaf=old.leaves[count - 1], leaves=old.leaves[count:]
                    )
                case Arrived():
                    self._arrived(record)
                    old_in = incoming[lane]
                    if record.life > old_in.life:
                        old_in = IncomingState(record.life, record.lineage)
                    assert record.first == old_in.mark + 1
                    seen = Seen(record.claim_first, record.leaves, record.claim)
                    incoming[lane] = replace(
                        old_in, mark=record.mark, mark_leaf=record.mark_leaf, recent=(*old_in.recent, seen)
                    )
                case Froze() if record.direction == "out":
                    outgoing[lane] = replace(outgoing[lane], frozen=record.code)
                case Froze():
                    incoming[lane] = replace(incoming[lane], frozen=record.code)
        self.state = LinkState(outgoing, incoming)

    def _arrived(self, record: Arrived) -> None:
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


@dataclass
class Side:
    """One node with its store, and the machine of the present connection."""

    node: Node
    peer: Node
    store: MemoryStore = field(default_factory=MemoryStore)
    link: Link | None = None

    def new_link(self) -> Link:
        self.link = Link(self.node.ends(self.peer), self.store.load())
        return self.link
