"""The roster: the root's word on who belongs to the mesh, under which name, and who no longer does.

A sealed batch of type `roster`, signed by the root's key. Each statement is one part of it: the header is a msgpack
array in shortest form [1, reign, version, wire version, issued, members in all], the body an array of members
[key, name, label, [capability …], joined, revoked]; times are wall clock in ns, revoked is 0 for a member. A name
never gets a second key and a revocation is never undone, so a revoked member stays in it for good.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import msgpack
from netsky.envelope.address import node_invalid
from netsky.envelope.batch import Statement, decode_batch, encode_batch, seal, verify_batch
from netsky.envelope.invalid import Invalid
from netsky.envelope.limits import BODY_BYTES_MAX
from netsky.envelope.msgpack_form import array_head
from netsky.mesh.frame_reader import FrameReader
from netsky.mesh.frames import KEY_BYTES
from netsky.mesh.limits import (
    CAPABILITIES_MAX,
    CAPABILITY_BYTES_MAX,
    LABEL_BYTES_MAX,
    NODE_NAME_BYTES_MAX,
    NUMBER_MAX,
    ROSTER_BYTES_MAX,
    ROSTER_MEMBERS_MAX,
)

ROOT_NAME = "netsky0"
_FORM = 1


@dataclass(frozen=True, slots=True)
class Member:
    key: bytes
    name: str
    label: str
    capabilities: tuple[str, ...] = ()
    joined: int = 0
    revoked: int = 0
    """Wall clock, ns; 0 for who belongs to the mesh."""

    @property
    def number(self) -> int:
        return int(self.name.removeprefix("netsky"))


@dataclass(frozen=True)
class Roster:
    mesh: bytes
    root_key: bytes
    reign: int
    version: int
    wire: int
    issued: int
    members: tuple[Member, ...]

    @cached_property
    def by_key(self) -> Mapping[bytes, Member]:
        return {member.key: member for member in self.members}

    @cached_property
    def by_name(self) -> Mapping[str, Member]:
        return {member.name: member for member in self.members}

    def member(self, key: bytes) -> Member | None:
        """Who has this key and was not revoked."""
        found = self.by_key.get(key)
        return found if found is not None and not found.revoked else None

    def was_revoked(self, name: str) -> bool:
        found = self.by_name.get(name)
        return found is not None and found.revoked > 0

    def key_of(self, name: str) -> bytes | None:
        """The key of who bears this name and was not revoked."""
        found = self.by_name.get(name)
        return found.key if found is not None and not found.revoked else None


def seal_roster(roster: Roster, sign: Callable[[bytes], bytes]) -> bytes:
    """The bytes that travel and stand in the file `roster`. Raises Invalid if a rule is broken."""
    _check(roster)
    header = msgpack.packb((_FORM, roster.reign, roster.version, roster.wire, roster.issued, len(roster.members)))
    statements = [Statement(header, body) for body in _parts(roster.members)]
    data = encode_batch(seal(sign, roster.root_key, "roster", roster.mesh, statements))
    if len(data) > ROSTER_BYTES_MAX:
        raise _invalid(f"would have more than {ROSTER_BYTES_MAX} bytes", "too_large")
    return data


def open_roster(data: bytes, root_key: bytes, mesh: bytes) -> Roster:
    """Verifies, then parses the very bytes that were verified. Raises Invalid, whatever the bytes are."""
    if len(data) > ROSTER_BYTES_MAX:
        raise _invalid(f"has more than {ROSTER_BYTES_MAX} bytes", "too_large")
    batch = decode_batch(data)
    if batch.type != "roster" or batch.key != root_key or batch.mesh != mesh:
        raise _invalid("is not sealed by the root of this mesh", "roster_signer")
    wrong = verify_batch(batch)
    if wrong is not None:
        raise Invalid("roster", wrong, "bad_seal")
    members: list[Member] = []
    heads = set()
    for statement in batch.statements:
        if not isinstance(statement, Statement):
            raise _invalid("lacks a part", "damaged")
        heads.add(statement.header)
        members += _read_part(statement.body)
    if len(heads) != 1:
        raise _invalid("has parts of several rosters", "damaged")
    reader = FrameReader(heads.pop(), "roster")
    reader.fields(6)
    form, reign, version, wire, issued, count = (reader.number() for _ in range(6))
    reader.end()
    if form != _FORM:
        raise _invalid(f"has form {form}; this build reads {_FORM}", "version")
    if count != len(members):
        raise _invalid(f"says {count} members and has {len(members)}", "damaged")
    roster = Roster(mesh, root_key, reign, version, wire, issued, tuple(members))
    _check(roster)
    return roster


def _member_values(member: Member) -> tuple[object, ...]:
    return (member.key, member.name, member.label, member.capabilities, member.joined, member.revoked)


def _parts(members: Sequence[Member]) -> list[bytes]:
    """As few bodies as fit."""
    parts: list[list[bytes]] = []
    filled = BODY_BYTES_MAX
    for member in members:
        packed: bytes = msgpack.packb(_member_values(member))
        if filled + len(packed) > BODY_BYTES_MAX - 3:
            parts.append([])
            filled = 0
        parts[-1].append(packed)
        filled += len(packed)
    return [array_head(len(part)) + b"".join(part) for part in parts]


def _read_part(body: bytes) -> list[Member]:
    reader = FrameReader(body, "roster")
    members = []
    for _ in range(reader.array(ROSTER_MEMBERS_MAX)):
        reader.fields(6)
        key, name, label = reader.exact(32), reader.text(NODE_NAME_BYTES_MAX), reader.text(LABEL_BYTES_MAX)
        capabilities = tuple(reader.text(CAPABILITY_BYTES_MAX) for _ in range(reader.array(CAPABILITIES_MAX)))
        members.append(Member(key, name, label, capabilities, reader.number(), reader.number()))
    reader.end()
    return members


def succession_invalid(before: Roster, after: Roster) -> str | None:
    """What forbids that the second takes the place of the first: names keep their keys, revocations stay.

    A higher reign has another root, and `netsky0` goes over to it.
    """
    moved = {before.root_key, after.root_key} if after.reign > before.reign else set()
    for member in before.members:
        found = after.by_key.get(member.key)
        if found is None:
            return f"The roster has lost {member.name}."
        if found.name != member.name and member.key not in moved:
            return f"The roster has renamed {member.name} to {found.name}."
        if member.revoked and not found.revoked:
            return f"The roster has undone that {member.name} was revoked."
    for member in after.members:
        had = before.by_name.get(member.name)
        if had is not None and had.key != member.key and not (moved and member.name == ROOT_NAME):
            return f"The roster gives {member.name} a second key."
    return None


def _check(roster: Roster) -> None:
    """Each rule but one: whether a key is a sound one takes 2.6 ms to find out, and is asked when it is enrolled."""
    numbers = [roster.reign, roster.version, roster.wire, roster.issued]
    numbers += [number for member in roster.members for number in (member.joined, member.revoked)]
    if not all(0 <= number <= NUMBER_MAX for number in numbers):
        raise _invalid("has a number out of range", "damaged")
    if not roster.reign or not roster.version or not 1 <= len(roster.members) <= ROSTER_MEMBERS_MAX:
        raise _invalid(f"must have a reign, a version and 1 to {ROSTER_MEMBERS_MAX} members", "damaged")
    for member in roster.members:
        wrong = (
            node_invalid(member.name)
            or (None if len(member.key) == KEY_BYTES else f"A key has {KEY_BYTES} bytes.")
            or label_invalid(member.label)
            or next((wrong for word in member.capabilities if (wrong := capability_invalid(word))), None)
        )
        if wrong is not None:
            raise Invalid("roster", wrong, "damaged")
    if len(roster.by_key) != len(roster.members) or len(roster.by_name) != len(roster.members):
        raise _invalid("has a key or a name twice", "damaged")
    root = roster.by_key.get(roster.root_key)
    if root is None or root.name != ROOT_NAME or root.revoked:
        raise _invalid(f"must have its root as {ROOT_NAME}", "damaged")


def label_invalid(label: str) -> str | None:
    # Printable first: half a character has no bytes.
    if not label or not label.isprintable() or len(label.encode()) > LABEL_BYTES_MAX or label != label.strip():
        return f"A label has 1 to {LABEL_BYTES_MAX} bytes of printable text."
    return None


def capability_invalid(word: str) -> str | None:
    if not 1 <= len(word) <= CAPABILITY_BYTES_MAX or not word.replace("-", "").replace("_", "").isalnum():
        return f"A capability is a word of 1 to {CAPABILITY_BYTES_MAX} letters, digits, - and _."
    return None if word.isascii() else "A capability is ASCII."


def _invalid(how: str, code: str) -> Invalid:
    return Invalid("roster", f"The roster {how}.", code)
