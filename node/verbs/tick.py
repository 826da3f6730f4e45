"""`tick`: one round of the ticker now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from netsky.node.daemon.caller import Caller
    from netsky.node.daemon.node import Node
    from netsky.node.verbs.args import Args


async def tick(node: Node, caller: Caller, args: Args) -> dict[str, Any]:
    """After the round that may be at work. What each part said, and how long it took."""
    args.nothing_else()
    return (await node.ticker.round(caller.name)).data()
