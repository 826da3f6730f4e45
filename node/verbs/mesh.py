"""Verbs about the mesh: who is in it, who may join, who no longer belongs to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio
from netsky.mesh.limits import CAPABILITIES_MAX
from netsky.node.config import with_line
from netsky.node.db import invites
from netsky.node.errors import Conflict, Refused
from netsky.node.identity import fingerprint
from netsky.node.limits import CONFIG_BYTES_MAX
from netsky.node.membership.rosters import deputy_of
from netsky.node.version import program_version

if TYPE_CHECKING:
    from netsky.mesh.roster import Member
    from netsky.mesh.transport import PeerAddress
    from netsky.node.daemon.caller import Caller
    from netsky.node.daemon.node import Node
    from netsky.node.db.invites import InviteRow
    from netsky.node.membership.register import Register
    from netsky.node.verbs.args import Args

_LISTENING_SECONDS = 5.0
"""A node that has just started listens soon."""
_LOOK_NS = 50_000_000


async def invite(node: Node, caller: Caller, args: Args) -> dict[str, Any]:  # noqa: ARG001 - the form of a verb
    label = args.text("label")
    capabilities = list(dict.fromkeys(args.texts("capabilities", CAPABILITIES_MAX, needed=False)))
    hold = args.flag("hold")
    args.nothing_else()
    register = _register(node, "invite")
    address = await _listening(node)
    invited = await register.invite(label, capabilities, hold=hold, address=address)
    return {
        "label": label,
        "capabilities": capabilities,
        "hold": hold,
        "ticket": invited.ticket,
        "ends": invited.ends,
        "replaced": invited.replaced,
        "install": node.config.mesh_install,
        "bound": _keep_port(node, address),
    }


async def approve(node: Node, caller: Caller, args: Args) -> dict[str, Any]:  # noqa: ARG001
    said, refuse = args.text("who"), args.flag("refuse")
    args.nothing_else()
    row = await _register(node, "approve").approve(said, refuse=refuse)
    assert row.key is not None
    return {
        "name": row.name,
        "label": row.label,
        "fingerprint": fingerprint(row.key),
        "words": row.words,
        "refused": refuse,
    }


async def revoke(node: Node, caller: Caller, args: Args) -> dict[str, Any]:  # noqa: ARG001
    said = args.text("who")
    args.nothing_else()
    member, changed = await _register(node, "revoke").revoke(said)
    roster, _ = node.membership.roster()
    assert roster is not None
    return {
        "name": member.name,
        "label": member.label,
        "fingerprint": fingerprint(member.key),
        "already": not changed,
        "version": roster.version,
    }


async def deputy(node: Node, caller: Caller, args: Args) -> dict[str, Any]:  # noqa: ARG001
    """Names one, or none; without an argument it says which one there is, on every node."""
    said, none = args.maybe_text("who"), args.flag("none")
    args.nothing_else()
    changed = False
    if said is not None or none:
        changed = await _register(node, "deputy").deputy(None if none else said)
    roster, _ = node.membership.roster()
    member = None if roster is None else deputy_of(roster)
    return {
        "name": None if member is None else member.name,
        "label": None if member is None else member.label,
        "changed": changed,
        "version": 0 if roster is None else roster.version,
    }


async def nodes(node: Node, caller: Caller, args: Args) -> dict[str, Any]:
    """Everybody in the roster; for the operator of the root also who waits, what is open and who was turned away."""
    args.nothing_else()
    roster, _ = node.membership.roster()
    members = [] if roster is None else [_member(node, member) for member in roster.members]
    if not caller.is_operator:
        shown = ("name", "label", "root", "capabilities", "state")
        members = [{name: member[name] for name in shown} for member in members if member["state"] != "revoked"]
        return {"version": roster.version if roster else 0, "members": members}
    charter, register = node.identity.charter, node.membership.register
    [found] = await node.ledger.transaction([invites.strangers()])
    return {
        "mesh": "" if charter is None else charter.mesh.hex(),
        "reign": 0 if charter is None else charter.reign,
        "version": 0 if roster is None else roster.version,
        "members": members,
        "pending": [] if register is None else [_pending(row) for row in register.pending()],
        "invites": [] if register is None else [_open(row) for row in register.open_invites()],
        "strangers": [
            {"fingerprint": fingerprint(row.key), "code": row.code, "times": row.times}
            | {"first_at": row.first_at, "last_at": row.last_at}
            for row in invites.stranger_rows(found)
        ],
    }


def _member(node: Node, member: Member) -> dict[str, Any]:
    here = member.key == node.identity.key
    seen = node.membership.sightings.of(member.key)
    if member.revoked:
        state = "revoked"
    elif here:
        state = "here"
    else:
        state = "unknown" if seen is None else "up" if seen.up else "down"
    roster, _ = node.membership.roster()
    assert roster is not None
    return {
        "name": member.name,
        "label": member.label,
        "root": member.key == roster.root_key,
        "fingerprint": fingerprint(member.key),
        "key": member.key.hex(),
        "capabilities": list(member.capabilities),
        "joined_at": member.joined,
        "revoked_at": member.revoked or None,
        "state": state,
        "program": program_version() if here else "" if seen is None else seen.program,
        "last_seen": node.now() if here else None if seen is None else seen.last_seen,
        "halted": node.orders.shown(member),
    }


def _pending(row: InviteRow) -> dict[str, Any]:
    assert row.key is not None
    return {
        "name": row.name,
        "label": row.label,
        "fingerprint": fingerprint(row.key),
        "words": row.words,
        "program": row.program,
        "asked_at": row.asked_at,
        "ends": row.ends,
        "capabilities": list(row.capabilities),
    }


def _open(row: InviteRow) -> dict[str, Any]:
    return {
        "label": row.label,
        "hold": row.hold,
        "made_at": row.made_at,
        "ends": row.ends,
        "capabilities": list(row.capabilities),
    }


def _register(node: Node, verb: str) -> Register:
    """Only the root has one."""
    register = node.membership.register
    if register is not None:
        return register
    charter = node.identity.charter
    if charter is None:
        raise Conflict(
            "this node belongs to no mesh", next="netsky init --root makes one, in a home of its own", code="no_mesh"
        )
    raise Refused(
        f"only the root decides who belongs to the mesh, and this is {node.identity.name}",
        next=f"on netsky0 ({fingerprint(charter.root_key)}): netsky {verb}",
        code="not_the_root",
    )


async def _listening(node: Node) -> PeerAddress | None:
    time = node.seams.time
    with trio.move_on_after(_LISTENING_SECONDS):
        while node.links is not None and node.links.address is None:
            await time.sleep_until(time.monotonic() + _LOOK_NS)
    return None if node.links is None else node.links.address


def _keep_port(node: Node, address: PeerAddress | None) -> str:
    """The port that tickets name has to be the same after a restart: written into the config if it was any."""
    host, _, port = (node.config.link_bind or "0.0.0.0:0").rpartition(":")
    ports = [one.rpartition(":")[2] for one in (() if address is None else address.direct) if not one.startswith("[")]
    if port != "0" or not ports:
        return ""
    bind, files = f"{host}:{ports[0]}", node.seams.files
    folder = files.open_folder(node.home.path)
    try:
        text = files.read(folder, "config.toml", CONFIG_BYTES_MAX).decode()
        files.replace(folder, "config.toml", with_line(text, "link", "bind", bind).encode())
    finally:
        files.close(folder)
    node.log.event("links.port_kept", bind=bind)
    return bind
