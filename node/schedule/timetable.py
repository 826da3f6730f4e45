"""Which entries are due, and what becomes of what was missed. Pure: the moment is given, the answer is a value.

The rule. A due time that is at most five minutes old (or two rounds of the ticker) fires. One that is older was
*missed*: the node was down, the machine asleep, the clock moved ahead. Of those an entry fires the newest, once, unless
another is due now anyway (`last`); none (`skip`); or each, the newest 24 (`all`). What was dealt with, by whatever
branch, is never due again: a clock set back finds it done. Only one that was wrong by more than a day begins anew.
"""

from __future__ import annotations

import heapq
from collections.abc import Generator
from dataclasses import dataclass

from netsky.node.schedule.entries import Entry
from netsky.node.schedule.limits import CATCH_UP_MAX, SET_BACK_NS

_WINDOWS = tuple(seconds * 10**9 for seconds in (1_800, 8 * 3_600, 4 * 86_400, 64 * 86_400, 3 * 366 * 86_400))
"""How far back is looked, one after the other until there is enough: who slept for a year missed half a million
minutes, and only the newest matter."""


@dataclass(frozen=True, slots=True)
class Due:
    """What one entry does now."""

    label: str
    fires: tuple[int, ...]
    missed: int
    """Due times that do not fire, of those that were looked at."""
    late: bool
    """Among those that fire is one that was missed."""
    newest: int
    """Everything up to it is dealt with, once these fired."""


@dataclass(slots=True)
class _Slot:
    entry: Entry
    done: int
    due: int | None = None


class Timetable:
    """The entries in force, by their next due time."""

    def __init__(self) -> None:
        self._slots: dict[str, _Slot] = {}
        self._heap: list[tuple[int, str]] = []

    def __len__(self) -> int:
        return len(self._slots)

    def put(self, entry: Entry, done: int) -> None:
        """Everything up to `done` is dealt with."""
        slot = self._slots[entry.label] = _Slot(entry, done)
        slot.due = entry.line.after(entry.zone, done) if entry.enabled else None
        if slot.due is not None:
            heapq.heappush(self._heap, (slot.due, entry.label))

    def keep(self, entry: Entry) -> bool:
        """The same schedule with perhaps another target or text: False if it has to be put."""
        slot = self._slots.get(entry.label)
        if slot is None or slot.entry.rule != entry.rule:
            return False
        slot.entry = entry
        return True

    def drop(self, label: str) -> None:
        self._slots.pop(label, None)

    def labels(self) -> list[str]:
        return list(self._slots)

    def entry(self, label: str) -> Entry:
        return self._slots[label].entry

    def next_due(self, label: str) -> int | None:
        return self._slots[label].due

    def done(self, label: str) -> int:
        return self._slots[label].done

    def due(self, now: int) -> list[str]:
        """The labels whose time has come, in its order. Cheap where there is none."""
        found = []
        while self._heap and self._heap[0][0] <= now:
            at, label = heapq.heappop(self._heap)
            slot = self._slots.get(label)
            if slot is not None and slot.due == at:
                found.append(label)
        for label in found:
            heapq.heappush(self._heap, (self._slots[label].due or 0, label))  # until it is dealt with
        return list(dict.fromkeys(found))

    def ahead(self, now: int) -> list[str]:
        """Those that believe to have dealt with more than a day that is still to come: the clock was wrong."""
        return [label for label, slot in self._slots.items() if slot.done > now + SET_BACK_NS]

    def decide(self, label: str, now: int, late_ns: int) -> Generator[None, None, Due]:
        """In steps, between which others may have their turn; the answer is what it returns."""
        slot = self._slots[label]
        times = yield from _newest(slot.entry, slot.done, now)
        fresh = [at for at in times if at >= now - late_ns]
        old = times[: len(times) - len(fresh)]
        if slot.entry.missed == "all":
            fires = times
        elif slot.entry.missed == "last" and not fresh:
            fires = old[-1:]
        else:
            fires = fresh
        fires = fires[-CATCH_UP_MAX:]
        late = bool(fires) and fires[0] < now - late_ns
        return Due(label, tuple(fires), len(times) - len(fires), late, times[-1] if times else slot.done)

    def dealt_with(self, label: str, done: int) -> None:
        slot = self._slots.get(label)
        if slot is not None:
            self.put(slot.entry, done)


def _newest(entry: Entry, done: int, now: int) -> Generator[None, None, list[int]]:
    """The due times of (done, now]: all, or at least as many of the newest as ever fire."""
    found: list[int] = []
    for window in (*_WINDOWS, None):
        start = done if window is None else max(done, now - window)
        found = []
        at = entry.line.after(entry.zone, start)
        while at is not None and at <= now:
            found.append(at)
            yield
            at = entry.line.after(entry.zone, at)
        if len(found) >= CATCH_UP_MAX or start == done:
            break
    return found
