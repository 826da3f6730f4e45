"""Two endpoints on one machine whose addresses change: run by test_network.py in a network namespace of its own.

Prints, a JSON object a line, what was seen. Needs the right to change the network.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable

import trio
from netsky.mesh.iroh_transport import IrohTransport
from netsky.mesh.transport import PeerAddress, TransportOptions
from netsky.mesh.trio_loop import trio_as_event_loop

from tests.conformance.transport import ALPN, Two, opened
from tests.mesh.world import Node

EVERYWHERE = TransportOptions("0.0.0.0:0")


def ip(*lines: str) -> None:
    subprocess.run(["ip", "-batch", "-"], input="\n".join(lines), text=True, check=True)


def interface(name: str, address: str) -> tuple[str, ...]:
    return (
        f"link add {name} type veth peer name {name}p",
        f"link set {name}p up",
        f"addr add {address}/24 dev {name}",
        f"link set {name} up",
    )


def hosts(address: PeerAddress) -> list[str]:
    return sorted(one.rpartition(":")[0] for one in address.direct)


def say(**fields: object) -> None:
    print(json.dumps(fields), flush=True)


async def until(told: Callable[[], bool]) -> float:
    began = time.monotonic()
    with trio.fail_after(20):
        while not told():  # noqa: ASYNC110 - the kernel tells iroh, and iroh nobody
            await trio.sleep(0.01)
    return time.monotonic() - began


async def main() -> None:
    ip("link set lo up", *interface("one", "10.77.1.1"), *interface("two", "10.77.2.1"))
    with trio_as_event_loop():
        left = await IrohTransport.open(Node(1).secret, [], EVERYWHERE)
        right = await IrohTransport.open(Node(2).secret, [ALPN], EVERYWHERE)
        say(at_start=hosts(right.addresses()))
        remembered = right.addresses()
        by_one = tuple(one for one in remembered.direct if one.startswith("10.77.1."))
        ours, theirs = await Two(left, right).connect(PeerAddress(right.key, by_one))
        await opened(ours, theirs)
        say(reached=hosts(ours.reached()))

        ip("link del one")
        took = await until(lambda: hosts(right.addresses()) == ["10.77.2.1"])
        say(without_one=hosts(right.addresses()), noticed_ms=round(1000 * took))
        ours.close(0, b"as a heartbeat that was not answered would end it")

        began = time.monotonic()
        ours, theirs = await Two(left, right).connect(remembered)
        await opened(ours, theirs)
        say(redialled_ms=round(1000 * (time.monotonic() - began)), reached=hosts(ours.reached()))

        ip(*interface("three", "10.77.3.1"))
        took = await until(lambda: "10.77.3.1" in hosts(right.addresses()))
        say(with_three=hosts(right.addresses()), noticed_ms=round(1000 * took))


if __name__ == "__main__":
    trio.run(main)
