"""The quiet tasks of a node: a config that was edited takes hold, and what is over goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netsky.envelope.limits import SKEW_NS
from netsky.node.blobs.collect import collect
from netsky.node.db.retention import (
    DAY,
    OBSERVED,
    Keep,
    Turn,
    prune_dead_letters,
    prune_messages,
    prune_observed,
    prune_sent,
)
from netsky.node.db.work_retention import prune_work
from netsky.node.errors import TryLater
from netsky.node.limits import CONFIG_LOOK_NS, PRUNE_EVERY_NS

if TYPE_CHECKING:
    from netsky.node.daemon.node import Node


async def watch_config(node: Node) -> None:
    """Looks at the file's time stamp every two seconds. What does not pass changes nothing and shows in status."""
    time = node.seams.time
    while True:
        await time.sleep_until(time.monotonic() + CONFIG_LOOK_NS)
        if not node.live_config.look():
            continue
        fault = node.live_config.fault
        if fault is None:
            node.log.event("config.taken")
        else:
            node.log.event("config.refused", level="warn", fault=fault)
        node.events.publish("config", fault=fault)


async def prune_forever(node: Node) -> None:
    """Every ten minutes, in turns so short that nobody waits behind them."""
    time = node.seams.time
    while True:
        await time.sleep_until(time.monotonic() + PRUNE_EVERY_NS)
        try:
            await prune(node)
        except TryLater as full:  # a full disk: the next turn may find room
            node.log.event("retention.later", level="warn", why=full.message)


async def prune(node: Node) -> None:
    keeps = keeps_for(node.config.observe_days)
    while await prune_observed(node.group, node.now(), keeps):
        pass
    await node.bus.prune()
    await prune_dead_letters(node.group, node.now())
    await prune_sent(node.group, node.now())
    place = -1
    while place:
        now = node.now()
        turn = Turn(max(place, 0), now - node.config.archive_age_ns, now - SKEW_NS)
        place = await prune_messages(node.group, turn)
    while await prune_work(node.group, node.now()):
        pass
    await collect(node.blobs, node.group, node.now())


def keeps_for(days: int) -> list[Keep]:
    """The config's days are the most that anything observed is kept; what has a shorter life keeps it."""
    return [Keep(keep.table, min(keep.age_ns, days * DAY), keep.rows, keep.at, keep.only) for keep in OBSERVED]
