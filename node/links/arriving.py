"""What a frame of envelopes comes to on this node: delivered here, passed on by the root, or ended.

Pure: a record of the link in, forward rows and fates out. What is for an actor of this node is decided by the bus
(`bus/ingress.py`); this file cuts the frame into the three parts and packs the fates for their way back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgpack
from netsky.envelope.batch import encode_batch
from netsky.envelope.limits import EXPIRES_MAX_NS, SKEW_NS
from netsky.mesh.effects import Arrival, Arrived
from netsky.mesh.outcome import Outcome, ended_by, pack_outcome
from netsky.mesh.pieces import full_positions, statement_size, with_only
from netsky.node.bus.ingress import Incoming, Ingressed
from netsky.node.db import links
from netsky.node.db.forward import NewForward
from netsky.node.db.passed import PassedRow
from netsky.relay.acks import is_daemons_word
from netsky.relay.ingress import Border, refusal_code

OUTCOMES_MAX = 64
"""In one row, and so in one frame: as many as a batch has statements."""


@dataclass(slots=True)
class Parted:
    """One frame, taken apart."""

    here: list[Incoming] = field(default_factory=list)
    forward: list[NewForward] = field(default_factory=list)
    ended: list[Outcome] = field(default_factory=list)
    """By this node, on the way."""
    refused: list[links.RefusalRow] = field(default_factory=list)
    """What failed before anybody's seal was believed: known by number alone."""
    passed: list[PassedRow] = field(default_factory=list)
    """What a trace at the root will tell of those that are not for it."""


def part(
    record: Arrived, peer: bytes, me: bytes, border: Border | None, now: int, *, held: Mapping[bytes, int]
) -> Parted:
    """`border` is what a root decides by; a sibling has none and takes only what is for it. `held`: blobs that are
    here, with their sizes; what is for this node the bus compares with them."""
    parted = Parted()
    passing: dict[tuple[bytes, str, int], list[Arrival]] = {}
    for arrival in record.arrivals:
        header = arrival.header
        if arrival.refusal is not None or header is None:
            code = arrival.refusal or "damaged"
            parted.refused.append(_refusal(record, peer, arrival, code, now))
        elif header.destination == me:
            if header.expires > now + EXPIRES_MAX_NS + SKEW_NS:
                parted.ended.append(outcome_of(arrival, me, record, "expires_range", now))
            else:
                parted.here.append(_incoming(record, arrival))
        elif border is None:
            parted.refused.append(_refusal(record, peer, arrival, "destination_other", now))
        else:
            ack = arrival.body is not None and is_daemons_word(header, arrival.body)
            code_or_none = refusal_code(header, border, is_ack=ack)
            named = arrival.body.attachments if arrival.body is not None else ()
            if code_or_none is None and any(held.get(one.sha256) != one.size for one in named):
                code_or_none = "attachment_missing"
            if code_or_none is None:
                # One that names blobs has a row of its own: nothing waits for what it waits for.
                apart = arrival.number if named else 0
                passing.setdefault((header.destination, header.to, apart), []).append(arrival)
            else:
                parted.ended.append(outcome_of(arrival, me, record, code_or_none, now))
                where = (header.destination, header.to)
                parted.passed.append(_passed(record, where, [arrival], code_or_none, now))
    parted.forward = [_forward(record, where, some, now) for where, some in passing.items()]
    parted.passed += [_passed(record, (key, to), some, None, now) for (key, to, _), some in passing.items()]
    return parted


def outcome_of(arrival: Arrival, me: bytes, record: Arrived, code: str, now: int) -> Outcome:
    """Dead at this node, before it was numbered onward."""
    assert arrival.header is not None
    envelope = (arrival.header.origin, arrival.header.id, arrival.leaf)
    return ended_by(me, envelope, "dead", code, now, by_root=_by_root(record))


def fates(record: Arrived, here: Sequence[Incoming], results: Sequence[Ingressed], me: bytes) -> list[Outcome]:
    """What the bus decided about those for this node. A second arrival is answered as the first was."""
    by_root = _by_root(record)
    made = []
    for item, result in zip(here, results, strict=True):
        envelope = (item.header.origin, item.header.id, item.leaf)
        made.append(ended_by(me, envelope, result.fate, result.code or "", result.at, by_root=by_root))
    return made


def _by_root(record: Arrived) -> tuple[int, int]:
    return (0, 0) if record.route is None else (record.route.received, record.route.routed)


def packed_answers(ended: Sequence[Outcome], hop: Mapping[bytes, bytes] | bytes) -> list[tuple[bytes, bytes]]:
    """(next node, outcomes) rows. `hop` is the one key that everything goes to, or the next key by origin."""
    by_peer: dict[bytes, list[bytes]] = {}
    for outcome in ended:
        peer = hop if isinstance(hop, bytes) else hop.get(outcome.origin)
        if peer is not None:
            by_peer.setdefault(peer, []).append(pack_outcome(outcome))
    return [
        (peer, msgpack.packb(packed[at : at + OUTCOMES_MAX]))
        for peer, packed in by_peer.items()
        for at in range(0, len(packed), OUTCOMES_MAX)
    ]


def _incoming(record: Arrived, arrival: Arrival) -> Incoming:
    assert arrival.header is not None
    assert arrival.body is not None
    return Incoming(
        header=arrival.header,
        body=arrival.body,
        leaf=arrival.leaf,
        batch=record.batch,
        position=arrival.position,
        reign=record.reign,
        life=record.life,
        number=arrival.number,
    )


def _forward(record: Arrived, where: tuple[bytes, str, int], some: Sequence[Arrival], now: int) -> NewForward:
    destination, recipient, _ = where
    positions = [arrival.position for arrival in some]
    own = dict(zip(full_positions(record.batch), record.leaves, strict=True))
    leaves = [own.get(at, statement) for at, statement in enumerate(record.batch.statements)]
    kept = with_only(record.batch, leaves, positions)  # type: ignore[arg-type] # what is not full is a leaf
    headers = [arrival.header for arrival in some if arrival.header is not None]
    return NewForward(
        peer=destination,
        lane=record.lane,
        origin=record.batch.key,
        recipient=recipient,
        envelopes=len(positions),
        size=sum(statement_size(record.batch, at) for at in positions),
        batch=encode_batch(kept),
        read=kept,
        leaves=tuple(leaves),  # type: ignore[arg-type]
        expires=min(header.expires for header in headers),
        received_at=now,
        blobs=tuple((one.sha256, one.size) for each in some if each.body is not None for one in each.body.attachments),
    )


def _passed(
    record: Arrived, where: tuple[bytes, str], some: Sequence[Arrival], code: str | None, now: int
) -> PassedRow:
    ids = tuple(arrival.header.id for arrival in some if arrival.header is not None)
    return PassedRow(now, record.batch.key, *where, code, ids)


def _refusal(record: Arrived, peer: bytes, arrival: Arrival, code: str, now: int) -> links.RefusalRow:
    return links.RefusalRow(peer, record.lane, record.life, arrival.number, arrival.leaf, code, now)
