"""trio, as the event loop that aiosqlite and iroh ask asyncio for. The one file that knows asyncio.

Both are written for asyncio, and both ask two things of the running loop only: to make a future, and to call
something from another thread. Neither needs asyncio's own loop. `asyncio._set_running_loop` is the hook that asyncio
offers to event loops; what it sets is of this thread alone, so several `trio.run` in several threads do not meet.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn, cast

import outcome
import trio


class TrioFuture:
    """What is asked of an asyncio future, for one waiting trio task. Its result comes once, on trio's thread."""

    __slots__ = ("_cancelled", "_loop", "_outcome", "_task")

    def __init__(self, loop: TrioEventLoop) -> None:
        self._loop = loop
        self._task: trio.lowlevel.Task | None = None
        self._outcome: outcome.Maybe[Any] | None = None
        self._cancelled = False

    def get_loop(self) -> TrioEventLoop:
        return self._loop

    def done(self) -> bool:
        return self._cancelled or self._outcome is not None

    def cancelled(self) -> bool:
        return self._cancelled

    def set_result(self, value: object) -> None:
        self._finish(outcome.Value(value))

    def set_exception(self, error: BaseException) -> None:
        self._finish(outcome.Error(error))

    def _finish(self, result: outcome.Maybe[Any]) -> None:
        assert not self.done(), "a future has one result"
        self._outcome = result
        if self._task is not None:
            task, self._task = self._task, None
            trio.lowlevel.reschedule(task)

    def __await__(self) -> Generator[Any, None, Any]:
        return self._wait().__await__()

    async def _wait(self) -> Any:
        assert self._task is None, "one task waits for a future"
        if not self.done():
            self._task = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._cancel)
        assert self._outcome is not None, "who was cancelled while waiting does not ask again"
        return self._outcome.unwrap()

    def _cancel(self, raise_cancel: Callable[[], NoReturn]) -> trio.lowlevel.Abort:
        """A result that is on its way already wins over the cancellation.

        iroh's binding hands out a stream or a connection in two steps, *ready* and *fetched*. Whoever is cancelled
        between the two leaks it: the peer then sees a stream that never ends. *Ready* is announced by
        `call_soon_threadsafe` before this is called, and what is called soon is called in order.
        """

        def give_up() -> None:
            if self._task is not None:
                # The work in the other thread goes on; its result finds a cancelled future and is dropped.
                task, self._task, self._cancelled = self._task, None, True
                trio.lowlevel.reschedule(task, outcome.capture(raise_cancel))

        self._loop.call_soon_threadsafe(give_up)
        return trio.lowlevel.Abort.FAILED


class TrioEventLoop:
    """What is asked of an event loop. Lives as long as the `trio.run` it was made in."""

    __slots__ = ("_token",)

    def __init__(self) -> None:
        self._token = trio.lowlevel.current_trio_token()

    def create_future(self) -> TrioFuture:
        return TrioFuture(self)

    def call_soon_threadsafe(self, function: Callable[..., object], *values: object) -> None:
        with suppress(trio.RunFinishedError):  # nobody is left to hear it
            self._token.run_sync_soon(function, *values)


@contextmanager
def trio_as_event_loop() -> Iterator[None]:
    """Inside `trio.run`: for as long as this is entered, aiosqlite and iroh work on this thread."""
    before = asyncio._get_running_loop()
    asyncio._set_running_loop(cast("asyncio.AbstractEventLoop", TrioEventLoop()))
    try:
        yield
    finally:
        asyncio._set_running_loop(before)


def is_event_loop() -> bool:
    """Whether this thread is inside `trio_as_event_loop`."""
    return isinstance(cast("object", asyncio._get_running_loop()), TrioEventLoop)
