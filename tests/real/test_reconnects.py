"""A peer that never stops coming back, to a daemon as shipped over real iroh: its memory stays flat.

`NETSKY_RECONNECTS=10000` for the run of some minutes; the slope is fitted over its second half and printed.
"""

from __future__ import annotations

import os
import statistics
from pathlib import Path

import pytest
import trio
from netsky.mesh.frames import CONTROL, Hello
from netsky.mesh.iroh_transport import IrohTransport
from netsky.mesh.transport import PeerAddress
from netsky.mesh.trio_loop import trio_as_event_loop
from netsky.node import up
from netsky.node.charter import read_charter
from netsky.node.identity import read_key
from netsky.node.lab.adversary import adversary
from netsky.node.lab.forgery import Forger
from netsky.node.seams.real_files import RealFiles

from tests.real.mesh import Machine

pytestmark = pytest.mark.real

RECONNECTS = int(os.environ.get("NETSKY_RECONNECTS", "120"))
READINGS = 40
GROWN_MIB_MAX = 10
"""Over 10,000 of them, by the slope of the second half."""

WARM_MIB_MAX = 50
"""What a root takes for its first links and keeps: seen are 30."""


class Reached:
    """What opens iroh for an adversary."""

    open = IrohTransport.open


def rss_mib(pid: int) -> float:
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS")) / 1024


async def reconnect(forger: Forger, root: PeerAddress, pid: int) -> list[tuple[int, float]]:
    """How much memory the root has after so many."""
    readings = [(0, rss_mib(pid))]
    with trio_as_event_loop():
        async with adversary(Reached(), forger.secret, bind="127.0.0.1:0") as peer:
            for turn in range(1, RECONNECTS + 1):
                wire = await peer.dial(root)
                await wire.open()
                await wire.say(CONTROL, forger.hello())
                await wire.answer(Hello)
                wire.close()
                if turn % max(1, RECONNECTS // READINGS) == 0:
                    readings.append((turn, rss_mib(pid)))
    return readings


def test_a_root_does_not_grow_with_the_reconnects_of_a_peer(tmp_path: Path) -> None:
    root, sibling = Machine(tmp_path / "netsky0", "netsky0"), Machine(tmp_path / "netsky1", "netsky1")
    root.netsky("init", "--root")
    config = Path(root.home.config)
    config.write_text(config.read_text().replace('# bind = ""', 'bind = "127.0.0.1:0"'))
    root.netsky("up")
    try:
        sibling.netsky("join", "--yes", root.netsky("invite", "comes back")["ticket"])
        charter, pid = read_charter(root.home, RealFiles()), up.holder_pid(root.home)
        assert charter is not None
        assert pid is not None
        forger = Forger(charter.mesh, read_key(sibling.home, RealFiles()), "netsky1")
        at = PeerAddress(charter.root_key, tuple(root.netsky("status")["network"]["addresses"]))
        readings = trio.run(reconnect, forger, at, pid)
        assert root.is_up()
    finally:
        root.kill()
    later = readings[len(readings) // 2 :]
    slope, begun = statistics.linear_regression(*zip(*later, strict=True))
    grown = slope * RECONNECTS
    print(f"\n{RECONNECTS} reconnects: {readings[0][1]:.1f} MiB before, {readings[-1][1]:.1f} after; by the fit of the")
    print(f"second half {begun:.1f} MiB + {1024 * slope:.3f} KiB each: {grown:.2f} MiB over all")
    assert readings[-1][1] - readings[0][1] < WARM_MIB_MAX
    if RECONNECTS >= 10_000:  # fewer are still the first ones
        assert grown < GROWN_MIB_MAX
