"""The history of one run of a simulated mesh while it is written, and what the checker makes of it.

    chronicle = Chronicle()
    async with open_mesh(folder, 2, prepare=chronicle.watch) as mesh:
        ...
        chronicle.note_ends(mesh.machines)
    report = check_lines(chronicle.lines)

What nodes store is seen by the stores of their links and by their ledgers; people and networks write by `witness`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from netsky.node.daemon.node import Node
from netsky.node.identity import Identity
from netsky.node.lab import books
from netsky.node.lab.deliveries import DeliveringLedgers
from netsky.node.lab.history import By, Writer
from netsky.node.lab.machine import Machine
from netsky.node.lab.notices import note_events
from netsky.node.lab.virtual import VirtualTime
from netsky.node.lab.witness import stores_of
from netsky.node.links.store import MakeStore
from netsky.node.seams.time import Time

if TYPE_CHECKING:
    from netsky.node.lab.mesh import Mesh


class Chronicle:
    def __init__(self, *, submissions: bool = False) -> None:
        """`submissions`: what ledgers accept is told as well, where not all who send write lines of their own."""
        self._submissions = submissions
        self.lines: list[bytes] = []
        self._names: dict[bytes, str] = {}

    def witness(self, node: str, by: By, boot: int = 0) -> Writer:
        return Writer(self.lines.append, VirtualTime().wall, node=node, by=by, boot=boot)

    def watch(self, mesh: Mesh) -> None:
        """Before its nodes run."""
        for machine in mesh.machines:
            self._names[machine.key] = machine.name
            machine.watch = partial(self._watch, machine)
            machine.serves = partial(self._listen, machine)
            said = partial(self._said_by, machine)
            names = self._names.__getitem__
            machine.ledgers = DeliveringLedgers(machine.ledgers, said, names, submissions=self._submissions)
            self.witness(machine.name, "test").note("start", key=machine.key.hex())

    def note_ends(self, machines: Sequence[Machine]) -> None:
        """What stands in their databases, when all has drained."""
        now, keys = VirtualTime().wall(), {one.name: one.key.hex() for one in machines}
        for machine in (one for one in machines if one.is_up):
            roster, _ = machine.node.membership.roster()
            # Its links say by which roster they judged; one by which nothing was judged any more is told here.
            revoked = [] if roster is None else [one.key.hex() for one in roster.members if one.revoked]
            self.witness(machine.name, "test").note_all("trust_set", [{"key": k, "reason": "revoked"} for k in revoked])
        books.note_ends(lambda _: self.pages(), machines, keys, now)

    def pages(self) -> books.Lines:
        """For whoever writes many lines at once."""
        return books.Lines(self.lines.append)

    def _watch(self, machine: Machine, identity: Identity, now: Time) -> MakeStore:
        del now  # its own clock may be wrong
        return stores_of(identity, self.witness(machine.name, "node", machine.lives))

    def _listen(self, machine: Machine, node: Node) -> None:
        note_events(node.events, self.witness(machine.name, "node", machine.lives))

    def _said_by(self, machine: Machine) -> Writer:
        return self.witness(machine.name, "test", machine.lives)
