"""The one final fate of an envelope, as it goes back to its origin.

On the wire and in rows a msgpack array in shortest form [origin key, id, leaf, fate, code, ender, via, received,
routed, ended]. It is numbered and acknowledged like an envelope, but no actor can send it and it has no seal of its
own: the link seal of each hop covers it.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Literal, NamedTuple, get_args

import msgpack
from netsky.envelope.fields import is_id
from netsky.envelope.limits import ID_BYTES_MAX
from netsky.envelope.usual_header import USUAL_ID, USUAL_KEY, USUAL_TIME, USUAL_TIME_MIN
from netsky.mesh.frame_reader import FrameReader
from netsky.mesh.frames import LEAF_BYTES
from netsky.mesh.limits import CODE_BYTES_MAX

Fate = Literal["delivered", "dead", "in_doubt"]
FATES: tuple[Fate, ...] = get_args(Fate)
NOT_RELAYED = bytes(32)
_LEAF_PREFIX = b"\x02"
_WORD = re.compile(r"[a-z0-9_]+")
matches_delivered = re.compile(
    rb"\x9a" + USUAL_KEY + USUAL_ID + USUAL_KEY + rb"\x00\xa0" + 2 * USUAL_KEY + 3 * USUAL_TIME, re.DOTALL
).fullmatch
"""A leaf has the length of a key."""


class Outcome(NamedTuple):
    origin: bytes
    id: str
    leaf: bytes
    """Of the envelope: an outcome speaks of this content alone."""
    fate: Fate
    code: str
    """The reason of `dead` and `in_doubt`; empty for `delivered`."""
    ender: bytes
    """Key of the node that ended it."""
    via: bytes
    """Key of the link by which the root took it; 32 zero bytes where no root passed it on."""
    received: int
    routed: int
    """By the root's wall clock, ns, as its route said; 0 where there was none."""
    ended: int
    """By the ender's wall clock, ns."""


def ended_by(
    ender: bytes,
    envelope: tuple[bytes, str, bytes],
    fate: Fate,
    code: str,
    ended: int,
    *,
    by_root: tuple[int, int] = (0, 0),
) -> Outcome:
    """As the node writes it that ends the envelope (origin, id, leaf); `by_root` are the times of the root's route."""
    return Outcome(*envelope, fate, code, ender, NOT_RELAYED, *by_root, ended)


def pack_outcome(outcome: Outcome) -> bytes:
    packed: bytes = msgpack.packb(
        (
            *(outcome.origin, outcome.id, outcome.leaf, FATES.index(outcome.fate), outcome.code),
            *(outcome.ender, outcome.via, outcome.received, outcome.routed, outcome.ended),
        )
    )
    return packed


def outcome_leaf(packed: bytes) -> bytes:
    """What stands for it in a link seal. The prefix keeps it apart from the leaf of any statement."""
    return sha256(_LEAF_PREFIX + packed).digest()


def unpack_outcomes(data: bytes) -> tuple[bytes, ...]:
    """A row of packed outcomes, apart. Only for what this node wrote itself."""
    found: list[bytes] = msgpack.unpackb(data)
    return tuple(found)


def unpack_outcome(data: bytes) -> Outcome:
    """Raises Invalid, whatever the bytes are."""
    # Most are of one shape, whose every byte the pattern judges; then the decoder only takes them apart.
    if matches_delivered(data):
        try:
            origin, id_, leaf, _, _, ender, via, received, routed, ended = msgpack.unpackb(data)
        except ValueError:
            return careful_outcome(data)
        if min(received, routed, ended) >= USUAL_TIME_MIN:
            return Outcome(origin, id_, leaf, "delivered", "", ender, via, received, routed, ended)
    return careful_outcome(data)


def careful_outcome(data: bytes) -> Outcome:
    """Every rule in turn, so that the first that is broken can be said."""
    reader = FrameReader(data, "outcome")
    reader.fields(10)
    origin, id_, leaf, fate = reader.exact(32), reader.text(ID_BYTES_MAX), reader.exact(LEAF_BYTES), reader.number()
    code, ender, via = reader.text(CODE_BYTES_MAX), reader.exact(32), reader.exact(32)
    received, routed, ended = reader.number(), reader.number(), reader.number()
    reader.end()
    if not is_id(id_):
        raise reader.damaged("has an id that no envelope can have")
    if fate >= len(FATES) or bool(code) != (FATES[fate] != "delivered"):
        raise reader.damaged("has no known fate, or lacks its reason")
    if code and _WORD.fullmatch(code) is None:
        raise reader.damaged("has a reason that is no word")
    return Outcome(origin, id_, leaf, FATES[fate], code, ender, via, received, routed, ended)
