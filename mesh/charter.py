"""The charter: the owner key's word on which node key is the root of this mesh, in this reign.

A sealed batch of type `charter` with one statement and an empty body. Its header is a msgpack array in shortest form:
[1, reign, root key, addresses, previous root's fate ("" | "sibling" | "revoked"), roster version, roster hash,
wall clock in ns]; an address is a text "host:port" or a relay's URL.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgpack
from netsky.envelope.batch import Statement, decode_batch, encode_batch, seal, verify_batch
from netsky.envelope.invalid import Invalid
from netsky.mesh.frame_reader import FrameReader
from netsky.mesh.frames import KEY_BYTES
from netsky.mesh.limits import ADDRESS_TEXT_BYTES_MAX, ADDRESSES_MAX, CODE_BYTES_MAX

CHARTER_BYTES_MAX = 1024
"""It has to fit the one frame of the charter door."""

_FORM = 1


@dataclass(frozen=True, slots=True)
class Charter:
    mesh: bytes
    owner_key: bytes
    reign: int
    root_key: bytes
    addresses: tuple[str, ...]
    previous: str
    roster_version: int
    roster_hash: bytes
    issued: int
    """Wall clock of the machine that sealed it, in ns; for people."""


def seal_charter(charter: Charter, sign: Callable[[bytes], bytes]) -> bytes:
    """The bytes of the charter file, sealed with the owner key."""
    header: bytes = msgpack.packb(
        [
            _FORM,
            charter.reign,
            charter.root_key,
            list(charter.addresses),
            charter.previous,
            charter.roster_version,
            charter.roster_hash,
            charter.issued,
        ]
    )
    batch = seal(sign, charter.owner_key, "charter", charter.mesh, [Statement(header, b"")])
    data: bytes = encode_batch(batch)
    assert len(data) <= CHARTER_BYTES_MAX
    return data


def open_charter(data: bytes) -> Charter:
    """Verifies, then parses the very bytes that were verified. Raises Invalid."""
    if len(data) > CHARTER_BYTES_MAX:
        raise Invalid("charter", f"a charter has at most {CHARTER_BYTES_MAX} bytes", "too_large")
    batch = decode_batch(data)
    if batch.type != "charter" or len(batch.statements) != 1:
        raise Invalid("charter", "is a batch of another type or of several statements", "not_a_charter")
    wrong = verify_batch(batch, None)
    if wrong is not None:
        raise Invalid("charter", wrong, "bad_seal")
    (statement,) = batch.statements
    if isinstance(statement, bytes) or statement.body:
        raise Invalid("charter", "its statement must stand in it, with an empty body", "not_a_charter")
    return _charter(batch.mesh, batch.key, statement.header)


def _charter(mesh: bytes, owner_key: bytes, header: bytes) -> Charter:
    if mesh == bytes(16):
        raise Invalid("charter", "names no mesh", "not_a_charter")
    try:
        return _read(mesh, owner_key, FrameReader(header, "charter"))
    except Invalid as fault:
        raise Invalid("charter", fault.sentence, "not_a_charter") from None


def _read(mesh: bytes, owner_key: bytes, reader: FrameReader) -> Charter:
    reader.fields(8)
    form, reign, root_key = reader.number(), reader.number(), reader.exact(KEY_BYTES)
    addresses = tuple(reader.plain(ADDRESS_TEXT_BYTES_MAX) for _ in range(reader.array(ADDRESSES_MAX)))
    previous, version, roster_hash = reader.text(CODE_BYTES_MAX), reader.number(), reader.binary(32)
    issued = reader.number()
    reader.end()
    if form != _FORM:
        raise reader.damaged(f"has form {form}; this build reads {_FORM}")
    if not reign or previous not in {"", "sibling", "revoked"} or len(roster_hash) not in {0, 32}:
        raise reader.damaged("has a field of another size or value")
    return Charter(mesh, owner_key, reign, root_key, addresses, previous, version, roster_hash, issued)
