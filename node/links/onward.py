"""Gives numbers in the very transaction that stores what goes on, where nothing waits before it.

The usual way of an envelope through a node: it is stored; a bell rings; its link looks for it, numbers it, stores that,
sends it. Where the link stands still and had nothing left when it looked last, that second look and commit find only
what is at hand anyway. So whoever plans the first transaction asks here, and gets the numbers as statements that belong
into it. After the commit the frame leaves; if it fails, the connection ends: its machine is ahead of the disk.

What cannot be numbered so goes the usual way, and so does what comes behind it, until the link has looked.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from netsky.envelope.kinds import Lane
from netsky.mesh.effects import Numbered
from netsky.mesh.offer import Offer
from netsky.node.bus.onward import Given
from netsky.node.links.numbers import numbered
from netsky.node.seams.time import Time

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netsky.mesh.driver import Driver


class Onward:
    def __init__(self, time: Time, keeps: Callable[[bytes, str, Lane], bool]) -> None:
        """`keeps` tells whether what is for this actor of this node stays here for now, on that lane."""
        self._time = time
        self._keeps = keeps
        self._drivers: dict[bytes, Driver] = {}

    @contextmanager
    def driven(self, peer: bytes, driver: Driver) -> Iterator[None]:
        """This one gives the numbers of what goes to that peer. There is never a second one at a time."""
        assert peer not in self._drivers
        self._drivers[peer] = driver
        try:
            yield
        finally:
            del self._drivers[peer]

    def number(self, peer: bytes, lane: Lane, offer: Offer, to: Collection[tuple[bytes, str]]) -> Given | None:
        """Of one frame. `to`: destinations and actors of what is in it."""
        driver = self._drivers.get(peer)
        if driver is None:
            return None
        if any(self._keeps(*one, lane) for one in to):
            self.look_first(peer, lane)
            return None
        now = self._time.wall()
        effects = driver.number_now(lane, offer, now)
        if effects is None:
            return None
        [record] = effects.persist
        assert isinstance(record, Numbered)
        statements = numbered(peer, record, now, stored_with=True)
        return Given(record.life, record.first, now, statements, partial(driver.go, effects), driver.fail)

    def look_first(self, peer: bytes, lane: Lane) -> None:
        """What is stored without a number keeps its place: until the link has looked, nothing passes it here."""
        driver = self._drivers.get(peer)
        if driver is not None:
            driver.look_first(lane)
