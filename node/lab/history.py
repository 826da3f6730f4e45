"""The history of a run: one event a line, the same from the simulator and from real processes, judged by `checker`.

    history = Writer(Appended("run.history"), time.time_ns, node="netsky1", by="client")
    history.note("submit_ok", id=id_, origin=key, dest="agent0@netsky0", hash=leaf)

A line is a JSON object: `t` (ns), `node` where it was seen, `boot` (the life of that process), `by` whom (below), `ev`,
and of the other fields those that the event has; README.md says which event means what. A file may have any number of
writers: each event is one write to its end that begins a new line, so what SIGKILL cuts off damages nothing but itself.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any, Literal

By = Literal["client", "actor", "network", "test", "node"]
"""Who saw it. What `client` and `actor` see is never written by a node: it would be the accused as its own witness."""

FIELDS = (
    *("t", "node", "boot", "by", "ev", "id", "hash", "origin", "epoch", "dest", "n", "link", "ln"),
    *("reason", "key", "fence", "value"),
)


class Appended:
    """A file that is only ever added to."""

    def __init__(self, path: str) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def __call__(self, data: bytes) -> None:
        written = os.write(self._descriptor, data)
        assert written == len(data), "half a line of history"

    def close(self) -> None:
        os.close(self._descriptor)


class Writer:
    """Notes what one witness saw. The fields it was made with stand in every line of it."""

    def __init__(
        self, write: Callable[[bytes], object], now: Callable[[], int], *, node: str, by: By, boot: int = 0
    ) -> None:
        self._write, self._now = write, now
        self.node, self.by, self.boot = node, by, boot

    def seen_by(self, by: By, node: str | None = None) -> Writer:
        """Another witness of the same place and life, or of another place."""
        return Writer(self._write, self._now, node=node or self.node, by=by, boot=0 if node else self.boot)

    def note(self, ev: str, **fields: Any) -> None:
        self.note_all(ev, [fields])

    def note_all(self, ev: str, many: list[dict[str, Any]]) -> None:
        """The same event of many, by one write."""
        head = {"t": self._now(), "node": self.node, "boot": self.boot, "by": self.by, "ev": ev}
        self._write(b"".join(_line({**head, **fields}) for fields in many))


def _line(event: dict[str, Any]) -> bytes:
    assert event.keys() <= set(FIELDS), event.keys() - set(FIELDS)
    return b"\n" + json.dumps(event, separators=(",", ":")).encode()


def digest(text: object) -> str:
    """What a client wrote, or an actor read, in short."""
    return sha256(str(text).encode()).hexdigest()[:16]


def read_history(path: str) -> Iterator[dict[str, Any]]:
    """The events that stand there whole; none if there is no such file."""
    if not os.path.exists(path):
        return
    with open(path, "rb") as lines:
        for line in lines:
            try:
                event = json.loads(line)
            except ValueError:
                continue  # cut off while it was written; `checker` counts them
            if isinstance(event, dict):
                yield event
