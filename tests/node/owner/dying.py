"""A life that is ended at a call counted from a moment of the test's choice."""

from __future__ import annotations

from netsky.node.lab.interpose import Killed, interpose
from netsky.node.seams import Seams


class Life:
    def __init__(self) -> None:
        self.calls: list[str] = []
        self._left: int | None = None
        self.dead = False

    def over(self, seams: Seams) -> Seams:
        return interpose(seams, lambda call, _: self.reach(call))

    def end_at(self, number: int) -> None:
        """Before the call of this number from now on; 1 is the next one."""
        self._left = number

    def reach(self, call: str) -> None:
        if self.dead:
            raise Killed(call)
        if self._left is None:
            return
        self.calls.append(call)
        self._left -= 1
        if self._left <= 0:
            self.dead = True
            raise Killed(call)
