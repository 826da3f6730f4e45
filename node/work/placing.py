"""Where a ticket goes, and why it waits: one pure function over what the nodes have said of themselves.

Named nodes are asked in the order in which they are named, each time anew: the first that can have it now gets it.
Without names the one with most free slots gets it, of equal ones that with the lowest number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Room:
    """One node, as netsky0 sees it."""

    name: str
    slots: int = 0
    """0: it has not said yet."""
    used: int = 0
    labels: frozenset[str] = frozenset()
    """What it can do, and what people call it."""
    away: str = ""
    """Why nothing goes there now, in a few words; empty if it does."""
    alone: bool = False
    """What it works on now was at work when a node died: nothing beside it."""

    @property
    def free(self) -> int:
        return 0 if self.away or self.alone else max(0, self.slots - self.used)

    def taking(self, *, alone: bool) -> Room:
        """With one more at work."""
        return replace(self, used=self.used + 1, alone=self.alone or alone)

    @property
    def number(self) -> int:
        return int(self.name.removeprefix("netsky"))

    def is_called(self, name: str) -> bool:
        return name == self.name or name in self.labels


@dataclass(frozen=True, slots=True)
class Placed:
    node: str
    why: str


@dataclass(frozen=True, slots=True)
class Waits:
    why: str


def placing(needs: Sequence[str], on: Sequence[str], rooms: Sequence[Room], *, alone: bool = False) -> Placed | Waits:
    """`alone`: a suspect, which gets a node that has nothing else."""
    unknown = [name for name in on if not any(room.is_called(name) for room in rooms)]
    asked = _in_order(on, rooms)
    able = [room for room in asked if set(needs) <= room.labels]
    fitting = [room for room in able if room.free and not (alone and room.used)]
    if fitting:
        room = fitting[0]
        return Placed(room.name, _why(needs, on, room, asked))
    missing = "".join(f"; {name} is no node here" for name in unknown)
    wanted = f"needs {' and '.join(needs)}; " if needs else ""
    if not able:
        place = f"none of {', '.join(on)}" if on else "no node"
        return Waits(f"waiting: {wanted}{place} has {'it' if len(needs) == 1 else 'them all'}{missing}" if needs else
                     f"waiting: {place} is there{missing}")  # fmt: skip
    has = " has it, " if needs else " is "
    return Waits(f"waiting: {wanted}" + "; ".join(f"{r.name}{has}{_state(r, alone)}" for r in able[:6]) + missing)


def _in_order(on: Sequence[str], rooms: Sequence[Room]) -> list[Room]:
    if on:
        return list(dict.fromkeys(room for name in on for room in rooms if room.is_called(name)))
    return sorted(rooms, key=lambda room: (-room.free, room.number))


def _state(room: Room, alone: bool) -> str:
    if room.away:
        return room.away
    if not room.slots:
        return "silent about its slots"
    if room.alone:
        return "busy with one that must be alone"
    if alone and room.used:
        return "not empty, and this one must be alone"
    return f"full ({room.used} of {room.slots})"


def _why(needs: Sequence[str], on: Sequence[str], room: Room, asked: Sequence[Room]) -> str:
    has = f"has {' and '.join(needs)}" if needs else ""
    passed = [one.name for one in asked[: asked.index(room)]] if on else []
    named = f"named, after {', '.join(passed)}" if passed else "named first" if on else ""
    free = f"{room.free} of {room.slots} slots free"
    return f"{room.name}: " + ", ".join(part for part in (named, has, free) if part)
