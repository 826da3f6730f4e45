"""An ask: a question to the owner that says until when, and what happens without an answer. Pure.

It is answered once. Whoever answers, the owner or netsky0's code at the deadline, uses the one idempotency key that
follows from the question, so that the first answer stored is the only one. What code answers has an id that says so:
the header alone tells it from the owner's words.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from netsky.envelope.limits import ID_BYTES_MAX
from netsky.node.owner.limits import ASK_MOST_NS, LATE_NS, OTHERWISE_BYTES_MAX

By = Literal["owner", "deadline"]

DEADLINE_ID = "deadline-"
"""Ids that begin so are given by netsky0's code alone; those of the owner's words are hex digits."""


@dataclass(frozen=True, slots=True)
class Ask:
    deadline: int
    """ns, wall clock."""
    otherwise: str


def data_of(ask: Ask) -> dict[str, Any]:
    """As it stands beside the question."""
    return {"ask": {"deadline": ask.deadline, "otherwise": ask.otherwise}}


def ask_in(data: bytes | None, ts: int) -> Ask | None:
    """What the data of a question asks, sent at `ts`. Anything else is no ask: it came from outside, and a question
    without a deadline is what is left of it."""
    said = _object(data).get("ask")
    if not isinstance(said, Mapping):
        return None
    deadline, otherwise = said.get("deadline"), said.get("otherwise")
    if not isinstance(deadline, int) or isinstance(deadline, bool) or not 0 < deadline - ts <= ASK_MOST_NS + LATE_NS:
        return None
    if not isinstance(otherwise, str) or not otherwise.strip() or len(otherwise.encode()) > OTHERWISE_BYTES_MAX:
        return None
    return Ask(deadline, otherwise)


def answer_data(by: By, deadline: int) -> dict[str, Any]:
    """Beside an answer: who gave it, and until when the owner could."""
    return {"by": by, "deadline": deadline}


def answered_by(id: str) -> By:  # noqa: A002 - the envelope's word
    """Who gave this answer of owner@netsky0."""
    return "deadline" if id.startswith(DEADLINE_ID) else "owner"


def answer_key(origin: bytes, id: str) -> str:  # noqa: A002
    """The one key of all answers to this question."""
    front = f"answer/{origin.hex()[:16]}/"
    return front + (id if len(front) + len(id) <= ID_BYTES_MAX else _short(id.encode()))


def deadline_id(origin: bytes, id: str) -> str:  # noqa: A002
    """The id of the answer at the deadline: a second try makes no second answer."""
    return DEADLINE_ID + _short(origin + id.encode())


def late_ns(deadline: int, answered_at: int) -> int:
    """How late the deadline fired; 0 for what is only the pace of the desk."""
    late = answered_at - deadline
    return late if late > LATE_NS else 0


def late_in(data: bytes | None, answered_at: int) -> int:
    """The same from what stands beside an answer."""
    deadline = _object(data).get("deadline")
    return late_ns(deadline, answered_at) if isinstance(deadline, int) else 0


def _short(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:32]


def _object(data: bytes | None) -> Mapping[str, Any]:
    found = json.loads(data) if data else {}
    return found if isinstance(found, Mapping) else {}
