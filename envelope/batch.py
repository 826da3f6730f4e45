"""Many statements under one signature, and the proof of a single one.

Bytes are signed, not objects: what was verified is what is parsed. A batch says that the holder of a key made these
statements; whether that key may make them is asked each time by whoever acts on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

from netsky.envelope.invalid import Invalid
from netsky.envelope.limits import BATCH_BYTES_MAX, BATCH_MAX, BODY_BYTES_MAX, HEADER_BYTES_MAX
from netsky.envelope.msgpack_form import Reader, array_head, binary_head
from netsky.envelope.strict25519 import verify

TYPES = ("charter", "roster", "route", "envelope", "link", "hello")
VERSION = 1
ZERO_MESH = bytes(16)
"""The mesh of a home that has joined none."""

_SEAL_PREFIX = b"netsky seal over a batch of statements\n"
_LEAF_PREFIX = b"\x00"


class Statement(NamedTuple):
    """The exact bytes that were stated. A tuple, because a link makes and drops many thousand a second."""

    header: bytes
    body: bytes


@dataclass(frozen=True, slots=True)
class Batch:
    """Statements of one type by one signer; bare bytes are the leaf of one that was taken out."""

    version: int
    type: str
    mesh: bytes
    key: bytes
    signature: bytes
    statements: tuple[Statement | bytes, ...]


class BatchCache:
    """Remembers which batches verified, the newest `limit` of them. It says only that the mathematics holds."""

    def __init__(self, limit: int) -> None:
        assert limit > 0
        self._limit = limit
        self._known: dict[tuple[bytes, bytes, bytes], None] = {}

    def __len__(self) -> int:
        return len(self._known)

    def holds(self, key: bytes, signature: bytes, signed: bytes) -> bool:
        return (key, signature, signed) in self._known

    def remember(self, key: bytes, signature: bytes, signed: bytes) -> None:
        # Every signed field and the key are in the entry: by fewer of them, another key could take over a signature.
        self._known[key, signature, signed] = None
        if len(self._known) > self._limit:
            del self._known[next(iter(self._known))]


def leaf(type: str, mesh: bytes, header: bytes, body: bytes) -> bytes:  # noqa: A002 - the word of the format
    """The hash that stands for one statement, and is the content of an envelope's identity."""
    return _leaves(_leaf_head(VERSION, type, mesh), [Statement(header, body)])[0]


def leaf_of_hash(type: str, mesh: bytes, header: bytes, body_hash: bytes) -> bytes:  # noqa: A002
    """The same from the SHA-256 of the body: it proves what the header says to somebody who is not to see the body."""
    return _leaf(_leaf_head(VERSION, type, mesh), header, body_hash)


def signing_bytes(version: int, type: str, mesh: bytes, leaves: Sequence[bytes]) -> bytes:  # noqa: A002
    """What the key signs. Nothing of a peer's choosing stands in it unhashed."""
    return b"".join(
        (
            _SEAL_PREFIX,
            bytes((version,)),
            _prefixed(type.encode()),
            _prefixed(mesh),
            len(leaves).to_bytes(4, "big"),
            sha256(b"".join(leaves)).digest(),
        )
    )


def seal(
    sign: Callable[[bytes], bytes],
    key: bytes,
    type: str,  # noqa: A002
    mesh: bytes,
    statements: Sequence[Statement],
) -> Batch:
    """Signs 1 to 64 statements at once."""
    batch, _ = seal_with_leaves(sign, key, type, mesh, statements)
    return batch


def seal_with_leaves(
    sign: Callable[[bytes], bytes],
    key: bytes,
    type: str,  # noqa: A002
    mesh: bytes,
    statements: Sequence[Statement],
) -> tuple[Batch, list[bytes]]:
    """The same, for who stores the leaves as well: hashing each statement once and not twice."""
    hashed = _leaves(_leaf_head(VERSION, type, mesh), statements)
    signature = sign(signing_bytes(VERSION, type, mesh, hashed))
    batch = Batch(VERSION, type, mesh, key, signature, tuple(statements))
    assert (sentence := batch_invalid(batch)) is None, sentence
    return batch, hashed


def leaves(batch: Batch) -> list[bytes]:
    """The leaf of every statement, in order."""
    return _leaves(_leaf_head(batch.version, batch.type, batch.mesh), batch.statements)


def proof(batch: Batch, position: int) -> Batch:
    """The same batch with every other statement taken out: it proves one, and shows no more."""
    chosen = batch.statements[position]
    bare: list[Statement | bytes] = [*leaves(batch)]
    bare[position] = chosen
    return Batch(batch.version, batch.type, batch.mesh, batch.key, batch.signature, tuple(bare))


def batch_invalid(batch: Batch) -> str | None:
    """What is wrong with the shape of a batch, before any mathematics."""
    sentence = _head_invalid(batch)
    if sentence is not None:
        return sentence
    for statement in batch.statements:
        if isinstance(statement, Statement):
            if len(statement.header) > HEADER_BYTES_MAX or len(statement.body) > BODY_BYTES_MAX:
                return f"A statement has at most {HEADER_BYTES_MAX} bytes of header and {BODY_BYTES_MAX} of body."
        elif len(statement) != 32:
            return "A leaf has 32 bytes."
    return None


