"""Troubles of a simulated mesh that last until somebody ends them, each told to the history once."""

from __future__ import annotations

from collections.abc import Callable, Collection

from netsky.node.lab.history import Writer

_KINDS = {
    "partition": "isolate", "stop": "stop", "pause": "pause", "fill_disk": "disk_full", "slow_disk": "disk_slow",
    "set_clock": "clock_jump",
}  # fmt: skip
"""Verbs of a mesh, and what the history calls it."""


class Troubles:
    def __init__(self, said: Callable[[str], Writer]) -> None:
        self._said = said
        self._lasting: dict[tuple[str, str], None] = {}

    def begin(self, verb: str, machine: str, where: str = "") -> None:
        if (verb, machine) not in self._lasting:
            self._lasting[verb, machine] = None
            self._note("fault", verb, machine, where or machine)

    def end(self, verb: str, machine: str) -> None:
        """Nothing happens if it is over already."""
        if (verb, machine) in self._lasting:
            del self._lasting[verb, machine]
            self._note("heal", verb, machine, machine)

    def end_all(self, machines: Collection[str]) -> None:
        """But who was stopped is still down."""
        for verb, machine in list(self._lasting):
            if machine in machines and verb != "stop":
                self.end(verb, machine)

    def sentences(self) -> list[str]:
        return [f"{verb} {machine} goes on (mesh.heal)" for verb, machine in self._lasting if verb != "stop"]

    def _note(self, ev: str, verb: str, machine: str, where: str) -> None:
        self._said(machine).note(ev, key=f"{verb} {machine}", reason=_KINDS[verb], link=where)
