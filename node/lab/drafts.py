"""What a client of a simulated mesh writes: most of it ordinary, and in some runs some of it for nobody, in a hurry,
with files, or as much at once as a link may have on its way.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from netsky.node.seams.chance import Chance

LATE = "agent2"
"""An actor that is added somewhere in a run, or never."""
HASTY_SECONDS = (0.02, 40.0)
"""To live. What is in a hurry mostly arrives, and mostly not where a way is parted or a backup comes back."""
FILE_BYTES_MAX = 2_000
FLOOD = 256
"""Drafts of one call, all for one actor: as many as a call may have, and as a link has on its way."""
ODD_REFUSALS = frozenset({"unknown_actor", "unknown_node", "authority", "dest_revoked", "attachment_unknown"})
"""What those who write oddly may be told."""


@dataclass(frozen=True, slots=True)
class Oddities:
    """How often a draft is one of these, or for `floods`, a call."""

    strangers: float = 0.0
    """For an actor that is not there, or not yet."""
    hasty: float = 0.0
    attached: float = 0.0
    floods: float = 0.0
    absent: float = 0.0
    """For the member that never runs, if there is one."""
    late: float = 2.0
    """At which part of the run `LATE` is added; never beyond 1."""
    alone: bool = False
    """Whether actors go on to take what lies there while their node is down."""

    def text(self) -> str:
        some = {"strangers": self.strangers, "hasty": self.hasty, "files": self.attached, "floods": self.floods}
        told = ", ".join(f"{what} {often:g}" for what, often in some.items() if often)
        return (told or "nothing odd") + ("; actors go on while their node is down" if self.alone else "")


NOTHING_ODD = Oddities()


def draw_oddities(chance: Chance) -> Oddities:
    """Each in some runs alone, so that one does not hide behind another."""

    def some(often: float, runs: float) -> float:
        return often if chance.fraction() < runs else 0.0

    return Oddities(
        strangers=some(0.08, 0.3),
        hasty=some(0.15, 0.35),
        attached=some(0.05, 0.2),
        floods=some(0.005, 0.1),
        absent=some(0.1, 0.5),
        late=2 * chance.fraction(),
        alone=chance.fraction() < 0.4,
    )


@dataclass(frozen=True, slots=True)
class Traffic:
    """What one client sends."""

    sender: str
    to: tuple[str, ...]
    every: float
    """Seconds for each envelope, on average: who sends many in one call, calls less often."""
    together: int = 1
    """Drafts in one call, at most."""
    kinds: tuple[str, ...] = ("text",)
    chars: int = 200
    twice: float = 0.0
    """How often it asks once more, with the same keys, for what it was answered already."""
    drops: float = 0.0
    """How often it writes an outbox file instead."""
    odd: Oddities = NOTHING_ODD
    absent: str = ""
    """The node that never runs."""


class Drafts:
    def __init__(self, chance: Chance, traffic: Traffic) -> None:
        self._chance, self._traffic = chance, traffic
        self._number = 0
        self._files: dict[str, bytes] = {}
        """Those that drafts name, by their hash."""

    def next(self, count: int) -> list[dict[str, Any]]:
        """The drafts of one call: mostly one work in pieces, for one actor."""
        odd = self._traffic.odd
        if odd.floods and self._chance.fraction() < odd.floods:
            first = self._draft(self._to())
            return [first, *(self._draft(first["to"], odd=NOTHING_ODD, chars=0) for _ in range(FLOOD - 1))]
        to = self._to() if self._chance.fraction() < 0.75 else None
        return [self._draft(to or self._to()) for _ in range(count)]

    def plain(self) -> dict[str, Any]:
        """As it may lie in an outbox: what is refused there is known to nobody but its reader."""
        return self._draft(self._ordinary(), odd=NOTHING_ODD)

    def file(self, draft: dict[str, Any]) -> bytes | None:
        """What has to be at its node before it is sent."""
        named = draft.get("attachments")
        return self._files[named[0]["sha256"]] if named else None

    def lasts(self, draft: dict[str, Any]) -> bool:
        """Its key is known as long as anybody here asks again."""
        return "expires_in" not in draft

    def is_odd(self, draft: dict[str, Any]) -> bool:
        actor, _, node = draft["to"].partition("@")
        return actor == LATE or node == self._traffic.absent or "attachments" in draft

    def _ordinary(self) -> str:
        return self._traffic.to[int(self._chance.fraction() * len(self._traffic.to))]

    def _to(self) -> str:
        chance, traffic, odd = self._chance, self._traffic, self._traffic.odd
        to = self._ordinary()
        if traffic.absent and odd.absent and chance.fraction() < odd.absent:
            return f"agent0@{traffic.absent}"
        if odd.strangers and chance.fraction() < odd.strangers:
            return f"{LATE}@{to.partition('@')[2]}"
        return to

    def _draft(self, to: str, odd: Oddities | None = None, chars: int | None = None) -> dict[str, Any]:
        chance, traffic = self._chance, self._traffic
        odd = traffic.odd if odd is None else odd
        most = traffic.chars if chars is None else chars
        self._number += 1
        key = f"{traffic.sender}-{self._number}"
        draft: dict[str, Any] = {
            "to": to,
            "from": traffic.sender,
            "kind": traffic.kinds[int(chance.fraction() * len(traffic.kinds))],
            "text": f"{key} " + "x" * int(most * chance.fraction() ** 3),
            "idempotency_key": key,
        }
        if odd.hasty and chance.fraction() < odd.hasty:
            low, high = HASTY_SECONDS
            draft["expires_in"] = round(low * (high / low) ** chance.fraction(), 3)
        if odd.attached and chance.fraction() < odd.attached:
            draft["attachments"] = [self._attachment()]
        return draft

    def _attachment(self) -> dict[str, Any]:
        """Half of the time one that was sent before."""
        known = list(self._files)
        if known and self._chance.fraction() < 0.5:
            digest = known[int(self._chance.fraction() * len(known))]
        else:
            data = self._chance.token(1 + int(FILE_BYTES_MAX * self._chance.fraction()))
            digest = sha256(data).hexdigest()
            self._files[digest] = data
        return {"name": "notes.txt", "size": len(self._files[digest]), "sha256": digest}


def in_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
