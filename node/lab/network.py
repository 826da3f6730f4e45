"""The simulated network: an `OpenTransport` in memory, and everything that can go wrong between its nodes.

    network = MemoryNetwork(SeededChance(7), latency=(0.01, 0.05))
    network.part(a, b)                  nothing passes, either way; connections time out
    network.part(a, b, one_way=True)    nothing passes from a to b
    network.clog(a, b)                  bytes stand still, connections live
    network.stall(a, b, 2)              one stream of each connection stands still, the others go on
    network.heal()                      all ways flow again
    network.cut(a, b)                   the connections between them end, now
    network.kill(a)                     the node with this key is gone as a killed process is: deaf, and silent

Nodes are named by their keys. Without a chance and a latency it is a perfect network without a clock. All draws come
from the given chance, so the same seed is the same network. Faults are between reliable streams, never inside them.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from netsky.envelope.strict25519 import public_key_invalid
from netsky.mesh.transport import (
    VERSIONS_ALPN,
    PeerAddress,
    TransportError,
    TransportOptions,
    asked_for_another,
    nothing_in_common,
    spoken,
)
from netsky.node.lab.interpose import Killed
from netsky.node.lab.virtual import SeededChance
from netsky.node.lab.wires import FAILED, LOST, TIMED_OUT, Action, Half, MemoryConnection, MemoryStream, Way
from netsky.node.seams.chance import Chance

__all__ = ["MemoryConnection", "MemoryNetwork", "MemoryStream", "MemoryTransport"]

WINDOW = 1 << 20
"""Bytes of one direction of a stream that its reader has not taken, as QUIC's window for it."""

IDLE_SECONDS = 30.0
"""After this long without a packet from the other side QUIC gives a connection up."""

DIAL_SECONDS = 10.0
"""A dial that nobody answers."""

KNOCKS_MAX = 1024
"""Dials that wait to be let in; the next one is refused."""


class MemoryIncoming:
    """Somebody knocked; whether this end is what he looks for shows when it is accepted."""

    def __init__(self, near: MemoryConnection, far: MemoryConnection, back: Way, fault: TransportError | None) -> None:
        self._near, self._far, self._back, self._fault = near, far, back, fault

    async def accept(self) -> MemoryConnection:
        await trio.lowlevel.checkpoint()
        self._near.check()
        if self._fault is not None:
            self.turn_away(FAILED)
            raise self._fault
        self._back.carry(self._far.establish)
        return self._near

    def turn_away(self, why: str) -> None:
        self._near.end(why)
        self._back.carry(partial(self._far.end, why))


