"""Telling actors what rows say is due, each once, however full their inboxes are meanwhile."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from netsky.node.backoff import DIAL
from netsky.node.events import Signals
from netsky.node.seams.chance import Chance
from netsky.node.seams.time import Time

TOLD_MAX = 64
"""In one turn."""


class Row(Protocol):
    @property
    def seq(self) -> int: ...


Due = TypeVar("Due", bound=Row)


@dataclass(frozen=True, slots=True)
class Telling(Generic[Due]):
    bell: str
    """Rung when more may be due."""
    find: Callable[[int], Awaitable[Sequence[Due]]]
    """The next that are due after this seq, TOLD_MAX at most."""
    tell: Callable[[Sequence[Due]], Awaitable[int]]
    """How many of them are told, or never can be; the rest is found again."""
    pause_ns: int = 0
    """Between two looks, where the bell rings more often than anything is due."""


async def tell_forever(telling: Telling[Due], signals: Signals, time: Time, chance: Chance) -> None:
    attempt = 0
    while True:
        rung = signals.count(telling.bell)
        if await _round(telling):  # an inbox is full even for replies: later
            await time.sleep_until(time.monotonic() + DIAL.wait_ns(attempt, chance.fraction()))
            attempt += 1
            continue
        attempt = 0
        await signals.wait_beyond(telling.bell, rung)
        if telling.pause_ns:
            await time.sleep_until(time.monotonic() + telling.pause_ns)


async def _round(telling: Telling[Due]) -> int:
    """Once over all that is due: one full inbox keeps nobody else waiting. How many are left."""
    after = left = 0
    while due := await telling.find(after):
        left += len(due) - await telling.tell(due)
        after = due[-1].seq
    return left
