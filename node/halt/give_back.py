"""What an ended program had claimed goes back into its inbox, as if never claimed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netsky.node.bus.drain import LOCK
from netsky.node.bus.folders import open_channel
from netsky.node.db import inbox
from netsky.node.seams.files import HostileFile

if TYPE_CHECKING:
    from netsky.node.daemon.node import Node


async def give_back(node: Node, actor: str) -> None:
    """All of it. Whoever else drains this channel (its lock says so) keeps what it has: it is no program of the node's,
    and may still say that it is taken."""
    [found] = await node.group.read([inbox.claimed_of(actor)])
    files = inbox.claimed_files(found)
    if not files or not _moved(node, actor, files):
        return
    await node.group.write([inbox.release(actor, files)])
    node.events.publish("given_back", actor=actor, files=len(files))


def _moved(node: Node, actor: str, files: list[str]) -> bool:
    seams = node.seams
    try:
        with open_channel(seams.files, node.home.channels, actor) as channel:
            lock = seams.files.lock(channel.folder, LOCK)
            if lock is None:
                return False
            try:
                for file in files:
                    seams.files.move(channel.claimed, file, channel.inbox, file)
            finally:
                seams.files.close(lock)
    except (OSError, HostileFile) as error:
        node.log.event("actor.not_given_back", level="warn", actor=actor, reason=str(error))
        return False
    return True
