"""An actor of this life of the node, and counting what is ended when its program is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import trio
from netsky.node.actors.limits import REST_SECONDS
from netsky.node.actors.place import Place


@dataclass(slots=True, eq=False)
class Here:
    place: Place
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    ended: trio.Event = field(default_factory=trio.Event)
    resting: bool = False
    """Its program was ended from here, and runs again when that is over."""

    def rests(self, reason: str) -> None:
        self.place.state, self.place.reason, self.resting = "halted", reason, True


@dataclass(frozen=True, slots=True)
class Ended:
    """What came of ending programs."""

    actors: tuple[str, ...] = ()
    processes: int = 0
    still: int = 0
    """Those that could not be ended; an actor whose program did not end in time counts as one."""


def counted(running: Sequence[Here]) -> int:
    return sum(here.place.ended for here in running)


def ended(running: Sequence[Here], before: int, slow: int) -> Ended:
    actors = tuple(here.place.actor.name for here in running)
    return Ended(actors, counted(running) - before, sum(here.place.left for here in running) + slow)


async def all_of(events: Sequence[trio.Event]) -> int:
    """How many did not come within the time that ending a program may take."""
    with trio.move_on_after(REST_SECONDS):
        for event in events:
            await event.wait()
    return sum(not event.is_set() for event in events)
