"""This node's links: who may connect, who dials, and one driver for each peer.

A root lets in whom its roster names; a sibling dials the root and lets nobody in. The newest authenticated connection
of a key wins: the older one is closed, and everything it still wanted stored is, before anything is read from the
newer. A stranger is closed on its proven key, before any stream is accepted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import trio
from netsky.envelope.kinds import Lane
from netsky.mesh import effects
from netsky.mesh.driver import run_link
from netsky.mesh.effects import CLOSE_CODES, Alarm, Close, Notice, Restored, Up
from netsky.mesh.ends import Ends
from netsky.mesh.limits import ADDRESSES_MAX, ALPN, DEAD_AFTER_NS, HELLO_WITHIN_NS, JOIN_ALPN
from netsky.mesh.link import Link
from netsky.mesh.roster import Member, Roster
from netsky.mesh.transport import Connection, Incoming, PeerAddress, Transport, TransportError
from netsky.node.backoff import DIAL
from netsky.node.daemon.told import OUTBOX_SIGNAL, ROSTER_SIGNAL
from netsky.node.db import arrivals, forward, node_state
from netsky.node.errors import NetskyError
from netsky.node.limits import HANDSHAKES_MAX, SWEEP_NS
from netsky.node.links.courier import Courier
from netsky.node.links.holding import HoldParts, Holds, Lasting
from netsky.node.links.items import Cut, Knows, Remember, Sweep
from netsky.node.links.last_seen import KEY as LAST_SEEN
from netsky.node.links.last_seen import LastSeen
from netsky.node.links.notices import Errors, Notices
from netsky.node.links.offers import Offers
from netsky.node.links.onward import Onward
from netsky.node.links.parts import Parts
from netsky.node.links.planner import LinkPlanner
from netsky.node.links.remembering import Remembering
from netsky.node.links.slot import REVOKED, Slot
from netsky.node.links.store import Ways
from netsky.node.links.windows import windows
from netsky.node.membership.membership import Sighting, address_texts, peer_address
from netsky.node.supervise import Crash, describe
from netsky.relay.holds import Queues


class Links:
    def __init__(self, parts: Parts) -> None:
        assert parts.identity.charter is not None, "a node without a mesh has no links"
        self._parts = parts
        self._root = parts.identity.charter.root_key
        self._is_root = self._root == parts.identity.key
        self._slots: dict[bytes, Slot] = {}
        self._linked: set[bytes] = set()  # keys of those slots that have a link: counted in each turn of each link
        self._transport: Transport | None = None
        self._handshakes = 0
        self._met: set[bytes] = set()
        self.queues = Queues()
        own, seams = parts.identity.key, parts.seams
        self.holds = Holds(
            HoldParts(own, self._is_root, parts.group, parts.signals, seams.time, self.name_of, parts.inbox_max),
            self.queues,
        )
        self._lasting = Lasting()
        self._last_seen = LastSeen()
        self.remembering = Remembering(own, parts.identity.charter.reign, parts.home, seams, parts.group)
        parts.ingress.counted = self.holds.counted
        self._notices = Notices(
            *(parts.seams, parts.group, parts.signals, parts.events, parts.log, self.name_of, parts.membership.adopt),
            *(self._begin_anew, self.remembering.noted),
        )
        self._errors = Errors(parts.group, parts.signals, parts.accept, parts.seams)
        knows = Knows(
            *(parts.identity.key, self._root, self._roster, parts.route_lines, parts.membership.store),
            self.remembering.event,
        )
        onward = Onward(parts.seams.time, self.holds.keeps)
        parts.hand_to(onward)
        self._ways = Ways(
            group=parts.group,
            planner=LinkPlanner(knows, parts.ingress, self.queues, parts.seams.time, told=self._notices, onward=onward),
            onward=onward,
            is_root=self._is_root,
            remembering=self.remembering,
            signals=parts.signals,
            time=parts.seams.time,
            chance=parts.seams.chance,
            roster=parts.membership.roster,
            window=self._window,
            held_for=self.holds.for_peer,
            held_here=self.holds.here,
        )

    @property
    def address(self) -> PeerAddress | None:
        """Where this node listens, once it does."""
        return None if self._transport is None else self._transport.addresses()

    @property
    def transport(self) -> Transport | None:
        """What this node listens with, once it does."""
        return self._transport

    def name_of(self, key: bytes) -> str | None:
        member = self._roster().by_key.get(key)
        return None if member is None else member.name

    def status(self) -> list[dict[str, Any]]:
        """A row for each peer, for `netsky status`."""
        return [self._state(member) for member in self._peers()]

    def held_since(self) -> list[dict[str, Any]]:
        """What this node is asked to hold, or asks origins to hold, and since when."""
        held = self.holds.holding.all()
        if self._is_root:
            held |= {(key, "", lane) for key, lane in self.queues.held()}
        since = self._lasting.look(held, self._parts.seams.time.wall())
        return [
            {"name": f"{actor}@{name}" if actor else name, "since": at}
            for (key, actor), at in sorted(since.items())
            for name in [self.name_of(key) or key.hex()[:16]]
        ]

    def clock_offsets(self) -> dict[str, int]:
        """By name: how far the clocks of the peers that are linked now are ahead of ours, ns, where measured."""
        found = {name: slot.link for key, slot in self._slots.items() if slot.link and (name := self.name_of(key))}
        return {name: link.clock_offset_ns for name, link in found.items() if link.clock_offset_ns is not None}

    def of(self, key: bytes) -> Sighting | None:
        """What is known of a member; a sibling sees its root alone."""
        slot = self._slots.get(key)
        if slot is None:
            return Sighting(up=False) if self._is_root else None
        return Sighting(slot.up_since is not None, slot.seen, slot.program, slot.revoked_us, slot.up_since)

    async def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Until cancelled; `ready` once it listens. Raises TransportError if it cannot."""
        seams, identity = self._parts.seams, self._parts.identity
        await self._load()
        self._transport = await seams.transport.open(identity.secret, [ALPN, JOIN_ALPN], self._parts.options)
        assert self._transport.key == identity.key
        try:
            self._parts.log.event("links.listening", addresses=list(self._transport.addresses().direct))
            ready()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._transport.watch)
                nursery.start_soon(self._errors.run)
                nursery.start_soon(self._sweep_forever)
                nursery.start_soon(self.holds.watch)
                if self._is_root:
                    nursery.start_soon(self._cut_the_revoked)
                else:
                    nursery.start_soon(self._dial_forever, self._transport)
                while True:
                    incoming = await self._transport.next_incoming()
                    if self._handshakes < HANDSHAKES_MAX:  # else it is forgotten, and may come again
                        nursery.start_soon(self._let_in, incoming)
        finally:
            transport, self._transport = self._transport, None
            with trio.CancelScope(shield=True), trio.move_on_after(1):
                await transport.close()

    async def _load(self) -> None:
        record = await self.remembering.load()
        if record is not None:
            self.remembering.raise_to(record.life)
            await self._parts.group.submit(self._ways.planner, Remember(record))
        found, inboxes, seen = await self._parts.group.read(
            [forward.waiting(), arrivals.waiting_everywhere(), node_state.get(LAST_SEEN)]
        )
        for slot in self._last_seen.load(seen):
            self._slots.setdefault(slot.key, slot)
        self.queues = self._fill(forward.waiting_rows(found))
        self.holds.counted(arrivals.pairs(inboxes))  # who was full before is so before anybody is granted a window

    def _fill(self, rows: Sequence[forward.Waiting]) -> Queues:
        """The same object that planner and holds look at, made new: this task may be in its second life."""
        self.queues.clear()
        for row in rows:
            self.queues.change(row.peer, row.origin, row.envelopes, row.size)
        return self.queues

    def _begin_anew(self, record: Restored) -> None:
        """This home was put back from a backup: the queue of the root is empty, and every link loads anew."""
        self.remembering.restored(record)
        self._parts.membership.burned()
        self.queues.clear()
        for slot in self._slots.values():
            if slot.scope is not None:
                slot.scope.cancel()

    async def _sweep_forever(self) -> None:
        """Ends what is past its time, here and in the root's queue."""
        group, time = self._parts.group, self._parts.seams.time
        began = time.wall()
        while True:
            self._met |= {key for key, slot in self._slots.items() if _agrees(slot)}
            await group.submit(self._ways.planner, Sweep(began, tuple(sorted(self._met))))
            if self.holds.holding.lapsed():
                self._parts.signals.ring(OUTBOX_SIGNAL)
            self.held_since()
            seen = self._last_seen.write(self._slots.values(), time.wall())
            if seen is not None:
                group.ride(seen)
            await time.sleep_until(time.monotonic() + SWEEP_NS)

    async def _cut_the_revoked(self) -> None:
        """At each roster, and once at the start: a node that died between a revocation and the cut cuts now."""
        signals, done, rung = self._parts.signals, set[bytes](), 0
        while True:
            rung = signals.count(ROSTER_SIGNAL)
            for member in self._roster().members:
                if member.revoked and member.key not in done:
                    await self._cut(member.key)
                    done.add(member.key)
            signals.ring(OUTBOX_SIGNAL)  # every link looks at the roster in force, and sends it to its peer
            rung = await signals.wait_beyond(ROSTER_SIGNAL, rung)

    async def _cut(self, key: bytes) -> None:
        slot = self._slot(key)
        slot.newest += 1
        if slot.scope is not None and slot.connection is not None:
            slot.connection.close(CLOSE_CODES["revoked"], REVOKED.encode())
            slot.scope.cancel()
        async with slot.turn:  # nothing of that link is stored any more
            await self._parts.group.submit(self._ways.planner, Cut(key))

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
        if connection.alpn == JOIN_ALPN:
            await self._parts.membership.serve_join(connection)
            return
        known = self._roster().by_key.get(connection.peer)
        if not self._is_root or known is None:
            self._refuse(connection, "not_allowed", "this node does not know you")
        elif known.revoked:
            self._refuse(connection, *REVOKED.split(": "))
        else:
            await self._serve(self._slot(connection.peer), connection, dialled=False)

    def _refuse(self, connection: Connection, code: str, sentence: str) -> None:
        connection.close(CLOSE_CODES[code], f"{code}: {sentence}".encode())
        self._parts.membership.note_stranger(connection.peer, code)
        self._notices.row("refused", connection.peer, self.name_of(connection.peer), code=code)

    async def _dial_forever(self, transport: Transport) -> None:
        time, chance = self._parts.seams.time, self._parts.seams.chance
        slot = self._slot(self._root)
        attempt = 0
        while True:
            connection: Connection | None = None
            address = peer_address(self._root, self._parts.membership.root_addresses())
            try:
                with trio.move_on_after(DEAD_AFTER_NS / 1e9):
                    connection = await transport.dial(address, ALPN)
                if connection is None:
                    self._down(slot, "unreachable", f"{', '.join(address.direct) or 'the root'} does not answer")
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
                    if slot.up_since is not None:
                        slot.seen = self._parts.seams.time.wall()
                    slot.scope = slot.connection = slot.link = slot.up_since = None
                    self._linked.discard(slot.key)

    async def _drive(self, slot: Slot, connection: Connection, *, dialled: bool) -> None:
        parts, name = self._parts, self.name_of(slot.key) or "a stranger"
        offers = Offers(slot.key, parts.identity.key, parts.group, is_root=self._is_root)
        store = parts.make_store(slot, name, offers, self._ways, self._notice)
        blobs = Courier(slot.key, parts.blobs, offers.aside, self._ways, self._notices.refused)
        try:
            slot.link = Link(self._ends(slot.key), await store.load(), *parts.membership.roster())
            self._linked.add(slot.key)
            why = await run_link(slot.link, connection, store, parts.seams.time, dialled=dialled, blobs=blobs)
        except NetskyError as error:
            why = Close("store", error.message)
        except Exception as mistake:  # noqa: BLE001 - a task's border: one peer's trouble is not the others'
            parts.crashed(Crash(f"node/links/{name}", "crashed", mistake, 0))
            why = Close("store", f"a mistake of this node: {describe(mistake)}")
        self._down(slot, why.code, why.sentence)

    def _ends(self, peer: bytes) -> Ends:
        identity = self._parts.identity
        assert identity.charter is not None
        heartbeat_ns, dead_after_ns = self._parts.beats()
        return Ends(
            *(identity.key, peer, identity.mesh, identity.sign, self._root, identity.charter.reign),
            program=self._parts.program,
            addresses=address_texts(self.address) if self._is_root else (),
            heartbeat_ns=heartbeat_ns,
            dead_after_ns=dead_after_ns,
        )

    # What the links ask.

    def _roster(self) -> Roster:
        roster, _ = self._parts.membership.roster()
        assert roster is not None, "a node with a charter has a roster"
        return roster

    def _peers(self) -> list[Member]:
        roster = self._roster()
        if self._is_root:
            return [member for member in roster.members if member.key != self._root and not member.revoked]
        return [member for member in roster.members if member.key == self._root]

    def _slot(self, key: bytes) -> Slot:
        return self._slots.setdefault(key, Slot(key))

    def _window(self, lane: Lane) -> tuple[int, int]:
        if lane == "work" and not self._parts.takes_work():
            return 0, 0
        return windows(len(self._linked))

    # Telling.

    def _notice(self, peer: bytes, notice: Notice) -> None:
        slot, name = self._slot(peer), self.name_of(peer)
        if isinstance(notice, Up):
            slot.up_since = slot.seen = self._parts.seams.time.wall()
            slot.trouble = slot.reported = slot.down_since = None
            slot.revoked_us = False
            slot.program = notice.program
            if not self._is_root:
                # Where it answers now comes first: what it says of itself may be true only in its own network.
                known = (*(address_texts(slot.connection.reached()) if slot.connection else ()), *notice.addresses)
                self._parts.membership.remember_root_addresses(tuple(dict.fromkeys(known))[:ADDRESSES_MAX])
            self._notices.row("up", peer, name)
            self._parts.events.publish("link_up", peer=name)
        elif isinstance(notice, effects.Blamed):
            slot.blame = notice.blame
        elif isinstance(notice, effects.Holds):
            self.holds.holding.say(peer, notice.held)
            self._parts.signals.ring(OUTBOX_SIGNAL)
        elif isinstance(notice, Alarm):
            fields = {"lane": notice.lane, "direction": notice.direction, "code": notice.code}
            self._notices.row("frozen", peer, name, sentence=notice.sentence, **fields)
            self._parts.events.publish("link_alarm", peer=name, sentence=notice.sentence, **fields)

    def _down(self, slot: Slot, code: str, sentence: str) -> None:
        slot.trouble = sentence
        slot.revoked_us = slot.revoked_us or REVOKED in sentence
        if slot.down_since is None:
            slot.down_since = self._parts.seams.time.wall()
        if slot.reported == code:
            return
        slot.reported = code
        name = self.name_of(slot.key)
        self._notices.row("down", slot.key, name, code=code, sentence=sentence)
        self._parts.events.publish("link_down", peer=name, code=code, sentence=sentence)

    def _state(self, member: Member) -> dict[str, Any]:
        slot = self._slots.get(member.key) or Slot(member.key)
        load = self.queues.load(member.key)
        queued = {"queued": load.envelopes, "queued_bytes": load.bytes, "held": self.holds.shown(member.key)}
        return {"name": member.name, **slot.shown(), **queued}


def _agrees(slot: Slot) -> bool:
    """It is up, and does not say that we have forgotten something."""
    return slot.up_since is not None and slot.link is not None and "behind" not in slot.link.frozen().values()
