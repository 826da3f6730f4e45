"""One link as a machine: it is told what came in and what time it is, and answers what to do.

Inputs: `start`, `receive`, `submit`, `wake`, `beat`, `handle_timer`, and what the node says: `know` (the roster in
force), `grant` (what the peer may send), `hold` (what it should not). Each answers with `Effects`, to be obeyed in the
order that `driver.py` keeps. It lives as long as one connection; the next connection gets a new one, made from what is
stored. If obeying an answer fails, the machine is ahead of the disk: throw it away.

The table of states stands in README.md. No clock, no randomness, no socket, no SQL, no trio in here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice

from netsky.envelope.invalid import Invalid
from netsky.envelope.kinds import Lane
from netsky.mesh.blob_frames import Announce, Have, Pass, Want
from netsky.mesh.blobs import Blobs
from netsky.mesh.effects import (
    NOTHING,
    Acked,
    Close,
    Direction,
    Effects,
    Enrolled,
    Holds,
    Stated,
    Up,
    closing,
    freezing,
)
from netsky.mesh.ends import Ends, LinkState
from netsky.mesh.frames import (
    CHANNEL_LANES,
    CONTROL,
    Ack,
    Bye,
    Credit,
    Data,
    Evidence,
    Frame,
    Hello,
    Hold,
    LaneHello,
    Lineages,
    Outcomes,
    Ping,
    Pong,
    RosterPiece,
)
from netsky.mesh.limits import (
    ADDRESSES_MAX,
    HELLO_WITHIN_NS,
    HOLD_EVERY_BEATS,
    HOLDS_MAX,
    LINEAGES_MAX,
    PROOF_WITHIN_NS,
    ROSTER_PIECES_IN_TURN,
)
from netsky.mesh.lineage import Lineage
from netsky.mesh.offer import Offer, Wanted
from netsky.mesh.pulse import Pulse
from netsky.mesh.receiver import Receiver
from netsky.mesh.roster import Roster, open_roster, succession_invalid
from netsky.mesh.roster_pieces import Collector, Pieces
from netsky.mesh.sender import Sender
from netsky.mesh.streams import LANES

VERSION = 1


class Link:
    """See the head of this file."""

    def __init__(self, ends: Ends, state: LinkState, roster: Roster | None, sealed_roster: bytes) -> None:
        assert roster is not None or not ends.at_root
        self._ends = ends
        self._memory = state.memory
        self._sender = Sender(ends, state)
        self._receiver = Receiver(ends, state.incoming, roster)
        self._pulse = Pulse()
        self.blobs = Blobs()
        self._roster, self._sealed_roster = roster, sealed_roster
        self._pieces, self._collector = Pieces(), Collector()
        self._held: frozenset[tuple[bytes, str, Lane]] = frozenset()
        self._related: Mapping[bytes, Lineage] = {}
        self._unsaid: dict[bytes, Lineage] = {}
        self._proof_until = 0
        self._hello: Hello | None = None
        self._shown_version = 0  # of the roster that the peer knows us to have
        self._deadline = 0

    # Getters.

    @property
    def is_open(self) -> bool:
        return self._hello is not None

    @property
    def heartbeat_ns(self) -> int:
        """Between two heartbeats of ours."""
        return self._ends.heartbeat_ns

    @property
    def round_trip_ns(self) -> int | None:
        return self._pulse.round_trip_ns

    @property
    def clock_offset_ns(self) -> int | None:
        """The peer's wall clock minus ours."""
        return self._pulse.clock_offset_ns

    @property
    def waits_for_roster(self) -> bool:
        """Data has come that was routed by a newer roster: until that is here, no more data is of use."""
        return self._receiver.waits_until is not None

    def frozen(self) -> dict[tuple[Lane, Direction], str]:
        found: dict[tuple[Lane, Direction], str | None] = {}
        for lane in LANES:
            found[lane, "out"] = self._sender.lanes[lane].frozen
            found[lane, "in"] = self._receiver.lanes[lane].frozen
        return {where: code for where, code in found.items() if code is not None}

    def credit(self, lane: Lane) -> tuple[int, int]:
        """Up to which number and how many bytes beyond its last ack the peer lets us send."""
        return self._sender.lanes[lane].credit

    def granted(self, lane: Lane) -> tuple[int, int]:
        """Envelopes and bytes that the peer may have on its way to us."""
        return self._receiver.lanes[lane].window

    def wanted(self, lane: Lane) -> Wanted | None:
        return self._sender.wanted(lane)

    # Inputs from the connection.

    def start(self, now: int) -> Effects:
        """The connection is there and the peer's key is proven."""
        self._deadline = now + HELLO_WITHIN_NS
        ends, version = self._ends, self._version
        self._shown_version = version
        lanes = [
            LaneHello(self._sender.lanes[lane].position(), self._receiver.lanes[lane].position()) for lane in LANES
        ]
        hello = Hello(
            *(VERSION, ends.mesh, ends.reign, version, ends.capabilities, ends.program),
            ends.addresses[:ADDRESSES_MAX],
            *(self._memory.lineage, self._memory.since),
            *lanes,
        )
        return Effects(send=((CONTROL, hello),), deadline=self._deadline)

    def receive(self, channel: int, frame: Frame, now: int, wall: int) -> Effects:
        if self._hello is None:
            self._proof_until = now + PROOF_WITHIN_NS
            effects = self._greet(frame) if isinstance(frame, Hello) else closing("hello", "The first frame is hello.")
        elif isinstance(frame, Data | Outcomes):
            lane = CHANNEL_LANES.get(channel)
            if lane is None:
                effects = closing("frame", "Data on the control stream.")
            else:
                effects = self._receiver.receive(lane, frame, now)
        elif channel != CONTROL:
            effects = closing("frame", "A control frame on a data stream.")
        elif isinstance(frame, Announce | Want | Have | Pass):
            effects = self.blobs.receive(frame)
        else:
            effects = self._control(frame, now, wall)
        self._deadline = now + self._ends.dead_after_ns
        return replace(effects, deadline=self._next_deadline())

    def submit(self, lane: Lane, offers: Sequence[Offer], wall: int) -> Effects:
        """What the store found for `wanted`; nothing, if it found nothing."""
        return self._sender.submit(lane, offers, wall, self._version)

    def is_abreast(self, roster: Roster | None) -> bool:
        """Goes by this roster, and not by one before it."""
        return roster is None or roster.version <= self._version

    def submit_now(self, lane: Lane, offer: Offer, wall: int) -> Effects | None:
        """What is new and was not asked for: if the store had nothing left and it has room; else it is asked for."""
        return self._sender.submit_now(lane, offer, wall, self._version)

    def wake(self, lane: Lane) -> None:
        """The store may have something again."""
        self._sender.wake(lane)

    @property
    def has_pieces(self) -> bool:
        return bool(self._unsaid and self._hello is not None) or self._pieces.are_left

    def pieces(self) -> Effects:
        """The control stream has nothing to write: what is still to be said at length."""
        if self._unsaid and self._hello is not None:
            said = tuple(islice(self._unsaid.values(), LINEAGES_MAX))
            for one in said:
                del self._unsaid[one.node]
            return Effects(send=((CONTROL, Lineages(said)),))
        return Effects(send=tuple((CONTROL, piece) for piece in self._pieces.take(ROSTER_PIECES_IN_TURN)))

    def beat(self, now: int) -> Effects:
        """The time of a heartbeat."""
        if self._hello is None:
            return NOTHING
        ping = self._pulse.beat(now, self._ends)
        send: list[tuple[int, Frame]] = [] if ping is None else [(CONTROL, ping)]
        if self._held and self._pulse.beats % HOLD_EVERY_BEATS == 0:
            send.append((CONTROL, self._hold_frame()))
        return Effects(send=tuple(send))

    def handle_timer(self, now: int) -> Effects:
        if now < self._next_deadline():
            return Effects(deadline=self._next_deadline())
        if self._hello is None:
            return closing("hello", "The peer did not say hello in time.")
        if self._sender.unproven and now >= self._proof_until:
            return closing("claim", "The peer says that this home was restored, and shows nothing that proves it.")
        if now >= self._deadline:
            return closing("silent", "Nothing came from the peer for too long.")
        return closing("roster", "The roster by which data was routed did not come in time.")

    # Inputs from the node. Each turn says them again; nothing happens while nothing has changed.

    def know(self, roster: Roster | None, sealed: bytes) -> Effects:
        """The newest roster in force here."""
        if roster is None or roster.version <= self._version:
            return NOTHING
        if roster.reign != self._ends.reign:
            return closing("reign", f"This node follows reign {roster.reign} of the charter by now.")
        self._roster, self._sealed_roster = roster, sealed
        if self._hello is None:
            return self._receiver.adopt(roster)
        refused = self._refused(roster)
        if refused is not None:
            return Effects(close=refused)
        if self._ends.at_root:
            self._tell_roster(self._hello)
        return self._receiver.adopt(roster)

    def grant(self, lane: Lane, envelopes: int, size: int) -> Effects:
        """What the peer may have on its way to us on this lane from now on; 0, 0 stops it."""
        return self._receiver.grant(lane, envelopes, size)

    def hold(self, held: frozenset[tuple[bytes, str, Lane]]) -> Effects:
        """At the root: what this peer should hold back. At a sibling: for which of its own actors, itself."""
        assert len(held) <= HOLDS_MAX
        assert self._ends.at_root or all(key == self._ends.me for key, _, _ in held)
        changed, self._held = held != self._held, held
        return Effects(send=((CONTROL, self._hold_frame()),)) if changed and self._hello is not None else NOTHING

    def relate(self, lineages: Mapping[bytes, Lineage]) -> None:
        """At the root: those of all nodes that were ever restored. `pieces` says what the peer does not know yet."""
        assert self._ends.at_root or not lineages
        if lineages is not self._related:
            before, self._related = self._related, lineages
            self._unsaid |= {
                key: one for key, one in lineages.items() if one != before.get(key) and key != self._ends.peer
            }

    # Hello.

    @property
    def _version(self) -> int:
        return self._roster.version if self._roster is not None else 0

    def _greet(self, hello: Hello) -> Effects:
        fault = self._hello_fault(hello)
        if fault is not None:
            return Effects(close=fault)
        self._hello = hello
        self._tell_roster(hello)
        # Also that nothing is held: a hold that ended while there was no connection would last until it lapses.
        holds = Effects(send=((CONTROL, self._hold_frame()),))
        if hello.lineage in self._memory.superseded:
            return self._cloned()
        renewed = self._memory.peer not in {b"", hello.lineage}
        effects = Effects(deliver=(Up(hello.program, hello.addresses),)) + holds
        effects += self._receiver.greet(hello) + self._sender.greet(hello, renewed=renewed)
        if hello.lineage == self._memory.peer:
            return effects
        # Behind what it acknowledges: a root that was put back passes none of that on, and it has to be sent again.
        acked = tuple(one for one in effects.persist if isinstance(one, Acked))
        rest = tuple(one for one in effects.persist if not isinstance(one, Acked))
        stated = Stated((Lineage(self._ends.peer, hello.lineage, hello.since),))
        return replace(effects, persist=(*acked, stated, *rest))

    def _cloned(self) -> Effects:
        """A memory that its node has given up is alive somewhere: nothing of it is taken, and nothing given to it."""
        sentence = "That memory was replaced: this home has a copy, or its key was stolen (netsky help backup)."
        effects = NOTHING
        for lane in LANES:
            effects += freezing(lane, "in", "cloned", sentence) + freezing(lane, "out", "cloned", sentence)
        return effects + closing("cloned", sentence)

    def _hello_fault(self, hello: Hello) -> Close | None:
        if hello.version != VERSION:
            return Close("version", f"The peer speaks version {hello.version}, this build speaks {VERSION}.")
        if hello.mesh != self._ends.mesh:
            return Close("mesh", "The peer belongs to another mesh.")
        if hello.reign != self._ends.reign:
            ours, theirs = self._ends.reign, hello.reign
            return Close("reign", f"The peer follows reign {theirs} of the charter, this node follows reign {ours}.")
        return self._refused(self._roster)

    def _refused(self, roster: Roster | None) -> Close | None:
        """The root has no link with who is not, or no longer, on the roster."""
        if roster is None or not self._ends.at_root:
            return None
        member = roster.by_key.get(self._ends.peer)
        if member is None:
            return Close("not_allowed", "The peer is not on the roster.")
        return Close("revoked", f"{member.name} was revoked.") if member.revoked else None

    def _tell_roster(self, hello: Hello) -> None:
        """Ours is new to this connection. A root that lacks the one which its sibling has is shown its own seal."""
        if hello.roster < self._version:
            self._pieces.load(self._version, self._sealed_roster)

    def _hold_frame(self) -> Hold:
        return Hold(tuple(sorted(self._held)))

    def _next_deadline(self) -> int:
        proof = self._proof_until if self._sender.unproven else None
        return min(until for until in (self._deadline, self._receiver.waits_until, proof) if until is not None)

    # Control.

    def _control(self, frame: Frame, now: int, wall: int) -> Effects:
        match frame:
            case Ack():
                return self._sender.ack(frame)
            case Credit():
                return self._sender.credit(frame)
            case Ping():
                return Effects(send=((CONTROL, self._pulse.answer(frame, now, wall)),))
            case Pong():
                self._pulse.pong(frame, now, wall)
                return NOTHING
            case Hold():
                if self._ends.at_root and any(key != self._ends.peer for key, _, _ in frame.held):
                    return closing("frame", "A sibling speaks of holds for itself alone.")
                return Effects(deliver=(Holds(frozenset(frame.held)),))
            case RosterPiece():
                return self._piece(frame)
            case Evidence():
                return self._sender.evidence(frame)
            case Lineages():
                return self._stated(frame)
            case Bye(code="behind") if not self._ends.at_root:
                return self._sender.restored(0, "root")  # it gives everything to us: we believe what it says of us
            case Bye():
                return self._sender.blamed(frame) + closing(
                    "bye", f"The peer ended the link: {frame.code!r}, {frame.sentence!r}."
                )
            case _:
                return closing("hello", f"{type(frame).__name__} has no place here.")

    def _stated(self, frame: Lineages) -> Effects:
        if self._ends.at_root or any(one.node == self._ends.me for one in frame.lineages):
            return closing("frame", "The root says what others lost, and nobody else does.")
        return Effects(persist=(Stated(frame.lineages),))

    def _piece(self, piece: RosterPiece) -> Effects:
        at_root = self._ends.at_root
        try:
            if piece.version <= self._shown_version and not at_root:
                raise Invalid("roster", "The peer sent a roster that this node does not take.", "roster")
            if piece.version <= self._version:
                return NOTHING  # our node had it from elsewhere while it was on its way
            sealed = self._collector.add(piece)
            if sealed is None:
                return NOTHING
            roster = self._successor(sealed, piece.version)
        except Invalid as fault:
            return closing("roster", fault.sentence)
        taken = Effects(persist=(Enrolled(roster, sealed),))
        if at_root:  # our own seal over what we do not remember: this home was put back from a backup
            return taken + self._sender.restored(0, "roster")
        self._roster, self._sealed_roster = roster, sealed
        self._shown_version = roster.version
        return taken + self._receiver.adopt(roster)

    def _successor(self, sealed: bytes, version: int) -> Roster:
        roster = open_roster(sealed, self._ends.root, self._ends.mesh)
        if (roster.reign, roster.version) != (self._ends.reign, version):
            raise Invalid("roster", "The roster is of another reign or version than was said.", "roster")
        wrong = succession_invalid(self._roster, roster) if self._roster is not None else None
        if wrong is not None:
            raise Invalid("roster", wrong, "roster")
        return roster
