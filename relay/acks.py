"""What a daemon says in its actor's name of an envelope that came from far: that the actor took it, as its sender had
asked to hear, or, between two siblings, that it gave up on it.

Each has one form, in which an actor can put no word of its own: a fixed text, a time or a code of a few, and an id that
follows from the envelope that it answers. So it needs no row of the authority table. The root lets it pass where an
envelope could have come the other way; and the origin of that envelope, which alone knows what it sent and asked, takes
it only for one of its own.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable

from netsky.envelope.fields import Body, Header

TEXT = "Taken."
GIVEN_UP_TEXT = "The actor gave up on this. Why, its own node tells: netsky trace ID and netsky agent logs there."
GIVEN_UP_CODES = ("answer_too_large", "cannot_start", "expired", "poison", "timed_out", "program_failed")
"""Any other reason is said as the last of them."""

_matches_given_up = re.compile(rb'\{"error":\{"code":"([a-z_]{1,32})"\}\}').fullmatch
_matches_data = re.compile(rb'\{"ack":true,"taken_at":\d{1,19}\}').fullmatch


def ack_id(origin: bytes, id: str) -> str:  # noqa: A002 - the envelope's word
    """The id of the acknowledgement of this envelope: there is one at most."""
    return "ack-" + _hash(origin, id)


def given_up_id(origin: bytes, id: str) -> str:  # noqa: A002 - the envelope's word
    """The id of the word that its actor gave up on this envelope: there is one at most."""
    return "given-up-" + _hash(origin, id)


def is_ack(header: Header, body: Body) -> bool:
    """Whether it has the form. Whether it answers anything is for the origin to say."""
    return (
        _is_bare(header, body, "reply", ack_id)
        and body.text == TEXT
        and body.data is not None
        and _matches_data(body.data) is not None
    )


def is_given_up(header: Header, body: Body) -> bool:
    """Likewise."""
    said = _matches_given_up(body.data or b"")
    return (
        _is_bare(header, body, "error", given_up_id)
        and body.text == GIVEN_UP_TEXT
        and said is not None
        and said[1].decode() in GIVEN_UP_CODES
    )


def is_daemons_word(header: Header, body: Body) -> bool:
    return is_ack(header, body) or is_given_up(header, body)


def _hash(origin: bytes, id: str) -> str:  # noqa: A002
    return hashlib.sha256(origin + id.encode()).hexdigest()[:32]


def _is_bare(header: Header, body: Body, kind: str, id_of: Callable[[bytes, str], str]) -> bool:
    return (
        header.kind == kind
        and header.in_reply_to is not None
        and header.id == id_of(header.destination, header.in_reply_to)
        and not header.requires_ack
        and header.swarm is header.idempotency_key is header.parent is None
        and not body.attachments
    )
