"""What carries a ticket out: one small interface, and the runtimes by name.

    prepare → run → report

`prepare` gets ready what the run needs and can fail for reasons that are no fault of the worker; `run` ends with a
report, whatever happens in it; `clear` removes what was prepared, also after a cancellation. A runtime owns its clock:
the floor adds only a last deadline.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import trio
from netsky.node.work.fence import Fence
from netsky.node.work.report import Report
from netsky.node.work.start import Start
from netsky.node.work.ticket import Spec


@dataclass(frozen=True, slots=True)
class Job:
    """A ticket in the hands of the node that has its lease."""

    task_id: str
    fence: Fence
    tried: int
    """Which try this is, from 1."""
    spec: Spec
    start: Start | None = None
    """The files it begins with; None: it has none."""
    context: tuple[tuple[str, str], ...] = ()
    """What it points to: a pointer, and the text that stands there. Data."""


class Runtime(Protocol):
    async def prepare(self, job: Job) -> Report | None:
        """A report that ends the try at once, or None: ready."""

    async def run(self, job: Job) -> Report: ...

    async def clear(self, job: Job) -> None: ...


class Noop:
    """Inside the node: no process, no workspace, no patch. What is left is what a ticket costs by itself."""

    async def prepare(self, job: Job) -> Report | None:  # noqa: ARG002 - part of the protocol
        return None

    async def run(self, job: Job) -> Report:  # noqa: ARG002
        await trio.lowlevel.checkpoint()
        return Report("done", walled="node")

    async def clear(self, job: Job) -> None: ...


Runtimes = Mapping[str, Runtime]
