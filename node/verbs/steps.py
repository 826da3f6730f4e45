"""Steps of one envelope by the clocks of several nodes, put into the order in which one caused the other.

Clocks of two machines differ, and a trace that is sorted by what they say shows effects before their causes. So each
step names its cause. A step by our own clock stands where that clock put it; one by another clock is moved by the
offset that was measured, and where it still lies before its cause, or after what it caused, it is shown at that bound,
with how far it was off. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Bound = Literal["", ">=", "<="]


@dataclass(frozen=True, slots=True)
class Step:
    name: str
    at: int | None
    """ns, by the clock of the node that saw it; None: it has not happened, or nobody here knows."""
    clock: str
    """The name of that node."""
    detail: str = ""
    after: int | None = None
    """Which of the steps before it caused it."""


@dataclass(frozen=True, slots=True)
class Placed:
    step: Step
    offset: int | None
    """That clock less ours, as measured; 0 for ours, None where nobody measured it."""
    here: int | None
    """When it was by our clock, as near as can be told: never before its cause."""
    bound: Bound
    """Whether `here` is only the earliest or the latest that it can have been."""
    skew: int
    """How far that clock, offset taken off, was from `here`: at least so much it must be wrong by."""


def place(steps: Sequence[Step], me: str, offsets: Mapping[str, int]) -> list[Placed]:
    """In the order to show them: what has not happened comes last."""
    here = _by_our_clock(steps, me)
    latest = _latest(steps, here)
    placed = []
    for at, step in enumerate(steps):
        offset = 0 if step.clock == me else offsets.get(step.clock)
        if step.at is None:
            placed.append(Placed(step, offset, None, "", 0))
            continue
        said = step.at - (offset or 0)
        if step.clock != me:
            before, after = _cause(steps, here, at), latest[at]
            now = said if after is None else min(said, after)
            here[at] = now if before is None else max(now, before)
        found = here[at]
        assert found is not None
        bound: Bound = ">=" if found > said else "<=" if found < said else ""
        placed.append(Placed(step, offset, found, bound, said - found))
    return sorted(placed, key=lambda one: (one.here is None, one.here or 0))


def _by_our_clock(steps: Sequence[Step], me: str) -> list[int | None]:
    """Ours stand where our clock put them, unless it was set back in between."""
    here: list[int | None] = [None] * len(steps)
    for at, step in enumerate(steps):
        if step.clock == me and step.at is not None:
            before = _cause(steps, here, at)
            here[at] = step.at if before is None else max(step.at, before)
    return here


def _latest(steps: Sequence[Step], here: Sequence[int | None]) -> list[int | None]:
    """The first step by our own clock that each of the others led to."""
    latest: list[int | None] = [None] * len(steps)
    for at in range(len(steps) - 1, -1, -1):
        own, cause = here[at], steps[at].after
        bound = own if own is not None else latest[at]
        if cause is not None and bound is not None:
            known = latest[cause]
            latest[cause] = bound if known is None else min(known, bound)
    return latest


def _cause(steps: Sequence[Step], here: Sequence[int | None], at: int) -> int | None:
    """Of the nearest cause that has a time."""
    cause = steps[at].after
    while cause is not None:
        assert cause < at, "a cause comes before what it causes"
        if here[cause] is not None:
            return here[cause]
        cause = steps[cause].after
    return None
