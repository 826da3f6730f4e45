"""From admitted drafts to sealed rows: one signature for each destination and lane of a group."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from netsky.envelope import batch as seals
from netsky.envelope.fields import Body, Header
from netsky.envelope.file import Proof, file_name
from netsky.envelope.kinds import Lane, lane_of
from netsky.envelope.limits import BATCH_MAX, SKEW_NS
from netsky.mesh.offer import Offer as Offering
from netsky.mesh.pieces import cut
from netsky.node.bus.draft import Accepted, Offer
from netsky.node.bus.onward import AllGiven, Given, NoLinks, Onward
from netsky.node.db import blobs, idempotency, inbox, messages, outbox
from netsky.node.seams.ledger import Row, Statement


class SignerIdentity(Protocol):
    """What the bus needs of the node's identity."""

    @property
    def mesh(self) -> bytes: ...
    @property
    def key(self) -> bytes: ...
    @property
    def name(self) -> str: ...
    @property
    def sign(self) -> Callable[[bytes], bytes]: ...


class Numbers:
    """Numbers for new rows of `messages`, given when they are planned, so that the rows that refer to them need no
    look-up. Shared by all planners that make some: those of one group do not see each other's rows."""

    def __init__(self) -> None:
        self._newest = 0

    def count_on(self, found: list[Row]) -> None:
        """From the answer to `messages.newest_seq`. Numbers of a group that was undone are not given again."""
        [(newest,)] = found
        assert isinstance(newest, int)
        self._newest = max(self._newest, newest)

    def next(self) -> int:
        self._newest += 1
        return self._newest


@dataclass(slots=True)
class Fresh:
    """An envelope that was just committed, with all that its file is made from."""

    seq: int
    actor: str
    file: str
    header: Header
    body: Body
    proof: Proof
    size: int


@dataclass(slots=True)
class Sealing:
    """An admitted envelope of a group; `index` is its place there."""

    index: int
    offer: Offer
    header: Header
    header_bytes: bytes
    local: bool
    skewed: bool


@dataclass(slots=True)
class Sealed:
    """The rows of a group, and what becomes known by sealing."""

    statements: list[Statement] = field(default_factory=list)
    fresh: list[Fresh] = field(default_factory=list)
    accepted: list[tuple[int, Accepted]] = field(default_factory=list)
    outgoing: set[tuple[bytes, Lane]] = field(default_factory=set)
    """The nodes that something without a number goes to next."""
    given: AllGiven = field(default_factory=AllGiven)
    """Numbers of what is stored with them."""


@dataclass(slots=True)
class _Rows:
    seals: list[messages.SealRow] = field(default_factory=list)
    messages: list[messages.MessageRow] = field(default_factory=list)
    inbox: list[inbox.NewInbox] = field(default_factory=list)
    outbox: list[outbox.NewOutbox] = field(default_factory=list)
    keys: list[idempotency.KeyRow] = field(default_factory=list)
    names: list[blobs.Name] = field(default_factory=list)

    def statements(self) -> list[Statement]:
        """In the order in which the tables refer to each other."""
        made = [messages.insert_seals(self.seals), messages.insert(self.messages)]
        if self.inbox:
            made.append(inbox.insert(self.inbox))
        if self.outbox:
            made.append(outbox.insert(self.outbox))
        if self.keys:
            made.append(idempotency.insert(self.keys))
        if self.names:
            made.append(blobs.name(self.names))
        return made


