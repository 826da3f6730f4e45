"""How it is said that an actor's program was given up, and when that is over."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from netsky.node.db.handoffs import HandoffRow
from netsky.node.handoff.judge import SECOND
from netsky.node.handoff.limits import HEALTHY_SECONDS
from netsky.node.markers import Marker
from netsky.node.seams.files import HostileFile

if TYPE_CHECKING:
    from netsky.node.daemon.node import Fault, Node

_PREFIX = "degraded-"


def marker_name(actor: str) -> str:
    return _PREFIX + actor


def put_marker(node: Node, actor: str, reason: str, data: Mapping[str, Any]) -> None:
    """For who looks from outside. A disk without room for it has the event and the line of the log."""
    clear = f"its program stays up for {HEALTHY_SECONDS} s, or netsky restart {actor} is proved"
    try:
        node.markers.put(Marker(marker_name(actor), "node", reason[:1_000], node.now(), None, clear, dict(data)))
    except OSError as error:
        node.log.event("marker.not_written", level="warn", name=marker_name(actor), error=str(error))


def healthy(node: Node, now: int, open_for: Collection[str]) -> list[str]:
    """Those that were called broken, and of which that is no longer so: their markers are gone. What a restart that is
    open says of its actor is that one's business."""
    states = {str(state["name"]): state for state in node.actors.states()}
    cleared = []
    try:
        markers = node.markers.live(now)
    except (OSError, HostileFile):  # nobody can say who was called broken; the watchdog looks at the actors themselves
        return []
    for marker in markers:
        actor = marker.name.removeprefix(_PREFIX)
        if marker.name == actor or actor in open_for:
            continue
        state = states.get(actor)
        if state is None or state["mode"] == "none" or _is_well(state):
            node.markers.clear(marker.name)
            node.log.event("actor.well_again", actor=actor)
            node.events.publish("actor_well_again", actor=actor)
            cleared.append(actor)
    return cleared


def _is_well(state: dict[str, Any]) -> bool:
    return state["state"] in ("running", "idle") and (state["up_ns"] or 0) >= HEALTHY_SECONDS * SECOND


def complaint(row: HandoffRow) -> Fault:
    return {
        "code": "restart",
        "sentence": f"{row.actor} was restarted {row.tries} times and did not prove itself: {row.said}",
        "next": f"netsky agent logs {row.actor}, then: netsky restart {row.actor}",
    }
