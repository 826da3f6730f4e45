"""Runs trio so that a seed decides everything: virtual time, and the order in which tasks take their turns.

    run_seeded(main, seed=7)

This is the one place that touches two private names of trio: a switch that sorts the tasks of a turn by their age, and
the generator that then shuffles them. `tests/node/lab/test_scheduler.py` is the canary that sings when trio changes.
What trio leaves open (two deadlines at one instant expire in the order of their addresses) is healed by the sorting:
whoever is woken in one turn is woken together.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import trio
import trio._core._run as trio_run

T = TypeVar("T")

NOTHING_TO_DO_SECONDS = 3_600.0
"""Real time that trio then waits for whatever may come from outside before it asks again."""


def run_seeded(main: Callable[..., Awaitable[T]], *args: Any, seed: int) -> T:
    """As `trio.run` with a clock that jumps. The process is left as it was: what runs next is shuffled as before."""
    names: Any = trio_run
    before, names._ALLOW_DETERMINISTIC_SCHEDULING = names._ALLOW_DETERMINISTIC_SCHEDULING, True
    shuffler: random.Random = names._r
    state = shuffler.getstate()
    shuffler.seed(seed)
    try:
        return trio.run(main, *args, clock=JumpingClock())
    finally:
        shuffler.setstate(state)
        names._ALLOW_DETERMINISTIC_SCHEDULING = before


class JumpingClock(trio.abc.Clock):
    """Stands still while anybody has something to do, and then where the next thing is due.

    trio asks for the time until the next deadline exactly when no task can run: that is when it jumps. Whoever sleeps
    by `sleep_until` is woken right there; by trio's own way, a scope that is cancelled, it costs three times as much,
    and sleeping is most of what simulated nodes do.
    """

    def __init__(self) -> None:
        self._now = 0.0
        self._asleep: list[tuple[float, int, list[trio.lowlevel.Task]]] = []
        self._count = 0

    def start_clock(self) -> None:
        pass

    def current_time(self) -> float:
        return self._now

    def deadline_to_sleep_time(self, deadline: float) -> float:
        asleep = self._asleep
        due = min(deadline, asleep[0][0]) if asleep else deadline
        if due == math.inf:
            return NOTHING_TO_DO_SECONDS
        self._now = max(self._now, due)
        while asleep and asleep[0][0] <= self._now:
            for task in heapq.heappop(asleep)[2]:
                trio.lowlevel.reschedule(task)
        return 0.0

    async def sleep_until(self, due: float) -> None:
        if due <= self._now:
            await trio.lowlevel.checkpoint()
            return
        sleeper = [trio.lowlevel.current_task()]
        self._count += 1
        heapq.heappush(self._asleep, (due, self._count, sleeper))

        def give_up(_: object) -> trio.lowlevel.Abort:
            sleeper.clear()
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(give_up)


async def sleep_until(due: float) -> None:
    """By whatever clock this run has."""
    clock = trio.lowlevel.current_clock()
    await (clock.sleep_until(due) if isinstance(clock, JumpingClock) else trio.sleep_until(due))


async def sleep(seconds: float) -> None:
    await sleep_until(trio.current_time() + seconds)
