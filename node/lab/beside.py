"""Trouble on a way of the root around what befalls a machine: then something was acknowledged that went no further, or
was told to one who had not heard of a loss yet. Those are the moments in which a mesh could lose what it promised.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import trio
from netsky.node.lab.faults import NetworkFaults
from netsky.node.lab.machine import Machine
from netsky.node.seams.chance import Chance

KINDS = ("part", "clog", "stall")
"""Where replies alone stand still (`stall`), what came is known and its outcome is not."""
AFTER_SECONDS = 10.0
"""So long at most it goes on afterwards."""


class Beside:
    def __init__(self, machines: Sequence[Machine], ways: NetworkFaults) -> None:
        self._machines, self._ways = machines, ways

    @asynccontextmanager
    async def trouble(
        self, machine: Machine, chance: Chance, seconds: float, *, often: float = 0.5, answers: float = 0.0
    ) -> AsyncIterator[bool]:
        """Begins within so many seconds, on a way from or to the root, of this machine or of another; or there is none,
        as it says. `answers`: how often it is what this one answers, and nothing else, that stands still at once."""
        if chance.fraction() >= often:
            yield False
            return
        siblings = [one for one in self._machines if one.number]
        of = siblings[int(chance.fraction() * len(siblings))]
        if machine.number and chance.fraction() < 0.5:
            of = machine
        ends = ("netsky0", of.name) if chance.fraction() < 0.5 else (of.name, "netsky0")
        kind = KINDS[int(chance.fraction() * len(KINDS))]
        at_once = chance.fraction() < 0.5
        if chance.fraction() < answers:
            ends, kind, at_once = (machine.name, "netsky0"), "stall", True
        begins = 0.0 if at_once else seconds * chance.fraction()
        lasting = seconds + AFTER_SECONDS * chance.fraction()

        async def befall() -> None:
            await trio.sleep(begins)
            await self._ways.happen_between(kind, *ends, lasting, f"beside {machine.name}")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(befall)
            yield True
