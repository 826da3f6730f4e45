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
from netsky.node.errors import Refused
from netsky.node.home import Home
from netsky.node.seams.files import Files, HostileFile

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
    try:
        found = msgpack.unpackb(header, use_list=False, raw=False, max_array_len=16, max_map_len=0, max_ext_len=0)
    except (ValueError, msgpack.UnpackException, RecursionError):
        raise Invalid("charter", "its header is not msgpack", "not_a_charter") from None
    if not isinstance(found, tuple) or msgpack.packb(found) != header:
        raise Invalid("charter", "its header is not in shortest form", "not_a_charter")
    match found:
        case (
            1,
            int(reign),
            bytes(root_key),
            tuple(addresses),
            str(previous),
            int(roster_version),
            bytes(roster_hash),
            int(issued),
        ):
            pass
        case _:
            raise Invalid("charter", "its header has other fields", "not_a_charter")
    if not 1 <= reign < 1 << 63 or not 0 <= roster_version < 1 << 63 or not 0 <= issued < 1 << 63:
        raise Invalid("charter", "a number in its header is out of range", "not_a_charter")
    if len(root_key) != 32 or len(roster_hash) not in {0, 32} or previous not in {"", "sibling", "revoked"}:
        raise Invalid("charter", "a field of its header has another size or value", "not_a_charter")
    if len(addresses) > 16 or not all(isinstance(address, str) for address in addresses):
        raise Invalid("charter", "its addresses are at most 16 texts", "not_a_charter")
    charter = Charter(mesh, owner_key, reign, root_key, addresses, previous, roster_version, roster_hash, issued)
    if mesh == bytes(16):
        raise Invalid("charter", "names no mesh", "not_a_charter")
    return charter


def read_charter(home: Home, files: Files) -> Charter | None:
    """The charter of this home, None if it has none; a damaged one is refused, never overlooked."""
    folder = files.open_folder(home.path)
    try:
        data = files.read(folder, "charter", CHARTER_BYTES_MAX)
    except FileNotFoundError:
        return None
    except HostileFile as hostile:
        raise Refused(f"{home.charter} is not used: {hostile.sentence}", next="netsky doctor") from None
    finally:
        files.close(folder)
    try:
        return open_charter(data)
    except Invalid as invalid:
        raise Refused(
            f"{home.charter} is damaged: {invalid.sentence}",
            next="put the charter back from your backup; without it this node belongs to no mesh",
            code="damaged_charter",
        ) from None
