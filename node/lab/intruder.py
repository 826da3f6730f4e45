"""A member of a simulated mesh whose key is in wrong hands: it comes to the root, says what is right, and then the same
with something wrong in it, or nothing at all. Nothing of what it says reaches an actor, so nobody waits for what
becomes of it. What is sent to it is taken and never acknowledged.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from itertools import count

import trio
from netsky.mesh.frames import CONTROL, NOWHERE, Credit, Data, LaneHello, Position
from netsky.mesh.streams import LANES
from netsky.mesh.transport import PeerAddress, TransportError
from netsky.node.identity import read_key
from netsky.node.lab.adversary import WORK, Wire, adversary
from netsky.node.lab.faults import Draw, Fault
from netsky.node.lab.forgery import LINEAGE, Forger, under_key
from netsky.node.lab.machine import BIND, FIRST_PORT, Down, Machine
from netsky.node.lab.mesh import Mesh
from netsky.node.lab.network import MemoryNetwork
from netsky.node.lab.virtual import VirtualTime
from netsky.node.seams.chance import Chance

TO = "agent9@netsky0"
"""An actor that is not there."""
LISTENS_SECONDS = 2.0
MUTE_SECONDS = 6.0
"""Longer than anybody waits for a hello."""
BUSY_SECONDS = 0.1
"""What a commit takes then."""
GRANTS = 1_000
"""Envelopes that it lets come, and never says that it has."""


class Intruder:
    """Who has the key of the machine `stolen`, which is a member and never ran."""

    def __init__(self, network: MemoryNetwork, root: Machine, stolen: Machine) -> None:
        self.name = stolen.name
        self._network, self._root = network, root
        self._forger = Forger(root.node.identity.mesh, read_key(stolen.home, stolen.files), stolen.name)
        self._lives = count(1)
        self._ids = count(1)

    def draws(self) -> dict[str, Draw]:
        def draw(kind: str, chance: Chance) -> Fault:
            async def happen(lasting: float) -> None:
                del lasting
                if kind == "revoke":
                    await self._visit_and_be_revoked(chance)
                elif chance.fraction() < 0.2:
                    await self._stand_mute()
                else:
                    await self._visit(chance)

            return Fault(f"{self.name}>netsky0", happen)

        return {"intruder": draw, "revoke": draw}

    async def _visit(self, chance: Chance) -> None:
        """Each in a life of its own: what it has said before is none of its business."""
        life = next(self._lives)
        try:
            async with adversary(self._network, self._forger.secret) as peer:
                wire = await peer.dial(PeerAddress(self._root.key, (BIND.format(FIRST_PORT),)))
                began = LaneHello(Position(life, LINEAGE, 0, b""), NOWHERE)
                await wire.greet(replace(self._forger.hello(), reply=began, work=began))
                await wire.say(CONTROL, *(Credit(lane, 1, GRANTS, 1 << 20) for lane in LANES))
                await self._say(wire, life, chance)
                await trio.sleep(LISTENS_SECONDS)
                wire.close()
        except* TransportError:
            pass  # the root is down, or the way to it is parted

    async def _stand_mute(self) -> None:
        try:
            async with adversary(self._network, self._forger.secret) as peer:
                wire = await peer.dial(PeerAddress(self._root.key, (BIND.format(FIRST_PORT),)))
                await wire.open()
                await trio.sleep(MUTE_SECONDS)
        except* TransportError:
            pass

    async def _visit_and_be_revoked(self, chance: Chance) -> None:
        """Half of the time while the root is still busy with what it said."""
        soon = chance.fraction() < 0.5
        if soon and self._root.disk is not None:
            self._root.disk.sync_seconds = max(self._root.disk.sync_seconds, BUSY_SECONDS)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._visit, chance)
            await trio.sleep((4 * BUSY_SECONDS if soon else LISTENS_SECONDS) * chance.fraction())
            with suppress(Down):
                await self._root.answer("revoke", who=self.name)
            if soon and self._root.disk is not None:
                self._root.disk.sync_seconds = 0.0

    async def _say(self, wire: Wire, life: int, chance: Chance) -> None:
        forger, root = self._forger, self._root.key
        ids = [f"intruder-{next(self._ids)}" for _ in range(1 + int(3 * chance.fraction()))]
        now = VirtualTime().wall()
        right = forger.envelopes(*(forger.header(one, to=TO, destination=root, now=now) for one in ids))
        spoilt = replace(right, signature=bytes((right.signature[0] ^ 1,)) + right.signature[1:])
        first = 1
        for batch in (right, spoilt, under_key(right, root)):
            frame: Data = forger.claimed(batch, first, root, life=life)
            await wire.say(WORK, frame, frame)  # twice: a number is used once
            first += len(ids)


async def stolen_member(mesh: Mesh, machine: Machine) -> Intruder:
    """It joins like any other, and that is the last that its owner sees of its key."""
    root = mesh.machines[0]
    ticket = (await root.ask("invite", label=f"machine {machine.number}"))["ticket"]
    await machine.join(ticket)
    return Intruder(mesh.network, root, machine)
