"""What a ticket's work is judged by: commands of the plan, each in a sandbox of its own that cannot change a file of
what it looks at. The patch decides nothing of how they are run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netsky.node.errors import NetskyError
from netsky.node.seams.processes import CannotStart
from netsky.node.work.cell.cell import Cell, CellLimits, CellResult
from netsky.node.work.cell.run import run_in
from netsky.node.work.limits import REASON_CHARS_MAX
from netsky.node.work.repo.commission import Verdict
from netsky.node.work.ticket import Spec

if TYPE_CHECKING:
    from netsky.node.daemon.node import Node
    from netsky.node.work.workshop import Workshop

SHELL = "/bin/sh"
_SHOWN = 80


async def judge(node: Node, workshop: Workshop, spec: Spec, folder: str) -> Verdict:
    """All of them have to end with 0, within the time that the ticket itself has. `folder`: the files as they would be;
    "" where there are none."""
    site = await workshop.site()
    cell = Cell(
        workspace=folder, workspace_writable=False, limits=CellLimits(seconds=spec.constraints.timeout_ms / 1e3)
    )
    for command in spec.success_criteria:
        try:
            result = await run_in(
                cell, (SHELL, "-c", command), stdin=b"", env={}, site=site, unsandboxed=node.config.work_unsandboxed
            )
        except CannotStart as error:
            return Verdict(False, "criteria", f"{command[:_SHOWN]!r} could not be started: {error}")
        except NetskyError as error:
            return Verdict(False, error.code, error.message)
        if not result.ok:
            return Verdict(False, "criteria", _why(command, result)[:REASON_CHARS_MAX])
    return Verdict(True)


def _why(command: str, result: CellResult) -> str:
    said = (result.errors or result.said).decode("utf-8", "replace")
    lines = ["".join(char if char.isprintable() else " " for char in line).strip() for line in said.split("\n")]
    last = next((line for line in reversed(lines) if line), "")
    return f"{command[:_SHOWN]!r} {result.sentence()}" + (f": {last}" if last else "")
