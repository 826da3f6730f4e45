"""The intent to restart the whole node, as a marker: it is written while the old life still runs, read by the next one,
and outlives whatever dies in between. Standard library only: a command and the second heart write it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from netsky.node.handoff.limits import INTENT_SECONDS
from netsky.node.home import Home
from netsky.node.markers import Marker, Markers
from netsky.node.seams.files import Files

RESTART_NODE = "restart-node"
"""There from the intent to the proof."""

GAVE_UP = "node-gave-up"
"""Whoever keeps the node up has stopped trying."""

DOWN = "node-down"
"""A person wants no node here; there until one serves again."""

CRASHES = "node-crashes"
"""The node's ends without order, lately."""

SECOND = 10**9
CLEAR = "the next life of the node proves itself, or netsky down"


@dataclass(frozen=True, slots=True)
class Wanted:
    by: str
    why: str
    at: int
    pid: int | None
    """The life that has to end; None if none ran."""
    forced: bool
    ran: Mapping[str, Any]
    """What ran then, as the next life compares it."""


def write_intent(home: Home, files: Files, wanted: Wanted) -> None:
    """Durable when it returns: a machine that loses its power now tells of it when it is back."""
    data = {"pid": wanted.pid, "forced": wanted.forced, "ran": dict(wanted.ran)}
    until = wanted.at + INTENT_SECONDS * SECOND
    marker = Marker(RESTART_NODE, wanted.by, wanted.why, wanted.at, until, CLEAR, data)
    Markers(home, files).put(marker, durable=True)


def read_intent(markers: Markers, now: int) -> Wanted | None:
    marker = markers.get(RESTART_NODE, now)
    if marker is None:
        return None
    pid, ran = marker.data.get("pid"), marker.data.get("ran")
    return Wanted(
        marker.owner,
        marker.reason,
        marker.at,
        pid if isinstance(pid, int) else None,
        marker.data.get("forced") is True,
        ran if isinstance(ran, dict) else {},
    )


def ran_of(status: Mapping[str, Any] | None) -> dict[str, Any]:
    """What the next life is compared with, from the `status` of this one; {} if it gives none."""
    if status is None:
        return {}
    actors = [actor for actor in status.get("actors", ()) if actor.get("mode") != "none"]
    return {
        "pid": status.get("pid"),
        "started_at": status.get("started_at"),
        "links": [link["name"] for link in status.get("links", ()) if link.get("up")],
        "actors": {actor["name"]: {"state": actor["state"], "pid": actor["pid"]} for actor in actors},
        "waiting": sum(int(actor.get("waiting", 0)) for actor in status.get("actors", ())),
        "claimed": sum(int(actor.get("claimed", 0)) for actor in status.get("actors", ())),
    }
