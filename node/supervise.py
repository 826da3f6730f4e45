"""A tree of tasks that may crash. Each supervisor restarts its children by a strategy, up to an intensity; beyond it
gives up, which its own supervisor sees as one crash of one child. If the top gives up, the node ends.

    strategies   one_for_one: the child that crashed; rest_for_one: it and those started after it;
                 one_for_all: all of them
    restart      permanent: always; transient: only after a crash; temporary: never
    intensity    so many restarts within `period_ns`; one more is giving up

Order: children start in the order given and stop in reverse, each within its own deadline. What is fatal
(`LedgerBroken`, `MustStop`) is never restarted: it goes to the top at once, since nothing that such a node says can
be trusted.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import trio
from netsky.node.backoff import RESTART, Backoff
from netsky.node.seams.chance import Chance
from netsky.node.seams.ledger import LedgerBroken
from netsky.node.seams.time import Time

Strategy = Literal["one_for_one", "one_for_all", "rest_for_one"]
Restart = Literal["permanent", "transient", "temporary"]


@dataclass(frozen=True, slots=True)
class Child:
    """One task. With `announces`, `start` gets a function to call once it serves; later children wait for that."""

    name: str
    start: Callable[..., Awaitable[None]]
    restart: Restart = "permanent"
    announces: bool = False
    start_seconds: float = 10.0
    stop_seconds: float = 5.0


@dataclass(frozen=True, slots=True)
class Crash:
    """What a supervisor reports: to the log, to a row, to whoever watches."""

    task: str
    kind: str  # "crashed", "ended", "start_timeout", "stop_hung", "gave_up", "fatal"
    error: BaseException | None
    restarts: int

    @property
    def detail(self) -> str:
        return "" if self.error is None else describe(self.error)


class MustStop(Exception):
    """Raised by a task without which the node makes no sense and which cannot be restarted."""


class GaveUp(Exception):
    """A supervisor passed its intensity. The message names the child and the last error."""


@dataclass(slots=True, eq=False)
class _Running:
    child: Child
    scope: trio.CancelScope = field(default_factory=lambda: trio.CancelScope(shield=True))
    begun: trio.Event = field(default_factory=trio.Event)
    ended: trio.Event = field(default_factory=trio.Event)
    serving: trio.Event = field(default_factory=trio.Event)
    error: BaseException | None = None
    stopping: bool = False


@dataclass(slots=True)
class _Slot:
    child: Child
    running: _Running | None = None
    due: int = 0
    """Number of the pending restart, 0 if none. An old timer that fires finds another number here."""


class Supervisor:
    def __init__(
        self,
        name: str,
        children: Sequence[Child],
        *,
        time: Time,
        chance: Chance,
        report: Callable[[Crash], None],
        hung: Callable[[str], None],
        strategy: Strategy = "one_for_one",
        intensity: int = 3,
        period_ns: int = 60 * 10**9,
        backoff: Backoff = RESTART,
    ) -> None:
        """`report` gets every crash and must not fail; `hung` is told the name of a task that cannot be stopped: it
        ends the process, since a task that holds on would keep the node from ever stopping."""
        assert len({child.name for child in children}) == len(children), "names of children differ"
        self.name = name
        self.strategy = strategy
        self.intensity = intensity
        self._slots = [_Slot(child) for child in children]
        self._time = time
        self._chance = chance
        self._report = report
        self._hung = hung
        self._period_ns = period_ns
        self._backoff = backoff
        self._restarts: list[int] = []
        self._timers = 0
        self._nursery: trio.Nursery | None = None
        self._wake = trio.Event()
        self._exits: list[_Running] = []
        self._fired: list[tuple[str, int]] = []
        self._busy = trio.Lock()

    @property
    def restarts(self) -> int:
        """Restarts within the current period."""
        return len(self._restarts)

    def states(self) -> dict[str, str]:
        """For `status`: what each child is doing."""
        return {
            slot.child.name: "running" if slot.running is not None else "waits" if slot.due else "ended"
            for slot in self._slots
        }

    async def run(self, ready: Callable[[], None] | None = None) -> None:
        """Until cancelled (children end in reverse order) or until it gives up. `ready` once all of them serve."""
        failure: BaseException | None = None
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            try:
                await self._start([slot for slot in self._slots if slot.running is None])
                await self._watch(ready)
            except (GaveUp, LedgerBroken, MustStop) as error:
                failure = error
            finally:
                try:
                    with trio.CancelScope(shield=True):
                        await self._stop(self._slots)
                finally:
                    self._let_go()
                    nursery.cancel_scope.cancel()  # timers of restarts that will not come
        self._nursery = None
        if failure is not None:
            raise failure

    def _let_go(self) -> None:
        """Children are shielded from outside; if stopping them failed half-way, nobody else would cancel the rest."""
        for slot in self._slots:
            if slot.running is not None:
                slot.running.scope.cancel()

    async def add(self, child: Child) -> None:
        """One more child, started at once."""
        async with self._busy:
            assert all(slot.child.name != child.name for slot in self._slots), child.name
            slot = _Slot(child)
            self._slots.append(slot)
            if self._nursery is not None:
                await self._start([slot])

    async def remove(self, name: str) -> None:
        """Stops a child and forgets it; nothing happens if there is none of this name."""
        async with self._busy:
            found = [slot for slot in self._slots if slot.child.name == name]
            with trio.CancelScope(shield=True):
                await self._stop(found)
            self._slots = [slot for slot in self._slots if slot.child.name != name]

    async def _watch(self, ready: Callable[[], None] | None) -> None:
        while True:
            if ready is not None and not self._exits and all(map(_serves, self._slots)):
                ready()
                ready = None
            await self._wake.wait()
            self._wake = trio.Event()
            async with self._busy:
                while self._exits:
                    self._ended(self._exits.pop(0))
                while self._fired:
                    await self._restart(*self._fired.pop(0))

    async def _start(self, slots: Sequence[_Slot]) -> None:
        for slot in slots:
            assert self._nursery is not None
            slot.due = 0
            slot.running = running = _Running(slot.child)
            self._nursery.start_soon(self._live, running, name=f"{self.name}/{slot.child.name}")
            if not slot.child.announces:
                running.serving.set()
                await running.begun.wait()  # tasks of one turn run in any order: a checkpoint alone would not do
                await trio.lowlevel.checkpoint()  # what it raised at once may have cancelled us
                continue
            with trio.move_on_after(slot.child.start_seconds) as patience:
                async with trio.open_nursery() as either:
                    either.start_soon(_first, running.serving, either.cancel_scope)
                    either.start_soon(_first, running.ended, either.cancel_scope)
            if patience.cancelled_caught:
                running.error = TimeoutError(f"did not serve within {slot.child.start_seconds:g} s")
                await self._stop([slot], keep_error=True)

    async def _live(self, running: _Running) -> None:
        """One life of one child. This is a task's border: whatever it raises becomes a report."""
        running.begun.set()
        try:
            with running.scope:
                try:
                    if running.child.announces:
                        await running.child.start(running.serving.set)
                    else:
                        await running.child.start()
                except Exception as error:  # noqa: BLE001 - the border
                    running.error = error
        finally:
            running.ended.set()  # also when what ends the whole process passes here: whoever stops us must not wait
        if not running.stopping:
            self._exits.append(running)
            self._wake.set()

    async def _stop(self, slots: Sequence[_Slot], *, keep_error: bool = False) -> LedgerBroken | MustStop | None:
        """In reverse order. Gives what was fatal among the errors that they ended with."""
        fatal = None
        for slot in reversed(slots):
            slot.due = 0
            running, slot.running = slot.running, None
            if running is None:
                continue
            running.stopping = not keep_error
            running.scope.cancel()
            with trio.move_on_after(slot.child.stop_seconds, shield=True):
                await running.ended.wait()
            if not running.ended.is_set():
                self._report(Crash(self._path(slot.child), "stop_hung", None, self.restarts))
                self._hung(self._path(slot.child))
                await running.ended.wait()  # if nobody ended the process, there is nothing else to do
            if running.stopping and running.error is not None:
                found = find_fatal(running.error)
                fatal = fatal or found
                kind = "crashed" if found is None else "fatal"
                self._report(Crash(self._path(slot.child), kind, running.error, self.restarts))
        return fatal

    def _ended(self, running: _Running) -> None:
        slot = next((slot for slot in self._slots if slot.child is running.child), None)
        if slot is None or (slot.running is not None and slot.running is not running):
            return  # removed or replaced meanwhile
        slot.running = None
        error = running.error
        if error is not None and (fatal := find_fatal(error)) is not None:
            self._report(Crash(self._path(slot.child), "fatal", error, self.restarts))
            raise fatal
        if error is None and slot.child.restart != "permanent":
            return
        kind = "ended" if error is None else "start_timeout" if isinstance(error, TimeoutError) else "crashed"
        self._report(Crash(self._path(slot.child), kind, error, self.restarts))
        if slot.child.restart == "temporary":
            return
        self._count(slot.child, error)
        self._schedule(slot)

    def _count(self, child: Child, error: BaseException | None) -> None:
        now = self._time.monotonic()
        self._restarts = [at for at in self._restarts if now - at < self._period_ns]
        if len(self._restarts) >= self.intensity:
            why = "ended" if error is None else describe(error)
            said = (
                f"{self._path(child)} needed more than {self.intensity} restarts in {self._period_ns / 1e9:g} s: {why}"
            )
            given_up = GaveUp(said)
            self._report(Crash(self.name, "gave_up", given_up, self.restarts))
            raise given_up
        self._restarts.append(now)

    def _schedule(self, slot: _Slot) -> None:
        assert self._nursery is not None
        self._timers += 1
        slot.due = self._timers
        wait = self._backoff.wait_ns(max(0, self.restarts - 1), self._chance.fraction())
        self._nursery.start_soon(self._fire, slot.child.name, self._timers, self._time.monotonic() + wait)

    async def _fire(self, name: str, number: int, at: int) -> None:
        await self._time.sleep_until(at)
        self._fired.append((name, number))
        self._wake.set()

    async def _restart(self, name: str, number: int) -> None:
        position = next((at for at, slot in enumerate(self._slots) if slot.child.name == name), None)
        if position is None or self._slots[position].due != number:
            return
        match self.strategy:
            case "one_for_one":
                concerned = [self._slots[position]]
            case "rest_for_one":
                concerned = self._slots[position:]
            case "one_for_all":
                concerned = list(self._slots)
        # Those of the others that ended for good stay ended.
        again = [slot for slot in concerned if slot.running is not None or slot.due]
        fatal = await self._stop(again)
        if fatal is not None:
            raise fatal
        await self._start(again)

    def _path(self, child: Child) -> str:
        return f"{self.name}/{child.name}"


def find_fatal(error: BaseException) -> LedgerBroken | MustStop | None:
    """The error within (a group of) errors after which the node must stop."""
    if isinstance(error, LedgerBroken | MustStop):
        return error
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            found = find_fatal(part)
            if found is not None:
                return found
    return None


def describe(error: BaseException) -> str:
    """One line: kinds and messages, groups taken apart."""
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(describe(part) for part in error.exceptions)
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _serves(slot: _Slot) -> bool:
    return slot.running.serving.is_set() if slot.running is not None else not slot.due


async def _first(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel()
