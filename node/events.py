"""What happens in a node, told to whoever listens. Telling never waits: a slow listener loses events and is told so."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import trio
from netsky.node.limits import EVENT_QUEUE_MAX, EVENTS_KEPT
from netsky.node.seams.time import Time

Event = dict[str, Any]


class Subscription:
    """The events from now on, in order, as long as it is open."""

    def __init__(self, kinds: frozenset[str] | None) -> None:
        self._kinds = kinds
        self._waiting: deque[Event] = deque()
        self._arrived = trio.Event()
        self.dropped = 0

    def offer(self, event: Event) -> None:
        if self._kinds is not None and event["kind"] not in self._kinds:
            return
        if len(self._waiting) >= EVENT_QUEUE_MAX:
            self.dropped += 1
            return
        self._waiting.append(event)
        self._arrived.set()

    async def next(self) -> Event:
        """The next event; after a loss the last one before it is followed by one of kind `dropped` with the count."""
        while not self._waiting and not self.dropped:
            await self._arrived.wait()
            self._arrived = trio.Event()
        if self._waiting:
            return self._waiting.popleft()
        lost, self.dropped = self.dropped, 0
        return {"kind": "dropped", "count": lost}


class Events:
    def __init__(self, time: Time) -> None:
        self._time = time
        self._subscriptions: dict[int, Subscription] = {}
        self._opened = 0
        self._latest: deque[Event] = deque(maxlen=EVENTS_KEPT)

    def publish(self, kind: str, **fields: Any) -> None:
        """`kind` is a stable name, the fields are what JSON can hold."""
        event = {"kind": kind, "at": self._time.wall(), **fields}
        self._latest.append(event)
        for subscription in self._subscriptions.values():
            subscription.offer(event)

    def latest(self) -> list[Event]:
        return list(self._latest)

    @contextmanager
    def subscribe(self, kinds: frozenset[str] | None = None) -> Iterator[Subscription]:
        subscription = Subscription(kinds)
        self._opened += 1
        number = self._opened
        self._subscriptions[number] = subscription
        try:
            yield subscription
        finally:
            del self._subscriptions[number]


class Signals:
    """Per name a bell: whoever waits hears that it rang since they last looked, however often. Nothing queues up.

    A name that ends with a slash stands for a house: its bell is heard at each name that begins with it too.
    """

    def __init__(self) -> None:
        self._rung: dict[str, int] = {}
        self._waiters: dict[str, trio.Event] = {}

    def count(self, name: str) -> int:
        house, slash, rest = name.partition("/")
        own = self._rung.get(name, 0)
        return own + self._rung.get(house + slash, 0) if rest else own

    def ring(self, name: str) -> None:
        self._rung[name] = self._rung.get(name, 0) + 1
        heard = [one for one in self._waiters if one.startswith(name)] if name.endswith("/") else [name]
        for one in heard:
            waiter = self._waiters.pop(one, None)
            if waiter is not None:
                waiter.set()

    async def wait_beyond(self, name: str, count: int) -> int:
        """Returns at once if it rang after `count` was read, else when it rings; gives the new count."""
        while self.count(name) <= count:
            await self._waiters.setdefault(name, trio.Event()).wait()
        return self.count(name)
