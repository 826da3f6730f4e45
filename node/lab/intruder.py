"""A member of a simulated mesh whose key is in wrong hands: it comes to the root, says what is right, and then the same
with something wrong in it. Nothing of what it says reaches an actor, so nobody waits for what becomes of it.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import count

import trio
from netsky.mesh.frames import NOWHERE, Data, LaneHello, Position
from netsky.mesh.transport import PeerAddress, TransportError
from netsky.node.identity import read_key
from netsky.node.lab.adversary import WORK, Wire, adversary
from netsky.node.lab.faults import Draw, Fault
from netsky.node.lab.forgery import LINEAGE, Forger, under_key
from netsky.node.lab.machine import BIND, FIRST_PORT, Machine
from netsky.node.lab.mesh import Mesh
from netsky.node.lab.network import MemoryNetwork
from netsky.node.lab.virtual import VirtualTime
from netsky.node.seams.chance import Chance

TO = "agent9@netsky0"
"""An actor that is not there."""
LISTENS_SECONDS = 2.0


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
            del kind

            async def happen(lasting: float) -> None:
                del lasting
                await self.visit(chance)

            return Fault(f"{self.name}>netsky0", happen)

        return {"intruder": draw}

    async def visit(self, chance: Chance) -> None:
        """Each in a life of its own: what it has said before is none of its business."""
        life = next(self._lives)
        try:
            async with adversary(self._network, self._forger.secret) as peer:
                wire = await peer.dial(PeerAddress(self._root.key, (BIND.format(FIRST_PORT),)))
                began = LaneHello(Position(life, LINEAGE, 0, b""), NOWHERE)
                await wire.greet(replace(self._forger.hello(), reply=began, work=began))
                await self._say(wire, life, chance)
                await trio.sleep(LISTENS_SECONDS)
                wire.close()
        except* TransportError:
            pass  # the root is down, or the way to it is parted

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
