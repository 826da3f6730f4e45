"""A peer over iroh, as a process: started and killed by test_network.py. Echoes on every stream; says where it is.

python -m tests.real.network_peer NUMBER BIND
"""

from __future__ import annotations

import json
import sys

import trio
from netsky.mesh.iroh_transport import IrohTransport
from netsky.mesh.transport import Incoming, TransportError, TransportOptions, TransportStream
from netsky.mesh.trio_loop import trio_as_event_loop

from tests.conformance.transport import ALPN
from tests.mesh.world import Node


async def echo(stream: TransportStream) -> None:
    while data := await stream.receive(1 << 16):
        await stream.send(data)


async def serve(incoming: Incoming) -> None:
    try:
        connection = await incoming.accept()
        while True:
            await echo(await connection.accept_stream())
    except TransportError:
        pass


async def main(number: int, bind: str) -> None:
    with trio_as_event_loop():
        transport = await IrohTransport.open(Node(number).secret, [ALPN], TransportOptions(bind))
        print(json.dumps(transport.addresses().direct), flush=True)
        async with trio.open_nursery() as nursery:
            while True:
                nursery.start_soon(serve, await transport.next_incoming())


if __name__ == "__main__":
    trio.run(main, int(sys.argv[1]), sys.argv[2])
