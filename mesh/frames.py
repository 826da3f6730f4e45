"""What two nodes say to each other, as values and as bytes. The layout stands in README.md; the two change together.

Whatever the bytes are, decoding returns a frame or raises `Invalid`, and builds nothing larger than the bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgpack
from netsky.envelope.invalid import Invalid
from netsky.envelope.kinds import Lane
from netsky.envelope.limits import BATCH_MAX
from netsky.envelope.msgpack_form import Reader
from netsky.mesh.limits import (
    CAPABILITIES_MAX,
    CAPABILITY_BYTES_MAX,
    CODE_BYTES_MAX,
    CONTROL_FRAME_BYTES_MAX,
    DATA_FRAME_BYTES_MAX,
    NUMBER_MAX,
    SENTENCE_BYTES_MAX,
)

CONTROL = 0
LANE_CHANNELS: dict[Lane, int] = {"reply": 1, "work": 2}
CHANNEL_LANES: dict[int, Lane] = {channel: lane for lane, channel in LANE_CHANNELS.items()}
HEAD_BYTES = 4
LEAF_BYTES = 32
LINEAGE_BYTES = 16


@dataclass(frozen=True, slots=True)
class Open:
    channel: int


@dataclass(frozen=True, slots=True)
class Position:
    """How far one lane has come in one direction. Life 0: no such stream yet."""

    life: int
    lineage: bytes
    number: int
    leaf: bytes  # under that number; empty where the number is 0


NOWHERE = Position(0, b"", 0, b"")


@dataclass(frozen=True, slots=True)
class LaneHello:
    sends: Position
    received: Position


@dataclass(frozen=True, slots=True)
class Hello:
    version: int
    mesh: bytes
    reign: int
    roster: int
    capabilities: tuple[str, ...]
    reply: LaneHello
    work: LaneHello

    def lane(self, lane: Lane) -> LaneHello:
        return self.reply if lane == "reply" else self.work


@dataclass(frozen=True, slots=True)
class Data:
    claim: bytes
    batch: bytes


@dataclass(frozen=True, slots=True)
class Ack:
    lane: Lane
    life: int
    number: int


@dataclass(frozen=True, slots=True)
class Ping:
    count: int


@dataclass(frozen=True, slots=True)
class Pong:
    count: int


@dataclass(frozen=True, slots=True)
class Bye:
    code: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Evidence:
    lane: Lane
    life: int
    number: int
    claim: bytes
    leaves: tuple[bytes, ...]


Frame = Open | Hello | Data | Ack | Ping | Pong | Bye | Evidence


class FrameReader(Reader):
    """The reader of envelopes, with the two shapes more that frames have."""

    __slots__ = ()

    def number(self) -> int:
        mark = self._mark()
        if mark < 0x80:
            return mark
        form = {0xCC: (1, 0x80), 0xCD: (2, 0x100), 0xCE: (4, 1 << 16), 0xCF: (8, 1 << 32)}.get(mark)
        if form is None:
            raise self.damaged("lacks a whole number where one must be")
        number = self._length(*form)
        if number > NUMBER_MAX:
            raise self.damaged("has a number above 2^63 - 1")
        return number

    def blob(self, limit: int) -> bytes:
        """Bytes of any length."""
        if self._data[self._at : self._at + 1] != b"\xc6":
            return self.binary(limit)
        self._at += 1
        return self.take(self._capped(self._length(4, 1 << 16), limit))

    def exact(self, size: int) -> bytes:
        piece = self.binary(size)
        if len(piece) != size:
            raise self.damaged(f"has {len(piece)} bytes where {size} must be")
        return piece

    def fields(self, count: int) -> None:
        if self.array(count) != count:
            raise self.damaged(f"lacks an array of {count} where one must be")

    def lane(self) -> Lane:
        lane = CHANNEL_LANES.get(self.number())
        if lane is None:
            raise self.damaged("names no known lane")
        return lane


def frame_cap(channel: int) -> int:
    return CONTROL_FRAME_BYTES_MAX if channel == CONTROL else DATA_FRAME_BYTES_MAX


def encode_frame(frame: Frame) -> bytes:
    kind, write = _WRITERS[type(frame)]
    payload: bytes = msgpack.packb((kind, *write(frame)))
    assert len(payload) <= frame_cap(LANE_CHANNELS["work"] if isinstance(frame, Data) else CONTROL)
    return len(payload).to_bytes(HEAD_BYTES, "big") + payload


def decode_frame(payload: bytes) -> Frame:
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


class FrameSplitter:
    """Cuts a stream of bytes into frames. Holds one frame and one read at most."""

    __slots__ = ("_buffer", "cap")

    def __init__(self, cap: int) -> None:
        self._buffer = bytearray()
        self.cap = cap

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def take(self) -> bytes | None:
        """The next whole frame, without its length. Raises Invalid before a frame above the cap is collected."""
        if len(self._buffer) < HEAD_BYTES:
            return None
        size = int.from_bytes(self._buffer[:HEAD_BYTES], "big")
        if not 0 < size <= self.cap:
            raise Invalid("frame", f"A frame here has 1 to {self.cap} bytes, this one says {size}.", "frame")
        end = HEAD_BYTES + size
        if len(self._buffer) < end:
            return None
        payload = bytes(memoryview(self._buffer)[HEAD_BYTES:end])
        del self._buffer[:end]
        return payload

    @property
    def between_frames(self) -> bool:
        return not self._buffer


def _write_position(position: Position) -> tuple[int, bytes, int, bytes]:
    return position.life, position.lineage, position.number, position.leaf


def _write_lane(lane: LaneHello) -> tuple[Any, ...]:
    return (*_write_position(lane.sends), *_write_position(lane.received))


def _write_hello(hello: Hello) -> tuple[Any, ...]:
    return (
        *(hello.version, hello.mesh, hello.reign, hello.roster, hello.capabilities),
        *(_write_lane(hello.reply), _write_lane(hello.work)),
    )


def _read_position(reader: FrameReader) -> Position:
    life, lineage, number, leaf = (
        reader.number(),
        reader.binary(LINEAGE_BYTES),
        reader.number(),
        reader.binary(LEAF_BYTES),
    )
    if len(lineage) != (LINEAGE_BYTES if life else 0):
        raise reader.damaged("has a life without its lineage, or a lineage without its life")
    if len(leaf) != (LEAF_BYTES if number else 0) or (number and not life):
        raise reader.damaged("has a number without its leaf or life, or a leaf without its number")
    return Position(life, lineage, number, leaf)


def _read_lane(reader: FrameReader) -> LaneHello:
    reader.fields(8)
    return LaneHello(_read_position(reader), _read_position(reader))


def _read_hello(reader: FrameReader) -> Hello:
    version, mesh, reign, roster = reader.number(), reader.exact(16), reader.number(), reader.number()
    capabilities = tuple(reader.text(CAPABILITY_BYTES_MAX) for _ in range(reader.array(CAPABILITIES_MAX)))
    return Hello(version, mesh, reign, roster, capabilities, _read_lane(reader), _read_lane(reader))


def _read_evidence(reader: FrameReader) -> Evidence:
    lane, life, number = reader.lane(), reader.number(), reader.number()
    claim = reader.blob(CONTROL_FRAME_BYTES_MAX)
    return Evidence(lane, life, number, claim, tuple(reader.exact(LEAF_BYTES) for _ in range(reader.array(BATCH_MAX))))


_WRITERS: dict[type, tuple[int, Callable[[Any], tuple[Any, ...]]]] = {
    Open: (0, lambda f: (f.channel,)),
    Hello: (1, _write_hello),
    Data: (2, lambda f: (f.claim, f.batch)),
    Ack: (3, lambda f: (LANE_CHANNELS[f.lane], f.life, f.number)),
    Ping: (4, lambda f: (f.count,)),
    Pong: (5, lambda f: (f.count,)),
    Bye: (6, lambda f: (f.code, f.sentence)),
    Evidence: (7, lambda f: (LANE_CHANNELS[f.lane], f.life, f.number, f.claim, f.leaves)),
}

_READERS: dict[int, tuple[int, Callable[[FrameReader], Frame]]] = {
    0: (1, lambda r: Open(r.number())),
    1: (7, _read_hello),
    2: (2, lambda r: Data(r.blob(CONTROL_FRAME_BYTES_MAX), r.blob(DATA_FRAME_BYTES_MAX))),
    3: (3, lambda r: Ack(r.lane(), r.number(), r.number())),
    4: (1, lambda r: Ping(r.number())),
    5: (1, lambda r: Pong(r.number())),
    6: (2, lambda r: Bye(r.text(CODE_BYTES_MAX), r.text(SENTENCE_BYTES_MAX))),
    7: (5, _read_evidence),
}
