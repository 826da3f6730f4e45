"""Trouble on the simulated network by a seed: what, between whom, when and for how long are draws of one chance.

Each fault and its end is an event of the history, so that the checker knows when a standstill is nobody's fault.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import trio
from netsky.node.lab.history import Writer
from netsky.node.lab.network import MemoryNetwork
from netsky.node.seams.chance import Chance

KINDS = ("part", "one_way", "isolate", "clog", "cut", "storm")
STORM_CUTS = 20


@dataclass(frozen=True, slots=True)
class Faults:
    every: float = 5.0  # seconds between two beginnings, on average
    lasting: tuple[float, float] = (0.01, 60.0)  # seconds; most are short
    kinds: tuple[str, ...] = KINDS


async def trouble(
    network: MemoryNetwork,
    nodes: Mapping[str, bytes],
    faults: Faults,
    chance: Chance,
    history: Writer,
    *,
    seconds: float,
) -> None:
    """Makes trouble between these nodes (name → key) for so long. When it returns everything has healed."""
    ends = trio.current_time() + seconds
    number = 0
    async with trio.open_nursery() as nursery:
        while True:
            await trio.sleep(2 * faults.every * chance.fraction())
            if trio.current_time() >= ends:
                break
            number += 1
            one, other = _two(sorted(nodes), chance)
            low, high = faults.lasting
            lasting = min(low * (high / low) ** chance.fraction(), ends - trio.current_time())
            kind = faults.kinds[int(chance.fraction() * len(faults.kinds))]
            fault = _Fault(network, nodes, kind, (one, other), lasting)
            nursery.start_soon(fault.happen, history, f"fault {number}")


def _two(names: list[str], chance: Chance) -> tuple[str, str]:
    one = names.pop(int(chance.fraction() * len(names)))
    return one, names[int(chance.fraction() * len(names))]


@dataclass(frozen=True, slots=True)
class _Fault:
    network: MemoryNetwork
    nodes: Mapping[str, bytes]
    kind: str
    ends: tuple[str, str]
    lasting: float

    async def happen(self, history: Writer, key: str) -> None:
        history.note("fault", key=key, reason=self.kind, link=">".join(self.ends))
        one, other = (self.nodes[name] for name in self.ends)
        if self.kind == "storm":
            await self.network.storm(one, other, STORM_CUTS, self.lasting)
        elif self.kind == "cut":
            self.network.cut(one, other)
        else:
            self._begin(one, other)
            await trio.sleep(self.lasting)
            if self.kind == "isolate":
                self.network.heal(one)
            else:
                self.network.heal(one, other)
        history.note("heal", key=key, link=">".join(self.ends))

    def _begin(self, one: bytes, other: bytes) -> None:
        if self.kind == "isolate":
            self.network.isolate(one)
        elif self.kind == "clog":
            self.network.clog(one, other)
        else:
            self.network.part(one, other, one_way=self.kind == "one_way")
