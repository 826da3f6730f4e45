"""Verbs of work. Where this node gives work out its desk answers; on a sibling the question goes to netsky0."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from netsky.node.verbs.args import Args
from netsky.node.work.roles import check_may

if TYPE_CHECKING:
    from netsky.node.daemon.caller import Caller
    from netsky.node.daemon.node import Node

Handler = Callable[["Node", "Caller", Args], Awaitable[dict[str, Any]]]


def work_verb(order: str) -> Handler:
    async def handler(node: Node, caller: Caller, args: Args) -> dict[str, Any]:
        check_may(caller, order)
        who = f"{caller.actor or 'operator'}@{node.identity.name}"
        return await node.work.order(order, who, args)

    return handler
