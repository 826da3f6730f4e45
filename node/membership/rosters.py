"""The next roster, from the one in force: enrolled, revoked, united with another. Pure; nothing here is sealed yet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from netsky.mesh.charter import Charter
from netsky.mesh.limits import LABEL_BYTES_MAX
from netsky.mesh.roster import Member, Roster, label_invalid

WIRE = 1
"""The wire version in force, as the roster names it."""

DEPUTY = "deputy"
"""The capability of the one member that tells the owner when the root falls silent."""


class Fork(Exception):
    """Two rosters of one root give a name to two keys: a home was restored. The message is the name."""


def first_roster(charter: Charter, key: bytes, label: str, now: int) -> Roster:
    """Of a root that has none yet: itself."""
    fitting = label.encode()[:LABEL_BYTES_MAX].decode("utf-8", "ignore").strip()
    root = Member(key, "netsky0", fitting if label_invalid(fitting) is None else "netsky0", (), now)
    return Roster(charter.mesh, key, charter.reign, 1, WIRE, now, (root,))


def with_member(roster: Roster, member: Member, now: int) -> Roster:
    return _next(roster, (*roster.members, member), now)


def without(roster: Roster, key: bytes, now: int) -> Roster:
    """The member stays in it, as revoked, for good."""
    return _next(roster, tuple(replace(one, revoked=now) if one.key == key else one for one in roster.members), now)


def deputy_of(roster: Roster) -> Member | None:
    return next((one for one in roster.members if DEPUTY in one.capabilities and not one.revoked), None)


def with_deputy(roster: Roster, key: bytes | None, now: int) -> Roster:
    """One deputy, or none; `roster` itself if it is so already."""
    members = tuple(
        one if (DEPUTY in one.capabilities) == (one.key == key) else replace(one, capabilities=_toggled(one))
        for one in roster.members
    )
    return roster if members == roster.members else _next(roster, members, now)


def _toggled(member: Member) -> tuple[str, ...]:
    others = tuple(word for word in member.capabilities if word != DEPUTY)
    return others if len(others) < len(member.capabilities) else (*others, DEPUTY)


def united(ours: Roster, shown: Roster, now: int) -> Roster:
    """Ours with what another roster of the same root knows beyond it; `ours` itself if that is nothing. Raises Fork.

    That is a root which was restored from a backup. Revocations are united, and so never undone.
    """
    members = {member.key: member for member in ours.members}
    names = {member.name: member.key for member in ours.members}
    for member in shown.members:
        known = members.get(member.key)
        if known is None:
            if names.setdefault(member.name, member.key) != member.key:
                raise Fork(member.name)
            second = DEPUTY in member.capabilities and deputy_of(ours) is not None
            members[member.key] = replace(member, capabilities=_toggled(member)) if second else member
        elif known.name != member.name:
            raise Fork(member.name)
        elif member.revoked and not known.revoked:
            members[member.key] = replace(known, revoked=member.revoked)
    if tuple(members.values()) == ours.members and shown.version <= ours.version:
        return ours
    return replace(_next(ours, tuple(members.values()), now), version=max(ours.version, shown.version) + 1)


def next_name(roster: Roster, reserved: Iterable[str]) -> str:
    """One that nobody ever had, nor is promised."""
    numbers = [member.number for member in roster.members]
    numbers += [int(name.removeprefix("netsky")) for name in reserved]
    return f"netsky{max(numbers) + 1}"


def label_free(roster: Roster, label: str) -> bool:
    return all(member.label != label or member.revoked for member in roster.members)


def _next(roster: Roster, members: Sequence[Member], now: int) -> Roster:
    return replace(roster, version=roster.version + 1, issued=now, members=tuple(members))