class MemoryTransport:
    def __init__(
        self, network: MemoryNetwork, key: bytes, alpns: Sequence[bytes], options: TransportOptions, place: str
    ) -> None:
        self.key, self.place, self.alpns = key, place, tuple(alpns)
        self.deaf = False
        self._closed = False
        self._ends: list[MemoryConnection] = []
        self._network = network
        self._options = options
        self._put, self._knocks = trio.open_memory_channel[MemoryIncoming](KNOCKS_MAX)

    @property
    def connections(self) -> list[MemoryConnection]:
        """Those that are not over, as this end knows."""
        self._ends = [end for end in self._ends if end.reason is None]
        return self._ends

    def addresses(self) -> PeerAddress:
        return PeerAddress(self.key, (self.place,))

    def describe(self) -> dict[str, Any]:
        return {
            "bind": self._options.bind,
            "alpns": [alpn.decode() for alpn in (*self.alpns, VERSIONS_ALPN)] if self.alpns else [],
            "relays": sorted(self._options.relays),
            "discovery": "n0" if self._options.n0 else "none",
            "sockets": [self.place],
            "addresses": [self.place],
            "relay": None,
        }

    def troubles(self) -> list[str]:
        return [f"the relay {url} does not answer: there are none in memory" for url in sorted(self._options.relays)]

    async def watch(self) -> None:
        await trio.sleep_forever()

    async def dial(self, peer: PeerAddress, alpn: bytes) -> MemoryConnection:
        await trio.lowlevel.checkpoint()
        self._check()
        if public_key_invalid(peer.key) is not None:
            raise TransportError("key_parsing", "no such key")
        if not peer.direct:
            raise TransportError("address", "no address of this node is known that can be dialled")
        found = [one for at in peer.direct for one in self._network.at(at)]
        there = next((one for one in found if one.key == peer.key), None)
        if there is None:
            for other in found:
                await self._knock(other, alpn, TransportError("connection", FAILED))
            raise TransportError("connect", "nobody is there")
        if alpn in there.alpns:
            return await self._knock(there, alpn, None)
        try:
            return await self._knock(there, alpn, asked_for_another(there.alpns))
        except TransportError as error:
            raise nothing_in_common(alpn, spoken(there.alpns)) if str(error) == FAILED else error from None

    async def _knock(self, there: MemoryTransport, alpn: bytes, fault: TransportError | None) -> MemoryConnection:
        forth, back = self._network.way(self.key, there.key), self._network.way(there.key, self.key)
        ours = MemoryConnection(there.addresses(), alpn, forth, self._network.window)
        theirs = MemoryConnection(self.addresses(), alpn, back, self._network.window)
        ours.far, theirs.far = theirs, ours
        forth.carry(partial(there.let_knock, MemoryIncoming(theirs, ours, back, fault), theirs))
        self.connections.append(ours)
        try:
            with trio.fail_after(DIAL_SECONDS):
                await ours.answered.wait()
        except trio.TooSlowError:
            ours.close(0, b"the dial was given up")
            raise TransportError("connect", "nobody answered") from None
        except BaseException:
            ours.close(0, b"the dial was given up")
            raise
        self._check()
        if not ours.established:
            raise TransportError("connect", ours.reason or FAILED)
        return ours

    def let_knock(self, incoming: MemoryIncoming, end: MemoryConnection) -> None:
        if self.deaf:
            return
        try:
            self._put.send_nowait(incoming)
            self.connections.append(end)
        except trio.WouldBlock:
            incoming.turn_away("refused: too many wait to be let in")
        except trio.ClosedResourceError:
            incoming.turn_away("nobody is there")

    async def next_incoming(self) -> MemoryIncoming:
        self._check()
        try:
            return await self._knocks.receive()
        except trio.EndOfChannel:
            self._check()
            raise AssertionError("knocks end with the transport") from None

    async def close(self) -> None:
        """In order: who is connected is told."""
        if not self.deaf:
            for connection in self.connections:
                connection.close(0, b"gone")
            self._leave()
        await trio.lowlevel.checkpoint()

    def kill(self) -> None:
        self.deaf = True
        for connection in self.connections:
            connection.kill()
        self._leave()

    def _leave(self) -> None:
        self._closed = True
        self._network.left(self)
        self._put.close()

    def _check(self) -> None:
        if self.deaf:
            raise Killed(LOST)
        if self._closed:
            raise TransportError("closed", "the transport is closed")


