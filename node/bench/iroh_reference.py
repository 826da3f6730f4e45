"""What iroh alone does between two processes on this machine: the limit that no mesh over it can pass."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import suppress

import trio
from netsky.mesh.iroh_transport import IrohTransport
from netsky.mesh.transport import PeerAddress, TransportError, TransportOptions
from netsky.mesh.trio_loop import trio_as_event_loop
from netsky.node.bench.figures import Figure

ALPN = b"netsky-bench/1"
SIZE = 256 << 20
WRITE = 256 * 1024
READ = 256 * 1024
ROUND_TRIPS = 300
MESSAGE = 1024
LISTEN = "127.0.0.1:0"


def iroh_reference() -> list[Figure]:
    """A process that sends back what it gets, and this one."""
    peer = subprocess.Popen(
        [sys.executable, "-m", "netsky.node.bench.iroh_reference"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert peer.stdout is not None
        where = json.loads(peer.stdout.readline())
        address = PeerAddress(bytes.fromhex(where["key"]), tuple(where["direct"]))
        bulk, trip = trio.run(_measure, address)
    finally:
        peer.kill()
        peer.wait()
    return [
        Figure("iroh_mb_per_s", "reference: bytes over iroh, one stream", bulk, "MB/s", "", "two processes, loopback"),
        Figure("iroh_round_trip_us", "reference: 1 KiB there and back over iroh", trip, "us", "", "median"),
    ]


async def _measure(address: PeerAddress) -> tuple[float, float]:
    with trio_as_event_loop():
        transport = await IrohTransport.open(os.urandom(32), [ALPN], TransportOptions(LISTEN))
        connection = await transport.dial(address, ALPN)
        stream = await connection.open_stream()
        trips = []
        for _ in range(ROUND_TRIPS):
            begun = time.perf_counter()
            await stream.send(bytes(MESSAGE))
            got = 0
            while got < MESSAGE:
                got += len(await stream.receive(READ))
            trips.append(time.perf_counter() - begun)
        bulk = await connection.open_stream()
        begun = time.perf_counter()
        block = os.urandom(WRITE)
        for _ in range(SIZE // WRITE):
            await bulk.send(block)
        await bulk.finish()
        await bulk.receive(READ)  # one byte: all of it is there
        took = time.perf_counter() - begun
        connection.close(0, b"done")
        await transport.close()
    return SIZE / took / 1e6, 1e6 * sorted(trips)[len(trips) // 2]


async def _serve() -> None:
    with trio_as_event_loop():
        transport = await IrohTransport.open(os.urandom(32), [ALPN], TransportOptions(LISTEN))
        where = transport.addresses()
        print(json.dumps({"key": where.key.hex(), "direct": where.direct}), flush=True)
        connection = await (await transport.next_incoming()).accept()
        echo = await connection.accept_stream()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_echo, echo)
            bulk = await connection.accept_stream()
            while await bulk.receive(READ):
                pass
            await bulk.send(b"!")
            await connection.closed()
            nursery.cancel_scope.cancel()


async def _echo(stream: object) -> None:
    with suppress(TransportError):  # the other end is done
        while data := await stream.receive(READ):  # type: ignore[attr-defined]
            await stream.send(data)  # type: ignore[attr-defined]


if __name__ == "__main__":
    trio.run(_serve)
