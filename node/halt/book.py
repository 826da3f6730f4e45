"""netsky0's book of orders: what it wants of each node, and what each has answered. Pure."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, replace

from netsky.node.halt.state import Answer, Do, Order

KEY = "halt_orders"
"""Its place in node_state."""


@dataclass(frozen=True, slots=True)
class Line:
    """One order, and when it was given, by the clock of netsky0."""

    order: Order
    at: int


@dataclass(frozen=True, slots=True)
class Book:
    newest: int = 0
    """The number of the newest order."""
    everybody: Line | None = None
    """A halt of all, which holds for those too who join later."""
    lines: Mapping[str, Line] = field(default_factory=dict)
    """By key, in hex: the newest order for that node by name."""
    answers: Mapping[str, Answer] = field(default_factory=dict)

    def wish(self, key: str) -> Line | None:
        """What holds for this node."""
        line, everybody = self.lines.get(key), self.everybody
        if line is None or (everybody is not None and everybody.order.number > line.order.number):
            return everybody
        return line

    def open(self, key: str) -> Line | None:
        """What this node has not answered yet."""
        line, answer = self.wish(key), self.answers.get(key)
        if line is None or (answer is not None and answer.order >= line.order.order):
            return None
        return line


@dataclass(frozen=True, slots=True)
class Wanted:
    """An order that has no number yet."""

    do: Do
    reign: int
    reason: str
    at: int


def given(book: Book, wanted: Wanted, keys: Collection[str], *, everybody: bool) -> Book:
    """An order to these, or to everybody: those who are here, and for a halt whoever comes later.

    Its number is a time in ms where the clock allows: a root that was put back from a backup still counts above what it
    gave out before.
    """
    order = Order(wanted.do, wanted.reign, max(book.newest + 1, wanted.at // 10**6), wanted.reason)
    line = Line(order, wanted.at)
    lines = {**book.lines, **dict.fromkeys(keys, line)}
    lasting = (line if wanted.do == "halt" else None) if everybody else book.everybody
    return Book(order.order, lasting, lines, book.answers)


def heard(book: Book, key: str, answer: Answer) -> Book:
    """A node says what it did. What is older than what it said before changes nothing."""
    before = book.answers.get(key)
    if before is not None and before.order > answer.order:
        return book
    return replace(book, answers={**book.answers, key: answer})


def without(book: Book, keys: Collection[str]) -> Book:
    """These belong to the mesh no more."""
    gone = set(keys)
    return replace(
        book,
        lines={key: line for key, line in book.lines.items() if key not in gone},
        answers={key: answer for key, answer in book.answers.items() if key not in gone},
    )


def encode(book: Book) -> str:
    return json.dumps(asdict(book))


def decode(text: str) -> Book:
    found = json.loads(text)
    everybody = found["everybody"]
    return Book(
        found["newest"],
        None if everybody is None else _line(everybody),
        {key: _line(line) for key, line in found["lines"].items()},
        {key: Answer(**answer) for key, answer in found["answers"].items()},
    )


def _line(found: Mapping[str, object]) -> Line:
    order, at = found["order"], found["at"]
    assert isinstance(order, dict)
    assert isinstance(at, int)
    return Line(Order(**order), at)
