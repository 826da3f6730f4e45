"""Whether those who tell of one event tell the same: I31.

Clients and actors say what they wrote, read and were told, the network which way was parted, the test who died, nodes
the rest of themselves. Where two of them speak of one thing and cannot both be right, a node is wrong or the lab is,
and then nothing else that this history shows is worth much.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from netsky.node.lab.checker.books import Books, StreamName, number_of
from netsky.node.lab.checker.lines import Event
from netsky.node.lab.checker.story import Violation

PARTS = frozenset(("part", "one_way", "isolate"))
"""Faults of the network through which nothing passes. What stands still in a clog has been sent and may come."""

AS_GOOD_AS_NOW_NS = 10**8
"""What is sent so soon after a way was parted may have gone before: the witnesses are two processes."""


@dataclass(slots=True)
class Parted:
    """A way through which nothing comes."""

    line: int
    t: int
    sent: dict[StreamName, int] = field(default_factory=dict)
    """The numbers that may still be on it, stream by stream: everything up to here."""


class Witnesses:
    def __init__(self) -> None:
        self.living: dict[str, tuple[object, int]] = {}  # node -> the life that said its start last, and where
        self.dead: dict[tuple[str, object], tuple[int, int]] = {}  # (node, life) -> where it began and died
        self.parted: dict[tuple[str, str], Parted] = {}  # (sender, receiver)
        self.kinds: dict[str, str] = {}  # name of a fault -> what it is
        self.keys: dict[tuple[str, str], tuple[int, int]] = {}  # (node, idempotency key) -> id in short, line

    def enter(self, books: Books, event: Event) -> None:
        kind = event["ev"]
        if kind == "start":
            if "link" not in event:
                self._started(books, event)
        elif kind in {"crash", "power_cut"}:
            node = event["node"]
            if node in self.living:
                boot, line = self.living[node]
                self.dead[node, boot] = (line, books.line)
        elif kind == "submit_ok":
            if "key" in event:
                self.keys[event["node"], event["key"]] = (number_of(event["id"]), books.line)
        elif kind == "link_tx":
            if self.parted:
                self._sent(event)
        elif kind == "fault":
            self._part(books, event)
        elif kind == "heal":
            self._heal(event)

    def _started(self, books: Books, event: Event) -> None:
        node, boot = event["node"], event.get("boot")
        if event.get("by") == "node":
            self.living[node] = (boot, books.line)
        self.dead.pop((node, boot), None)  # lives are not told apart here, or the machine counts from the beginning

    def _part(self, books: Books, event: Event) -> None:
        kind = event.get("reason", "")
        if "key" in event:
            self.kinds[event["key"]] = kind
        one, _, other = event.get("link", "").partition(">")
        if kind not in PARTS or not other:
            return
        for sender, receiver in _ways(kind, one, other, books):
            now = {name: stream.sent for name, stream in books.streams.items() if stream.sender == sender}
            self.parted.setdefault((sender, receiver), Parted(books.line, event["t"], now))

    def _heal(self, event: Event) -> None:
        one, _, other = event.get("link", "").partition(">")
        whole = event.get("reason", self.kinds.get(event.get("key", ""), "isolate")) == "isolate"
        for way in list(self.parted):
            if "key" not in event or (one in way if whole else {one, other} == {*way}):
                del self.parted[way]

    def _sent(self, event: Event) -> None:
        sender, _, receiver = event["link"].partition(">")
        way = self.parted.get((sender, receiver))
        if way is not None and event["t"] < way.t + AS_GOOD_AS_NOW_NS:
            way.sent[event["link"], event.get("ln", ""), event.get("epoch", 0)] = event["n"]


def _ways(kind: str, one: str, other: str, books: Books) -> list[tuple[str, str]]:
    if kind == "isolate":
        others = [name for name in books.names.values() if name != one]
        return [way for name in others for way in ((one, name), (name, one))]
    return [(one, other)] if kind == "one_way" else [(one, other), (other, one)]


def i31_dead_are_silent(witnesses: Witnesses, books: Books, event: Event) -> Violation | None:
    """What the test says has died says nothing any more, and the life after it is another."""
    if not witnesses.dead or event.get("by") != "node":
        return None
    died = witnesses.dead.pop((event["node"], event.get("boot")), None)  # once is enough
    if died is None:
        return None
    sentence = f"life {event.get('boot')} of {event['node']} had died, and says {event['ev']}"
    return Violation("I31", sentence, (*died, books.line))


def i31_parted_carries_nothing(witnesses: Witnesses, books: Books, event: Event) -> Violation | None:
    """What was sent when the way was parted already does not come before it is healed."""
    if not witnesses.parted or "link" not in event or "n" not in event:
        return None
    sender, _, receiver = event["link"].partition(">")
    way = witnesses.parted.get((sender, receiver))
    if way is None or event["node"] != receiver:
        return None
    name = (event["link"], event.get("ln", ""), event.get("epoch", 0))
    stream = books.stream(event)
    if not way.sent.get(name, 0) < event["n"] <= stream.sent:
        return None
    what = f"{name[0]} {name[1]} life {name[2]}: number {event['n']}"
    sentence = f"{what} came over a way that was parted before it was sent"
    return Violation("I31", sentence, (way.line, stream.sent_line, books.line))


def i31_one_place(books: Books, event: Event) -> Violation | None:
    """What is delivered, and what an actor has, was sent to it."""
    envelope = books.envelope(event)
    if not envelope.submitted or not envelope.dest:
        return None
    here, sent = event.get("dest") or f"@{event['node']}", envelope.dest
    actor, _, node = sent.partition("@")
    its_actor, _, its_node = here.partition("@")
    if its_actor in {"", actor} and (not node or not its_node or its_node == node):
        return None
    sentence = f"{books.name(event)} was sent to {sent}, and {here.lstrip('@')} has it"
    return Violation("I31", sentence, (envelope.submitted, books.line))


def i31_one_id_per_key(witnesses: Witnesses, books: Books, event: Event) -> Violation | None:
    """Who asks twice with one key is told the same id twice, unless his node was put back in between."""
    if "key" not in event:
        return None
    id_, line = witnesses.keys.get((event["node"], event["key"]), (0, 0))
    if id_ in {0, number_of(event["id"])} or books.forgot(event["node"], line):
        return None
    sentence = f"{event['node']} made two envelopes of what was sent once, with the key {event['key']!r}"
    return Violation("I31", sentence, (line, books.line))


def i31_told_as_it_came_at_end(books: Books) -> Iterator[Violation]:
    """What a client was told is what came to its node; what that could decide alone can have come from nobody."""
    for name, envelope in books.envelopes.items():
        told, came = envelope.outcome, envelope.word.split()
        if told.startswith("dead") and envelope.claimed and not books.last_loss:
            sentence = f"{name}: its sender was told {told}, and its actor has it"
            yield Violation("I31", sentence, (envelope.claimed, envelope.outcome_line))
        elif came and told and not told.startswith("in_doubt") and told not in came and not books.last_loss:
            sentence = f"{name}: its sender was told {told}, and to its node came {' and '.join(came)}"
            yield Violation("I31", sentence, (envelope.word_line, envelope.outcome_line))
