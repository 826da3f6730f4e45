"""Rare branches ("sometimes"): what a mesh under faults must come to at least once in a campaign, by name.

A run that never reached one of these proves nothing about it.
"""

from __future__ import annotations

from netsky.node.lab.checker.books import Books
from netsky.node.lab.checker.lines import Event

BRANCHES: dict[str, str] = {
    "duplicate refused": "bytes that had been decided on before came again",
    "restored": "a node was started from an older backup",
}


class Branches:
    """Counts them in the history; each event is entered before the books know it."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._counts: dict[str, int] = dict.fromkeys(BRANCHES, 0)

    def enter(self, event: Event) -> None:
        kind, reason = event["ev"], event.get("reason")
        if kind == "refuse" and reason == "duplicate":
            self._counts["duplicate refused"] += 1
        elif kind == "start" and reason == "restored":
            self._counts["restored"] += 1

    def reached(self) -> dict[str, int]:
        return dict(self._counts)
