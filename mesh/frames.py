"""What two nodes say to each other, as values and as bytes. The layout stands in README.md; the two change together.

Whatever the bytes are, decoding returns a frame or raises `Invalid`, and builds nothing larger than the bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgpack
from netsky.envelope.kinds import Lane
from netsky.envelope.limits import BATCH_MAX
from netsky.mesh.blob_frames import Announce, BlobHead, Have, Pass, Want
from netsky.mesh.frame_reader import LANE_NUMBERS, FrameReader
from netsky.mesh.limits import (
    ADDRESS_TEXT_BYTES_MAX,
    ADDRESSES_MAX,
    ANNOUNCED_MAX,
    BLOB_BYTES_MAX,
    CAPABILITIES_MAX,
    CAPABILITY_BYTES_MAX,
    CLAIM_BYTES_MAX,
    CODE_BYTES_MAX,
    CONTROL_FRAME_BYTES_MAX,
    CONTROL_SAID_BYTES_MAX,
    DATA_FRAME_BYTES_MAX,
    HELD_ACTOR_BYTES_MAX,
    HOLDS_MAX,
    LINEAGES_MAX,
    OUTCOME_BYTES_MAX,
    PROGRAM_BYTES_MAX,
    ROSTER_BYTES_MAX,
    ROSTER_PIECE_BYTES_MAX,
    SENTENCE_BYTES_MAX,
)
from netsky.mesh.lineage import Lineage

CONTROL = 0
LANE_CHANNELS = LANE_NUMBERS  # each lane has a channel of its own
CHANNEL_LANES: dict[int, Lane] = {channel: lane for lane, channel in LANE_CHANNELS.items()}
HEAD_BYTES = 4
KEY_BYTES = LEAF_BYTES = HASH_BYTES = 32
LINEAGE_BYTES = 16
FIELDS_MAX = 12


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
    program: str
    """The version of the speaker's build, for people."""
    addresses: tuple[str, ...]
    """Where the speaker listens: "host:port", or the URL of a relay."""
    lineage: bytes
    since: int
    """With the lineage: `Lineage.since` of the speaker."""
    reply: LaneHello
    work: LaneHello

    def lane(self, lane: Lane) -> LaneHello:
        return self.reply if lane == "reply" else self.work


@dataclass(frozen=True, slots=True)
class Data:
    seal: bytes
    """The link seal from sibling to root, the route from root to sibling."""
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
    wall: int  # clock of who answers, ns


@dataclass(frozen=True, slots=True)
class Bye:
    code: str
    sentence: str
    lane: Lane | None = None
    """Of the data that was at fault."""


@dataclass(frozen=True, slots=True)
class Evidence:
    lane: Lane
    life: int
    number: int
    seal: bytes
    leaves: tuple[bytes, ...]
    """All that the seal covers: for a route those without a number too."""


@dataclass(frozen=True, slots=True)
class Outcomes:
    seal: bytes
    outcomes: tuple[bytes, ...]
    """Packed."""


@dataclass(frozen=True, slots=True)
class Credit:
    """The peer may send up to this number of that life, and at most so many bytes beyond the last ack."""

    lane: Lane
    life: int
    number: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Hold:
    """All that is not to be sent for now: destination key, actor ("" for every actor there) and lane."""

    held: tuple[tuple[bytes, str, Lane], ...]


@dataclass(frozen=True, slots=True)
class RosterPiece:
    version: int
    total: int
    offset: int
    piece: bytes


@dataclass(frozen=True, slots=True)
class Lineages:
    """Of nodes that were restored, as the root knows them: some of them, each once unless it changes again."""

    lineages: tuple[Lineage, ...]


Frame = (
    Open | Hello | Data | Ack | Ping | Pong | Bye | Evidence | Outcomes | Credit | Hold | RosterPiece | Lineages
    | Announce | Want | Have | Pass | BlobHead
)  # fmt: skip


def frame_cap(channel: int) -> int:
    return CONTROL_FRAME_BYTES_MAX if channel == CONTROL else DATA_FRAME_BYTES_MAX


def encode_frame(frame: Frame) -> bytes:
    kind, write = _WRITERS[type(frame)]
    payload: bytes = msgpack.packb((kind, *write(frame)))
    assert len(payload) <= (DATA_FRAME_BYTES_MAX if isinstance(frame, Data | Outcomes) else CONTROL_SAID_BYTES_MAX)
    return len(payload).to_bytes(HEAD_BYTES, "big") + payload


def decode_frame(payload: bytes) -> Frame:
    """Raises Invalid, whatever the bytes are. The length in front is already taken off."""
    reader = FrameReader(payload, "frame")
    count = reader.array(FIELDS_MAX)
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


def _write_position(position: Position) -> tuple[int, bytes, int, bytes]:
    return position.life, position.lineage, position.number, position.leaf


def _write_lane(lane: LaneHello) -> tuple[Any, ...]:
    return (*_write_position(lane.sends), *_write_position(lane.received))


