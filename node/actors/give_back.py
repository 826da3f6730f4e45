"""What an ended program had claimed goes back into its inbox, as if never claimed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netsky.node.bus.drain import LOCK
from netsky.node.bus.folders import Channel, open_channel
from netsky.node.db import arrivals, inbox
from netsky.node.errors import TryLater
from netsky.node.seams.files import HostileFile

if TYPE_CHECKING:
    from netsky.node.daemon.node import Node

SCAN = 4_096
"""Names looked at in claimed/: an inbox holds a thousand."""


async def give_back(node: Node, actor: str) -> int:
    """All of it; how many those are. The file first: where it stands is what the next reader believes.

    Whoever else drains this channel (its lock says so) keeps what it has: it is no program of the node's, and may still
    say that it is taken.
    """
    moved = await _move_back(node, actor)
    if moved is None:
        return 0
    try:
        [rows] = await node.group.write([inbox.release_all(actor, moved)])
    except TryLater:  # no room on the disk: the files are back, and their rows follow with the next claim
        rows = []
    count = max(len(moved), len(rows))
    if count:
        node.restarts.returned += count
        node.log.event("actor.given_back", actor=actor, envelopes=count)
        node.events.publish("given_back", actor=actor, envelopes=count)
        node.signals.ring(actor)
    return count


async def _move_back(node: Node, actor: str) -> list[str] | None:
    """The names that were moved; None if that is not ours to do, or cannot be done."""
    files = node.seams.files
    try:
        with open_channel(files, node.home.channels, actor) as channel:
            lock = files.lock(channel.folder, LOCK)
            if lock is None:
                return None
            try:
                return await _moved(node, actor, channel)
            finally:
                files.close(lock)
    except (OSError, HostileFile) as error:
        node.log.event("actor.not_given_back", level="warn", actor=actor, reason=str(error))
        return None


async def _moved(node: Node, actor: str, channel: Channel) -> list[str]:
    """Not what was taken by word alone: that goes to the archive with the next sweep."""
    files = node.seams.files
    names = [name for name in files.names(channel.claimed, SCAN, SCAN) if name[0] != "."]
    if not names:
        return []
    [found] = await node.ledger.transaction([arrivals.places_of_files(actor, names)])
    waiting = [place.file for place in arrivals.place_rows(found) if place.state != "taken"]
    return [name for name in waiting if files.move(channel.claimed, name, channel.inbox, name)]
