"""Whole nodes in memory whose programs are real: git, sandboxes, workers. So their clocks are real as well."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio
from netsky.node.lab.clock import MachineTime
from netsky.node.lab.machine import Machine
from netsky.node.lab.mesh import Mesh, open_mesh
from netsky.node.seams.real_processes import RealProcesses

from tests.node.work.repo.world import git

SECONDS = 120.0


class Project:
    """A repository of a person's, with a few files."""

    def __init__(self, folder: Path) -> None:
        self.path = folder
        self.path.mkdir()
        git(folder, "init", "-q")
        (folder / "src").mkdir()
        (folder / "src" / "a.txt").write_text("a\n")
        (folder / "README.md").write_text("a project\n")
        git(folder, "add", "-A")
        git(folder, "commit", "-qm", "first")

    @property
    def tip(self) -> str:
        return git(self.path, "rev-parse", "HEAD")

    def plan(self, *tickets: dict[str, Any], **more: Any) -> dict[str, Any]:
        head = {"name": "demo", "repository": str(self.path), "branch": "main"}
        return {**head, "ticket": list(tickets), **more}


def writes(name: str, script: str, **more: Any) -> dict[str, Any]:
    """A ticket that runs a line of shell and may write below src/."""
    return {
        "id": name,
        "runtime": "command",
        "command": ["sh", "-c", script],
        "permission_scope": {"fs_write": ["src/"]},
        "idempotency_key": f"key-{name}",
        "title": f"The work of {name}",
        **more,
    }


@asynccontextmanager
async def yard(
    folder: Path, siblings: int = 0, prepare: Callable[[Mesh], None] = lambda _: None, seconds: float = SECONDS
) -> AsyncIterator[Mesh]:
    epoch = time.time_ns() - round(trio.current_time() * 1e9)

    def real(mesh: Mesh) -> None:
        for machine in mesh.machines:
            machine.processes = RealProcesses()
        prepare(mesh)

    times = [MachineTime(epoch) for _ in range(siblings + 1)]
    with trio.fail_after(seconds):
        async with open_mesh(folder / "mesh", siblings, times=times, prepare=real) as mesh:
            yield mesh
            for machine in mesh.machines:
                if machine.is_up:
                    assert await machine.rows("SELECT task, detail FROM crashes") == []


async def started(machine: Machine, plan: dict[str, Any]) -> str:
    return str((await machine.ask("work_run", plan=plan))["run"]["id"])


async def ended(machine: Machine, run: str) -> dict[str, Any]:
    found = await machine.ask("work_wait", run=run, wait_s=SECONDS)
    return {"state": found["run"]["state"], **found["states"]}


def bare(machine: Machine) -> Path:
    [found] = (Path(machine.home.path) / "repos").glob("*.git")
    return found


def keys(machine: Machine, branch: str = "main") -> list[str]:
    """Of the commits that a branch has, the oldest first."""
    form = "--format=%(trailers:key=Netsky-Key,valueonly,separator=%x00)"
    return [line for line in git(bare(machine), "log", "--reverse", form, branch).splitlines() if line]
