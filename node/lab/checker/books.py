"""What the checker remembers of the events so far. Rules read it, and each event is entered after they judged it.

Half a million envelopes fit because there is one small record for each, and eight bytes for each number of a stream.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from sys import intern
from typing import Any

from netsky.node.lab.checker.lines import KINDS, Event
from netsky.node.lab.checker.numbers import Numbers

StreamName = tuple[str, str, int]  # link "sender>receiver", lane, life


class Envelope:
    """Lines are numbers from 1, so 0 means never."""

    __slots__ = (
        *("archived", "claimed", "dead", "dead_reason", "delivered", "delivered_at", "dest", "digest", "digest_line"),
        *("filed", "hash", "hash_line", "judged", "outcome", "outcome_line", "outcome_t", "submitted", "submitted_at"),
        *("word", "word_line"),
    )

    def __init__(self) -> None:
        self.submitted = self.delivered = self.dead = self.claimed = self.archived = 0
        self.outcome_line = self.outcome_t = self.word_line = 0
        self.submitted_at = self.delivered_at = self.dead_reason = self.outcome = self.dest = self.word = ""
        self.filed = False  # sent as a file in an outbox: its node knows of it when it takes that in
        self.hash = self.hash_line = self.digest = self.digest_line = 0
        self.judged: tuple[str | int, ...] = ()  # what nodes did with it, flat: node, event, line, node, event, line …

    def decisions(self, node: str | None = None) -> list[tuple[str, str, int]]:
        """By whom, what, in which line."""
        flat: Any = self.judged
        found = zip(flat[::3], flat[1::3], flat[2::3], strict=True)
        return [one for one in found if node is None or one[0] == node]


@dataclass(slots=True)
class Stream:
    sender: str
    receiver: str
    leaves: Numbers = field(default_factory=Numbers)
    sent: int = 0  # the highest number that the sender gave
    sent_line: int = 0
    mark: int = 0  # everything up to this was consumed by the receiver
    mark_line: int = 0
    delivered: int = 0  # the last number delivered
    delivered_line: int = 0
    acked: int = 0  # the highest ack that the sender saw
    acked_line: int = 0
    received: int = 0  # frames' envelopes that reached the receiver, in its present life
    decided: int = 0  # and what became of them
    received_line: int = 0


@dataclass(slots=True)
class Node:
    up: bool = True
    down_line: int = 0
    restored: bool = False  # its last start was from a backup, or from nothing
    untold: bool = False  # and no new life was begun for that yet, in however many starts
    forgot: list[tuple[int, int]] = field(default_factory=list)  # lines between which it remembers nothing
    backups: dict[str, tuple[int, dict[StreamName, int]]] = field(default_factory=dict)
    enrolled: dict[str, bool] = field(default_factory=dict)  # key -> not revoked
    root: tuple[str, int] = ("", 0)  # key and reign in force there
    root_line: int = 0
    trust_lines: dict[str, int] = field(default_factory=dict)  # key -> where its standing was said last
    key: str = ""

    @property
    def forgetful(self) -> bool:
        return self.restored or self.untold


HEARD_NS = 10 * 10**9
"""So long after a link of it has come up, an origin knows from the root who was put back."""


def number_of(text: str) -> int:
    """Eight bytes for a leaf or a digest; never 0, which is none."""
    return hash(text) & 0xFFFFFFFFFFFFFFFF or 1


def node_in(address: str, otherwise: str) -> str:
    return address.rpartition("@")[2] if "@" in address else otherwise


def tells_a_loss(event: Event) -> bool:
    return event["ev"] == "start" and event.get("reason") in {"restored", "lost"}


def consumes(event: Event) -> bool:
    """Whether a receiver used up a number with it."""
    return "n" in event and "link" in event and event.get("reason") != "duplicate"


def ordered_number(event: Event) -> int | None:
    """The number by which a delivery is in order: `n`, or `number` where not every number of its stream is told."""
    if not consumes(event):
        value = event.get("value")
        return value.get("number") if isinstance(value, dict) and "link" in event else None
    return int(event["n"])


class Books:
    def __init__(self) -> None:
        self.line = 0
        self.envelopes: dict[str, Envelope] = {}
        self.streams: dict[StreamName, Stream] = {}
        self.nodes: dict[str, Node] = {}
        self.names: dict[str, str] = {}  # node key -> name
        self.unanswered: dict[tuple[str, str], int] = {}  # (node, idempotency key) -> line of the first call
        self.unheard: Counter[str] = Counter()  # by origin: calls without an answer at a node that was restored then
        self.floors: dict[tuple[str, str], tuple[int, int]] = {}
        """By link and lane of a restored sender: the highest life that is used up, and where the other end showed."""
        self.dests_watched: set[str] = set()
        self.kinds = dict.fromkeys(KINDS, 0)  # how many of each there were
        self.first_t = self.t = self.last_loss = 0  # of the first line, of the present one; the line of the last loss
        self.loss_heard: dict[str, int] = {}  # node -> when it had heard of it, and sent again what was open
        self._hearing_until: dict[str, int] = {}
        self.ends_for_good = False  # a key was revoked or replaced, or the root moved
        self.exempt: list[str] = []
        self._found: tuple[int, Envelope] = (0, Envelope())  # of the present line

    # Finding.

    def name(self, event: Event) -> str:
        """The identity of an envelope: (origin, id)."""
        origin = event.get("origin", "")
        return f"{self.names.get(origin, origin)} {event['id']}"

    def envelope(self, event: Event) -> Envelope:
        line, found = self._found
        if line != self.line:
            name = self.name(event)
            known = self.envelopes.get(name)
            found = self.envelopes[name] = Envelope() if known is None else known
            self._found = (self.line, found)
        return found

    def stream(self, event: Event) -> Stream:
        link = event["link"]
        name = (link, event.get("ln", ""), event.get("epoch", 0))
        found = self.streams.get(name)
        if found is None:
            sender, _, receiver = link.partition(">")
            found = self.streams[name] = Stream(sender, receiver)
        return found

    def node(self, name: str) -> Node:
        found = self.nodes.get(name)
        if found is None:
            found = self.nodes[name] = Node()
        return found

    def forgot(self, node: str, line: int) -> int:
        """The line of the loss by which this node no longer knows what it did at that line, or 0."""
        found = self.nodes.get(node)
        return next((high for low, high in found.forgot if low < line < high), 0) if found is not None else 0

    def sender_forgot(self, envelope: Envelope) -> int:
        """The same of what was sent. A file in an outbox may have been taken in after the backup, however old it is."""
        lost = self.forgot(envelope.submitted_at, envelope.submitted)
        if lost or not envelope.filed:
            return lost
        known = next((line for _, _, line in envelope.decisions()), self.line)
        found = self.node(envelope.submitted_at).forgot
        return next((high for low, high in found if low < known and envelope.submitted < high), 0)

    def stands(self, envelope: Envelope) -> bool:
        """Delivered, and still known to be at its destination."""
        return bool(envelope.delivered) and not self.forgot(envelope.delivered_at, envelope.delivered)

    # Entering.

    def entering(self, kind: str) -> Iterator[Callable[[Event], None]]:
        """What is done with an event of this kind, in this order."""
        handler = _ENTER.get(kind)
        if handler is not None:
            yield partial(handler, self)
        if kind in _NUMBERED:
            yield partial(self._enter_number, kind)
        if kind == "deliver":
            yield self._in_order

    def _in_order(self, event: Event) -> None:
        number = ordered_number(event)
        if number is not None:
            stream = self.stream(event)
            stream.delivered, stream.delivered_line = number, self.line

    def _enter_number(self, kind: str, event: Event) -> None:
        if "n" not in event or "link" not in event:
            return
        stream, n = self.stream(event), event["n"]
        if "hash" in event and event.get("reason") != "duplicate":
            stream.leaves.put(n, number_of(event["hash"]))
        if kind == "link_tx":
            stream.sent, stream.sent_line = max(stream.sent, n), self.line
        elif kind == "link_rx":
            stream.received += 1
            stream.received_line = self.line
        elif kind == "link_ack_rx":
            if n > stream.acked:
                stream.acked, stream.acked_line = n, self.line
        elif event["node"] == stream.receiver:
            if event.get("reason") == "duplicate":
                stream.decided += 1
            elif n > stream.mark:
                stream.mark, stream.mark_line = n, self.line
                stream.decided += 1

    def _submit_call(self, event: Event) -> None:
        if event.get("reason") != "hostile":
            self.unanswered.setdefault((event["node"], event.get("key", "")), self.line)

    def _submit_refused(self, event: Event) -> None:
        self.unanswered.pop((event["node"], event.get("key", "")), None)

    def _submit_ok(self, event: Event) -> None:
        self.unanswered.pop((event["node"], event.get("key", "")), None)
        found = self.envelope(event)
        if event.get("reason") == "daemon" and self.forgot(event["node"], found.submitted):
            found.submitted = found.digest = 0  # it says it again: its ids follow from what it speaks of
        found.submitted = found.submitted or self.line
        found.filed = found.filed or event.get("reason") == "outbox"
        found.submitted_at = intern(event["node"])
        if event["t"] < self._hearing_until.get(found.submitted_at, 0):
            self.loss_heard[found.submitted_at] = self.line
        found.dest = intern(event.get("dest", ""))
        self._content(found, event)

    def _judged(self, event: Event) -> None:
        if "id" not in event:
            return
        found = self.envelope(event)
        node, kind = intern(event["node"]), intern(event["ev"])
        found.judged = (*found.judged, node, kind, self.line)
        if kind == "deliver":
            found.delivered, found.delivered_at = self.line, node
            self._content(found, event)
        elif kind == "dead_letter":
            found.dead, found.dead_reason = self.line, intern(event.get("reason", ""))

    def _content(self, found: Envelope, event: Event) -> None:
        if "hash" in event:
            found.hash, found.hash_line = number_of(event["hash"]), self.line
        if isinstance(event.get("value"), str):
            found.digest, found.digest_line = number_of(event["value"]), self.line

    def _outcome(self, event: Event) -> None:
        if event.get("by") == "node" and "link" in event:
            self._word(event)
            return
        found = self.envelope(event)
        found.outcome, found.outcome_line, found.outcome_t = intern(event.get("reason", "")), self.line, event["t"]

    def _word(self, event: Event) -> None:
        """On its way through, or at the node of its sender; only what that was told by it counts as the outcome."""
        origin, told = event["origin"], event.get("reason", "")
        if self.names.get(origin, origin) != event["node"]:
            return
        found = self.envelope(event)
        if told not in found.word.split():
            found.word, found.word_line = intern(f"{found.word} {told}".strip()), self.line

    def _claim(self, event: Event) -> None:
        found = self.envelope(event)
        found.claimed = self.line
        self._content(found, event)
        self.dests_watched.add(event.get("dest", ""))

    def _archive(self, event: Event) -> None:
        self.envelope(event).archived = self.line

    def _trust(self, event: Event) -> None:
        node, reason = self.node(event["node"]), event.get("reason")
        if reason == "root":
            self.ends_for_good = self.ends_for_good or node.root[0] not in {"", event["key"]}
            node.root, node.root_line = (event["key"], event.get("epoch", 0)), self.line
        else:
            node.enrolled[event["key"]] = reason == "enrolled"
            node.trust_lines[event["key"]] = self.line
            self.ends_for_good = self.ends_for_good or reason in {"revoked", "replaced"}

    def _backup(self, event: Event) -> None:
        name = event["node"]
        known = {
            key: stream.sent if stream.sender == name else stream.mark
            for key, stream in self.streams.items()
            if name in {stream.sender, stream.receiver}
        }
        self.node(name).backups[event.get("key", "")] = (self.line, known)

    def _down(self, event: Event) -> None:
        node = self.node(event["node"])
        node.up = node.restored = False
        node.down_line = self.line
        self._begin_again(event["node"])

    def _start(self, event: Event) -> None:
        node = self.node(event["node"])
        if "link" in event:
            self._found_stored(event, node)
            return
        lost = tells_a_loss(event)
        if "key" in event and not lost:
            self._named(event["key"], event["node"])
        if event.get("by") == "node":
            node.up = True  # and whoever put the home back has said so before
            self._begin_again(event["node"])
        elif lost or not node.up:
            node.up, node.restored = True, lost
            self._begin_again(event["node"])
            if lost:
                self._restore(event, node)

    def _named(self, key: str, name: str) -> None:
        self.node(name).key, self.names[key] = key, name
        for early in [one for one in self.envelopes if one.startswith(f"{key} ")]:  # told by a clock that was behind
            self.envelopes[early.replace(key, name, 1)] = self.envelopes.pop(early)

    def _found_stored(self, event: Event, node: Node) -> None:
        stream, n = self.stream(event), event["n"]
        stream.mark = n
        for (link, lane, _), other in self.streams.items():  # of a life that stored nothing nobody says a word
            if link == event["link"] and lane == event.get("ln", ""):
                other.received = other.decided  # what a connection left undecided went with it
        if node.forgetful:
            stream.acked, stream.delivered = min(stream.acked, n), min(stream.delivered, n)
        if self.last_loss:
            known = node.forgetful or self.node(stream.sender).forgetful
            for name in self.nodes if known else (stream.sender, stream.receiver):
                self.loss_heard[name], self._hearing_until[name] = self.line, event["t"] + HEARD_NS

    def _restore(self, event: Event, node: Node) -> None:
        name = event["node"]
        line, known = node.backups.get(event.get("key", ""), (0, {}))
        node.forgot.append((line, self.line))
        node.untold = True
        self.last_loss = self.line
        self.unheard[name] += sum(asked == name for asked, _ in self.unanswered)
        for key, stream in self.streams.items():
            if stream.sender == name:
                stream.sent = known.get(key, 0)
                self.floors[key[:2]] = (-1, 0)
            elif stream.receiver == name:
                stream.mark = known.get(key, 0)
                stream.delivered = min(stream.delivered, stream.mark)
        self._raise_floors()

    def _raise_floors(self) -> None:
        """A restored sender goes on above every life of which the other end knows more than it does. Numbers that
        neither of them knows never were; and where they know the same, nobody can find out, and nothing is wrong."""
        for key, stream in self.streams.items():
            lane = key[:2]
            if lane not in self.floors:
                continue
            if stream.mark > stream.sent:
                self.floors[lane] = max(self.floors[lane], (key[2], stream.mark_line))
            stream.leaves.forget_beyond(max(stream.sent, stream.mark))

    def _raised(self, event: Event) -> None:
        for name in event.get("link", "").split(">"):
            self.node(name).untold = False

    def _begin_again(self, node: str) -> None:
        """What had come in and was not decided went with the process."""
        for stream in self.streams.values():
            if stream.receiver == node:
                stream.received = stream.decided


_NUMBERED = frozenset(("link_tx", "link_rx", "link_ack_rx", "accept", "deliver", "dead_letter", "refuse", "outcome"))
_ENTER = {
    "submit_call": Books._submit_call,
    "submit_unknown": Books._submit_call,
    "submit_ok": Books._submit_ok,
    "submit_refused": Books._submit_refused,
    "accept": Books._judged,
    "deliver": Books._judged,
    "dead_letter": Books._judged,
    "refuse": Books._judged,
    "outcome": Books._outcome,
    "claim": Books._claim,
    "archive": Books._archive,
    "trust_set": Books._trust,
    "backup": Books._backup,
    "epoch_bump": Books._raised,
    "crash": Books._down,
    "power_cut": Books._down,
    "start": Books._start,
}
