"""Where tickets are carried out on this node: so many at once, each with its runtime and a last deadline.

Whoever hands in a job hears of its end by the function that it gives along. Nothing is stored here: what a job was for
is its giver's to know.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import trio
from netsky.node.supervise import Crash, describe
from netsky.node.work.limits import REASON_CHARS_MAX
from netsky.node.work.report import Report
from netsky.node.work.runtime import Job, Runtimes

if TYPE_CHECKING:
    from netsky.node.daemon.node import Node

LAST_SECONDS = 30.0
"""A runtime keeps the time of its try itself; one that hangs is ended so long after."""

Done = Callable[[Job, Report], None]


@dataclass(slots=True, eq=False)
class _AtWork:
    job: Job
    done: Done
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    why: Report | None = None
    """Why it was ended, if it was."""


class Floor:
    def __init__(self, node: Node, runtimes: Runtimes) -> None:
        self.runtimes = runtimes
        self._node = node
        self._queue: deque[_AtWork] = deque()
        self._at_work: dict[str, _AtWork] = {}
        self._nursery: trio.Nursery | None = None

    @property
    def slots(self) -> int:
        return self._node.config.work_slots

    @property
    def labels(self) -> tuple[str, ...]:
        return self._node.config.work_labels

    async def run(self, task_status: trio.TaskStatus[None]) -> None:
        """Until cancelled; what is at work then is forgotten by the giver's own rows."""
        self._queue.clear()
        self._at_work.clear()
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            task_status.started()
            try:
                await trio.sleep_forever()
            finally:
                self._nursery = None

    def start(self, job: Job, done: Done) -> None:
        """At once if a slot is free, else as soon as one is."""
        self._queue.append(_AtWork(job, done))
        self._next()

    def stop(self, task_id: str, why: Report) -> bool:
        """Ends it; its giver hears `why`. False if it is not here."""
        one = self._at_work.get(task_id)
        if one is not None:
            one.why = why
            one.scope.cancel()
            return True
        waiting = [one for one in self._queue if one.job.task_id == task_id]
        for one in waiting:
            self._queue.remove(one)
            one.done(one.job, why)
        return bool(waiting)

    def stop_all(self, why: Report) -> None:
        for task_id in [*self._at_work, *(one.job.task_id for one in self._queue)]:
            self.stop(task_id, why)

    def _next(self) -> None:
        while self._nursery is not None and self._queue and len(self._at_work) < self.slots:
            one = self._queue.popleft()
            self._at_work[one.job.task_id] = one
            self._nursery.start_soon(self._carry_out, one)

    async def _carry_out(self, one: _AtWork) -> None:
        began = self._node.seams.time.monotonic()
        report: Report | None = None
        try:
            with one.scope:
                report = await self._tried(one.job)
            report = one.why or report
        finally:
            self._at_work.pop(one.job.task_id, None)
            self._next()
        if report is not None:
            took = (self._node.seams.time.monotonic() - began) // 10**6
            one.done(one.job, replace(report, ms=took))

    async def _tried(self, job: Job) -> Report:
        runtime = self.runtimes.get(job.spec.runtime)
        if runtime is None:
            name = self._node.identity.name
            return Report("failed", "no_runtime", f"{name} has no runtime {job.spec.runtime}")
        timeout = job.spec.constraints.timeout_ms / 1e3
        try:
            with trio.move_on_after(timeout + LAST_SECONDS):
                report = await runtime.prepare(job)
                return await runtime.run(job) if report is None else report
            return Report("failed", "timed_out", f"its runtime did not end within {timeout:g} s and {LAST_SECONDS:g} s")
        except Exception as error:  # noqa: BLE001 - the border: a runtime's mistake costs its ticket a try, and no other
            self._node.crashes.report(Crash(f"work/{job.task_id}", "crashed", error, 0))
            return Report("failed", "internal", f"the node made a mistake: {describe(error)}"[:REASON_CHARS_MAX])
        finally:
            with trio.CancelScope(shield=True), trio.move_on_after(LAST_SECONDS):
                await runtime.clear(job)
