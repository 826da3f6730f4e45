"""Runs trio so that a seed decides everything: virtual time, and the order in which tasks take their turns.

    run_seeded(main, seed=7)

This is the one place that touches two private names of trio: a switch that sorts the tasks of a turn by their age, and
the generator that then shuffles them. `tests/node/lab/test_scheduler.py` is the canary that sings when trio changes.
What trio leaves open (two deadlines at one instant expire in the order of their addresses) is healed by the sorting:
whoever is woken in one turn is woken together.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import trio
import trio._core._run as trio_run
import trio.testing

T = TypeVar("T")


def run_seeded(main: Callable[..., Awaitable[T]], *args: Any, seed: int) -> T:
    """As `trio.run` with a clock that jumps. The process is left as it was: what runs next is shuffled as before."""
    names: Any = trio_run
    before, names._ALLOW_DETERMINISTIC_SCHEDULING = names._ALLOW_DETERMINISTIC_SCHEDULING, True
    shuffler: random.Random = names._r
    state = shuffler.getstate()
    shuffler.seed(seed)
    try:
        return trio.run(main, *args, clock=trio.testing.MockClock(autojump_threshold=0))
    finally:
        shuffler.setstate(state)
        names._ALLOW_DETERMINISTIC_SCHEDULING = before
