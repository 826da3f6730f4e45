"""What databases say, told beside what the nodes said of themselves: at the machine's time, and nothing twice.

A node writes down what its links stored at the moment at which it was durable. So a database adds what only it knows:
who was given what, and what became of it. Its own times are those of the node's clock, which may have been wrong.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from netsky.node.lab.books import Lines
from netsky.node.lab.history import Appended, Writer, read_history

from tests.real.mesh_clock import Clock

NUMBERING = frozenset(("accept", "refuse", "outcome", "link_tx"))


def _stream(event: dict[str, Any]) -> tuple[str, str, int]:
    return (event["link"], event["ln"], event["epoch"])


def _short(text: str) -> int:
    return int(text[:16], 16)


class Heard:
    """When nodes said that something was durable."""

    def __init__(self, folder: Path, copied: Collection[str]) -> None:
        self._accepted: dict[tuple[str, int], tuple[tuple[int, int, int], ...]] = {}
        """By node and leaf: when, in which life and with which number. A restored node accepts again."""
        self._numbered: dict[tuple[str, str, str, int, int], int] = {}
        """Of nodes with copies: by node, stream and number."""
        self.ended: dict[tuple[int, str], int] = {}
        """By origin and id."""
        for path in sorted(folder.glob("node-*.history")):
            for event in read_history(str(path)):
                if event["ev"] == "accept":
                    which = (event["node"], _short(event["hash"]))
                    self._accepted[which] = (*self._accepted.get(which, ()), (event["t"], event["epoch"], event["n"]))
                if event["ev"] in NUMBERING and event["node"] in copied:
                    self._numbered.setdefault((event["node"], *_stream(event), event["n"]), event["t"])
                if event["ev"] == "outcome":
                    self.ended[_short(event["origin"]), event["id"]] = event["t"]

    def accepted(self, at: int, node: str, row: dict[str, Any]) -> int | None:
        """When it was told of what was stored as this row, at that time."""
        where = (row["epoch"], row["value"]["number"])
        found = [t for t, *place in self._accepted.get((node, _short(row["hash"])), ()) if (*place,) == where]
        return next((t for t in found if t > at or len(found) == 1), None)

    def held(self, node: str, marks: Sequence[dict[str, Any]]) -> int:
        """When the last was said of what is in a copy with these marks."""
        return max((self._numbered.get((node, *_stream(one), one["n"]), 0) for one in marks), default=0)


class Told(Lines):
    """Lines of one database, in the order of their true times."""

    def __init__(self, path: str, clocks: Mapping[str, Clock], heard: Heard) -> None:
        self._path, self._clocks, self._heard = path, clocks, heard
        self._events: list[tuple[int, int, str, str, str, dict[str, Any]]] = []

    def note(self, at: int, node: str, ev: str, by: Any = "test", **fields: Any) -> None:
        if ev in {"accept", "proof"}:
            return  # the node said it
        at = self._clocks[node].truth(at)
        if ev == "deliver" and "link" in fields:
            fields["value"] = {"number": fields["value"]["number"]}  # its proof is where it came in
            heard = self._heard.accepted(at, node, fields)
            if heard is None:  # it died between the commit and its line
                for name in ("link", "ln", "epoch", "n", "value"):
                    fields.pop(name, None)
            else:
                at = max(at, heard + 1)
        elif ev == "dead_letter" or (ev == "outcome" and self._clocks[node].was_wrong):
            at = self._heard.ended.get((_short(fields["origin"]), fields["id"]), at)
        self._events.append((at, len(self._events), node, ev, by, fields))

    def __exit__(self, *_: object) -> None:
        appended = Appended(self._path)
        for at, _, node, ev, by, fields in sorted(self._events, key=lambda one: one[:2]):
            Writer(appended, lambda at=at: at, node=node, by=by).note(ev, **fields)
        appended.close()
