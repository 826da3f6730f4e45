"""What both kinds of schedule are to a node: a part of the ticker, with a voice that hears what came back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING

import trio
from netsky.node.schedule.firing import Firing

if TYPE_CHECKING:
    from netsky.node.daemon import node as daemon
    from netsky.node.daemon.node import Node
    from netsky.node.db.schedules import Kind


class SchedulePart(ABC):
    """One task at a time changes anything here."""

    name: str

    def __init__(self, node: Node, kind: Kind) -> None:
        self.firing = Firing(node, kind)
        self._node = node
        self._loaded = False
        self._lock = trio.Lock()
        node.complaints.append(self._complaints)
        node.voices.hear(self.firing.voice, "error", self.firing.heard_error)

    async def tick(self, now: int) -> Mapping[str, object]:
        async with self._lock:
            await self._look()
            if self._node.halt.is_halted:  # as if it were asleep: what was due meanwhile was missed
                return {"halted": True}
            return await self._fire(now)

    async def current(self) -> None:
        """The files as they are now, for whoever shows them."""
        async with self._lock:
            await self._look()

    @abstractmethod
    async def _look(self) -> None:
        """Reads what was touched; what does not pass changes nothing."""

    @abstractmethod
    async def _fire(self, now: int) -> Mapping[str, object]:
        """Sends what is due."""

    @abstractmethod
    def _complaints(self) -> list[daemon.Fault]: ...
