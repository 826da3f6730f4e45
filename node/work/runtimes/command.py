"""The runtime `command`: a program in the strict sandbox, in a fresh clone, with its ticket on stdin.

What it hands back is never a commit: the node looks at what became of the files and makes a patch of it. How the
program ended is known from its keeper; what it says about itself (`said.py`) counts where that does not speak against
it.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import trio
from netsky.node.errors import NetskyError, TryLater
from netsky.node.seams.processes import CannotStart
from netsky.node.work import ticket as tickets
from netsky.node.work.cell.cell import Cell, CellLimits, CellResult
from netsky.node.work.cell.run import run_in
from netsky.node.work.fence import Fence
from netsky.node.work.limits import CHANGED_SHOWN, REASON_CHARS_MAX
from netsky.node.work.repo.git import GitError
from netsky.node.work.repo.patch import PatchFault, read_patch
from netsky.node.work.repo.workspace import Workspace
from netsky.node.work.report import Ran, Report
from netsky.node.work.runtime import Job
from netsky.node.work.runtimes.said import said_by
from netsky.node.work.start import Start

if TYPE_CHECKING:
    from netsky.node.daemon.node import Node
    from netsky.node.work.workshop import Workshop

READERS = frozenset({"manager"})
"""Roles that write no files: their sandbox shows them read-only, and no patch is taken from them."""

COMMAND_CHARS_MAX = 1_000


@dataclass(eq=False, slots=True)
class _Using:
    fence: Fence
    workspace: Workspace | None = None
    context: str = ""
    """The folder with what its ticket points to."""
    over: trio.Event = field(default_factory=trio.Event)


class Command:
    def __init__(self, node: Node, workshop: Workshop) -> None:
        self._node = node
        self._workshop = workshop
        self._using: dict[str, _Using] = {}
        """By task: two tries of one ticket never share its folder."""

    async def prepare(self, job: Job) -> Report | None:
        if job.start is None:
            return None
        while (other := self._using.get(job.task_id)) is not None:
            await other.over.wait()
        using = self._using[job.task_id] = _Using(job.fence)
        try:
            using.workspace = await self._workshop.workspace(job.task_id, job.start)
            using.context = self._workshop.lay_out(job.task_id, job.context)
        except GitError as error:
            return _failed(error.code, error.sentence)
        except TryLater as error:
            until = self._node.now() + 60 * 10**9
            return replace(_failed(error.code, error.message), ended="parked", until=until)
        return None

    async def run(self, job: Job) -> Report:
        using = self._using.get(job.task_id)
        workspace, context = (None, "") if using is None else (using.workspace, using.context)
        began = self._node.seams.time.monotonic()
        try:
            result = await run_in(
                _cell(job, workspace, context),
                job.spec.command,
                stdin=_ticket(job),
                env=_environment(job, workspace, context),
                site=await self._workshop.site(),
                unsandboxed=self._node.config.work_unsandboxed,
            )
        except CannotStart as error:
            return _failed("no_program", str(error))
        except NetskyError as error:
            return _failed(error.code, error.message)
        took = (self._node.seams.time.monotonic() - began) // 10**6
        report = replace(
            said_by(result, self._node.now()), walled=result.walled, commands_run=(_ran(job, result, took),)
        )
        if report.ended != "done" or job.start is None or job.spec.role in READERS:
            return report
        return await self._with_patch(report, job.task_id, job.start)

    async def clear(self, job: Job) -> None:
        using = self._using.get(job.task_id)
        if using is None or using.fence != job.fence:
            return
        try:
            await self._workshop.clear(job.task_id)
        finally:
            del self._using[job.task_id]
            using.over.set()

    async def _with_patch(self, report: Report, task: str, start: Start) -> Report:
        """What became of the files, as the node sees it; what the worker says of that counts for nothing."""
        try:
            patch = await self._workshop.patch(task, start)
            if not patch:
                return report
            names = [one.path.decode("utf-8", "replace") for one in read_patch(patch)]
            digest = await self._workshop.keep(patch)
        except GitError as error:
            return _lost_work(report, error.code, error.sentence)
        except PatchFault as error:
            return _lost_work(report, error.code, error.sentence)
        except NetskyError as error:
            return _lost_work(report, error.code, error.message)
        return replace(report, changed_files=tuple(names[:CHANGED_SHOWN]), patch_id=digest)


def _cell(job: Job, workspace: Workspace | None, context: str) -> Cell:
    spec = job.spec
    return Cell(
        workspace="" if workspace is None else workspace.path,
        workspace_writable=spec.role not in READERS,
        readable=() if workspace is None else (*workspace.readable, *([context] if context else [])),
        hosts=spec.permission_scope.net,
        limits=CellLimits(seconds=spec.constraints.timeout_ms / 1e3),
    )


def _failed(code: str, reason: str) -> Report:
    return Report("failed", code, reason[:REASON_CHARS_MAX])


def _lost_work(report: Report, code: str, reason: str) -> Report:
    return replace(report, ended="failed", code=code, reason=reason[:REASON_CHARS_MAX])


def _ran(job: Job, result: CellResult, ms: int) -> Ran:
    code = result.exit.code
    ended = code if code is not None else -(result.exit.signal or 0)
    return Ran(shlex.join(job.spec.command)[:COMMAND_CHARS_MAX], ended, ms, timed_out=result.timed_out)


def _ticket(job: Job) -> bytes:
    """What a worker finds on its stdin."""
    about = {
        "schema": "netsky.ticket/1",
        "task_id": job.task_id,
        "try": job.tried,
        **tickets.shown(job.spec),
        "base": None if job.start is None else job.start.base,
        "context": dict(job.context),
    }
    return json.dumps(about).encode() + b"\n"


def _environment(job: Job, workspace: Workspace | None, context: str) -> dict[str, str]:
    env = {
        "NETSKY_TASK": job.task_id,
        "NETSKY_RUN": job.task_id.rpartition(".")[0],
        "NETSKY_TRY": str(job.tried),
        "NETSKY_ROLE": job.spec.role,
    }
    if workspace is not None:
        env |= {"NETSKY_WORKSPACE": workspace.path, "NETSKY_BASE": workspace.base}
    if context:
        env["NETSKY_CONTEXT"] = context
    return env
