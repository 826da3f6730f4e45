"""The ticket: one line of text by which a machine joins a mesh, with all that it must know to trust nobody else.

`netsky1` and base32 of (a msgpack array in shortest form [1, mesh, owner key, charter hash, root key, [address …],
relay, secret, ends] ‖ the first 4 bytes of its SHA-256). Base32 has no 1, so the prefix ends by itself, a double click
takes the whole, and neither case nor a line break in the middle does harm.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from hashlib import sha256

import msgpack
from netsky.envelope.invalid import Invalid
from netsky.mesh.frame_reader import FrameReader
from netsky.mesh.limits import ADDRESS_TEXT_BYTES_MAX, ADDRESSES_MAX, TICKET_LETTERS_MAX

PREFIX = "netsky1"
SECRET_BYTES = 16
_FORM = 1
_CHECK_BYTES = 4
_SPACE = re.compile(r"\s+")
_PRINTABLE = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True)
class Ticket:
    mesh: bytes
    owner_key: bytes
    charter_hash: bytes
    root_key: bytes
    addresses: tuple[str, ...]
    """Where the root listens: "host:port"."""
    relay: str
    """The URL of its relay, or nothing."""
    secret: bytes
    ends: int
    """By the root's wall clock, ns: the root alone judges it."""

    def __repr__(self) -> str:  # the generated one would show the secret
        return f"Ticket(mesh={self.mesh.hex()}, root={self.root_key.hex()[:16]})"

    @property
    def invite(self) -> bytes:
        """What names the invite to the root: whoever overhears it cannot join by it."""
        return invite_of(self.secret)


def invite_of(secret: bytes) -> bytes:
    return sha256(b"netsky invite 1\0" + secret).digest()


def ticket_text(ticket: Ticket) -> str:
    """The line. An address that does not fit is a mistake of the caller."""
    assert len(ticket.addresses) <= ADDRESSES_MAX
    assert all(len(address) <= ADDRESS_TEXT_BYTES_MAX for address in (*ticket.addresses, ticket.relay))
    data: bytes = msgpack.packb(
        (
            *(_FORM, ticket.mesh, ticket.owner_key, ticket.charter_hash, ticket.root_key),
            *(ticket.addresses, ticket.relay, ticket.secret, ticket.ends),
        )
    )
    whole = data + sha256(data).digest()[:_CHECK_BYTES]
    return PREFIX + base64.b32encode(whole).decode().rstrip("=").lower()


def read_ticket(text: str) -> Ticket:
    """Raises Invalid, whatever the text is, with a sentence for whoever typed it."""
    if len(text) > 2 * TICKET_LETTERS_MAX:
        raise _invalid("is far longer than any ticket", "ticket_form")
    letters = _SPACE.sub("", text).lower()
    if not letters.startswith(PREFIX):
        raise _invalid(f"does not begin with {PREFIX}: paste the whole line from `netsky invite`", "ticket_form")
    if len(letters) > TICKET_LETTERS_MAX:
        raise _invalid("is longer than any ticket: something was pasted beside it", "ticket_form")
    body = letters.removeprefix(PREFIX)
    try:
        whole = base64.b32decode(body.upper() + "=" * (-len(body) % 8))
    except (binascii.Error, ValueError):
        raise _cut() from None
    data, check = whole[:-_CHECK_BYTES], whole[-_CHECK_BYTES:]
    if sha256(data).digest()[:_CHECK_BYTES] != check:
        raise _cut()
    ticket = _read(data)
    if ticket_text(ticket) != letters:  # bits beyond the last byte: two spellings of one ticket
        raise _cut()
    return ticket


def _read(data: bytes) -> Ticket:
    reader = FrameReader(data, "ticket")
    count = reader.array(16)
    form = reader.number()
    if form != _FORM:
        raise _invalid(
            f"has form {form} and this program reads form {_FORM}: install the same version on both machines", "version"
        )
    if count != 9:
        raise reader.damaged("has other fields")
    mesh, owner_key, charter_hash, root_key = (
        *(reader.exact(16), reader.exact(32), reader.exact(32)),
        reader.exact(32),
    )
    addresses = tuple(reader.text(ADDRESS_TEXT_BYTES_MAX) for _ in range(reader.array(ADDRESSES_MAX)))
    relay, secret, ends = reader.text(ADDRESS_TEXT_BYTES_MAX), reader.exact(SECRET_BYTES), reader.number()
    reader.end()
    if not all(_PRINTABLE.fullmatch(address) for address in (*addresses, relay or "-")):
        raise reader.damaged("has an address that is not plain ASCII")
    return Ticket(mesh, owner_key, charter_hash, root_key, addresses, relay, secret, ends)


def _cut() -> Invalid:
    return _invalid("is cut or mistyped: copy the whole line once more", "ticket_damaged")


def _invalid(how: str, code: str) -> Invalid:
    return Invalid("ticket", f"The ticket {how}.", code)
