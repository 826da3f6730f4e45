"""A runtime for tests: its tickets' commands are stage directions, carried out in virtual time inside the node."""

from __future__ import annotations

from typing import Any

import trio
from netsky.node.lab.machine import Machine
from netsky.node.lab.mesh import Mesh
from netsky.node.work.report import Report
from netsky.node.work.runtime import Job
from netsky.node.work.ticket import Scope


class Scripted:
    """`sleep S`, `fail TRIES`, `park S`, `die`; what it began and ended is remembered, over all lives."""

    def __init__(self) -> None:
        self.began: list[tuple[str, str, int]] = []
        self.ended: list[tuple[str, str]] = []
        self.scopes: list[Scope] = []
        self.contexts: list[tuple[tuple[str, str], ...]] = []
        self.dies = trio.Event()
        self.machine: Machine | None = None

    async def prepare(self, job: Job) -> Report | None:
        del job
        return None

    async def run(self, job: Job) -> Report:
        assert self.machine is not None
        self.contexts.append(job.context)
        self.scopes.append(job.spec.permission_scope)
        self.began.append((job.task_id.rpartition(".")[2], self.machine.name, job.tried))
        what, *words = job.spec.command
        if what == "fail" and job.tried <= int(words[0]):
            return Report("failed", "exit_1", "it ended with exit code 1")
        if what == "park" and job.tried == 1 and len([1 for one in self.began if one[0] == self.began[-1][0]]) == 1:
            return Report(
                "parked", "rate_limit", "the account is at its limit", until=self.now() + int(words[0]) * 10**9
            )
        if what == "sleep":
            await trio.sleep(float(words[0]))
        if what == "die":
            self.dies.set()
            await trio.sleep_forever()
        self.ended.append((job.task_id.rpartition(".")[2], self.machine.name))
        return Report("done", walled="node")

    async def clear(self, job: Job) -> None:
        del job

    def now(self) -> int:
        assert self.machine is not None
        return self.machine.time.wall()


def scripted(mesh: Mesh) -> dict[str, Scripted]:
    """Each machine has one, in this life and in those that come."""
    found: dict[str, Scripted] = {}
    for machine in mesh.machines:
        script = found[machine.name] = Scripted()
        script.machine = machine

        def serves(node: Any, script: Scripted = script) -> None:
            node.work.floor.runtimes["command"] = script

        machine.serves = serves
    return found


def ticket(name: str, *command: str, **more: Any) -> dict[str, Any]:
    return {"id": name, "runtime": "command", "command": list(command), **more}


def plan(*tickets: dict[str, Any]) -> dict[str, Any]:
    return {"name": "demo", "ticket": list(tickets)}


async def started(machine: Machine, *tickets: dict[str, Any]) -> str:
    return str((await machine.ask("work_run", plan=plan(*tickets)))["run"]["id"])


async def ended(machine: Machine, run: str, wait: float = 3_600) -> dict[str, Any]:
    found = await machine.ask("work_wait", run=run, wait_s=wait)
    return {"state": found["run"]["state"], **found["states"]}


async def story(machine: Machine, name: str) -> list[tuple[str, str, str]]:
    """(event, node, code) of its steps."""
    steps = (await machine.ask("task_show", id=name))["story"]
    return [(step["event"], step["node"], step["code"]) for step in steps]
