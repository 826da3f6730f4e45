"""This node's links: it listens, dials, lets in whom `peers.toml` names, and runs one driver per peer.

The newest authenticated connection of a key wins: the older one is closed, and everything it still wanted stored is,
before anything is read from the newer. A stranger is closed on its proven key, before any stream is accepted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import trio
from netsky.mesh.driver import run_link
from netsky.mesh.effects import CLOSE_CODES, Alarm, Close, Notice, Up
from netsky.mesh.limits import ALPN, DEAD_AFTER_NS, HELLO_WITHIN_NS
from netsky.mesh.link import Ends, Link
from netsky.mesh.transport import Connection, Incoming, PeerAddress, Transport, TransportError, TransportOptions
from netsky.node.backoff import DIAL
from netsky.node.bus.ingress import Incoming as Guest
from netsky.node.bus.ingress import Ingressed, IngressPlanner
from netsky.node.db import observe
from netsky.node.db.group import GroupCommit
from netsky.node.errors import NetskyError
from netsky.node.events import Events, Signals
from netsky.node.identity import Identity
from netsky.node.limits import HANDSHAKES_MAX
from netsky.node.link_store import LinkPlanner, PeerStore
from netsky.node.log import Log
from netsky.node.peers import Peer, dials, read_peers
from netsky.node.seams import Seams
from netsky.node.supervise import Crash, describe

if TYPE_CHECKING:
    from collections.abc import Callable

    from netsky.node.daemon.node import Node


@dataclass(eq=False)
class Slot:
    """One peer: its present connection, and what the last one ended with."""

    peer: Peer
    newest: int = 0
    turn: trio.Lock = field(default_factory=trio.Lock)  # held while a connection is driven
    scope: trio.CancelScope | None = None
    connection: Connection | None = None
    link: Link | None = None
    up_since: int | None = None  # wall clock, ns
    trouble: str | None = None  # why it is down, as a sentence
    reported: str | None = None  # the code of the last row about that: a peer that is away is one row, not thousands


@dataclass(frozen=True, slots=True)
class Parts:
    """What links need of their node."""

    identity: Identity
    seams: Seams
    group: GroupCommit
    ingress: IngressPlanner
    signals: Signals
    events: Events
    log: Log
    crashed: Callable[[Crash], None]


def make_links(node: Node) -> Links | None:
    """None if this node's config wants no links. Raises Usage for a `peers.toml` that breaks a rule."""
    if not node.config.link_bind:
        return None
    parts = Parts(
        identity=node.identity,
        seams=node.seams,
        group=node.group,
        ingress=node.bus.ingress,
        signals=node.signals,
        events=node.events,
        log=node.log,
        crashed=node.crashes.report,
    )
    return Links(parts, read_peers(node.home, node.seams.files, node.identity), node.config.transport)


