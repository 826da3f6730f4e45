"""What databases say, told beside what the nodes said of themselves: at the machine's time, and nothing twice.

A node writes down what its links stored at the moment at which it was durable. So a database adds what only it knows:
who was given what, and what became of it. Its own times are those of the node's clock, which may have been wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from netsky.node.lab.books import Lines
from netsky.node.lab.history import Appended, Writer, read_history

from tests.real.mesh_clock import Clock


def _short(text: str) -> int:
    return int(text[:16], 16)


class Heard:
    """When nodes said that something was durable."""

    def __init__(self, folder: Path) -> None:
        self._accepted: dict[tuple[str, int], tuple[int, ...]] = {}
        """By node and leaf: what a restored node forgot it accepts again."""
        self.ended: dict[tuple[int, str], int] = {}
        """By origin and id."""
        for path in sorted(folder.glob("node-*.history")):
            for event in read_history(str(path)):
                if event["ev"] == "accept":
                    which = (event["node"], _short(event["hash"]))
                    self._accepted[which] = (*self._accepted.get(which, ()), event["t"])
                elif event["ev"] == "outcome":
                    self.ended[_short(event["origin"]), event["id"]] = event["t"]

    def accepted(self, node: str, leaf: str, after: int) -> int | None:
        """What was stored then was told next."""
        found = self._accepted.get((node, _short(leaf)), ())
        return found[0] if len(found) == 1 else next((at for at in found if at > after), None)


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
            del fields["value"]
            heard = self._heard.accepted(node, fields["hash"], at)
            if heard is None:  # it died between the commit and its line
                for name in ("link", "ln", "epoch", "n"):
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
