"""Machines that are put back to an older state of theirs, in order or behind their node's back.

Around it a way of the root may be in trouble too: then something was acknowledged that went no further, or was told to
one who had not heard of the loss yet. Those are the moments in which a mesh could lose what it promised.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import trio
from netsky.node.home import LIVES_FILE
from netsky.node.lab.disk import Disk
from netsky.node.lab.faults import NetworkFaults
from netsky.node.lab.history import Writer
from netsky.node.lab.machine import Machine
from netsky.node.seams.chance import Chance

DOWN_SECONDS_MAX = 20.0
AGE_LEAST, AGE_MOST = 0.05, 0.95
"""The part of a loss's time that passes between the backup and the loss."""
BESIDE = ("part", "clog", "stall")
"""What a way may be in just then. Where replies alone stand still, what came is known and its outcome is not."""
AFTER_SECONDS = 10.0
"""So long at most that goes on once the machine is up again."""
PROVEN_SECONDS = 10.0
"""Within about so long a home that was put back in silence has found out, and begun anew."""


class Losses:
    def __init__(
        self,
        machines: Sequence[Machine],
        folder: Path,
        ways: NetworkFaults,
        witness: Callable[[str], Writer],
        up: Callable[[Machine], Awaitable[None]],
    ) -> None:
        self._machines, self._folder, self._ways, self._witness, self._up = machines, folder, ways, witness, up
        self.stolen: str | None = None
        """A member whose key is in wrong hands; a root that is restored to before it was revoked has to be told."""

    async def restore(self, machine: Machine, chance: Chance, lasting: float) -> None:
        """As `netsky backup` and `netsky restore` do it."""
        age = lasting * (AGE_LEAST + (AGE_MOST - AGE_LEAST) * chance.fraction())
        async with self._trouble_beside(machine, chance, age):
            file = str(self._folder / f"{machine.name}.tar")
            machine.backup(file)
            self._say(machine, "backup", key="backup")
            if self.stolen is not None and not machine.number and machine.is_up:
                await machine.answer("revoke", who=self.stolen)
            await trio.sleep(age)
            await self._lose(machine)
            machine.put_back(file)
            os.unlink(file)
            await trio.sleep(min(lasting - age, DOWN_SECONDS_MAX))
            self._say(machine, "start", reason="restored", key="backup")
            await self._up(machine)

    async def behind(self, machine: Machine, chance: Chance, lasting: float) -> None:
        """Its home is put back to an older state, and nobody says so to the node. Sometimes once more when the node has
        found out and begun anew, and then by somebody who leaves the file that says so where it is."""
        disk = disk_of(machine)
        age = lasting * (AGE_LEAST + (AGE_MOST - AGE_LEAST) * chance.fraction())
        again = chance.fraction() < 0.3
        async with self._trouble_beside(machine, chance, age):
            older = str(self._folder / f"older-{machine.name}")
            disk.copy(older)
            self._say(machine, "backup", key="older")
            await trio.sleep(age)
            await self._lose(machine)
            disk.put_back(older)
            self._say(machine, "start", reason="restored", key="older")
            await self._up(machine)
        if again and machine.is_up:
            await trio.sleep(2 * PROVEN_SECONDS * chance.fraction())
            await self._lose(machine)
            disk.put_back(older, keeps=LIVES_FILE)
            self._say(machine, "start", reason="restored", key="older")
            await self._up(machine)

    async def _lose(self, machine: Machine) -> None:
        if machine.is_up:
            await machine.crash()
        self._say(machine, "crash")

    @asynccontextmanager
    async def _trouble_beside(self, machine: Machine, chance: Chance, age: float) -> AsyncIterator[None]:
        """Half of the time, on a way from or to the root, of this machine or of another."""
        if chance.fraction() < 0.5:
            yield
            return
        siblings = [one for one in self._machines if one.number]
        of = siblings[int(chance.fraction() * len(siblings))]
        if machine.number and chance.fraction() < 0.5:
            of = machine
        ends = ("netsky0", of.name) if chance.fraction() < 0.5 else (of.name, "netsky0")
        kind = BESIDE[int(chance.fraction() * len(BESIDE))]
        begins = age * chance.fraction() if chance.fraction() < 0.5 else 0.0
        lasting = age + AFTER_SECONDS * chance.fraction()

        async def beside() -> None:
            await trio.sleep(begins)
            await self._ways.happen_between(kind, *ends, lasting, f"beside the loss of {machine.name}")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(beside)
            yield

    def _say(self, machine: Machine, ev: str, **fields: object) -> None:
        self._witness(machine.name).note(ev, **fields)


def disk_of(machine: Machine) -> Disk:
    assert machine.disk is not None, "it stands on no disk that anything could befall"
    return machine.disk
