"""A run in figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from netsky.node.lab.checker.books import Books
from netsky.node.lab.checker.lines import Event


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

    def text(self) -> str:
        ends = [f"{self.accepted} accepted", f"{self.delivered} delivered"]
        ends += [f"{count} dead of {code}" for code, count in self.dead.items()]
        ends += [f"{count} in doubt ({code})" for code, count in self.in_doubt.items()]
        if self.open:
            ends.append(f"{self.open} without an end")
        faults = ", ".join(f"{count} {kind}" for kind, count in self.faults.items())
        return f"{self.nodes} nodes, {self.seconds:.0f} s: {', '.join(ends)}; faults: {faults or 'none'}"


class Counting:
    def __init__(self) -> None:
        self._faults: Counter[str] = Counter()
        self._nodes: dict[str, None] = {}
        self._in_force: dict[str, str] = {}  # name of a fault -> where

    def looking(self) -> dict[str, Callable[[Event], None]]:
        """By the kinds of events that matter here."""
        return {
            "fault": self._fault, "heal": self._heal, "crash": self._fell, "power_cut": self._fell,
            "start": self._start,
        }  # fmt: skip

    def _fault(self, event: Event) -> None:
        self._faults[event.get("reason") or event.get("key", "")] += 1
        self._in_force[event.get("key", "")] = event.get("link", "")

    def _heal(self, event: Event) -> None:
        self._in_force.pop(event.get("key", ""), None)

    def _befell(self, kind: str, event: Event) -> None:
        """What is part of a fault that was named is no other one."""
        if event["node"] not in self._in_force.values():
            self._faults[kind] += 1

    def _fell(self, event: Event) -> None:
        self._befell(event["ev"], event)

    def _start(self, event: Event) -> None:
        if "link" in event:
            return
        self._nodes[event["node"]] = None
        if event.get("reason"):
            self._befell(event["reason"], event)

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
        seconds = (books.t - books.first_t) / 1e9
        faults = dict(sorted(self._faults.items()))
        ends = (dict(sorted(dead.items())), dict(sorted(in_doubt.items())))
        return Summary(len(self._nodes), seconds, accepted, delivered, *ends, unended, faults)
