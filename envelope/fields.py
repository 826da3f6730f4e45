"""What an envelope holds, and every rule that its fields obey."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from netsky.envelope.address import matches_address
from netsky.envelope.invalid import Invalid
from netsky.envelope.kinds import KINDS
from netsky.envelope.limits import (
    ATTACHMENT_BYTES_MAX,
    ATTACHMENT_NAME_BYTES_MAX,
    ATTACHMENTS_MAX,
    EXPIRES_MAX_NS,
    ID_BYTES_MAX,
    TEXT_BYTES_MAX,
    TIME_MAX,
)
from netsky.envelope.strict_json import object_invalid

HEADER_VERSION = 1

# An id is typed by people, stands in paths and on command lines: nothing in it needs quoting or looks like an option.
_matches_id = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._:+-]{{0,{ID_BYTES_MAX - 1}}}").fullmatch
# What other programs choose and we only carry: any printable ASCII without spaces.
_matches_token = re.compile(rf"[!-~]{{1,{ID_BYTES_MAX}}}").fullmatch
# A name that a person sees and a program may use for a file: no separator, nothing invisible, no change of direction.
_NAME_UNFIT = re.compile("[/\\\\\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
_WRAPPER_CLOSING = re.compile(r"<\s*+/\s*+channel(?![\w-])", re.IGNORECASE)
_WRAPPER_OPENING = re.compile(r"<\s*+channel(?![\w-])", re.IGNORECASE)
_WRAPPER_PARTS = re.compile(rf"""(?P<open>{_WRAPPER_OPENING.pattern})|(?P<source>\bsource\s*+=)|[>"']""", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Attachment:
    """A blob that travels beside the envelope and is named by its content."""

    name: str
    size: int
    sha256: bytes


@dataclass(slots=True)
class Header:
    """All that a router reads, in the order of the wire. The keys decide, the names are for people.

    Times are nanoseconds since 1970.
    """

    v: int
    id: str
    origin: bytes
    sender: str
    destination: bytes
    to: str
    kind: str | None
    in_reply_to: str | None
    thread: str | None
    swarm: str | None
    idempotency_key: str | None
    requires_ack: bool
    ts: int
    clock: int
    expires: int
    parent: str | None


header_values: Callable[[Header], tuple[Any, ...]] = attrgetter(*Header.__slots__)
"""The values of a header as a tuple, in the order of the wire."""


@dataclass(slots=True)
class Body:
    """What actor and program read. `data` is a JSON object in its canonical bytes."""

    text: str
    data: bytes | None = None
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True)
class Envelope:
    header: Header
    body: Body


def header_invalid(header: Header) -> str | None:
    """The sentence of what is wrong, or None."""
    fault = header_fault(header)
    return None if fault is None else fault.sentence


def body_invalid(body: Body) -> str | None:
    """The sentence of what is wrong, or None."""
    fault = body_fault(body)
    return None if fault is None else fault.sentence


def header_fault(header: Header) -> Invalid | None:
    return header_values_fault(header_values(header))


def header_values_fault(values: tuple[Any, ...]) -> Invalid | None:
    """What is wrong with the sixteen values of a header, whatever their types: strangers send such."""
    try:
        return _values_fault(values)
    except TypeError:
        return Invalid("header", "The header has a field of another type than its rule says.", "type")


def _values_fault(values: tuple[Any, ...]) -> Invalid | None:  # noqa: C901, PLR0912 - one check per rule, as a table
    # A pattern raises TypeError for what is no string, so those fields need no check of their type. This runs for
    # every envelope that passes the root, hence the names bound at the top and no helpers.
    v, id_, origin, sender, destination, to, kind, *carried, ack, ts, clock, expires, parent = values
    in_reply_to, thread, swarm, key = carried
    if type(v) is not int or v != HEADER_VERSION:
        return Invalid("v", f"v must be {HEADER_VERSION}.", "version")
    if not _matches_id(id_):
        return id_fault("id")
    if type(origin) is not bytes or len(origin) != 32:
        return Invalid("origin", "origin must be a key of 32 bytes.", "key_invalid")
    if not matches_address(sender):
        return Invalid("from", "from must be an address like agent4@netsky1.", "address_invalid")
    if type(destination) is not bytes or len(destination) != 32:
        return Invalid("destination", "destination must be a key of 32 bytes.", "key_invalid")
    if not matches_address(to):
        return Invalid("to", "to must be an address like agent4@netsky1.", "address_invalid")
    if kind is not None and kind not in KINDS:
        return kind_fault()
    if in_reply_to is not None and not _matches_token(in_reply_to):
        return token_fault("in_reply_to")
    if thread is not None and not _matches_token(thread):
        return token_fault("thread")
    if swarm is not None and not _matches_token(swarm):
        return token_fault("swarm")
    if key is not None and not _matches_token(key):
        return token_fault("idempotency_key")
    if type(ack) is not bool:
        return Invalid("requires_ack", "requires_ack must be true or false.", "type")
    if type(ts) is not int or not 0 <= ts <= TIME_MAX:
        return time_fault("ts")
    if type(clock) is not int or not 0 <= clock <= TIME_MAX:
        return time_fault("clock")
    if type(expires) is not int or not 0 <= expires <= TIME_MAX:
        return time_fault("expires")
    if not ts < expires <= ts + EXPIRES_MAX_NS:
        return Invalid("expires", "expires must be later than ts, by 30 days at most.", "expires_range")
    if parent is not None and not _matches_token(parent):
        return token_fault("parent")
    return None


