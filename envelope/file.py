"""The readable form: one envelope as a JSON file that a person, and a published Netsky consumer, can read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from json.encoder import encode_basestring as _quoted
from typing import NamedTuple

from netsky.envelope.fields import (
    HEADER_VERSION,
    Attachment,
    Body,
    Header,
    attachments_fault,
    is_id,
    is_token,
    kind_fault,
    text_fault,
    time_fault,
    token_fault,
)
from netsky.envelope.invalid import Invalid
from netsky.envelope.kinds import KINDS
from netsky.envelope.limits import (
    ADDRESS_BYTES_MAX,
    ATTACHMENTS_MAX,
    DATA_DEPTH_MAX,
    FILE_BYTES_MAX,
    FILE_PROOF_BYTES,
    SECOND_NS,
    TIME_MAX,
)
from netsky.envelope.strict_json import canonical_object, read_json

# Looser than an address of ours: published producers are `agent` and any lowercase suffix.
_PARTY = r"[a-z][a-z0-9]*(?:@[a-z][a-z0-9]*)?"
_PARTY_FORM = re.compile(_PARTY)
_NAME_FORM = re.compile(rf"([0-9]{{20}})-([0-9]{{10}})-([0-9a-f]{{8}})-([0-9]{{10}})-from-({_PARTY})\.json")
_RFC3339 = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,9}))?(?:[Zz]|([+-][0-9]{2}:[0-9]{2}))"
)
_PARTS_OF_A_SECOND = ((0, 4), (5, 2), (8, 2), (11, 2), (14, 2), (17, 2))
_CLOCK_FORM = re.compile(r"0|[1-9][0-9]{0,18}")
_HEX_32 = re.compile(r"[0-9a-f]{64}")
# JSON lets these through, a terminal or an editor obeys them: written as escapes, they are seen.
_OBEYED = re.compile("[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
_DELETE = "\x7f"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class FileName(NamedTuple):
    """What the name of a file says. Nothing in it is trusted; it orders files and keeps writers apart."""

    clock: int
    pid: int
    rand: int
    seq: int
    sender: str


@dataclass(slots=True)
class Proof:
    """Which sealed envelope this file shows: its identity, its content, and the number it travelled under."""

    origin: bytes
    id: str
    leaf: bytes
    reign: int | None = None
    life: int | None = None
    number: int | None = None


@dataclass(slots=True)
class FileEnvelope:
    """A file as read. Only sender, text and ts are always there; nothing in it is proven by standing in it."""

    sender: str
    text: str
    ts: int
    v: int = HEADER_VERSION
    id: str | None = None
    to: str | None = None
    kind: str | None = None
    in_reply_to: str | None = None
    thread: str | None = None
    swarm: str | None = None
    idempotency_key: str | None = None
    requires_ack: bool = False
    data: bytes | None = None
    attachments: tuple[Attachment, ...] = ()
    expires: int | None = None
    parent: str | None = None
    clock: int | None = None
    proof: Proof | None = None


def file_name(clock: int, pid: int, rand32: int, seq: int, sender: str) -> str:
    """Sorts by clock; the other parts keep two writers of one nanosecond apart."""
    name = f"{clock:020}-{pid:010}-{rand32:08x}-{seq:010}-from-{sender}.json"
    assert _NAME_FORM.fullmatch(name) is not None, name
    assert clock <= TIME_MAX, name
    assert len(sender) <= ADDRESS_BYTES_MAX, name
    return name


def parse_file_name(name: str) -> FileName | None:
    match = _NAME_FORM.fullmatch(name)
    if match is None:
        return None
    clock, pid, rand, seq, sender = match.groups()
    if int(clock) > TIME_MAX or len(sender) > ADDRESS_BYTES_MAX:
        return None
    return FileName(int(clock), int(pid), int(rand, 16), int(seq), sender)


def to_file(header: Header, body: Body, proof: Proof) -> bytes:
    """The file of a valid envelope. Raises Invalid if it is too large after escaping.

    The proof has room of its own, so the answer is the same at the sender and at every node on the way.
    """
    envelope = _shown("".join(_pieces(header, body)))
    size = len(envelope) + len("}")
    if size > FILE_BYTES_MAX - FILE_PROOF_BYTES:
        raise Invalid(
            "text",
            f"As a file, where quotes, line ends and control characters take several bytes each, it has "
            f"{size} and may have {FILE_BYTES_MAX - FILE_PROOF_BYTES}; send larger things as attachments.",
            "too_large_escaped",
        )
    return envelope + _tail(proof)


def _pieces(header: Header, body: Body) -> Iterator[str]:
    """All but the end. Put together by hand: a dict, a filter and an encoder made for each call took thrice as long,
    and of a valid envelope only these values can need an escape."""
    yield f'{{"v":{header.v},"id":"{header.id}","from":"{header.sender}","to":"{header.to}"'
    if header.kind is not None:
        yield f',"kind":"{header.kind}"'
    for name in ("in_reply_to", "thread", "swarm", "idempotency_key"):
        value = getattr(header, name)
        if value is not None:
            yield f',"{name}":{_quoted(value)}'
    yield f',"requires_ack":{"true" if header.requires_ack else "false"}'
    yield f',"ts":"{write_time(header.ts)}","expires":"{write_time(header.expires)}","clock":"{header.clock}"'
    if header.parent is not None:
        yield f',"parent":{_quoted(header.parent)}'
    yield f',"text":{_quoted(body.text)}'
    if body.data is not None:
        yield f',"data":{body.data.decode()}'  # canonical JSON: what the encoder would say of its value
    if body.attachments:
        shown = (f'{{"name":{_quoted(a.name)},"size":{a.size},"sha256":"{a.sha256.hex()}"}}' for a in body.attachments)
        yield f',"attachments":[{",".join(shown)}]'


def _tail(proof: Proof) -> bytes:
    """Hex digits, an id and whole numbers: nothing in it needs an escape, so it is written without the encoder."""
    numbers = f'"reign":{_or_null(proof.reign)},"life":{_or_null(proof.life)},"number":{_or_null(proof.number)}'
    shown = f'"origin":"{proof.origin.hex()}","id":"{proof.id}","leaf":"{proof.leaf.hex()}",{numbers}'
    tail = f',"netsky":{{{shown}}}}}\n'.encode()
    assert len(tail) <= FILE_PROOF_BYTES
    return tail


def _or_null(number: int | None) -> str:
    return "null" if number is None else str(number)


def read_file(data: bytes, *, owner: str | None = None) -> FileEnvelope:
    """Reads our files and published ones. Keys that it does not know are passed over. Raises Invalid only.

    In an outbox the `owner` is the sender, whatever the file says or does not say.
    """
    if len(data) > FILE_BYTES_MAX:
        raise Invalid("file", f"The file has more than {FILE_BYTES_MAX} bytes.", "file_too_large")
    fields = read_json(data, "file", depth=DATA_DEPTH_MAX + 1)
    if not isinstance(fields, dict):
        raise Invalid("file", "file must be a JSON object.", "not_object")
    v = fields.get("v")
    if v is not None and (type(v) is not int or v != HEADER_VERSION):
        raise Invalid("v", f"v must be {HEADER_VERSION}.", "version")
    text = _required(fields, "text")
    fault = text_fault(text)
    if fault is not None:
        raise fault
    kind = _string(fields, "kind")
    if kind is not None and kind not in KINDS:
        raise kind_fault()
    requires_ack = fields.get("requires_ack")
    if requires_ack is not None and type(requires_ack) is not bool:
        raise Invalid("requires_ack", "requires_ack must be true or false.", "type")
    own_data = fields.get("data")
    if own_data is not None and not isinstance(own_data, dict):
        raise Invalid("data", "data must be a JSON object.", "not_object")
    expires = _string(fields, "expires")
    return FileEnvelope(
        sender=_party("from", _required(fields, "from")) if owner is None else owner,
        text=text,
        ts=read_time(_required(fields, "ts"), "ts"),
        id=_token(fields, "id"),
        to=None if (to := _string(fields, "to")) is None else _party("to", to),
        kind=kind,
        in_reply_to=_token(fields, "in_reply_to"),
        thread=_token(fields, "thread"),
        swarm=_token(fields, "swarm"),
        idempotency_key=_token(fields, "idempotency_key"),
        requires_ack=requires_ack is True,
        data=None if own_data is None else canonical_object(own_data),
        attachments=_attachments(fields.get("attachments")),
        expires=None if expires is None else read_time(expires, "expires"),
        parent=_token(fields, "parent"),
        clock=_clock(fields),
        proof=_proof(fields.get("netsky")),
    )


def write_time(ns: int) -> str:
    """RFC 3339 in UTC with all nine digits, so that equal times look equal and sort as text."""
    seconds, rest = divmod(ns, SECOND_NS)
    return f"{_whole_second(seconds)}.{rest:09}Z"


@lru_cache(maxsize=16)
def _whole_second(seconds: int) -> str:
    """Remembered, because the envelopes of a group share theirs."""
    return (_EPOCH + timedelta(seconds=seconds)).isoformat()[:19]


def read_time(text: str, field: str) -> int:
    """Nanoseconds since 1970 of an RFC 3339 time. Raises Invalid."""
    match = _RFC3339.fullmatch(text)
    try:
        if match is None:
            raise ValueError
        second, fraction, zone = match.groups()
        seconds = _seconds_since_1970(second, zone)
    except (ValueError, OverflowError):
        raise Invalid(field, f"{field} must be an RFC 3339 time like 2026-11-21T09:30:00Z.", "time_invalid") from None
    ns = seconds * SECOND_NS + int((fraction or "0").ljust(9, "0"))
    if not 0 <= ns <= TIME_MAX:
        raise Invalid(field, f"{field} must be a time between 1970 and 2262.", "time_invalid")
    return ns


@lru_cache(maxsize=16)
def _seconds_since_1970(second: str, zone: str | None) -> int:
    """Remembered for the same reason. Of a text whose form was checked; raises ValueError or OverflowError."""
    ahead = timedelta()
    if zone is not None:
        ahead = timedelta(hours=int(zone[1:3]), minutes=int(zone[4:])) * (1 if zone[0] == "+" else -1)
    year, month, day, hour, minute, whole = (int(second[at : at + width]) for at, width in _PARTS_OF_A_SECOND)
    since = datetime(year, month, day, hour, minute, whole, tzinfo=timezone(ahead)) - _EPOCH
    return since.days * 86_400 + since.seconds


def _shown(text: str) -> bytes:
    """JSON has escaped what of the first 32 characters a terminal obeys; the others are escaped here."""
    if text.isascii() and _DELETE not in text:
        return text.encode()
    return _OBEYED.sub(lambda match: f"\\u{ord(match.group()):04x}", text).encode()


def _required(fields: dict[str, object], field: str) -> str:
    value = _string(fields, field)
    if value is None:
        raise Invalid(field, f"{field} must be there.", "missing")
    return value


def _string(fields: dict[str, object], field: str) -> str | None:
    value = fields.get(field)
    if value is None:
        return None
    if not isinstance(value, str):
        raise Invalid(field, f"{field} must be a string.", "type")
    return value


def _token(fields: dict[str, object], field: str) -> str | None:
    value = _string(fields, field)
    if value is not None and not is_token(value):
        raise token_fault(field)
    return value


def _party(field: str, value: str) -> str:
    if len(value) > ADDRESS_BYTES_MAX or _PARTY_FORM.fullmatch(value) is None:
        raise Invalid(field, f"{field} must be an address like agent4 or agent4@netsky1.", "address_invalid")
    return value


def _clock(fields: dict[str, object]) -> int | None:
    value = _string(fields, "clock")
    if value is None:
        return None
    if _CLOCK_FORM.fullmatch(value) is None or int(value) > TIME_MAX:
        raise time_fault("clock")
    return int(value)


def _attachments(value: object) -> tuple[Attachment, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or len(value) > ATTACHMENTS_MAX:
        raise Invalid("attachments", f"attachments must be a list of at most {ATTACHMENTS_MAX}.", "attachments_count")
    attachments = []
    for item in value:
        match item:
            case {"name": str(name), "size": int(size), "sha256": str(digest)}:
                attachments.append(Attachment(name, size, _hash("attachments", digest)))
            case _:
                raise Invalid("attachments", "An attachment has a name, a size and a SHA-256.", "type")
    fault = attachments_fault(tuple(attachments))
    if fault is not None:
        raise fault
    return tuple(attachments)


def _proof(value: object) -> Proof | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise _no_proof()
    origin, name, leaf = value.get("origin"), value.get("id"), value.get("leaf")
    if not (isinstance(origin, str) and isinstance(leaf, str) and isinstance(name, str) and is_id(name)):
        raise _no_proof()
    numbers = (_number(value, "reign"), _number(value, "life"), _number(value, "number"))
    return Proof(_hash("netsky", origin), name, _hash("netsky", leaf), *numbers)


def _no_proof() -> Invalid:
    return Invalid("netsky", "netsky must hold origin, id and leaf.", "type")


def _number(fields: dict[str, object], field: str) -> int | None:
    value = fields.get(field)
    if value is not None and (type(value) is not int or value < 0):
        raise Invalid("netsky", f"netsky.{field} must be a whole number.", "type")
    return value


def _hash(field: str, text: str) -> bytes:
    if _HEX_32.fullmatch(text) is None:
        raise Invalid(field, f"{field} must hold 32 bytes as 64 lowercase hex digits.", "hash_invalid")
    return bytes.fromhex(text)
