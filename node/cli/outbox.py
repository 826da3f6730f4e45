"""A message while the node is down: a file in the sender's own outbox."""

from __future__ import annotations

from typing import Any

from netsky.node.bus.drop import drop_in_outbox
from netsky.node.cli.dial import Dialer, local_actor
from netsky.node.cli.mailbox import folder_of
from netsky.node.seams.real import RealChance, RealTime
from netsky.node.seams.real_files import RealFiles


def drop(draft: dict[str, Any], actor: str, node: Dialer) -> str:
    """The name of the file, durable."""
    actor = local_actor(actor)
    folder = folder_of(node, actor)
    return drop_in_outbox(RealFiles(), RealTime(), RealChance(), folder=folder, actor=actor, draft=draft)
