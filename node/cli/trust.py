"""What this process checks against: charter and roster as files, and whose node this is. No node is asked."""

from __future__ import annotations

import os
from dataclasses import dataclass

from netsky.envelope.invalid import Invalid
from netsky.mesh.charter import CHARTER_BYTES_MAX, Charter, open_charter
from netsky.mesh.limits import ROSTER_BYTES_MAX
from netsky.mesh.roster import Roster, open_roster
from netsky.node.cli.dial import Dialer
from netsky.node.cli.found import read_plain
from netsky.node.cli.sealed import NotProven
from netsky.node.errors import NotFound
from netsky.node.identity import public_key, read_key
from netsky.node.seams.real_files import RealFiles


@dataclass(frozen=True, slots=True)
class Trust:
    charter: Charter | None
    """None: this home belongs to no mesh."""
    roster: Roster | None
    me: bytes | None
    """The key of this node, where it can be told."""


def read_trust(node: Dialer) -> Trust:
    """Behind a fence the read-only copies beside the actor's socket, elsewhere the files of the home. Raises NotProven
    if one is damaged, or not what the other says."""
    inside = node.inside_socket
    folder = os.path.dirname(inside) if inside else node.home.path
    charter = _charter(read_plain(os.path.join(folder, "charter"), CHARTER_BYTES_MAX))
    roster = None if charter is None else _roster(read_plain(os.path.join(folder, "roster"), ROSTER_BYTES_MAX), charter)
    return Trust(charter, roster, _own_name(roster) if inside else _own_key(node))


def _charter(data: bytes | None) -> Charter | None:
    if data is None:
        return None
    try:
        return open_charter(data)
    except Invalid as wrong:
        raise NotProven(f"the charter here is damaged: {wrong.sentence}") from None


def _roster(data: bytes | None, charter: Charter) -> Roster | None:
    if data is None:
        return None
    try:
        roster = open_roster(data, charter.root_key, charter.mesh)
    except Invalid as wrong:
        raise NotProven(f"the roster here is not that of the charter's root: {wrong.sentence}") from None
    if roster.reign != charter.reign:
        raise NotProven(f"the roster here is of reign {roster.reign}, and the charter of reign {charter.reign}")
    return roster


def _own_name(roster: Roster | None) -> bytes | None:
    """By the name that the node gave to the program: behind a fence its key is not to be seen."""
    member = None if roster is None else roster.by_name.get(os.environ.get("NETSKY_NODE", ""))
    return None if member is None else member.key


def _own_key(node: Dialer) -> bytes | None:
    try:
        return public_key(read_key(node.home, RealFiles()))
    except (NotFound, FileNotFoundError):
        return None
