"""Who belongs to this mesh, as this node knows it: the roster in force, and where it is kept.

In the database the roster is one value, written in the transaction of whatever made it true; the file `roster` in the
home follows it, for actors behind their fence and for commands while the node is down. A start takes the newer of both.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Protocol

from netsky.envelope.invalid import Invalid
from netsky.mesh.limits import ADDRESS_TEXT_BYTES_MAX, ADDRESSES_MAX, ROSTER_BYTES_MAX
from netsky.mesh.roster import Roster, open_roster, seal_roster
from netsky.mesh.transport import Connection, PeerAddress
from netsky.node.charter import read_sealed_charter
from netsky.node.daemon.told import ROSTER_SIGNAL
from netsky.node.db import invites, node_state
from netsky.node.errors import Refused
from netsky.node.home import Home, read_home_file
from netsky.node.membership.rosters import first_roster
from netsky.node.seams.files import Files

if TYPE_CHECKING:
    from netsky.node.db.group import GroupCommit
    from netsky.node.events import Events, Signals
    from netsky.node.identity import Identity
    from netsky.node.log import Log
    from netsky.node.membership.door import Door
    from netsky.node.membership.register import Register
    from netsky.node.seams import Seams
    from netsky.node.seams.ledger import Ledger, Statement
    from netsky.node.supervise import Crash

ROSTER = "roster"
"""The sealed roster in node_state, and the name of its file."""

ROOT_FILE = "root.json"
"""Where the root was last: a cache of addresses, in a file because `join` writes it before there is a database."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """What the links know of a member."""

    up: bool
    last_seen: int | None = None
    """Wall clock, ns."""
    program: str = ""
    """The version that it said."""
    revoked_us: bool = False
    """It closed our connection because we belong to the mesh no more."""
    since: int | None = None
    """Wall clock, ns: since when it is up."""


class Sightings(Protocol):
    def of(self, key: bytes) -> Sighting | None: ...


class NoSightings:
    """Until there are links."""

    def of(self, key: bytes) -> Sighting | None:  # noqa: ARG002 - nobody is seen
        return None


@dataclass(frozen=True, slots=True)
class Parts:
    """What membership needs of its node."""

    home: Home
    seams: Seams
    identity: Identity
    ledger: Ledger
    group: GroupCommit
    signals: Signals
    events: Events
    log: Log
    crashed: Callable[[Crash], None]


class Membership:
    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.sealed_charter = b""
        self.register: Register | None = None
        """What only the root has: invites and the pen that writes rosters."""
        self.sightings: Sightings = NoSightings()
        self.on_revoked: Callable[[bytes], None] = lambda _key: None
        """Called with a key that was revoked, after the commit. A crash between the two calls nobody: whoever ends
        queues by it looks at the roster at its own start as well."""
        self._door: Door | None = None
        self._roster: Roster | None = None
        self._sealed = b""

    @property
    def charter_hash(self) -> bytes:
        return sha256(self.sealed_charter).digest()

    # What is in force.

    def roster(self) -> tuple[Roster | None, bytes]:
        """None and nothing where there is no mesh."""
        return self._roster, self._sealed

    def key_of(self, name: str) -> bytes | None:
        """Of a member that was not revoked."""
        return None if self._roster is None else self._roster.key_of(name)

    def name_of(self, key: bytes) -> str | None:
        """Of a member that was not revoked."""
        member = None if self._roster is None else self._roster.member(key)
        return None if member is None else member.name

    def named(self, identity: Identity) -> Identity:
        """The identity with the name that the roster gives."""
        member = None if self._roster is None else self._roster.by_key.get(identity.key)
        return identity if member is None else replace(identity, name=member.name)

    @property
    def label(self) -> str | None:
        member = None if self._roster is None else self._roster.member(self.parts.identity.key)
        return None if member is None else member.label

    def store(self, sealed: bytes) -> Statement:
        """For the transaction in which another roster comes into force."""
        return node_state.put(ROSTER, sealed)

    def adopt(self, roster: Roster, sealed: bytes) -> None:
        """After that commit: it is in force, and everybody here is told."""
        if self._roster is not None and roster.version <= self._roster.version and roster.reign <= self._roster.reign:
            return
        self._roster, self._sealed = roster, sealed
        self._write_file(ROSTER, sealed)
        self.parts.log.event("roster.adopted", version=roster.version, members=len(roster.members))
        self.parts.events.publish("roster", version=roster.version)
        self.parts.signals.ring(ROSTER_SIGNAL)

    # Where the root is.

    def root_addresses(self) -> tuple[str, ...]:
        """As last remembered, on a sibling; `peer_address` makes of them what can be dialled."""
        charter = self.parts.identity.charter
        if charter is None or self.parts.identity.root:
            return ()
        return read_root_file(self.parts.home, self.parts.seams.files) or charter.addresses

    def remember_root_addresses(self, addresses: Sequence[str]) -> None:
        """ "host:port" each, or the URL of a relay. Nothing is written if they are the same."""
        files = self.parts.seams.files
        if addresses and tuple(addresses) != read_root_file(self.parts.home, files):
            self._write_file(ROOT_FILE, root_file(addresses))

    # Who knocks.

    def door_open(self) -> bool:
        """Is an invite open, or a join waiting for a person?"""
        return self.register is not None and self.register.door_open()

    async def serve_join(self, connection: Connection) -> None:
        """Until the joiner has its answer, or does not deserve one. Raises nothing but cancellation."""
        if self._door is None:
            connection.close(1, b"not_the_root: this node enrols nobody")
            return
        await self._door.serve(connection)

    def note_stranger(self, key: bytes, code: str) -> None:
        """For `netsky nodes`: a key that was not let in."""
        for statement in invites.stranger(key, code, self.parts.seams.time.wall()):
            self.parts.group.ride(statement)

    def burned(self) -> None:
        """This home was put back from a backup: what it takes for open invites may have been used since."""
        if self.register is not None:
            self.register.burned()

    # The start.

    async def load(self, label: str) -> None:
        """Before the bus. `label` is what a root without a roster is called in its first one."""
        identity, files = self.parts.identity, self.parts.seams.files
        if identity.charter is None:
            return
        self.sealed_charter = read_sealed_charter(self.parts.home, files) or b""
        [rows] = await self.parts.ledger.transaction([node_state.get(ROSTER)])
        stored = node_state.value(rows, b"")
        assert isinstance(stored, bytes)
        on_file = read_home_file(self.parts.home, files, ROSTER, ROSTER_BYTES_MAX)
        self._roster, self._sealed = self._newest(stored, on_file)
        if identity.root:
            self._write_first(label)
        elif self._roster is None or identity.key not in self._roster.by_key:
            raise Refused(
                f"{self.parts.home.path} has a charter and no roster that knows this node: it has no name in its mesh",
                next="at the root: netsky invite LABEL, and here: netsky join TICKET (it keeps its name)",
                code="no_roster",
            )
        if self._roster is not None and self._sealed != stored:
            await self.parts.ledger.transaction([self.store(self._sealed)])
        if self._roster is not None and self._sealed != on_file:
            self._write_file(ROSTER, self._sealed)
        if identity.root:
            from netsky.node.membership.door import Door  # noqa: PLC0415 - they import this one
            from netsky.node.membership.register import Register  # noqa: PLC0415

            self.register = Register(self)
            self._door = Door(self, self.register)
            await self.register.load()

    def _newest(self, *found: bytes) -> tuple[Roster | None, bytes]:
        charter = self.parts.identity.charter
        assert charter is not None
        rosters: list[tuple[Roster, bytes]] = []
        for sealed in found:
            try:
                if sealed:
                    rosters.append((open_roster(sealed, charter.root_key, charter.mesh), sealed))
            except Invalid as invalid:
                self.parts.log.event("roster.refused", level="warn", sentence=invalid.sentence)
        if not rosters:
            return None, b""
        return max(rosters, key=lambda one: (one[0].reign, one[0].version))

    def _write_first(self, label: str) -> None:
        """A root always has a roster, and of its own reign."""
        charter, now = self.parts.identity.charter, self.parts.seams.time.wall()
        assert charter is not None
        roster = self._roster
        if roster is None:
            roster = first_roster(charter, self.parts.identity.key, label, now)
        elif roster.reign < charter.reign:
            roster = replace(roster, reign=charter.reign, version=roster.version + 1, issued=now)
        if roster is not self._roster:
            self._roster, self._sealed = roster, seal_roster(roster, self.parts.identity.sign)

    def _write_file(self, name: str, data: bytes) -> None:
        """What the database has already; a failure is told and mended by the next start."""
        files, home = self.parts.seams.files, self.parts.home
        try:
            folder = files.open_folder(home.path)
            try:
                files.replace(folder, name, data)
            finally:
                files.close(folder)
        except OSError as error:
            self.parts.log.event("membership.file_failed", level="warn", file=name, error=str(error))


def peer_address(key: bytes, addresses: Sequence[str]) -> PeerAddress:
    """Of those written as texts; one with "://" is a relay."""
    relays = [address for address in addresses if "://" in address]
    return PeerAddress(key, tuple(one for one in addresses if "://" not in one), relays[0] if relays else None)


def address_texts(address: PeerAddress | None) -> tuple[str, ...]:
    """The same the other way, as many as travel."""
    if address is None:
        return ()
    found = ((address.relay,) if address.relay else ()) + address.direct
    return tuple(one for one in found if len(one) <= ADDRESS_TEXT_BYTES_MAX)[:ADDRESSES_MAX]


def root_file(addresses: Sequence[str]) -> bytes:
    return json.dumps({"addresses": list(addresses)}).encode() + b"\n"


def read_root_file(home: Home, files: Files) -> tuple[str, ...]:
    """Nothing if it is not there, or not what it should be: it is a cache."""
    try:
        found = json.loads(read_home_file(home, files, ROOT_FILE, 16 * 1024) or b"{}")
        addresses = found.get("addresses", ()) if isinstance(found, dict) else ()
        return tuple(one for one in addresses if isinstance(one, str) and one.isprintable())[:ADDRESSES_MAX]
    except (ValueError, TypeError, RecursionError):
        return ()
