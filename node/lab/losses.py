"""Machines that are put back to an older state of theirs, in order or behind their node's back."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import trio
from netsky.node.home import LIVES_FILE
from netsky.node.lab.beside import Beside
from netsky.node.lab.disk import Disk
from netsky.node.lab.history import Writer
from netsky.node.lab.machine import Machine
from netsky.node.seams.chance import Chance

DOWN_SECONDS_MAX = 20.0
AGE_LEAST, AGE_MOST = 0.05, 0.95
"""The part of a loss's time that passes between the backup and the loss."""
PROVEN_SECONDS = 10.0
"""Within about so long a home that was put back in silence has found out, and begun anew."""


class Losses:
    def __init__(
        self,
        folder: Path,
        beside: Beside,
        witness: Callable[[str], Writer],
        up: Callable[[Machine], Awaitable[None]],
    ) -> None:
        self._folder, self._beside, self._witness, self._up = folder, beside, witness, up
        self._copies = 0
        self.stolen: str | None = None
        """A member whose key is in wrong hands; a root that is restored to before it was revoked has to be told."""

    async def restore(self, machine: Machine, chance: Chance, lasting: float) -> None:
        """As `netsky backup` and `netsky restore` do it."""
        age = lasting * (AGE_LEAST + (AGE_MOST - AGE_LEAST) * chance.fraction())
        async with self._beside.trouble(machine, chance, age):
            key, file = self._next("backup")
            machine.backup(file)
            self._say(machine, "backup", key=key)
            if self.stolen is not None and not machine.number and machine.is_up:
                await machine.answer("revoke", who=self.stolen)
            await trio.sleep(age)
            await self._lose(machine)
            machine.put_back(file)
            os.unlink(file)
            await trio.sleep(min(lasting - age, DOWN_SECONDS_MAX))
            self._say(machine, "start", reason="restored", key=key)
            await self._up(machine)

    async def behind(self, machine: Machine, chance: Chance, lasting: float) -> None:
        """Its home is put back to an older state, and nobody says so to the node. Sometimes once more when the node has
        found out and begun anew, and then by somebody who leaves the file that says so where it is."""
        disk = disk_of(machine)
        age = lasting * (AGE_LEAST + (AGE_MOST - AGE_LEAST) * chance.fraction())
        again = chance.fraction() < 0.3
        async with self._beside.trouble(machine, chance, age, often=0.7, answers=0.5):
            key, older = self._next("older")
            disk.copy(older)
            self._say(machine, "backup", key=key)
            await trio.sleep(age)
            await self._lose(machine)
            disk.put_back(older)
            self._say(machine, "start", reason="restored", key=key)
            await self._up(machine)
        if again and machine.is_up:
            await trio.sleep(2 * PROVEN_SECONDS * chance.fraction())
            await self._lose(machine)
            disk.put_back(older, keeps=LIVES_FILE)
            self._say(machine, "start", reason="restored", key=key)
            await self._up(machine)

    def _next(self, what: str) -> tuple[str, str]:
        """What it is called in the history, and where it is kept."""
        self._copies += 1
        return f"{what} {self._copies}", str(self._folder / f"{what}-{self._copies}")

    async def _lose(self, machine: Machine) -> None:
        if machine.is_up:
            await machine.crash()
        self._say(machine, "crash")

    def _say(self, machine: Machine, ev: str, **fields: object) -> None:
        self._witness(machine.name).note(ev, **fields)


def disk_of(machine: Machine) -> Disk:
    assert machine.disk is not None, "it stands on no disk that anything could befall"
    return machine.disk
