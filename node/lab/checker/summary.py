"""A run in figures."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from netsky.node.lab.checker.books import Books
from netsky.node.lab.checker.lines import Event

_FALLS = frozenset(("crash", "power_cut"))


@dataclass(frozen=True, slots=True)
class Summary:
    nodes: int = 0
    seconds: float = 0.0  # from the first line to the last
    accepted: int = 0  # envelopes
    delivered: int = 0  # of those
    dead: dict[str, int] = field(default_factory=dict)  # code -> how many of them
    in_doubt: dict[str, int] = field(default_factory=dict)
    open: int = 0  # without an end that anybody told of
    faults: dict[str, int] = field(default_factory=dict)  # kind -> how many


class Counting:
    def __init__(self) -> None:
        self._first = self._last = 0
        self._faults: Counter[str] = Counter()
        self._nodes: dict[str, None] = {}

    def enter(self, event: Event) -> None:
        t = self._last = event["t"]
        self._first = self._first or t
        kind = event["ev"]
        if kind == "fault":
            self._faults[event.get("reason") or event.get("key", "")] += 1
        elif kind in _FALLS:
            self._faults[kind] += 1
        elif kind == "start" and "link" not in event:
            self._nodes[event["node"]] = None
            if event.get("reason"):
                self._faults[event["reason"]] += 1

    def summary(self, books: Books) -> Summary:
        """What the sender was told counts; where he was told nothing, what nodes said."""
        accepted = delivered = unended = 0
        dead: Counter[str] = Counter()
        in_doubt: Counter[str] = Counter()
        for envelope in books.envelopes.values():
            if not envelope.submitted:
                continue
            accepted += 1
            fate, _, code = envelope.outcome.rstrip(")").partition("(")
            if fate == "in_doubt":
                in_doubt[code] += 1
            elif fate == "dead" or (not fate and envelope.dead and not envelope.delivered):
                dead[code or envelope.dead_reason] += 1
            elif envelope.delivered or fate == "delivered":
                delivered += 1
            else:
                unended += 1
        seconds = (self._last - self._first) / 1e9
        faults = dict(sorted(self._faults.items()))
        ends = (dict(sorted(dead.items())), dict(sorted(in_doubt.items())))
        return Summary(len(self._nodes), seconds, accepted, delivered, *ends, unended, faults)
