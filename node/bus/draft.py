"""What a producer hands in, and what it gets back."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast

from netsky.envelope.address import Address, parse_address
from netsky.envelope.fields import Attachment, Body, id_fault, is_id, kind_fault
from netsky.envelope.invalid import Invalid
from netsky.envelope.kinds import KINDS, Lane, lane_of
from netsky.envelope.limits import EXPIRES_MAX_NS, EXPIRES_REPLY_NS, EXPIRES_WORK_NS
from netsky.envelope.strict_json import canonical_object
from netsky.envelope.wire import encode_body
from netsky.node.bus.between import schema_of
from netsky.node.errors import Refused, Usage

Via = Literal["actor", "operator", "outbox", "node"]
"""The way in. "node" is the daemon itself: its words need no row of the authority table."""


@dataclass(slots=True)
class Draft:
    """An envelope before it has an id, a time and a seal."""

    to: str
    text: str
    kind: str | None = None
    in_reply_to: str | None = None
    thread: str | None = None
    swarm: str | None = None
    idempotency_key: str | None = None
    requires_ack: bool = False
    data: Mapping[str, object] | bytes | None = None  # bytes: canonical already
    attachments: tuple[Attachment, ...] = ()
    expires_in_ns: int | None = None
    parent: str | None = None
    id: str | None = None  # given for outbox files only, from their name and content
    file_clock: int | None = None  # the daemon's own: its file stands in its reader's inbox where this clock would


@dataclass(slots=True)
class Accepted:
    """Stored for good. For a duplicate these are the facts of the first one."""

    id: str
    origin: bytes
    leaf: bytes
    clock: int
    duplicate: bool
    file: str | None
    destination: bytes
    skewed: bool = False  # its cause's clock was too far ahead to be followed


@dataclass(slots=True)
class Offer:
    """A draft whose own fields are in order: what is left to decide needs rows."""

    sender: str
    via: Via
    draft: Draft
    to: Address
    body: Body
    body_bytes: bytes
    request: bytes  # with an idempotency key: hash of all that the producer chose, which must be the same again
    lane: Lane
    lasts_ns: int


def prepare(sender: str, via: Via, draft: Draft) -> Offer:
    """Checks what can be checked without the database. Raises Usage with the field and the rule."""
    try:
        to = parse_address(draft.to)
        if draft.kind is not None and draft.kind not in KINDS:
            raise kind_fault()
        if draft.id is not None and not is_id(draft.id):
            raise id_fault("id")
        data = draft.data
        if data is not None and not isinstance(data, bytes):
            data = canonical_object(cast("dict[str, object]", dict(data)))
        body = Body(draft.text, data, tuple(draft.attachments))
        body_bytes = encode_body(body)
        _check_word(via, draft.kind, body.data)
    except Invalid as invalid:
        raise refused_field(invalid) from None
    lane = lane_of(draft.kind)
    lasts = draft.expires_in_ns
    if lasts is None:
        lasts = EXPIRES_WORK_NS if lane == "work" else EXPIRES_REPLY_NS
    if not 0 < lasts <= EXPIRES_MAX_NS:
        raise Usage(
            "An envelope expires at least a moment and at most 30 days from now.",
            next="netsky help limits",
            code="expires_range",
        )
    request = b"" if draft.idempotency_key is None else _request_hash(draft, to, body_bytes)
    return Offer(sender, via, draft, to, body, body_bytes, request, lane, lasts)


def _check_word(via: Via, kind: str | None, data: bytes | None) -> None:
    schema = "" if via == "node" else schema_of(kind, data)
    if schema:
        raise Refused(
            f"data of the schema {schema} is written by the nodes themselves",
            next="netsky task add or netsky run hands in work",
            code="authority",
        )


def refused_field(invalid: Invalid) -> Usage:
    return Usage(invalid.sentence, next="netsky help limits", code=invalid.code)


def _request_hash(draft: Draft, to: Address, body: bytes) -> bytes:
    chosen = (
        str(to), draft.kind, draft.in_reply_to, draft.thread, draft.swarm, bool(draft.requires_ack), draft.parent,
    )  # fmt: skip
    return hashlib.sha256(ascii(chosen).encode() + b"\n" + body).digest()
