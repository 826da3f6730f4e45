"""What is removed from channel folders: archives by age and size, quarantine and receipts by number. Bounded a turn.

Nothing leaves an archive before its row is taken: the table is asked about each file.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import NamedTuple

import trio
from netsky.envelope.file import parse_file_name
from netsky.node.bus.folders import Channel, open_channel
from netsky.node.bus.intake import RECEIPT_SUFFIX
from netsky.node.bus.limits import PRUNE_FILES, PRUNE_SCAN, PRUNE_YIELD, RECEIPTS_MAX
from netsky.node.bus.project import Store
from netsky.node.bus.quarantine import REASON_SUFFIX
from netsky.node.config import Config
from netsky.node.db import arrivals
from netsky.node.seams.files import Files


class _File(NamedTuple):
    age_mark: int  # ns: the clock in its name, or the time of its last change where it has none
    name: str
    size: int
    kind: str


async def prune_actor(
    actor: str, *, files: Files, channels: str, store: Store, now: int, config: Callable[[], Config]
) -> bool:
    """One turn over one actor's folders. True if another would find more."""
    with open_channel(files, channels, actor) as channel:
        more = False
        for folder in channel.archived():
            more |= await _prune_archive(
                channel, folder, store, now - config().archive_age_ns, config().archive_bytes_max
            )
        more |= await _prune_quarantine(channel, config().quarantine_files_max)
        receipts = [file for file in await _listed(channel, channel.outbox) if file.name.endswith(RECEIPT_SUFFIX)]
        for file in receipts[: max(0, len(receipts) - RECEIPTS_MAX)][:PRUNE_FILES]:
            _remove(channel, channel.outbox, file)
    return more


async def _prune_archive(channel: Channel, folder: int, store: Store, before: int, bytes_max: int) -> bool:
    """Oldest first: what is too old, and what is too much."""
    found = await _listed(channel, folder)
    too_much = sum(file.size for file in found) - bytes_max
    over = []
    for file in found:
        if file.age_mark >= before and too_much <= 0:
            break
        over.append(file)
        too_much -= file.size
    part = [file for file in over if file.kind != "folder"][:PRUNE_FILES]
    if not part:
        return False
    [rows] = await store([arrivals.places_of_files(channel.actor, [file.name for file in part])])
    waiting = {place.file for place in arrivals.place_rows(rows) if place.state != "taken"}
    removed = [file for file in part if file.name not in waiting and _remove(channel, folder, file)]
    return bool(removed) and len(over) > len(part)


async def _prune_quarantine(channel: Channel, limit: int) -> bool:
    found = await _listed(channel, channel.quarantine)
    kept = [file for file in found if not file.name.endswith(REASON_SUFFIX)]
    removed = 0
    for count, file in enumerate(kept[: max(0, len(kept) - limit)], 1):
        if _remove(channel, channel.quarantine, file):  # a folder with something in it stays, and is passed over
            channel.files.remove(channel.quarantine, file.name + REASON_SUFFIX)
            removed += 1
        if removed == PRUNE_FILES:
            return True
        if count % PRUNE_YIELD == 0:
            await trio.lowlevel.checkpoint()
    return False


async def _listed(channel: Channel, folder: int) -> list[_File]:
    """What stands in a folder, oldest first."""
    found = []
    for count, name in enumerate(channel.files.names(folder, PRUNE_SCAN, PRUNE_SCAN), 1):
        facts = channel.files.facts(folder, name)
        if facts is not None:
            parsed = parse_file_name(name)
            found.append(_File(parsed.clock if parsed else facts.mtime_ns, name, facts.size, facts.kind))
        if count % PRUNE_YIELD == 0:
            await trio.lowlevel.checkpoint()
    return sorted(found)


def _remove(channel: Channel, folder: int, file: _File) -> bool:
    """A folder only if it is empty: what somebody put into it was never ours to look at."""
    with contextlib.suppress(OSError):
        if file.kind == "folder":
            return channel.files.remove_folder(folder, file.name)
        return channel.files.remove(folder, file.name)
    return False