def _write_hello(hello: Hello) -> tuple[Any, ...]:
    return (
        *(hello.version, hello.mesh, hello.reign, hello.roster, hello.capabilities, hello.program, hello.addresses),
        *(hello.lineage, hello.since),
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
    program = reader.plain(PROGRAM_BYTES_MAX)
    addresses = tuple(reader.plain(ADDRESS_TEXT_BYTES_MAX) for _ in range(reader.array(ADDRESSES_MAX)))
    lineage, since = reader.exact(LINEAGE_BYTES), reader.number()
    lanes = _read_lane(reader), _read_lane(reader)
    return Hello(version, mesh, reign, roster, capabilities, program, addresses, lineage, since, *lanes)


def _read_evidence(reader: FrameReader) -> Evidence:
    lane, life, number = reader.lane(), reader.number(), reader.number()
    seal = reader.blob(CLAIM_BYTES_MAX)
    return Evidence(lane, life, number, seal, tuple(reader.exact(LEAF_BYTES) for _ in range(reader.array(BATCH_MAX))))


def _read_outcomes(reader: FrameReader) -> Outcomes:
    seal, count = reader.blob(CLAIM_BYTES_MAX), reader.array(BATCH_MAX)
    if not count:
        raise reader.damaged("brings no outcome")
    return Outcomes(seal, tuple(reader.blob(OUTCOME_BYTES_MAX) for _ in range(count)))


def _read_hold(reader: FrameReader) -> Hold:
    held = []
    for _ in range(reader.array(HOLDS_MAX)):
        reader.fields(3)
        held.append((reader.exact(KEY_BYTES), reader.plain(HELD_ACTOR_BYTES_MAX), reader.lane()))
    return Hold(tuple(held))


def _read_lineages(reader: FrameReader) -> Lineages:
    found = []
    for _ in range(reader.array(LINEAGES_MAX)):
        reader.fields(3)
        found.append(Lineage(reader.exact(KEY_BYTES), reader.exact(LINEAGE_BYTES), reader.number()))
    return Lineages(tuple(found))


def _read_roster_piece(reader: FrameReader) -> RosterPiece:
    version, total, offset, piece = (
        reader.number(),
        reader.number(),
        reader.number(),
        reader.blob(ROSTER_PIECE_BYTES_MAX),
    )
    if not piece or total > ROSTER_BYTES_MAX or offset + len(piece) > total:
        raise reader.damaged("is no piece of a roster")
    return RosterPiece(version, total, offset, piece)


def _read_announce(reader: FrameReader) -> Announce:
    found = []
    for _ in range(reader.array(ANNOUNCED_MAX)):
        reader.fields(2)
        found.append((reader.exact(HASH_BYTES), reader.number()))
    if max((size for _, size in found), default=0) > BLOB_BYTES_MAX:
        raise reader.damaged("announces a blob above 1 GiB")
    return Announce(tuple(found))


_WRITERS: dict[type, tuple[int, Callable[[Any], tuple[Any, ...]]]] = {
    Open: (0, lambda f: (f.channel,)),
    Hello: (1, _write_hello),
    Data: (2, lambda f: (f.seal, f.batch)),
    Ack: (3, lambda f: (LANE_CHANNELS[f.lane], f.life, f.number)),
    Ping: (4, lambda f: (f.count,)),
    Pong: (5, lambda f: (f.count, f.wall)),
    Bye: (6, lambda f: (f.code, f.sentence, LANE_CHANNELS[f.lane] if f.lane else CONTROL)),
    Evidence: (7, lambda f: (LANE_CHANNELS[f.lane], f.life, f.number, f.seal, f.leaves)),
    Outcomes: (8, lambda f: (f.seal, f.outcomes)),
    Credit: (9, lambda f: (LANE_CHANNELS[f.lane], f.life, f.number, f.bytes)),
    Hold: (10, lambda f: ([(key, actor, LANE_CHANNELS[lane]) for key, actor, lane in f.held],)),
    RosterPiece: (11, lambda f: (f.version, f.total, f.offset, f.piece)),
    Lineages: (12, lambda f: (tuple((one.node, one.lineage, one.since) for one in f.lineages),)),
    Announce: (13, lambda f: (f.blobs,)),
    Want: (14, lambda f: (f.hash, f.offset)),
    Have: (15, lambda f: (f.hash,)),
    Pass: (16, lambda f: (f.hash, f.code)),
    BlobHead: (17, lambda f: (f.hash, f.offset)),
}

_READERS: dict[int, tuple[int, Callable[[FrameReader], Frame]]] = {
    0: (1, lambda r: Open(r.number())),
    1: (11, _read_hello),
    2: (2, lambda r: Data(r.blob(CLAIM_BYTES_MAX), r.blob(DATA_FRAME_BYTES_MAX))),
    3: (3, lambda r: Ack(r.lane(), r.number(), r.number())),
    4: (1, lambda r: Ping(r.number())),
    5: (2, lambda r: Pong(r.number(), r.number())),
    6: (3, lambda r: Bye(r.text(CODE_BYTES_MAX), r.text(SENTENCE_BYTES_MAX), r.lane_or_none())),
    7: (5, _read_evidence),
    8: (2, _read_outcomes),
    9: (4, lambda r: Credit(r.lane(), r.number(), r.number(), r.number())),
    10: (1, _read_hold),
    11: (4, _read_roster_piece),
    12: (1, _read_lineages),
    13: (1, _read_announce),
    14: (2, lambda r: Want(r.exact(HASH_BYTES), r.number())),
    15: (1, lambda r: Have(r.exact(HASH_BYTES))),
    16: (2, lambda r: Pass(r.exact(HASH_BYTES), r.plain(CODE_BYTES_MAX))),
    17: (2, lambda r: BlobHead(r.exact(HASH_BYTES), r.number())),
}
