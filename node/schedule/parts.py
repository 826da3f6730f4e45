"""Cron and loops as parts of a node: in each round of the ticker, and behind the voices that speak for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netsky.node.schedule.cron import Cron
from netsky.node.schedule.loops import Loops
from netsky.node.schedule.routed import Routed

if TYPE_CHECKING:
    from netsky.node.daemon.node import Node


def add_schedules(node: Node) -> None:
    node.cron, node.loops = Cron(node), Loops(node)
    node.ticker.parts += [node.cron, node.loops]
    for firing in (node.cron.firing, node.loops.firing):
        node.voices.hear(firing.voice, firing.kind, Routed(node, firing.kind, firing.voice))
