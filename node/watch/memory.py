"""What the watchdog keeps over a restart, as one value in `node_state`: who was seen to drain, what is owed, and what
was done about each alarm. What cannot be read is begun anew: it decides how soon somebody is told, never whether."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from operator import attrgetter
from typing import Any

from netsky.node.watch.alarms import Alarm, kept_sane
from netsky.node.watch.progress import Watched, after_start

KEY = "watchdog"
KEPT = ("drain", "owed", "asks", "asked", "went_on", "claimed_at", "taken_at", "moved_at")
"""Of an actor; the rest is seen anew."""


@dataclass(frozen=True, slots=True)
class Kept:
    actors: Mapping[str, Watched]
    alarms: Mapping[str, Alarm]


of_actor = attrgetter(*KEPT)
"""What of an actor is kept, as one value to compare."""


def encode(kept: Kept) -> str:
    actors = {name: {key: getattr(one, key) for key in KEPT} for name, one in sorted(kept.actors.items())}
    alarms = [asdict(alarm) for _, alarm in sorted(kept.alarms.items())]
    return json.dumps({"actors": actors, "alarms": alarms}, sort_keys=True)


def decode(text: object, *, hang_ns: int, wall: int) -> Kept:
    try:
        found = json.loads(text) if isinstance(text, str) else {}
    except (ValueError, RecursionError):
        found = {}
    if not isinstance(found, dict):
        found = {}
    alarms = [alarm for alarm in map(_alarm, _list(found.get("alarms"))) if alarm is not None]
    alarmed = {alarm.actor for alarm in alarms}
    given = found.get("actors")
    actors = {}
    for name, one in given.items() if isinstance(given, dict) else ():
        watched = _watched(one)
        if watched is not None:
            actors[name] = after_start(watched, hang_ns, alarmed=name in alarmed)
    return Kept(actors, {alarm.key: alarm for alarm in kept_sane(alarms, wall)})


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _watched(value: object) -> Watched | None:
    if not isinstance(value, dict):
        return None
    standard = Watched()
    same = {name: value[name] for name in KEPT if name in value and _is_like(value[name], getattr(standard, name))}
    if same.get("drain") not in {"unknown", "nonempty", "drained"}:
        same.pop("drain", None)
    if not isinstance(same.get("asks"), str | None):
        same.pop("asks")
    if not isinstance(same.get("moved_at"), int | None):
        same.pop("moved_at")
    return replace(standard, **same)


def _is_like(value: object, standard: object) -> bool:
    return standard is None or type(value) is type(standard)


def _alarm(value: object) -> Alarm | None:
    names = {field.name: field.type for field in fields(Alarm)}
    if not isinstance(value, dict) or value.keys() - names.keys():
        return None
    try:
        alarm = Alarm(**value)
    except TypeError:
        return None
    numbers = (alarm.since, alarm.age, alarm.told_age, alarm.pages, alarm.paged_age, alarm.revives, alarm.revived_age)
    texts = (alarm.key, alarm.sentence, alarm.next)
    maybe = (alarm.actor, alarm.told)
    whole = all(type(number) is int for number in numbers) and all(isinstance(text, str) for text in texts)
    return (
        alarm if whole and all(isinstance(text, str | None) for text in maybe) and alarm.calm in {True, False} else None
    )
