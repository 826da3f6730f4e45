"""What is done about a trouble, as values: told, paged, tried again, cleared. Pure: time comes as what passed.

Detection never ends with itself. An alarm is told to agent0 at once, unless agent0 is the trouble or cannot be told;
the owner is paged at once in that case, and else when agent0 has not taken it in time, or took it and nothing changed.
The owner is paged again while it stands, less and less often. A program that does not move is started again, again and
again with a growing pause; that it runs is no success: only what moves, or stays up with nothing to do, ends the alarm.

An alarm lives by what is seen at each look and by nothing else. What an earlier life left behind (a marker, a row) says
how often was paged, never that something is still so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from netsky.node.watch.limits import (
    AGAIN_SECONDS,
    HANDLED_SECONDS,
    REVIVE_SECONDS,
    REVIVE_SECONDS_MAX,
    REVIVES_FAILED,
)

SECOND = 10**9

Act = Literal["raise", "tell", "page", "revive", "clear"]


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that is wrong now, as this look has it."""

    key: str
    """A stable name, also that of its marker."""
    sentence: str
    next: str
    """What to type or do about it."""
    actor: str | None = None
    straight: bool = False
    """There is nobody but the owner who could do something."""
    program: bool = False
    """It is a program of the node, which can be started again."""
    revive_ns: int = 0
    """It is, once the trouble is so old."""
    calm: bool = False
    """Nothing is done now: quiet was declared, or the node is halted. It is shown."""
    patience: int = 0
    """ns that agent0 has, once it took it, beyond the time for taking it."""


@dataclass(frozen=True, slots=True)
class Alarm:
    key: str
    sentence: str
    next: str
    actor: str | None
    since: int
    """Wall clock, for people and for idempotency keys."""
    age: int = 0
    """ns, counted by the looks; calm ones are not counted."""
    told: str | None = None
    """The envelope by which agent0 was told."""
    told_age: int = 0
    pages: int = 0
    paged_age: int = 0
    revives: int = 0
    revived_age: int = 0
    calm: bool = False

    @property
    def failed_revives(self) -> int:
        return max(0, self.revives - 1)


@dataclass(frozen=True, slots=True)
class Decision:
    act: Act
    alarm: Alarm
    why: str = ""


def step(
    alarm: Alarm | None, trouble: Trouble | None, *, passed: int, wall: int, handled: bool
) -> tuple[Alarm | None, list[Decision]]:
    """One look at one key. `handled`: agent0 took what it was told."""
    if trouble is None:
        return None, [] if alarm is None else [Decision("clear", alarm, "it moves again, or is no more")]
    decisions: list[Decision] = []
    if alarm is None:
        alarm = Alarm(trouble.key, trouble.sentence, trouble.next, trouble.actor, wall, calm=trouble.calm)
        decisions.append(Decision("raise", alarm))
        passed = 0
    alarm = replace(
        alarm,
        sentence=trouble.sentence,
        next=trouble.next,
        calm=trouble.calm,
        age=alarm.age if trouble.calm else alarm.age + passed,
    )
    if trouble.calm:
        return alarm, decisions
    if trouble.program and alarm.age >= _revive_due(alarm, trouble):
        alarm = replace(alarm, revives=alarm.revives + 1, revived_age=alarm.age)
        decisions.append(Decision("revive", alarm, f"try {alarm.revives}"))
    if alarm.told is None and not alarm.pages and not trouble.straight and trouble.actor != "agent0":
        decisions.append(Decision("tell", alarm))
    why = _page_due(alarm, trouble, handled)
    if why is not None:
        alarm = replace(alarm, pages=alarm.pages + 1, paged_age=alarm.age)
        decisions.append(Decision("page", alarm, why))
    return alarm, decisions


def was_told(alarm: Alarm, id: str) -> Alarm:  # noqa: A002 - the envelope's word
    return replace(alarm, told=id, told_age=alarm.age)


def _revive_due(alarm: Alarm, trouble: Trouble) -> int:
    if not alarm.revives:
        return trouble.revive_ns
    return alarm.revived_age + pause_after(alarm.revives)


def pause_after(revives: int) -> int:
    """ns after so many tries."""
    return int(min(REVIVE_SECONDS << min(revives - 1, 16), REVIVE_SECONDS_MAX)) * SECOND


def _page_due(alarm: Alarm, trouble: Trouble, handled: bool) -> str | None:
    """Why the owner is paged now, or None."""
    if alarm.pages:
        again = AGAIN_SECONDS[min(alarm.pages, len(AGAIN_SECONDS)) - 1] * SECOND
        return f"still so, page {alarm.pages + 1}" if alarm.age >= alarm.paged_age + again else None
    if trouble.straight:
        return "agent0 can do nothing about it"
    if alarm.failed_revives >= REVIVES_FAILED:
        return f"starting it again did not help, {alarm.failed_revives} times"
    if handled and alarm.age >= alarm.told_age + HANDLED_SECONDS * SECOND + trouble.patience:
        return "agent0 knows of it, and it is still so"
    if not handled and alarm.age >= HANDLED_SECONDS * SECOND:
        return "agent0 has not taken what it was told"
    return None


def kept_sane(alarms: Sequence[Alarm], wall: int) -> list[Alarm]:
    """What an earlier life kept, with no number that could put off what is due: that is worth less than a page more."""
    sane = []
    for one in alarms:
        age = max(0, one.age)
        sane.append(
            replace(
                one,
                since=min(one.since, wall),
                age=age,
                told_age=min(max(0, one.told_age), age),
                pages=max(0, one.pages),
                paged_age=min(max(0, one.paged_age), age),
                revives=max(0, one.revives),
                revived_age=min(max(0, one.revived_age), age),
            )
        )
    return sane