class Links:
    def __init__(self, parts: Parts, peers: Mapping[bytes, Peer], options: TransportOptions) -> None:
        self._parts = parts
        self._options = options
        self._slots = {key: Slot(peer) for key, peer in peers.items()}
        self._keys = {peer.name: key for key, peer in peers.items()}
        self._planner = LinkPlanner(parts.ingress, parts.seams.time, self._ended_here)
        self._transport: Transport | None = None
        self._handshakes = 0

    def key_of(self, name: str) -> bytes | None:
        return self._keys.get(name)

    @property
    def address(self) -> PeerAddress | None:
        """Where this node listens, once it does."""
        return None if self._transport is None else self._transport.addresses()

    @property
    def transport(self) -> Transport | None:
        """What this node listens with, once it does."""
        return self._transport

    def status(self) -> list[dict[str, Any]]:
        """A row for each peer, for `netsky status`."""
        return [
            {
                "name": slot.peer.name,
                "up": slot.up_since is not None,
                "since": slot.up_since,
                "round_trip_ns": slot.link.round_trip_ns if slot.link is not None else None,
                "frozen": {
                    f"{lane} {way}": code
                    for (lane, way), code in (slot.link.frozen() if slot.link is not None else {}).items()
                },
                "trouble": slot.trouble,
            }
            for slot in self._slots.values()
        ]

    async def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Until cancelled; `ready` once it listens. Raises TransportError if it cannot."""
        seams, identity = self._parts.seams, self._parts.identity
        self._transport = await seams.transport.open(identity.secret, [ALPN], self._options)
        assert self._transport.key == identity.key
        try:
            self._parts.log.event("links.listening", addresses=list(self._transport.addresses().direct))
            ready()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._transport.watch)
                for slot in self._slots.values():
                    if slot.peer.address is not None and dials(identity.name, slot.peer):
                        nursery.start_soon(self._dial_forever, self._transport, slot)
                while True:
                    incoming = await self._transport.next_incoming()
                    if self._handshakes < HANDSHAKES_MAX:  # else it is forgotten, and may come again
                        nursery.start_soon(self._let_in, incoming)
        finally:
            transport, self._transport = self._transport, None
            with trio.CancelScope(shield=True), trio.move_on_after(1):
                await transport.close()

    # Coming in and going out.

    async def _let_in(self, incoming: Incoming) -> None:
        self._handshakes += 1
        try:
            with trio.move_on_after(HELLO_WITHIN_NS / 1e9) as scope:
                connection = await incoming.accept()
        except TransportError as error:
            self._parts.log.event("link.handshake_failed", code=error.code, sentence=str(error))
            return
        finally:
            self._handshakes -= 1
        if scope.cancelled_caught:
            return
        slot = self._slots.get(connection.peer)
        if slot is None:
            connection.close(CLOSE_CODES["not_allowed"], b"not_allowed: this node does not know you")
            self._row("refused", connection.peer, None, code="not_allowed")
            return
        await self._serve(slot, connection, dialled=False)

    async def _dial_forever(self, transport: Transport, slot: Slot) -> None:
        time, chance = self._parts.seams.time, self._parts.seams.chance
        assert slot.peer.address is not None
        address = PeerAddress(slot.peer.key, (slot.peer.address,))
        attempt = 0
        while True:
            connection: Connection | None = None
            try:
                with trio.move_on_after(DEAD_AFTER_NS / 1e9):
                    connection = await transport.dial(address, ALPN)
                if connection is None:
                    self._down(slot, "unreachable", f"{slot.peer.address} does not answer")
            except TransportError as error:
                self._down(slot, "unreachable", str(error))
            if connection is not None:
                began = time.monotonic()
                await self._serve(slot, connection, dialled=True)
                if time.monotonic() - began > DIAL.cap_ns:
                    attempt = 0  # that was a link; what comes now is a new trouble
            await time.sleep_until(time.monotonic() + DIAL.wait_ns(attempt, chance.fraction()))
            attempt += 1

    async def _serve(self, slot: Slot, connection: Connection, *, dialled: bool) -> None:
        """Drives this connection, after the one before it, until it ends or a newer one comes."""
        slot.newest += 1
        mine = slot.newest
        if slot.scope is not None and slot.connection is not None:
            slot.connection.close(CLOSE_CODES["replaced"], b"replaced: a newer connection of the same node")
            slot.scope.cancel()
        async with slot.turn:
            if mine != slot.newest:
                connection.close(CLOSE_CODES["replaced"], b"replaced: a newer connection of the same node")
                return
            with trio.CancelScope() as scope:
                slot.scope = scope
                slot.connection = connection
                try:
                    await self._drive(slot, connection, dialled=dialled)
                finally:
                    connection.close(CLOSE_CODES["stopped"], b"stopped")
                    slot.scope = slot.connection = slot.link = slot.up_since = None

    async def _drive(self, slot: Slot, connection: Connection, *, dialled: bool) -> None:
        parts, peer = self._parts, slot.peer
        store = PeerStore(
            peer,
            group=parts.group,
            planner=self._planner,
            signals=parts.signals,
            time=parts.seams.time,
            chance=parts.seams.chance,
            notice=self._notice,
        )
        identity = parts.identity
        ends = Ends(identity.key, peer.key, identity.mesh, identity.sign, {peer.key: peer.name})
        try:
            slot.link = Link(ends, await store.load())
            why = await run_link(slot.link, connection, store, parts.seams.time, dialled=dialled)
        except NetskyError as error:
            why = Close("store", error.message)
        except Exception as mistake:  # noqa: BLE001 - a task's border: one peer's trouble is not the others'
            parts.crashed(Crash(f"node/links/{peer.name}", "crashed", mistake, 0))
            why = Close("store", f"a mistake of this node: {describe(mistake)}")
        self._down(slot, why.code, why.sentence)

    # Telling.

    def _notice(self, peer: Peer, notice: Notice) -> None:
        slot = self._slots[peer.key]
        if isinstance(notice, Up):
            slot.up_since, slot.trouble, slot.reported = self._parts.seams.time.wall(), None, None
            self._row("up", peer.key, peer.name)
            self._parts.events.publish("link_up", peer=peer.name)
        elif isinstance(notice, Alarm):
            fields = {"lane": notice.lane, "direction": notice.direction, "code": notice.code}
            self._row("frozen", peer.key, peer.name, sentence=notice.sentence, **fields)
            self._parts.events.publish("link_alarm", peer=peer.name, sentence=notice.sentence, **fields)

    def _down(self, slot: Slot, code: str, sentence: str) -> None:
        slot.trouble = sentence
        if slot.reported == code:
            return
        slot.reported = code
        self._row("down", slot.peer.key, slot.peer.name, code=code, sentence=sentence)
        self._parts.events.publish("link_down", peer=slot.peer.name, code=code, sentence=sentence)

    def _ended_here(self, peer: Peer, guest: Guest, result: Ingressed) -> None:
        kind = "link_alarm" if result.conflict else "link_dead_letter"
        fields = {"peer": peer.name, "id": guest.header.id, "code": result.code}
        self._parts.log.event(kind, level="warn", **fields)
        self._parts.events.publish(kind, **fields)

    def _row(self, event: str, key: bytes, name: str | None, **detail: Any) -> None:
        """A line of the log and a row; the row knows the peer by a hash."""
        parts = self._parts
        parts.log.event(f"link.{event}", peer=name or observe.peer_hash(key), **detail)
        parts.group.ride(observe.link_event(parts.seams.time.wall(), event, key, name, detail))
