"""Carrying decisions out: rows, events, envelopes, pages, programs. Each effect is bounded and none stops another."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import trio
from netsky.node.bus.draft import Draft
from netsky.node.db import observe
from netsky.node.errors import NetskyError
from netsky.node.markers import Marker
from netsky.node.watch.alarms import Alarm, Decision
from netsky.node.watch.limits import MARKER_SECONDS, REVIVE_WAIT_SECONDS, SAY_SECONDS
from netsky.node.watch.progress import SECOND
from netsky.node.watch.troubles import minutes
from netsky.relay.authority import ROOT_MANAGER, WATCHDOG

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from netsky.node.daemon.node import Node


PREFIX = "alarm."


def note(node: Node, decision: Decision) -> None:
    """What was decided, for the log, for listeners and as a row. Whether it went well is noted by whoever does it."""
    alarm, status = decision.alarm, _STATUS[decision.act]
    level = "info" if decision.act == "clear" else "warn"
    node.log.event(f"watchdog.{status}", level=level, key=alarm.key, sentence=alarm.sentence, why=decision.why)
    node.events.publish("alarm", key=alarm.key, status=status, actor=alarm.actor, sentence=alarm.sentence)
    row(node, alarm, status, why=decision.why)


_STATUS = {"raise": "raised", "tell": "telling", "page": "paging", "revive": "reviving", "clear": "cleared"}


def row(node: Node, alarm: Alarm, status: str, **more: Any) -> None:
    node.group.ride(
        observe.watchdog_saw(
            node.now(),
            alarm.key,
            actor=alarm.actor,
            severity="info" if status == "cleared" else "alarm",
            status=status,
            detail={"sentence": alarm.sentence, "pages": alarm.pages, "revives": alarm.revives, **more},
        )
    )


async def tell(node: Node, alarm: Alarm) -> str | None:
    """To agent0 of this node. The id of the envelope once it is stored, None if it could not be."""
    return await _say(node, alarm, ROOT_MANAGER, f"alarm-{alarm.since:x}-{alarm.key}", _text(node, alarm))


def page(node: Node, alarm: Alarm, why: str) -> None:
    """The owner: at the root by the program that reaches him, from a sibling by an escalation. The pager knows how, and
    tries again by itself."""
    subject = f"{node.identity.name}: {alarm.sentence}"
    node.pager.page(subject, _text(node, alarm, why), severity="urgent", key=f"{PREFIX}{alarm.key}")


def withdraw(node: Node, alarm: Alarm) -> None:
    """A page that has not gone yet is not needed any more."""
    node.pager.withdraw(f"{PREFIX}{alarm.key}")


async def _say(node: Node, alarm: Alarm, to: str, key: str, text: str) -> str | None:
    data = {"alarm": {"key": alarm.key, "since": alarm.since, "pages": alarm.pages}}
    draft = Draft(to=to, text=text, kind="escalation", idempotency_key=key[:128], data=data)
    with trio.move_on_after(SAY_SECONDS):
        try:
            return (await node.voices.say(WATCHDOG, draft)).id
        except NetskyError as error:
            node.log.event("watchdog.not_told", level="warn", key=alarm.key, to=to, reason=error.message)
            return None
    node.log.event(
        "watchdog.not_told", level="warn", key=alarm.key, to=to, reason=f"not stored within {SAY_SECONDS:g} s"
    )
    return None


def _text(node: Node, alarm: Alarm, why: str = "") -> str:
    """Sentences of ours and names of actors; what strangers wrote is not in it."""
    lines = [f"{alarm.sentence} (on {node.identity.name})."]
    if why:
        lines.append(f"You are told because {why}." if not why.startswith("still") else f"It is {why}.")
    if alarm.revives:
        lines.append(f"Its program was started again {alarm.revives} times.")
    if alarm.age:
        lines.append(f"The alarm is {minutes(alarm.age)} old.")
    return "\n".join([*lines, f"Next: {alarm.next}"])


async def revive(node: Node, alarm: Alarm) -> None:
    assert alarm.actor is not None
    if node.restarts.in_hand(alarm.actor):
        return
    said = f"not done within {REVIVE_WAIT_SECONDS:g} s"
    with trio.move_on_after(REVIVE_WAIT_SECONDS):
        try:
            await node.restarts.ask(alarm.actor, by=WATCHDOG, why=alarm.sentence, forced=True)
            said = "its restart is asked for"
        except NetskyError as error:
            said = error.message
        except Exception as error:  # noqa: BLE001 - the border: a program that cannot be started stops no watchdog
            said = f"{type(error).__name__}: {error}"
    node.log.event("watchdog.revived", level="warn", key=alarm.key, actor=alarm.actor, attempt=alarm.revives, said=said)
    row(node, alarm, "revived", said=said)


def sync_markers(node: Node, alarms: Mapping[str, Alarm], there: Sequence[Marker], now: int) -> None:
    """Those of alarms that stand are there, those of others are not, whoever put them."""
    wanted = {f"{PREFIX}{key}": alarm for key, alarm in alarms.items()}
    present = {marker.name: marker for marker in there if marker.name.startswith(PREFIX)}
    for name, marker in present.items():
        if name not in wanted:
            node.log.event("watchdog.marker_cleared", name=name, owner=marker.owner, reason=marker.reason)
            node.markers.clear(name)
    for name, alarm in wanted.items():
        found = present.get(name)
        if found is None or not _is_current(found, alarm, now):
            node.markers.put(_marker(name, alarm, now))


def _is_current(marker: Marker, alarm: Alarm, now: int) -> bool:
    half = MARKER_SECONDS * SECOND // 2
    same = (marker.owner, marker.at) == (WATCHDOG, alarm.since) and marker.data.get("pages") == alarm.pages
    return same and marker.expires is not None and half < marker.expires - now <= 2 * half


def _marker(name: str, alarm: Alarm, now: int) -> Marker:
    kept = {key: value for key, value in asdict(alarm).items() if key in {"actor", "pages", "revives", "next"}}
    return Marker(
        name=name,
        owner=WATCHDOG,
        reason=alarm.sentence,
        at=alarm.since,
        expires=now + MARKER_SECONDS * SECOND,
        clear="what it speaks of moves again; each look of the watchdog sees for itself",
        data=kept,
    )