def body_fault(body: Body) -> Invalid | None:
    fault = text_fault(body.text)
    if fault is not None:
        return fault
    if body.data is not None:
        if type(body.data) is not bytes:
            return Invalid("data", "data must be the bytes of a JSON object.", "type")
        fault = object_invalid(body.data)
        if fault is not None:
            return fault
    return attachments_fault(body.attachments)


def text_fault(text: str) -> Invalid | None:
    if type(text) is not str:
        return Invalid("text", "text must be a string.", "type")
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        return Invalid("text", "text must not hold a lone surrogate.", "lone_surrogate")
    if size > TEXT_BYTES_MAX:
        return Invalid(
            "text",
            f"text has {size} bytes, at most {TEXT_BYTES_MAX} are allowed; send larger things as attachments.",
            "text_too_large",
        )
    if has_wrapper_token(text):
        return Invalid("text", "text must not hold a channel tag.", "wrapper_token")
    return None


def attachments_fault(attachments: tuple[Attachment, ...]) -> Invalid | None:
    if type(attachments) is not tuple or len(attachments) > ATTACHMENTS_MAX:
        return Invalid("attachments", f"attachments must be at most {ATTACHMENTS_MAX}.", "attachments_count")
    for attachment in attachments:
        if type(attachment) is not Attachment:
            return Invalid("attachments", "An attachment has a name, a size and a SHA-256.", "type")
        if not is_attachment_name(attachment.name):
            return Invalid(
                "attachments",
                "An attachment's name has 1 to 255 bytes, no slash, no invisible character, and is not . or .. alone.",
                "attachment_name",
            )
        if type(attachment.size) is not int or not 0 <= attachment.size <= ATTACHMENT_BYTES_MAX:
            return Invalid("attachments", "An attachment has a size of at most 1 GiB.", "attachment_size")
        if type(attachment.sha256) is not bytes or len(attachment.sha256) != 32:
            return Invalid("attachments", "An attachment has a SHA-256 of 32 bytes.", "attachment_hash")
    if len({attachment.name for attachment in attachments}) != len(attachments):
        return Invalid("attachments", "Two attachments must not have the same name.", "attachment_name")
    return None


def has_wrapper_token(text: str) -> bool:
    """Whether a consumer that puts text between Netsky's channel tags could be led out of them, or into new ones."""
    if "<" not in text:
        return False
    if _WRAPPER_CLOSING.search(text) is not None:
        return True
    opening = _WRAPPER_OPENING.search(text)
    if opening is None:
        return False
    # One pass, whatever the text: quotes are followed, because a tag may hold ">" between them.
    inside, quote = False, ""
    for match in _WRAPPER_PARTS.finditer(text, opening.start()):
        mark = match.group()
        if match.lastgroup == "open":
            inside, quote = True, ""
        elif match.lastgroup == "source":
            if inside:
                return True
        elif inside and mark == ">":
            inside = bool(quote)
        elif inside:
            quote = "" if quote == mark else quote or mark
    return False


def is_id(text: object) -> bool:
    return type(text) is str and _matches_id(text) is not None


def is_token(text: object) -> bool:
    return type(text) is str and _matches_token(text) is not None


def is_attachment_name(name: object) -> bool:
    if type(name) is not str or name in {"", ".", ".."} or _NAME_UNFIT.search(name) is not None:
        return False
    try:
        return len(name.encode()) <= ATTACHMENT_NAME_BYTES_MAX
    except UnicodeEncodeError:
        return False


def id_fault(field: str) -> Invalid:
    return Invalid(
        field,
        f"{field} must be 1 to {ID_BYTES_MAX} letters, digits or . _ : + - and begin with a letter or digit.",
        "id_invalid",
    )


def token_fault(field: str) -> Invalid:
    return Invalid(
        field, f"{field} must be 1 to {ID_BYTES_MAX} printable ASCII characters without spaces.", "token_invalid"
    )


def kind_fault() -> Invalid:
    return Invalid("kind", f"kind must be one of {', '.join(KINDS)}, or absent for text.", "kind_unknown")


def time_fault(field: str) -> Invalid:
    return Invalid(field, f"{field} must be a time in nanoseconds between 1970 and 2262.", "time_invalid")
