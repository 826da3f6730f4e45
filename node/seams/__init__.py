"""Everything a node does to the world goes through one of these seven, given to it at birth.

The shipped ones touch the real world; the crash injector and the simulation wrap or replace them. A seam method is
the place where a node can be killed, paused or failed, so nothing in `node` opens a file, asks the clock, draws a
number or starts a process in any other way.
"""

from __future__ import annotations

from dataclasses import dataclass

from netsky.mesh.transport import OpenTransport
from netsky.node.seams.chance import Chance
from netsky.node.seams.files import Files
from netsky.node.seams.ledger import OpenLedger
from netsky.node.seams.processes import Processes
from netsky.node.seams.sockets import Sockets
from netsky.node.seams.time import Time


@dataclass(frozen=True, slots=True)
class Seams:
    files: Files
    ledger: OpenLedger
    processes: Processes
    sockets: Sockets
    transport: OpenTransport
    time: Time
    chance: Chance
