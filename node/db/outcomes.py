"""The one final fate of each envelope, kept without its bytes until it can no longer arrive."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import NamedTuple

from netsky.mesh.outcome import Fate
from netsky.node.db.sets import blobs
from netsky.node.seams.ledger import Row, Statement

KEY_BYTES = 20
TIME_DIGITS = 12
"""Of the sixteen that an id of `netsky.node.bus.accept` begins with: 65 us."""

_begins_with_time = re.compile(rb"[0-9a-f]{16}").match


class OutcomeRow(NamedTuple):
    key: bytes
    leaf: bytes
    fate: Fate
    code: str | None  # the reason of the last two
    ender: bytes  # key of the node that ended it
    at: int
    expires: int


def key_of(origin: bytes, id: str) -> bytes:  # noqa: A002 - the envelope's word
    """The origin key has 32 bytes, so the two cannot run into each other. In front stands the time in the id, if there
    is one: rows that come together then lie together, where a hash alone touches a page for each."""
    said = id.encode("ascii")
    digest = hashlib.sha256(origin + said).digest()[:KEY_BYTES]
    return bytes.fromhex(id[:TIME_DIGITS]) + digest if _begins_with_time(said) else digest


def record(outcomes: Sequence[OutcomeRow]) -> Statement:
    """The first one stands: a second for the same envelope changes nothing."""
    return Statement(
        "INSERT INTO outcomes (key, leaf, fate, code, ender, at, expires) VALUES (?, ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (key) DO NOTHING",
        many=outcomes,
    )


def amend(outcomes: Sequence[OutcomeRow]) -> Statement:
    """The one case in which an outcome changes: what was delivered may be lost, since its destination was restored."""
    return Statement(
        "INSERT INTO outcomes (key, leaf, fate, code, ender, at, expires) VALUES (?, ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (key) DO UPDATE SET fate = excluded.fate, code = excluded.code, ender = excluded.ender, "
        "at = excluded.at WHERE excluded.fate = 'in_doubt' AND leaf = excluded.leaf",
        many=[(o.key, o.leaf, o.fate, o.code, o.ender, o.at, o.expires) for o in outcomes],
    )


def find(keys: Sequence[bytes]) -> Statement:
    places, values = blobs(keys)
    return Statement(f"SELECT key, leaf, fate, code, ender, at, expires FROM outcomes WHERE key IN ({places})", values)


def rows(found: list[Row]) -> list[OutcomeRow]:
    return [OutcomeRow(*row) for row in found]  # type: ignore[arg-type] # STRICT tables: the columns have these types
