"""Trouble by a seed: what, to whom, when and for how long are draws of one chance.

Each fault and its end is an event of the history, so that the checker knows when a standstill is nobody's fault. What
can happen on the network is here; what befalls machines is in `mishaps.py`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import trio
from netsky.mesh.frames import LANE_CHANNELS
from netsky.node.lab.history import Writer
from netsky.node.lab.network import MemoryNetwork
from netsky.node.seams.chance import Chance

KINDS = ("part", "one_way", "isolate", "clog", "stall", "cut", "storm")
STORM_CUTS = 20
CHANNELS = 3
"""Streams of a link: its control stream and its two lanes, in the order in which they are opened."""
REPLIES = LANE_CHANNELS["reply"]
LONG_KINDS = frozenset(
    {"restore", "behind", "hang", "die", "clock_jump", "clock_drift", "clock_freeze", "part", "isolate", "stall"}
)
"""Those of which much shows only when they last: a third of them do, up to the end of all trouble."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One that was drawn."""

    where: str
    """As the history says it: a link, or a node."""
    happen: Callable[[float], Awaitable[None]]
    """From its beginning to its end, of so many seconds."""


LONGER = 4.0

Draw = Callable[[str, Chance], Fault | None]
"""A fault of this kind, or None if there is none to be had just now."""


@dataclass(frozen=True, slots=True)
class Faults:
    every: float = 5.0  # seconds between two beginnings, on average
    lasting: tuple[float, float] = (0.01, 60.0)  # seconds; most are short
    kinds: tuple[str, ...] = KINDS


async def trouble(
    draws: Mapping[str, Draw], faults: Faults, chance: Chance, history: Writer, *, seconds: float
) -> None:
    """Makes trouble for so long. When it returns every fault is over."""
    ends = trio.current_time() + seconds
    number = 0
    async with trio.open_nursery() as nursery:
        while faults.kinds:
            await trio.sleep(2 * faults.every * chance.fraction())
            if trio.current_time() >= ends:
                break
            kind = faults.kinds[int(chance.fraction() * len(faults.kinds))]
            low, high = faults.lasting
            left = ends - trio.current_time()
            lasting = min(low * (high / low) ** chance.fraction(), left)
            if kind in LONG_KINDS and chance.fraction() < 1 / 3:
                lasting = min(left, LONGER * high) * chance.fraction()
            fault = draws[kind](kind, chance)
            if fault is not None:
                number += 1
                nursery.start_soon(happen, fault, kind, lasting, history, f"fault {number}")
        await trio.sleep_until(ends)


async def happen(fault: Fault, kind: str, lasting: float, history: Writer, key: str) -> None:
    history.note("fault", key=key, reason=kind, link=fault.where)
    await fault.happen(lasting)
    history.note("heal", key=key, reason=kind, link=fault.where)


class NetworkFaults:
    """Between these nodes (name → key)."""

    def __init__(self, network: MemoryNetwork, nodes: Mapping[str, bytes], history: Writer) -> None:
        self._network, self._nodes, self._history = network, nodes, history

    def draws(self) -> dict[str, Draw]:
        return dict.fromkeys(KINDS, self.draw)

    def draw(self, kind: str, chance: Chance) -> Fault:
        one, other = two(sorted(self._nodes), chance)
        channel = int(CHANNELS * chance.fraction()) if kind == "stall" else 0
        return self._between(kind, one, other, channel)

    async def happen_between(self, kind: str, one: str, other: str, lasting: float, key: str) -> None:
        """One that belongs to another fault."""
        await happen(self._between(kind, one, other, REPLIES), kind, lasting, self._history, key)

    def _between(self, kind: str, one: str, other: str, channel: int) -> Fault:
        ends = (self._nodes[one], self._nodes[other])

        async def befall(lasting: float) -> None:
            await self._happen(kind, ends, lasting, channel)

        return Fault(f"{one}>{other}", befall)

    async def _happen(self, kind: str, ends: tuple[bytes, bytes], lasting: float, channel: int) -> None:
        network, (one, other) = self._network, ends
        if kind == "storm":
            await network.storm(one, other, STORM_CUTS, lasting)
        elif kind == "cut":
            network.cut(one, other)
        elif kind == "isolate":
            network.isolate(one)
            await trio.sleep(lasting)
            network.heal(one)
        else:
            if kind == "clog":
                network.clog(one, other)
            elif kind == "stall":
                network.stall(one, other, channel)
            else:
                network.part(one, other, one_way=kind == "one_way")
            await trio.sleep(lasting)
            network.heal(one, other)


def two(names: Sequence[str], chance: Chance) -> tuple[str, str]:
    left = list(names)
    one = left.pop(int(chance.fraction() * len(left)))
    return one, left[int(chance.fraction() * len(left))]
