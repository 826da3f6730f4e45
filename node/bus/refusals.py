"""What the door of the bus says when nobody of that name is there."""

from __future__ import annotations

from netsky.envelope.address import Address
from netsky.node.errors import NotFound, Refused


def no_actor(name: str, more: str = "") -> NotFound:
    return NotFound(
        f"there is no actor {name} on this node{more}", next=f"netsky agent add {name}", code="unknown_actor"
    )


def no_node(to: Address, *, revoked: bool) -> NotFound | Refused:
    if revoked:
        return Refused(
            f"{to.node} was revoked: it no longer belongs to this mesh, so nothing can be sent to {to}",
            next="netsky nodes, then send it to a node that does",
            code="dest_revoked",
        )
    return NotFound(
        f"this node knows no {to.node}, so nothing can be sent to {to}", next="netsky nodes", code="unknown_node"
    )


def not_allowed(sentence: str, sender: str) -> Refused:
    """By the authority table. The owner's words reach other actors by the manager that answers to nobody else."""
    step = "netsky send agent0 TEXT, whom you may write to; or in its name: --from agent0" if sender == "owner" else ""
    return Refused(sentence, next=f"{step} (netsky help trust)" if step else "netsky help trust", code="authority")
