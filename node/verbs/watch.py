"""Verbs of the watchdog: what it sees, and declared quiet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netsky.node.errors import Refused, TryLater, Usage
from netsky.node.seams.files import HostileFile
from netsky.node.verbs.actors import local_name
from netsky.node.watch.limits import QUIET_SECONDS_MAX, QUIETS_MAX
from netsky.node.watch.quiet import marker_of, quiet_of
from netsky.node.watch.watchdog import quiets_shown, shown

if TYPE_CHECKING:
    from netsky.node.daemon.caller import Caller
    from netsky.node.daemon.node import Node
    from netsky.node.markers import Marker
    from netsky.node.verbs.args import Args

REASON_CHARS_MAX = 200


async def watchdog(node: Node, caller: Caller, args: Args) -> dict[str, Any]:
    """All of it for the operator and for agent0, who is told of alarms; for another actor what is about itself."""
    args.nothing_else()
    sees_all = caller.actor in {None, "agent0"}
    return shown(node, None if sees_all else caller.actor) | {
        "markers": [_marker(one) for one in node.markers.live(node.now())] if sees_all else []
    }


async def quiet(node: Node, caller: Caller, args: Args) -> dict[str, Any]:
    """An actor says it of itself; the operator of any, of agent0 if he names none."""
    named, clear = args.maybe_text("actor"), args.flag("clear")
    seconds = args.seconds("seconds", 0, 10**9)
    reason = (args.maybe_text("reason") or "").strip()
    args.nothing_else()
    actor = _actor(node, caller, named)
    if clear and (seconds or reason):
        raise Usage("quiet: clear stands alone", next="netsky quiet --clear", code="bad_argument")
    if clear:
        return {"actor": actor, "cleared": _clear(node, actor), "quiet": _shown(node, actor)}
    if not 0 < seconds <= QUIET_SECONDS_MAX:
        rule = f"a quiet lasts at most {QUIET_SECONDS_MAX} s; declare it again when it is over"
        raise Usage(f"quiet: {seconds:g} s is no time for it: {rule}", next="netsky quiet -h", code="bad_argument")
    if not reason or len(reason) > REASON_CHARS_MAX or not reason.isprintable():
        rule = f"in one line of at most {REASON_CHARS_MAX} characters"
        raise Usage(f"quiet: say why, {rule}", next='netsky quiet 900 --reason "a long build"', code="bad_argument")
    if len(_of(node, actor)) >= QUIETS_MAX:
        raise TryLater(
            f"{actor} has declared quiet {QUIETS_MAX} times already, and the latest end counts",
            next=f"netsky quiet --clear --actor {actor}",
            code="too_many_quiets",
        )
    made = marker_of(actor, caller.name, reason, node.now(), seconds)
    try:
        node.markers.put(made)
    except (OSError, HostileFile) as error:
        said = f"its marker cannot be written: {getattr(error, 'strerror', None) or error}"
        raise TryLater(f"quiet: {said}", next="netsky doctor", code="no_marker") from None
    _take_in(node)
    if caller.actor is not None:
        node.acts.did(actor)  # who says that it will be quiet is alive
    node.events.publish("quiet", actor=actor, by=caller.name, reason=reason, expires=made.expires)
    node.log.event("watchdog.quiet", actor=actor, by=caller.name, reason=reason, expires=made.expires)
    return {"actor": actor, "cleared": 0, "quiet": _shown(node, actor)}


def _actor(node: Node, caller: Caller, named: str | None) -> str:
    if named is None:
        return caller.actor or "agent0"
    actor = local_name(named)
    if caller.actor not in {None, actor}:
        said = f"you are {caller.actor} and can be quiet for yourself alone"
        raise Refused(said, next="leave --actor out", code="not_you")
    node.actors.row(actor)
    return actor


def _of(node: Node, actor: str) -> list[Marker]:
    live = node.markers.live(node.now())
    return [one for one in live if (found := quiet_of(one)) is not None and found.actor == actor]


def _clear(node: Node, actor: str) -> int:
    gone = [one.name for one in _of(node, actor) if node.markers.clear(one.name)]
    for one, _ in node.watchdog.quiets.all(node.seams.time.monotonic()):
        if one.actor == actor:
            node.watchdog.quiets.forget(one.name)
    if gone:
        node.events.publish("quiet_cleared", actor=actor)
    return len(gone)


def _take_in(node: Node) -> None:
    """At once, so that it counts from now and not from the next look."""
    time = node.seams.time
    node.watchdog.quiets.look(node.markers.live(time.wall()), wall=time.wall(), monotonic=time.monotonic())


def _shown(node: Node, actor: str) -> list[dict[str, Any]]:
    return quiets_shown(node.watchdog, node.seams.time.monotonic(), actor)


def _marker(marker: Marker) -> dict[str, Any]:
    return {
        "name": marker.name,
        "owner": marker.owner,
        "reason": marker.reason,
        "at": marker.at,
        "expires": marker.expires,
        "clear": marker.clear,
    }
