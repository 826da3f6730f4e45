"""When each peer was up last, across a restart of this node. An observation: it is written now and then, never for a
heartbeat, and rides on a later commit."""

from __future__ import annotations

import json
from collections.abc import Iterable

from netsky.node.db import node_state
from netsky.node.links.slot import Slot
from netsky.node.seams.ledger import Row, Statement

KEY = "last_seen"

EVERY_NS = 60 * 10**9
"""Between two writes, at least."""

STEP_NS = 300 * 10**9
"""What is up counts as seen in steps of this: a quiet mesh writes as rarely."""


class LastSeen:
    def __init__(self) -> None:
        self._kept: dict[str, tuple[int, str]] = {}
        self._written = 0

    def load(self, rows: list[Row]) -> list[Slot]:
        """A slot for each peer that was ever seen."""
        found = node_state.value(rows, "{}")
        assert isinstance(found, str)
        self._kept = {key: (int(at), str(program)) for key, (at, program) in json.loads(found).items()}
        return [Slot(bytes.fromhex(key), seen=at, program=program) for key, (at, program) in self._kept.items()]

    def write(self, slots: Iterable[Slot], now: int) -> Statement | None:
        """What is to be stored, if it is time and anything has changed."""
        if now - self._written < EVERY_NS:
            return None
        seen: dict[str, tuple[int, str]] = {
            slot.key.hex(): (now - now % STEP_NS if slot.up_since is not None else slot.seen, slot.program)
            for slot in slots
            if slot.seen is not None
        }
        if seen == self._kept:
            return None
        self._kept, self._written = seen, now
        return node_state.put(KEY, json.dumps(seen))
