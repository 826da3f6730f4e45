"""What is said at the door for joining, as values and bytes. The layout stands in README.md: the two change together.

Framed as a link is: the length in four bytes, then one msgpack array in shortest form. Whatever the bytes are, decoding
returns a frame or raises `Invalid`, and builds nothing larger than the bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgpack
from netsky.envelope.invalid import Invalid
from netsky.mesh.charter import CHARTER_BYTES_MAX
from netsky.mesh.frame_reader import FrameReader
from netsky.mesh.frames import HEAD_BYTES
from netsky.mesh.limits import (
    CODE_BYTES_MAX,
    JOIN_ASK_BYTES_MAX,
    JOIN_FRAME_BYTES_MAX,
    JOIN_PIECE_BYTES,
    NODE_NAME_BYTES_MAX,
    PROGRAM_BYTES_MAX,
    ROSTER_BYTES_MAX,
)
from netsky.mesh.splitter import FrameSplitter
from netsky.mesh.transport import TransportStream

VERSION = 1
NONCE_BYTES = 32
REFUSAL_BYTES_MAX = 400
"""Of a refusal's sentence: it says what to do as well."""


@dataclass(frozen=True, slots=True)
class Knock:
    version: int
    nonce: bytes
    invite: bytes
    program: str


@dataclass(frozen=True, slots=True)
class Challenge:
    version: int
    nonce: bytes
    wall: int


@dataclass(frozen=True, slots=True)
class Proof:
    mac: bytes
    shown: int
    """Bytes of the roster that the joiner has already and shows in the pieces that follow; 0 for none."""


@dataclass(frozen=True, slots=True)
class Piece:
    offset: int
    piece: bytes


@dataclass(frozen=True, slots=True)
class Pending:
    charter: bytes


@dataclass(frozen=True, slots=True)
class Enrolled:
    name: str
    charter: bytes
    roster: int
    """Bytes of the roster in the pieces that follow."""


@dataclass(frozen=True, slots=True)
class Refusal:
    code: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Stored:
    pass


JoinFrame = Knock | Challenge | Proof | Piece | Pending | Enrolled | Refusal | Stored


def encode_join(frame: JoinFrame) -> bytes:
    kind, write = _WRITERS[type(frame)]
    payload: bytes = msgpack.packb((kind, *write(frame)))
    assert len(payload) <= JOIN_FRAME_BYTES_MAX
    return len(payload).to_bytes(HEAD_BYTES, "big") + payload


def decode_join(payload: bytes) -> JoinFrame:
    """Raises Invalid, whatever the bytes are. The length in front is already taken off."""
    reader = FrameReader(payload, "frame")
    count = reader.array(8)
    kind = reader.number() if count else -1
    known = _READERS.get(kind)
    if known is None:
        raise reader.damaged("is of no known kind")
    fields, read = known
    if count != fields + 1:
        raise reader.damaged(f"of kind {kind} has {count} fields")
    frame = read(reader)
    reader.end()
    return frame


def pieces_of(data: bytes) -> Iterator[Piece]:
    for offset in range(0, len(data), JOIN_PIECE_BYTES):
        yield Piece(offset, data[offset : offset + JOIN_PIECE_BYTES])


class Collected:
    """A roster that comes in pieces, in order and no larger than was said."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._data = bytearray()

    @property
    def complete(self) -> bool:
        return len(self._data) == self._total

    @property
    def data(self) -> bytes:
        assert self.complete
        return bytes(self._data)

    def add(self, piece: Piece) -> None:
        """Raises Invalid."""
        if piece.offset != len(self._data) or not piece.piece or piece.offset + len(piece.piece) > self._total:
            raise Invalid("frame", "A piece of the roster is out of place.", "frame")
        self._data += piece.piece


class JoinStream:
    """The one stream of a connection at this door, as frames. Any exception leaves it dead."""

    def __init__(self, stream: TransportStream, *, root: bool) -> None:
        self._stream = stream
        self._splitter = FrameSplitter(JOIN_ASK_BYTES_MAX if root else JOIN_FRAME_BYTES_MAX)

    async def send(self, frame: JoinFrame) -> None:
        await self._stream.send(encode_join(frame))

    async def receive(self) -> JoinFrame | None:
        """None when the other side finished between two frames. Raises Invalid, TransportError."""
        payload = await self._splitter.next(self._stream)
        return None if payload is None else decode_join(payload)


def _read_knock(reader: FrameReader) -> Knock:
    return Knock(reader.number(), reader.exact(NONCE_BYTES), reader.exact(32), reader.text(PROGRAM_BYTES_MAX))


def _read_total(reader: FrameReader) -> int:
    total = reader.number()
    if total > ROSTER_BYTES_MAX:
        raise reader.damaged(f"announces a roster of more than {ROSTER_BYTES_MAX} bytes")
    return total


_WRITERS: dict[type, tuple[int, Callable[[Any], tuple[Any, ...]]]] = {
    Knock: (0, lambda f: (f.version, f.nonce, f.invite, f.program)),
    Challenge: (1, lambda f: (f.version, f.nonce, f.wall)),
    Proof: (2, lambda f: (f.mac, f.shown)),
    Piece: (3, lambda f: (f.offset, f.piece)),
    Pending: (4, lambda f: (f.charter,)),
    Enrolled: (5, lambda f: (f.name, f.charter, f.roster)),
    Refusal: (6, lambda f: (f.code, f.sentence)),
    Stored: (7, lambda _: ()),
}

_READERS: dict[int, tuple[int, Callable[[FrameReader], JoinFrame]]] = {
    0: (4, _read_knock),
    1: (3, lambda r: Challenge(r.number(), r.exact(NONCE_BYTES), r.number())),
    2: (2, lambda r: Proof(r.exact(32), _read_total(r))),
    3: (2, lambda r: Piece(r.number(), r.blob(JOIN_PIECE_BYTES))),
    4: (1, lambda r: Pending(r.blob(CHARTER_BYTES_MAX))),
    5: (3, lambda r: Enrolled(r.text(NODE_NAME_BYTES_MAX), r.blob(CHARTER_BYTES_MAX), _read_total(r))),
    6: (2, lambda r: Refusal(r.text(CODE_BYTES_MAX), r.text(REFUSAL_BYTES_MAX))),
    7: (0, lambda _: Stored()),
}
