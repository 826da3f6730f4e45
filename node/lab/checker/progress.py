"""Whether anything moves: I22. This catches what is alive and stuck."""

from __future__ import annotations

from dataclasses import dataclass, field

from netsky.node.lab.checker.books import Books, Envelope, node_in, tells_a_loss
from netsky.node.lab.checker.lines import Event
from netsky.node.lab.checker.story import Violation

STUCK_NS = 30 * 10**9
ENDS = frozenset(("deliver", "dead_letter"))


@dataclass(slots=True)
class Head:
    """What is open for one destination, and when the last of it moved."""

    open: set[Envelope] = field(default_factory=set)
    moved_t: int = 0
    moved_line: int = 0


class Progress:
    def __init__(self) -> None:
        self.heads: dict[str, Head] = {}
        self.faults: set[str] = set()
        self.absent: set[str] = set()
        """Members that never run: what is for them stands still for good."""
        self.healed: tuple[int, int, int] = (0, 0, 0)  # line, t, ns within which all of before must have ended

    def enter(self, books: Books, event: Event) -> None:
        kind = event["ev"]
        if kind == "fault":
            self.faults.add(event.get("key", ""))
            self.healed = (0, 0, 0)
        elif kind in {"crash", "power_cut"}:
            self.faults.add(f"down {event['node']}")
            self.healed = (0, 0, 0)
        elif kind == "start" and event.get("reason") == "absent":
            self.absent.add(event["node"])
        elif kind == "start" and "link" not in event:
            self.faults.discard(f"down {event['node']}")
            if tells_a_loss(event):
                self._forgotten(books, event["node"])
            self._calm(books, event)
        elif kind == "heal":
            self.faults = {one for one in self.faults if "key" in event and one != event["key"]}
            self._calm(books, event)
        elif kind == "submit_ok":
            self._submitted(books, event)
        elif kind in ENDS and "id" in event:
            self._ended(books, event)

    def _calm(self, books: Books, event: Event) -> None:
        """Clocks begin again when the last trouble is over."""
        if self.faults:
            return
        within = event.get("value")
        if event["ev"] == "heal" and isinstance(within, int | float):
            self.healed = (books.line, event["t"], int(within * 1e9))
        for head in self.heads.values():
            head.moved_t, head.moved_line = max(head.moved_t, event["t"]), books.line

    def head(self, envelope: Envelope) -> Head:
        return self.heads.setdefault(node_in(envelope.dest, envelope.submitted_at), Head())

    def _submitted(self, books: Books, event: Event) -> None:
        envelope = books.envelope(event)
        if envelope.submitted != books.line or envelope.delivered or envelope.dead:
            return
        head = self.head(envelope)
        if not head.open:
            head.moved_t, head.moved_line = max(head.moved_t, event["t"]), books.line
        head.open.add(envelope)

    def _ended(self, books: Books, event: Event) -> None:
        envelope = books.envelope(event)
        if not envelope.submitted:
            return
        head = self.head(envelope)
        head.open.discard(envelope)
        head.moved_t, head.moved_line = max(head.moved_t, event["t"]), books.line

    def _forgotten(self, books: Books, node: str) -> None:
        """Nobody waits for what its sender knows no more. Where it travels all the same, it ends when it comes."""
        for head in self.heads.values():
            head.open -= {
                one
                for one in head.open
                if one.submitted_at == node
                and any(first <= one.submitted <= last for first, last in books.node(node).forgot)
            }


def i22_progress(progress: Progress, books: Books, event: Event) -> Violation | None:
    """Judged at each end of an envelope, and when its sender is told, before it is entered."""
    if progress.faults or "id" not in event:
        return None
    envelope = books.envelope(event)
    if event["ev"] == "outcome":
        known = event.get("by") != "client" or envelope.outcome
        return None if known else _late(progress, books, event, "its sender was told")
    if not envelope.submitted or envelope.delivered or envelope.dead:
        return None
    head = progress.head(envelope)
    waited = event["t"] - head.moved_t
    where = node_in(envelope.dest, envelope.submitted_at)
    if envelope in head.open and waited > STUCK_NS and where not in progress.absent:
        sentence = f"{len(head.open)} envelopes for {where} stood still for {waited / 1e9:.0f} s in good weather"
        return Violation("I22", sentence, (head.moved_line, books.line))
    return _late(progress, books, event, "it ended")


def _late(progress: Progress, books: Books, event: Event, what: str) -> Violation | None:
    envelope, (line, since, within) = books.envelope(event), progress.healed
    if not line or not 0 < envelope.submitted < line or event["t"] <= since + within:
        return None
    sentence = f"{books.name(event)}: {what} {(event['t'] - since) / 1e9:.0f} s after all was healed"
    return Violation("I22", sentence, (envelope.submitted, line, books.line))