class MemoryNetwork:
    """An OpenTransport, the ways between all that it opened, and their faults."""

    def __init__(
        self, chance: Chance | None = None, *, latency: tuple[float, float] = (0.0, 0.0), window: int = WINDOW
    ) -> None:
        self.places: dict[str, MemoryTransport] = {}
        self.window = window
        self._chance = chance or SeededChance(0)
        self._latency = latency
        self._ways: dict[tuple[bytes, bytes], Way] = {}
        self._stalled: list[tuple[tuple[bytes, bytes], Half]] = []
        self._ports = 0
        self._timers = _Timers()

    async def open(self, secret: bytes, alpns: Sequence[bytes], options: TransportOptions) -> MemoryTransport:
        await trio.lowlevel.checkpoint()
        place = bind = options.bind
        host, _, port = bind.rpartition(":")
        while port == "0" and (place == bind or place in self.places):
            self._ports += 1
            place = f"{host}:{self._ports}"
        if place in self.places:
            raise TransportError("bind", f"somebody listens at {place} already")
        key = Ed25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()
        self.places[place] = MemoryTransport(self, key, alpns, options, place)
        return self.places[place]

    def at(self, place: str) -> Iterator[MemoryTransport]:
        if place in self.places:
            yield self.places[place]

    def left(self, transport: MemoryTransport) -> None:
        if self.places.get(transport.place) is transport:
            del self.places[transport.place]

    def way(self, sender: bytes, receiver: bytes) -> Way:
        if (sender, receiver) not in self._ways:
            self._ways[sender, receiver] = Way(self._chance, self._timers.later, self._latency)
        return self._ways[sender, receiver]

    # What can go wrong.

    def set_latency(self, sender: bytes, receiver: bytes, low: float, high: float) -> None:
        self.way(sender, receiver).latency = (low, high)

    def part(self, one: bytes, other: bytes, *, one_way: bool = False) -> None:
        """Packets are lost. A connection that hears nothing for long ends at both sides."""
        for sender, receiver in ((one, other), (other, one))[: 1 if one_way else 2]:
            self.way(sender, receiver).change(parted=True)
        self._timers.later(trio.current_time() + IDLE_SECONDS, partial(self._time_out, one, other))

    def isolate(self, node: bytes) -> None:
        """From all whose way it ever was, be they down just now."""
        known = {one.key for one in self.places.values()} | {end for ends in self._ways for end in ends}
        for other in sorted(known - {node}):
            self.part(node, other)

    def clog(self, sender: bytes, receiver: bytes) -> None:
        """From one to the other bytes stand still, as on a way that is full; nothing ends."""
        self.way(sender, receiver).change(clogged=True)

    def stall(self, sender: bytes, receiver: bytes, channel: int) -> None:
        """Of the connections that there are: one stream, from one to the other."""
        for end in self._ends(sender, receiver):
            half = end.sending(channel) if end.peer == receiver else end.far.sending(channel)
            if half is not None:
                half.stall()
                self._stalled.append(((sender, receiver), half))

    def heal(self, one: bytes | None = None, other: bytes | None = None) -> None:
        """All ways flow again, or both between these two, or all from and to this one."""
        healed = {end for end in (one, other) if end is not None}
        for ends, way in self._ways.items():
            if healed <= set(ends):
                way.change(parted=False, clogged=False)
        for ends, half in self._stalled:
            if healed <= set(ends):
                half.flow()
        self._stalled = [(ends, half) for ends, half in self._stalled if not healed <= set(ends)]

    def cut(self, one: bytes, other: bytes) -> None:
        """Every connection between them ends, and both know."""
        for end in self._ends(one, other):
            end.end(LOST)

    def kill(self, node: bytes) -> None:
        """What it sent is still on its way; nothing that it does from now on is heard, and nobody is told."""
        for transport in [transport for transport in self.places.values() if transport.key == node]:
            peers = sorted({end.peer for end in transport.connections})
            transport.kill()
            for peer in peers:
                self._timers.later(trio.current_time() + IDLE_SECONDS, partial(self._time_out, node, peer))

    async def storm(self, one: bytes, other: bytes, cuts: int, seconds: float) -> None:
        """Cut again and again, at drawn instants; about so long in all."""
        for _ in range(cuts):
            await trio.sleep(2 * seconds / cuts * self._chance.fraction())
            self.cut(one, other)

    def _ends(self, one: bytes, other: bytes) -> list[MemoryConnection]:
        return [
            end
            for transport in self.places.values()
            for end in transport.connections
            if {transport.key, end.peer} == {one, other}
        ]

    def _time_out(self, one: bytes, other: bytes) -> None:
        """Those whose other end is dead, and, over a way that is still parted, all that are as old."""
        now = trio.current_time()
        parted = any(self.way(*ends).parted_since + IDLE_SECONDS <= now for ends in ((one, other), (other, one)))
        for end in self._ends(one, other):
            if parted or end.far.deaf:
                end.end(TIMED_OUT)


class _Timers:
    """What is due later, in the order of its time and then of its coming; done by a task that ends with the run."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, Action]] = []
        self._count = 0
        self._sleep = trio.CancelScope()
        self._run: trio.lowlevel.TrioToken | None = None

    def later(self, due: float, action: Action) -> None:
        self._count += 1
        heapq.heappush(self._due, (due, self._count, action))
        self._sleep.deadline = min(self._sleep.deadline, due)  # the task sleeps on until then: to wake it costs a turn
        token = trio.lowlevel.current_trio_token()
        if self._run is not token:
            self._run = token
            trio.lowlevel.spawn_system_task(self._work)

    async def _work(self) -> None:
        while True:
            while self._due and self._due[0][0] <= trio.current_time():
                heapq.heappop(self._due)[2]()
            self._sleep = trio.CancelScope(deadline=self._due[0][0] if self._due else math.inf)
            with self._sleep:
                await trio.sleep_forever()
