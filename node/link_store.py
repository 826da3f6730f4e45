"""A link's store on meta.db: what `mesh/driver.py` commits before anything is sent, through the one group commit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from netsky.envelope.batch import VERSION, Batch
from netsky.envelope.batch import Statement as Stated
from netsky.envelope.kinds import Lane
from netsky.envelope.limits import EXPIRES_MAX_NS, SKEW_NS
from netsky.mesh.effects import Acked, Arrived, Froze, Notice, Numbered, Record
from netsky.mesh.frames import LEAF_BYTES, LINEAGE_BYTES
from netsky.mesh.limits import WINDOW_ENVELOPES
from netsky.mesh.link import LANES, LinkState, Offer, Wanted
from netsky.mesh.streams import IncomingState, OutgoingState, Seen
from netsky.node.bus.ingress import Incoming, Ingressed, IngressPlanner
from netsky.node.daemon.told import OUTBOX_SIGNAL
from netsky.node.db import links, messages, outbox
from netsky.node.db.group import GroupCommit, Plan
from netsky.node.errors import Conflict, NetskyError
from netsky.node.events import Signals
from netsky.node.peers import Peer
from netsky.node.seams.chance import Chance
from netsky.node.seams.ledger import Row, Statement
from netsky.node.seams.time import Time

OFFERED_ROWS = 64
"""Outbox rows read at once: one batch, and what the largest envelopes of one take is still bounded."""


Told = Callable[[Peer, Incoming, Ingressed], None]
"""Hears of envelopes that ended here undelivered, or came again with other content; once that is stored."""


@dataclass(frozen=True, slots=True)
class Persist:
    """An item of the planner: what one link wants stored."""

    peer: Peer
    records: tuple[Record, ...]


@dataclass(slots=True)
class _Item:
    """What one item comes to."""

    statements: list[Statement] = field(default_factory=list)
    guests: list[Incoming] = field(default_factory=list)
    error: NetskyError | None = None


class LinkPlanner:
    """One per node, for all links: so two links that bring the same envelope in one group are noticed."""

    def __init__(self, ingress: IngressPlanner, time: Time, told: Told) -> None:
        self._ingress = ingress
        self._time = time
        self._told = told

    def reads(self, items: Sequence[Persist]) -> Sequence[Statement]:
        return [
            *(links.marks(item.peer.key) for item in items),
            *self._ingress.reads([guest for item in items for record in item.records for guest in _guests(record)]),
        ]

    def plan(self, items: Sequence[Persist], rows: list[list[Row]]) -> Plan[None]:
        now = self._time.wall()
        marks = Marks()
        for item, found in zip(items, rows, strict=False):
            marks.load(item.peer.key, found)
        done = [_write(item, marks, now) for item in items]
        guests = [guest for one in done for guest in one.guests]
        ingress = self._ingress.plan(guests, rows[len(items) :])
        statements = [statement for one in done for statement in one.statements]
        told = [
            (peer, guest, result)
            for (peer, guest), result in zip(
                ((item.peer, guest) for item, one in zip(items, done, strict=True) for guest in one.guests),
                ingress.results,
                strict=True,
            )
            if isinstance(result, Ingressed) and (result.conflict or (result.new and result.fate != "delivered"))
        ]

        def after() -> None:
            if ingress.after is not None:
                ingress.after()
            for one in told:
                self._told(*one)

        return Plan([*statements, *ingress.statements], [one.error for one in done], after=after)


class Marks:
    """(life, number) of each stream, as it stands after the items of a group that were looked at so far."""

    def __init__(self) -> None:
        self._marks: dict[tuple[bytes, str, str], tuple[int, int]] = {}

    def load(self, peer: bytes, rows: list[Row]) -> None:
        for direction, lane, life, number in rows:
            assert isinstance(life, int)
            assert isinstance(number, int)
            self._marks[peer, str(direction), str(lane)] = (life, number)

    def move(self, peer: bytes, direction: str, lane: str, *, life: int, first: int, last: int) -> bool:
        """Whether `first` is next; then the mark stands at `last`."""
        known_life, mark = self._marks.get((peer, direction, lane), (0, 0))
        expected = mark + 1 if life == known_life else 1
        if life < known_life or first != expected:
            return False
        self._marks[peer, direction, lane] = (life, last)
        return True

    def is_new(self, peer: bytes, lane: str, life: int) -> bool:
        return self._marks.get((peer, "in", lane), (0, 0))[0] < life


def _write(item: Persist, marks: Marks, now: int) -> _Item:
    done = _Item()
    for record in item.records:
        if not _record(item.peer, record, marks, now=now, done=done):
            # A connection that is over has still written; the one that is loading now will see what it wrote.
            done.error = Conflict(
                f"the link to {item.peer.name} went on with another connection",
                next="nothing: the newer connection goes on",
                code="link_replaced",
            )
            done.statements.clear()
            done.guests.clear()
            break
    return done


def _record(peer: Peer, record: Record, marks: Marks, *, now: int, done: _Item) -> bool:
    key, lane = peer.key, record.lane
    match record:
        case Numbered(life=life, first=first):
            last = first + len(record.rows) - 1
            if not marks.move(key, "out", lane, life=life, first=first, last=last):
                return False
            given = [(seq, first + index) for index, seq in enumerate(record.rows)]
            done.statements += [
                outbox.number(given, life, now),
                links.give(key, lane, life=life, last=last, leaf=record.leaf),
            ]
        case Acked(life=life, number=number):
            done.statements += [
                outbox.acked(key, lane, life, number, now),
                links.acknowledge(key, lane, life=life, up_to=number),
            ]
        case Froze():
            done.statements.append(links.freeze(key, record.direction, lane, record.code))
        case Arrived():
            return _arrived(peer, record, marks, now=now, done=done)
    return True


def _arrived(peer: Peer, record: Arrived, marks: Marks, *, now: int, done: _Item) -> bool:
    key, lane, life = peer.key, record.lane, record.life
    begins = marks.is_new(key, lane, life)
    if not marks.move(key, "in", lane, life=life, first=record.first, last=record.mark):
        return False
    stream = outbox.StreamRow(key, "in", lane, life, record.lineage, record.mark, record.mark_leaf)
    done.statements.append(outbox.put_stream(stream))
    if begins:
        done.statements.append(outbox.begin_life(stream, now, "the peer began it"))
    last = record.claim_first + len(record.leaves) - 1
    window = links.WindowRow(lane, life, record.claim_first, last, b"".join(record.leaves), record.claim)
    done.statements += [
        links.remember(key, window),
        *links.forget(key, lane, life, up_to=record.mark - WINDOW_ENVELOPES),
    ]
    guests = _guests(record)
    refused = [
        links.RefusalRow(key, lane, life, arrival.number, arrival.leaf, arrival.refusal, now)
        for arrival in record.arrivals
        if arrival.refusal is not None
    ]
    # Remembered until it expires, so that has to be soon enough, whatever the peer's clock says.
    latest = now + EXPIRES_MAX_NS + SKEW_NS
    refused += [
        links.RefusalRow(key, lane, life, guest.number, guest.leaf, "expires_range", now)
        for guest in guests
        if guest.header.expires > latest
    ]
    if refused:
        done.statements.append(links.refuse(refused))
    done.guests += [guest for guest in guests if guest.header.expires <= latest]
    return True


def _guests(record: Record) -> list[Incoming]:
    """The envelopes of a frame, without those that were refused."""
    guests: list[Incoming] = []
    for arrival in record.arrivals if isinstance(record, Arrived) else ():
        if arrival.refusal is not None:
            continue
        assert isinstance(record, Arrived)
        assert arrival.header is not None
        assert arrival.body is not None
        guests.append(
            Incoming(
                header=arrival.header,
                body=arrival.body,
                leaf=arrival.leaf,
                batch=record.batch,
                position=arrival.position,
                reign=record.reign,
                life=record.life,
                number=arrival.number,
            )
        )
    return guests


class PeerStore:
    """The LinkStore of one peer."""

    def __init__(
        self,
        peer: Peer,
        *,
        group: GroupCommit,
        planner: LinkPlanner,
        signals: Signals,
        time: Time,
        chance: Chance,
        notice: Callable[[Peer, Notice], None],
    ) -> None:
        self._peer = peer
        self._group = group
        self._planner = planner
        self._signals = signals
        self._time = time
        self._chance = chance
        self._notice = notice
        self._rung = 0

    async def load(self) -> LinkState:
        """What is stored, once everything is that a connection before this one still wanted stored."""
        await self.persist(())
        key = self._peer.key
        found, unacked, window = await self._group.write(
            [links.streams(key), links.unacked_leaves(key), links.window(key)]
        )
        rows = {(row.direction, row.lane): row for row in links.stream_rows(found)}
        leaves: dict[Lane, list[bytes]] = {lane: [] for lane in LANES}
        for lane, _, leaf in unacked:
            leaves[lane].append(leaf)  # type: ignore[index, arg-type] # as the tables' CHECKs say
        seen: dict[Lane, list[Seen]] = {lane: [] for lane in LANES}
        for frame in links.window_rows(window):
            seen[frame.lane].append(Seen(frame.first, _split(frame.leaves), frame.claim))  # type: ignore[index]
        outgoing = {lane: await self._outgoing(lane, rows.get(("out", lane)), leaves[lane]) for lane in LANES}
        incoming = {lane: _incoming(rows.get(("in", lane)), seen[lane]) for lane in LANES}
        return LinkState(outgoing, incoming)

    async def persist(self, records: Sequence[Record]) -> None:
        await self._group.submit(self._planner, Persist(self._peer, tuple(records)))

    async def offers(self, lane: Lane, wanted: Wanted) -> Sequence[Offer]:
        self._rung = self._signals.count(OUTBOX_SIGNAL)  # before the rows are read: what comes later rings again
        limit = min(wanted.envelopes, OFFERED_ROWS)
        key = self._peer.key
        if wanted.first is None:
            asked = outbox.open_entries(key, lane, limit)
        else:
            asked = outbox.numbered_after(key, lane, wanted.life, wanted.first - 1, limit)
        [found] = await self._group.write([asked])
        rows = _within(outbox.rows(found), wanted.bytes)
        hashes = list(dict.fromkeys(row.seal for row in rows))
        [sealed] = await self._group.write([messages.seals_by_hash(hashes)]) if hashes else [[]]
        return _offers(rows, {seal.hash: seal for seal in messages.seals(sealed)})

    async def more(self) -> None:
        self._rung = await self._signals.wait_beyond(OUTBOX_SIGNAL, self._rung)

    def tell(self, notice: Notice) -> None:
        self._notice(self._peer, notice)

    async def _outgoing(self, lane: Lane, row: links.LinkStreamRow | None, leaves: list[bytes]) -> OutgoingState:
        if row is None:
            stream = outbox.StreamRow(self._peer.key, "out", lane, 1, self._chance.token(LINEAGE_BYTES), 0, None)
            began = outbox.begin_life(stream, self._time.wall(), "the first of this link")
            await self._group.write([outbox.put_stream(stream), began])
            return OutgoingState(stream.life, stream.lineage)
        assert len(leaves) == row.number - row.acked, "what has a number is kept until it is acknowledged"
        return OutgoingState(row.life, row.lineage, row.acked, row.acked_leaf or b"", tuple(leaves), row.frozen)


def _incoming(row: links.LinkStreamRow | None, seen: list[Seen]) -> IncomingState:
    if row is None:
        return IncomingState()
    return IncomingState(row.life, row.lineage, row.number, row.leaf or b"", tuple(seen), row.frozen)


def _split(leaves: bytes) -> tuple[bytes, ...]:
    return tuple(leaves[at : at + LEAF_BYTES] for at in range(0, len(leaves), LEAF_BYTES))


def _within(rows: list[outbox.OutboxRow], size: int) -> list[outbox.OutboxRow]:
    """As many from the front as have so many bytes, and one at least."""
    taken = 0
    for index, row in enumerate(rows):
        taken += len(row.header) + len(row.body)
        if taken > size and index:
            return rows[:index]
    return rows


def _offers(rows: list[outbox.OutboxRow], sealed: dict[bytes, messages.SealRow]) -> list[Offer]:
    """Neighbours of one batch together, as their batch with all others of it as leaves."""
    offers: list[Offer] = []
    last: outbox.OutboxRow | None = None
    for row in rows:
        seal = sealed[row.seal]
        stated = Stated(row.header, row.body)
        if last is not None and last.seal == row.seal and last.position < row.position:
            offer = offers.pop()
            statements, seqs, first = [*offer.batch.statements], (*offer.rows, row.seq), offer.first
        else:
            statements, seqs, first = [*_split(seal.leaves)], (row.seq,), row.number
        statements[row.position] = stated
        batch = Batch(VERSION, seal.type, seal.mesh, seal.signer, seal.signature, tuple(statements))
        offers.append(Offer(batch, seqs, first))
        last = row
    return offers
