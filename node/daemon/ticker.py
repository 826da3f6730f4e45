"""The ticker: once a minute it asks each part of the node that keeps time, and leaves a sign that it did.

One round at a time. A round that takes longer than its period is seen (row, event, line of the log) and the rounds
that would have begun meanwhile are counted and left out, never stacked. A part has its own deadline, and one that
fails or hangs costs itself this round and nobody else.

The sign is `state/tick.json`, which the second heart outside reads: it holds the time that no clock change moves.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import trio
from netsky.node.db import observe
from netsky.node.db.group import GroupCommit
from netsky.node.events import Events
from netsky.node.log import Log
from netsky.node.markers import TICK_FILE, Markers
from netsky.node.seams.time import Time
from netsky.node.supervise import Crash

PART_SECONDS = 10.0
"""For one part of one round: each reads a few rows and decides. What takes longer hangs, or waits for what does."""

_MS = 1_000_000


class Part(Protocol):
    """Something that keeps time. What it answers stands in the round's row, so it is small."""

    @property
    def name(self) -> str: ...

    async def tick(self, now: int) -> Mapping[str, object]: ...


@dataclass(frozen=True, slots=True)
class Round:
    number: int
    at: int
    took_ns: int
    skipped: int
    """Rounds that were due while this one ran."""
    parts: Mapping[str, Mapping[str, object]]

    def data(self) -> dict[str, Any]:
        return {
            "round": self.number,
            "at": self.at,
            "took_ms": round(self.took_ns / _MS, 3),
            "skipped": self.skipped,
            "parts": {name: dict(said) for name, said in self.parts.items()},
        }


class Ticker:
    def __init__(
        self,
        *,
        time: Time,
        seconds: Callable[[], int],
        group: GroupCommit,
        markers: Markers,
        events: Events,
        log: Log,
        crashed: Callable[[Crash], None],
        pid: int,
    ) -> None:
        self.parts: list[Part] = []
        """In the order in which they are asked. Whoever keeps time adds itself when the node is built."""
        self.latest: Round | None = None
        self._time = time
        self._seconds = seconds
        self._group = group
        self._markers = markers
        self._events = events
        self._log = log
        self._crashed = crashed
        self._pid = pid
        self._number = 0
        self._one_at_a_time = trio.Lock()

    async def run(self) -> None:
        """The first round at once: what fell due while the node was down waits no longer."""
        while True:
            began = self._time.monotonic()
            await self.round("ticker")
            period = self._seconds() * 10**9
            gone = self._time.monotonic() - began
            await self._time.sleep_until(began + period * (gone // period + 1))

    async def round(self, source: str) -> Round:
        """One round now, after the one that may be at work."""
        async with self._one_at_a_time:
            self._number += 1
            at, began = self._time.wall(), self._time.monotonic()
            self._leave_a_sign(at, began)
            said = {part.name: await self._ask(part, at) for part in tuple(self.parts)}
            took = self._time.monotonic() - began
            done = Round(self._number, at, took, took // (self._seconds() * 10**9), said)
            self.latest = done
        self._tell(source, done)
        return done

    async def _ask(self, part: Part, at: int) -> Mapping[str, object]:
        began = self._time.monotonic()
        said: dict[str, object] = {}
        with trio.move_on_after(PART_SECONDS) as patience:
            try:
                said |= await part.tick(at)
            except Exception as error:  # noqa: BLE001 - a part's border: the others are asked all the same
                self._crashed(Crash(f"tick/{part.name}", "crashed", error, 0))
                said["failed"] = type(error).__name__
        if patience.cancelled_caught:
            hung = TimeoutError(f"did not end within {PART_SECONDS:g} s")
            self._crashed(Crash(f"tick/{part.name}", "tick_hung", hung, 0))
            said["failed"] = "hung"
        said["ms"] = round((self._time.monotonic() - began) / _MS, 3)
        return said

    def _leave_a_sign(self, at: int, monotonic: int) -> None:
        sign = {"at": at, "monotonic": monotonic, "pid": self._pid, "round": self._number, "seconds": self._seconds()}
        try:
            self._markers.write(TICK_FILE, json.dumps(sign).encode() + b"\n")
        except OSError as error:  # a full disk: the second heart asks the node itself before it ends it
            self._log.warn("tick.no_sign", error=str(error))

    def _tell(self, source: str, done: Round) -> None:
        data = done.data()
        self._group.ride(observe.ticked(done.at, source, data))
        failed = sorted(name for name, said in done.parts.items() if "failed" in said)
        if done.skipped or failed:
            self._log.warn("tick.trouble", took_ms=data["took_ms"], skipped=done.skipped, failed=failed)
            self._events.publish("tick_trouble", took_ms=data["took_ms"], skipped=done.skipped, failed=failed)