class Sealer:
    """Signs with the node's key and gives the files their names."""

    def __init__(
        self, identity: SignerIdentity, next_hop: Callable[[bytes], bytes], numbers: Numbers, pid: int
    ) -> None:
        """`next_hop` is the key of the node that an envelope for this key goes to first."""
        self._identity = identity
        self._next_hop = next_hop
        self._numbers = numbers
        self._pid = pid
        self._files = 0
        self.onward: Onward = NoLinks()
        """Set by the links."""

    def seal(self, lots: Mapping[tuple[bytes, Lane], Sequence[Sealing]], now: int) -> Sealed:
        """A lot has one destination and one lane; at most 64 of it stand under one signature."""
        done, rows = Sealed(), _Rows()
        for lot in lots.values():
            for first in range(0, len(lot), BATCH_MAX):
                part = lot[first : first + BATCH_MAX]
                batch, leaves = self._sign(part)
                seal = _seal_row(batch, leaves)
                rows.seals.append(seal)
                seqs = [self._numbers.next() for _ in part]
                given = None
                if not part[0].local:
                    frame = Offering("own", tuple(seqs), batch, received=now, hashed=tuple(leaves))
                    given = self._numbered(part, frame)
                    if given is not None:
                        done.given.add(given)
                for position, (sealing, leaf, seq) in enumerate(zip(part, leaves, seqs, strict=True)):
                    row = _message(sealing, leaf, seal=seal.hash, position=position, now=now, seq=seq)
                    rows.messages.append(row)
                    if sealing.local:
                        file = self._arrives(sealing, leaf, now, seq=seq, rows=rows, done=done)
                    else:
                        file = None
                        self._goes(sealing, seq, position, given, rows=rows, done=done)
                    self._known(sealing, leaf, file, seq=seq, rows=rows, done=done)
        if rows.messages:
            done.statements = [*rows.statements(), *done.given.statements()]
            done.fresh.sort(key=lambda one: one.header.clock)
        return done

    def _numbered(self, part: Sequence[Sealing], offer: Offering) -> Given | None:
        """Its numbers, if it may have them at once: as one frame, and with nothing that waits for its blobs."""
        assert offer.batch is not None
        hop, lane = self._next_hop(part[0].header.destination), part[0].offer.lane
        if any(one.offer.body.attachments for one in part) or len(cut(offer.batch)) != 1:
            self.onward.look_first(hop, lane)
            return None
        return self.onward.number(hop, lane, offer, {(one.header.destination, one.header.to) for one in part})

    def _sign(self, part: Sequence[Sealing]) -> tuple[seals.Batch, list[bytes]]:
        identity = self._identity
        stated = [seals.Statement(one.header_bytes, one.offer.body_bytes) for one in part]
        return seals.seal_with_leaves(identity.sign, identity.key, "envelope", identity.mesh, stated)

    def _arrives(self, sealing: Sealing, leaf: bytes, now: int, *, seq: int, rows: _Rows, done: Sealed) -> str:
        """In the inbox of an actor of this node: under which name."""
        h, offer = sealing.header, sealing.offer
        self._files += 1
        file = arrival_name(h, leaf, self._pid, self._files, clock=offer.draft.file_clock)
        reply = offer.lane == "reply"
        rows.inbox.append(inbox.NewInbox(seq, offer.to.actor, file, now, wants_ack=h.requires_ack, reply=reply))
        proof = Proof(h.origin, h.id, leaf)
        done.fresh.append(Fresh(seq, offer.to.actor, file, h, offer.body, proof, len(offer.body_bytes)))
        return file

    def _goes(
        self, sealing: Sealing, seq: int, position: int, given: Given | None, *, rows: _Rows, done: Sealed
    ) -> None:
        """Towards another node."""
        h, offer = sealing.header, sealing.offer
        size = len(sealing.header_bytes) + len(offer.body_bytes)
        hop, attached = self._next_hop(h.destination), bool(offer.body.attachments)
        row = (seq, hop, offer.lane, h.destination, size, h.requires_ack, attached)
        if given is None:
            rows.outbox.append(outbox.NewOutbox(*row))
            done.outgoing.add((hop, offer.lane))
        else:
            number = (given.life, given.first + position, given.at)
            rows.outbox.append(outbox.NewOutbox(*row, "numbered", *number))

    def _known(self, sealing: Sealing, leaf: bytes, file: str | None, *, seq: int, rows: _Rows, done: Sealed) -> None:
        h, offer = sealing.header, sealing.offer
        rows.names += names_of(seq, offer.body)
        if h.idempotency_key is not None:
            until = h.expires + SKEW_NS
            key = idempotency.KeyRow(h.origin, offer.sender, h.idempotency_key, h.id, offer.request, until)
            rows.keys.append(key)
        accepted = Accepted(h.id, h.origin, leaf, h.clock, False, file, h.destination, sealing.skewed)
        done.accepted.append((sealing.index, accepted))


def names_of(seq: int, body: Body) -> list[blobs.Name]:
    """What keeps the blobs of this message alive."""
    return [blobs.Name("message", seq, one.sha256, one.size) for one in body.attachments]


def arrival_name(header: Header, leaf: bytes, pid: int, number: int, *, clock: int | None = None) -> str:
    """The name of an envelope's file in an inbox: sorted by its clock, or by another one, apart from all others by the
    rest."""
    return file_name(header.clock if clock is None else clock, pid, int.from_bytes(leaf[:4]), number, header.sender)


def seal_row(batch: seals.Batch) -> tuple[messages.SealRow, list[bytes]]:
    """The row of a batch, and the leaves of its statements."""
    leaves = seals.leaves(batch)
    return _seal_row(batch, leaves), leaves


def _seal_row(batch: seals.Batch, leaves: Sequence[bytes]) -> messages.SealRow:
    signed = seals.signing_bytes(batch.version, batch.type, batch.mesh, leaves)
    digest = hashlib.sha256(signed + batch.signature).digest()
    return messages.SealRow(digest, batch.type, batch.mesh, batch.key, batch.signature, b"".join(leaves))


def _message(sealing: Sealing, leaf: bytes, *, seal: bytes, position: int, now: int, seq: int) -> messages.MessageRow:
    offer = sealing.offer
    return message_row(
        sealing.header,
        sealing.header_bytes,
        offer.body_bytes,
        leaf=leaf,
        seal=seal,
        position=position,
        via=offer.via,
        now=now,
        seq=seq,
    )


def message_row(
    h: Header, header: bytes, body: bytes, *, leaf: bytes, seal: bytes, position: int, via: str, now: int, seq: int
) -> messages.MessageRow:
    return messages.MessageRow(
        origin=h.origin,
        id=h.id,
        leaf=leaf,
        header=header,
        body=body,
        seal=seal,
        position=position,
        sender=h.sender,
        recipient=h.to,
        destination=h.destination,
        kind=h.kind,
        lane=lane_of(h.kind),
        in_reply_to=h.in_reply_to,
        thread=h.thread,
        parent=h.parent,
        clock=h.clock,
        ts=h.ts,
        expires=h.expires,
        via=via,
        accepted_at=now,
        seq=seq,
    )
