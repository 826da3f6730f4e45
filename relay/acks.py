"""The one envelope that a daemon sends in its actor's name: that the actor took what its sender asked to hear of.

It has one form, in which an actor can put no word of its own: a fixed text, the time, and an id that follows from the
envelope that it answers. So it needs no row of the authority table. The root lets it pass where an envelope could have
come the other way; and the origin of that envelope, which alone knows what it asked, takes it only for one of its own.
"""

from __future__ import annotations

import hashlib
import re

from netsky.envelope.fields import Body, Header

TEXT = "Taken."
_matches_data = re.compile(rb'\{"ack":true,"taken_at":\d{1,19}\}').fullmatch


def ack_id(origin: bytes, id: str) -> str:  # noqa: A002 - the envelope's word
    """The id of the acknowledgement of this envelope: there is one at most."""
    return "ack-" + hashlib.sha256(origin + id.encode()).hexdigest()[:32]


def is_ack(header: Header, body: Body) -> bool:
    """Whether it has the form. Whether it answers anything is for the origin to say."""
    return (
        header.kind == "reply"
        and header.in_reply_to is not None
        and header.id == ack_id(header.destination, header.in_reply_to)
        and not header.requires_ack
        and header.swarm is header.idempotency_key is header.parent is None
        and body.text == TEXT
        and body.data is not None
        and _matches_data(body.data) is not None
        and not body.attachments
    )
