"""`page`: an actor's word to the owner where there is no netsky0 to hand it to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netsky.node.errors import Conflict, NotFound
from netsky.node.escalate import wording

if TYPE_CHECKING:
    from netsky.node.daemon.caller import Caller
    from netsky.node.daemon.node import Node
    from netsky.node.verbs.args import Args


async def page(node: Node, caller: Caller, args: Args) -> dict[str, Any]:
    """Quoted under the caller's name, and once in a cooldown for each caller, however often it is said."""
    subject, body = args.text("subject"), args.maybe_text("body") or ""
    args.nothing_else()
    if node.identity.charter is not None:
        raise Conflict(
            "this node belongs to a mesh, where what is for the owner goes to netsky0",
            next="netsky send owner@netsky0 TEXT --kind escalation",
            code="in_mesh",
        )
    if not node.config.owner_command:
        raise NotFound(
            f"{node.identity.name} has no command that reaches the owner",
            next=f'set command = ["PROGRAM"] under [owner] in {node.home.config}: netsky help escalation',
            code="no_owner_command",
        )
    who = f"{caller.name}@{node.identity.name}"
    text = wording.quoted(wording.one_line(subject), wording.body(body))
    node.pager.page(f"netsky: {who} escalates", text, severity="urgent", key=f"actor.{caller.name}")
    return {"from": who}