def verify_batch(batch: Batch, cache: BatchCache | None = None, hashed: Sequence[bytes] | None = None) -> str | None:
    """The sentence of what is wrong, or None: then its key signed exactly these statements.

    Role, roster and revocation are not asked here, and not remembered by the cache. `hashed` are the `leaves` of this
    very batch, from who has computed them already.
    """
    sentence = batch_invalid(batch)
    if sentence is not None:
        return sentence
    signed = signing_bytes(batch.version, batch.type, batch.mesh, leaves(batch) if hashed is None else hashed)
    if cache is not None and cache.holds(batch.key, batch.signature, signed):
        return None
    if not verify(batch.key, batch.signature, signed):
        return "The signature does not belong to this key and these statements."
    if cache is not None:
        cache.remember(batch.key, batch.signature, signed)
    return None


def encode_batch(batch: Batch) -> bytes:
    sentence = batch_invalid(batch)
    assert sentence is None, sentence
    type_bytes = batch.type.encode()
    pieces = [
        bytes((0x96, batch.version, 0xA0 + len(type_bytes))), type_bytes,
        binary_head(16), batch.mesh, binary_head(32), batch.key, binary_head(64), batch.signature,
        array_head(len(batch.statements)),
    ]  # fmt: skip
    for statement in batch.statements:
        if isinstance(statement, Statement):
            header, body = statement
            pieces += (b"\x92", binary_head(len(header)), header, binary_head(len(body)), body)
        else:
            pieces += (binary_head(32), statement)
    return b"".join(pieces)


def decode_batch(data: bytes) -> Batch:
    """Raises Invalid, whatever the bytes are. Nothing is verified yet."""
    if len(data) > BATCH_BYTES_MAX:
        raise Invalid("batch", f"The batch has more than {BATCH_BYTES_MAX} bytes.", "too_large")
    reader = Reader(data, "batch")
    if reader.array(6) != 6:
        raise reader.damaged("must have 6 fields")
    version = reader.unsigned()
    if version != VERSION:
        # Told apart from damage: the peer may speak a version that only a newer build reads.
        raise Invalid("batch", f"The batch has version {version}; this build reads {VERSION}.", "version")
    type_, mesh, key, signature = reader.text(16), reader.binary(16), reader.binary(32), reader.binary(64)
    statements = _statements(reader)
    reader.end()
    batch = Batch(version, type_, mesh, key, signature, tuple(statements))
    sentence = _head_invalid(batch)
    if sentence is not None:
        raise Invalid("batch", sentence, "damaged")
    return batch


def _head_invalid(batch: Batch) -> str | None:
    if batch.version != VERSION:
        return f"The batch has version {batch.version}; this build reads {VERSION}."
    if batch.type not in TYPES:
        return f"The batch has no known type; there are {', '.join(TYPES)}."
    if len(batch.mesh) != 16:
        return "A mesh id has 16 bytes."
    if len(batch.key) != 32:
        return "A key has 32 bytes."
    if len(batch.signature) != 64:
        return "A signature has 64 bytes."
    if not 1 <= len(batch.statements) <= BATCH_MAX:
        return f"A batch has 1 to {BATCH_MAX} statements."
    return None


def _statements(reader: Reader) -> list[Statement | bytes]:
    count = reader.array(BATCH_MAX)
    statements: list[Statement | bytes] = []
    while len(statements) < count:
        statements += _usual_statements(reader, count - len(statements))
        if len(statements) < count:
            statements.append(_statement(reader))
    return statements


def _usual_statements(reader: Reader, count: int) -> list[Statement]:
    """Those that come next, up to so many, as long as headers have less than 256 bytes and bodies more: written out
    instead of five calls for each. What is otherwise is left where it is, for `_statement` to read or refuse."""
    found: list[Statement] = []
    add = found.append
    (data, at), make = reader.rest(), tuple.__new__  # what Statement(…) does, without its call in Python
    size_of_all = len(data)
    try:
        for _ in range(count):
            if data[at] != 0x92 or data[at + 1] != 0xC4:
                break
            middle = at + 3 + data[at + 2]
            if data[middle] != 0xC5:
                break
            size = data[middle + 1] << 8 | data[middle + 2]
            end = middle + 3 + size
            if not 256 <= size <= BODY_BYTES_MAX or end > size_of_all:
                break
            add(make(Statement, (data[at + 3 : middle], data[middle + 3 : end])))
            at = end
    except IndexError:
        pass  # it ends in the middle of a field
    reader.skip_to(at)
    return found


def _statement(reader: Reader) -> Statement | bytes:
    if reader.pair():
        return Statement(reader.binary(HEADER_BYTES_MAX), reader.binary(BODY_BYTES_MAX))
    bare = reader.binary(32)
    if len(bare) != 32:
        raise reader.damaged("has a leaf of other than 32 bytes")
    return bare


def _prefixed(piece: bytes) -> bytes:
    return len(piece).to_bytes(4, "big") + piece


def _leaf_head(version: int, type_: str, mesh: bytes) -> bytes:
    return b"".join((_LEAF_PREFIX, bytes((version,)), _prefixed(type_.encode()), _prefixed(mesh)))


def _leaf(head: bytes, header: bytes, body_hash: bytes) -> bytes:
    return sha256(b"".join((head, len(header).to_bytes(4, "big"), header, body_hash))).digest()


def _leaves(head: bytes, statements: Iterable[Statement | bytes]) -> list[bytes]:
    return [
        sha256(
            b"".join((head, len(statement[0]).to_bytes(4, "big"), statement[0], sha256(statement[1]).digest()))
        ).digest()
        if isinstance(statement, Statement)
        else statement
        for statement in statements
    ]
