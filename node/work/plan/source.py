"""Where things stand in a plan: the parser of the standard library names no lines, and a fault without its place is
half a fault. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

_TABLE = re.compile(r"\s*\[\[?\s*([A-Za-z0-9_.\-\"' ]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"\s*([A-Za-z0-9_\-]+)\s*(?:\.\s*([A-Za-z0-9_\-]+)\s*)?=")


class Places:
    """Lines by (number of the ticket, key); number -1 is the head of the plan. Later tables of a ticket are its own."""

    def __init__(self, text: str) -> None:
        self._lines: dict[tuple[int, str], int] = {}
        ticket, prefix = -1, ""
        for number, line in _outside_of_strings(text):
            table = _TABLE.match(line)
            if table is not None and "=" not in line.split("]")[0]:
                name = table[1].replace(" ", "")
                if name == "ticket" and line.lstrip().startswith("[["):
                    ticket, prefix = ticket + 1, ""
                    self._lines[ticket, ""] = number
                elif name.startswith("ticket."):
                    prefix = name.removeprefix("ticket.") + "."
                    self._lines.setdefault((ticket, prefix[:-1]), number)
                else:
                    ticket_free, prefix = -1, name + "."
                    self._lines.setdefault((ticket_free, name), number)
                continue
            key = _KEY.match(line)
            if key is not None:
                where = -1 if prefix and not self._of_ticket(prefix, ticket) else ticket
                self._lines.setdefault((where, prefix + key[1]), number)
                if key[2]:
                    self._lines.setdefault((where, f"{prefix}{key[1]}.{key[2]}"), number)

    def _of_ticket(self, prefix: str, ticket: int) -> bool:
        return (ticket, prefix[:-1]) in self._lines

    def line(self, ticket: int, key: str = "") -> int:
        """The nearest that is known: the key, the table it is in, the ticket, the first line."""
        while True:
            found = self._lines.get((ticket, key))
            if found is not None:
                return found
            if not key:
                return 1
            key = key.rpartition(".")[0]


def _outside_of_strings(text: str) -> Iterator[tuple[int, str]]:
    """Lines that do not begin within a string of several lines."""
    closing = ""
    for number, line in enumerate(text.splitlines(), 1):
        rest = line
        if closing:
            _, ended, rest = line.partition(closing)
            closing = "" if ended else closing
            if not ended or not rest:
                continue
        else:
            yield number, line
        closing = _opened(rest)


def _opened(line: str) -> str:
    """The mark that ends a string of several lines which begins here, "" if none does."""
    at = 0
    while at < len(line):
        mark = line[at : at + 3]
        if mark in {'"""', "'''"}:
            end = line.find(mark, at + 3)
            if end < 0:
                return mark
            at = end + 3
        elif line[at] == "#":
            return ""
        elif line[at] in "\"'":
            end = line.find(line[at], at + 1)
            at = len(line) if end < 0 else end + 1
        else:
            at += 1
    return ""
