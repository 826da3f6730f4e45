"""`halt`, `resume`, and what has become of an order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio
from netsky.node.errors import Conflict, NotFound, Refused, Usage
from netsky.node.halt.halting import HALT_SIGNAL
from netsky.node.halt.state import REASON_MAX, Do

if TYPE_CHECKING:
    from netsky.mesh.roster import Member
    from netsky.node.daemon.caller import Caller
    from netsky.node.daemon.node import Node
    from netsky.node.verbs.args import Args

NODES_MAX = 256
WAIT_SECONDS_MAX = 3_600.0


async def halt(node: Node, caller: Caller, args: Args) -> dict[str, Any]:  # noqa: ARG001 - the form of a verb
    reason = args.maybe_text("reason") or ""
    if len(reason) > REASON_MAX or not reason.isprintable():
        raise Usage(
            f"a reason is one line of at most {REASON_MAX} letters: it stands in every refusal",
            next="netsky halt --reason 'why'",
            code="reason_invalid",
        )
    return await _order(node, "halt", args, reason)


async def resume(node: Node, caller: Caller, args: Args) -> dict[str, Any]:  # noqa: ARG001
    return await _order(node, "resume", args, "")


async def halted(node: Node, caller: Caller, args: Args) -> dict[str, Any]:  # noqa: ARG001
    """What has become of the orders for these nodes: at once if none of those that are linked still owes an answer,
    else when one more has answered, or after `wait_s`."""
    names = args.texts("nodes", NODES_MAX)
    wait = args.seconds("wait_s", 0, WAIT_SECONDS_MAX)
    args.nothing_else()
    members = [_member(node, name) for name in names]
    heard = node.signals.count(HALT_SIGNAL)
    if wait and any(row["linked"] and not row["answered"] for row in map(node.orders.stands, members)):
        with trio.move_on_after(wait):
            await node.signals.wait_beyond(HALT_SIGNAL, heard)
    return {"nodes": [node.orders.stands(member) for member in members]}


async def _order(node: Node, do: Do, args: Args, reason: str) -> dict[str, Any]:
    names, everybody = args.texts("nodes", NODES_MAX, needed=False), args.flag("all")
    args.nothing_else()
    if names and everybody:
        raise Usage("all, or these: one of the two", next=f"netsky {do} --all", code="bad_argument")
    if names or everybody:
        _check_root(node, do)
    own = node.identity.name
    here = everybody or not names or any(_is_here(node, name) for name in names)
    others = [_member(node, name) for name in dict.fromkeys(names) if not _is_here(node, name)]
    done = None
    if here:  # first: netsky0 goes before the others
        done = await (node.halt.halt_here(reason) if do == "halt" else node.halt.resume_here())
    order = None
    if everybody or others:
        others = node.orders.members() if everybody else others
        order = await node.orders.give(do, others, reason, everybody=everybody)
    halt = node.halt.state.halt
    return {
        "do": do,
        "order": order,
        "here": None
        if done is None
        else {
            "name": own,
            "halted": halt is not None,
            "by": None if halt is None else halt.who,
            "ended": done.ended,
            "still": done.still,
            "at": node.now(),
            "stored": done.stored,
        },
        "nodes": [node.orders.stands(member) for member in others],
    }


def _check_root(node: Node, do: Do) -> None:
    identity = node.identity
    if identity.charter is None:
        raise Conflict("this node belongs to no mesh", next=f"netsky {do}, for this node alone", code="no_mesh")
    if not identity.root:
        raise Refused(
            f"only netsky0 orders other nodes, and this is {identity.name}",
            next=f"netsky {do}, for this node alone; for others on netsky0",
            code="not_the_root",
        )


def _is_here(node: Node, name: str) -> bool:
    return name in {node.identity.name, node.membership.label}


def _member(node: Node, said: str) -> Member:
    found = [one for one in node.orders.members() if said in {one.name, one.label}]
    if not found:
        raise NotFound(f"no member of this mesh is called {said}", next="netsky nodes", code="unknown_node")
    if len(found) > 1:
        names = ", ".join(one.name for one in found)
        raise Conflict(f"{names} are all labelled {said}", next="say which by its name", code="label_used_twice")
    return found[0]
