"""Whole nodes as they ship, several in one trio run, joined over a network in memory: root and siblings, each with its
home on disk, its tree of tasks and its sockets in memory. Under a MockClock an hour passes when nobody has work.

    async with open_mesh(folder, siblings=2) as mesh:
        root, one, two = mesh.machines
        sent = await root.ask("send", to="agent0@netsky1", text="hello", **{"from": "agent0"})
        await mesh.crash("netsky1")
        mesh.partition("netsky2")
        mesh.heal()
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import trio
from netsky.node.lab.clock import MachineTime
from netsky.node.lab.machine import Machine
from netsky.node.lab.network import MemoryNetwork

PATIENCE = 3_600
"""Seconds of virtual time that nothing here takes."""

Found = TypeVar("Found")


class Mesh:
    def __init__(
        self,
        folder: Path,
        siblings: int,
        *,
        times: Sequence[MachineTime] | None = None,
        network: MemoryNetwork | None = None,
        seed: int = 0,
    ) -> None:
        self.network = network or MemoryNetwork()
        clocks = times or [MachineTime() for _ in range(siblings + 1)]
        self.machines = [Machine(folder, self.network, at, clocks[at], seed=seed) for at in range(siblings + 1)]
        self.nursery: trio.Nursery

    def __getitem__(self, name: str) -> Machine:
        return next(machine for machine in self.machines if machine.name == name)

    async def build(self) -> None:
        """The root up, the others joined and up, all linked."""
        root, *siblings = self.machines
        await root.start(self.nursery)
        for sibling in siblings:
            ticket = (await root.ask("invite", label=f"machine {sibling.number}"))["ticket"]
            await sibling.join(ticket)
            await sibling.start(self.nursery)
        await self.linked()

    async def linked(self) -> None:
        siblings = self.machines[1:]

        async def look() -> bool | None:
            links = [link for one in siblings for link in (await one.ask("status"))["links"]]
            return all(link["up"] for link in links) or None

        await until(look)

    async def restart(self, machine: Machine) -> None:
        await machine.stop()
        await machine.start(self.nursery)


@asynccontextmanager
async def open_mesh(
    folder: Path,
    siblings: int = 2,
    *,
    times: Sequence[MachineTime] | None = None,
    network: MemoryNetwork | None = None,
    seed: int = 0,
    prepare: Callable[[Mesh], None] = lambda _: None,
) -> AsyncIterator[Mesh]:
    """`prepare` comes after the homes are made and before any node runs: configs, programs."""
    mesh = Mesh(folder, siblings, times=times, network=network, seed=seed)
    prepare(mesh)
    async with trio.open_nursery() as nursery:
        mesh.nursery = nursery
        with trio.fail_after(365 * 86_400.0):
            await mesh.build()
            yield mesh
        nursery.cancel_scope.cancel()


async def until(look: Callable[[], Awaitable[Found | None]], seconds: float = PATIENCE, every: float = 0.1) -> Found:
    """What `look` gives once it gives something."""
    with trio.fail_after(seconds):
        while (found := await look()) is None:  # noqa: ASYNC110 - time is virtual, and what it waits for rings no bell
            await trio.sleep(every)
    return found
