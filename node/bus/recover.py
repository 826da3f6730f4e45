"""The start: folders and table are made to agree before anybody is let in.

    temporaries removed → archived files say *taken* → contents checked (after a crash) → taken files archived
    → rows still `committed` become files

Everything here may be cut off at any point and done again.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from netsky.node.bus import notice
from netsky.node.bus.door import Door
from netsky.node.bus.folders import open_channel
from netsky.node.bus.project import Projector, Store, Told
from netsky.node.bus.sweep import actors_with_folders
from netsky.node.db import node_state
from netsky.node.errors import NotFound, TryLater
from netsky.node.seams.files import Files, HostileFile
from netsky.node.seams.ledger import LedgerFull
from netsky.node.seams.time import Time


@dataclass(slots=True)
class Recovered:
    """What a start found and did."""

    actors: int = 0
    strays: int = 0
    taken: int = 0  # archived while nobody was there to see it
    damaged: int = 0  # files that did not say what their row says
    unusable: int = 0  # folders that could not be opened: the sweep goes on trying


async def recover(
    *,
    files: Files,
    channels: str,
    store: Store,
    time: Time,
    door: Door,
    projector: Projector,
    told: Told,
    after_crash: bool,
    restored: bool,
) -> Recovered:
    """`restored`: from a backup. Files that this home does not know any more then go to quarantine before any drain is
    let in: they come again, and a drain without its node would show them twice."""
    done = Recovered()
    [rows] = await store([node_state.get(node_state.CLOCK)])
    door.clock = max(door.clock, node_state.integer(rows))
    files.make_folder(channels)
    for actor in actors_with_folders(files, channels):
        try:
            with open_channel(files, channels, actor) as channel:
                done.actors += 1
                done.strays += notice.remove_strays(channel, time.wall(), all_of_ours=True)
                with contextlib.suppress(LedgerFull, TryLater):  # the sweep does it when there is room again
                    done.taken += await notice.take_archived(channel, store, time.wall(), told)
                    if after_crash:
                        done.damaged += await notice.check_contents(channel, store)
                    for folder in (channel.claimed, channel.inbox):
                        await notice.sort_out(channel, folder, store, strangers=restored)
        except (OSError, HostileFile, NotFound) as error:
            done.unusable += 1
            told.event("folder_unusable", actor=actor, sentence=getattr(error, "strerror", None) or str(error))
    await projector.catch_up(store)
    return done
