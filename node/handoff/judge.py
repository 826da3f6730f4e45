"""Whether a new life has proved itself. Pure: what was asked for and what is seen give what is done next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from netsky.node.backoff import Backoff
from netsky.node.handoff.limits import STEADY_SECONDS, TRIES_MAX

SECOND = 10**9

AGAIN = Backoff(5 * SECOND, 60 * SECOND)
"""Between two lives of one restart: what failed at once fails at once again, so not at once."""

Handed = Literal["nothing", "waits", "shown", "taken"]
"""Where the text stands that the new life has to find."""


@dataclass(frozen=True, slots=True)
class Seen:
    """An actor after its program was started anew."""

    mode: str
    state: str
    """As `Place` has it."""
    reason: str
    handed: Handed
    up_ns: int
    """How long this program runs; for one that is started for each envelope, how long it could have."""
    since_ns: int
    """How long ago the new life was begun."""


@dataclass(frozen=True, slots=True)
class Verdict:
    word: Literal["proved", "wait", "again", "failed"]
    said: str = ""


def judge(seen: Seen, *, within_ns: int, tries: int) -> Verdict:
    if seen.handed == "taken":
        return Verdict("proved", "it took what was handed to it")
    if seen.handed == "shown":
        return Verdict("proved", "what was handed to it was shown to it")
    if seen.state == "degraded":
        return _not_proved(f"its program does not stay up: {seen.reason}", tries)
    if seen.handed == "nothing" and _steady(seen):
        what = "is started for each envelope again" if seen.mode == "per_envelope" else "runs"
        return Verdict("proved", f"its program {what}, for {STEADY_SECONDS} s by now")
    if (
        seen.state == "halted" or seen.since_ns < within_ns
    ):  # a node that is halted starts nothing, and that is no fault
        return Verdict("wait")
    if seen.handed == "waits":
        return _not_proved(f"what was handed to it was not taken within {within_ns / SECOND:g} s", tries)
    return _not_proved(f"its program did not stay up within {within_ns / SECOND:g} s ({seen.state})", tries)


def _steady(seen: Seen) -> bool:
    if seen.up_ns < STEADY_SECONDS * SECOND:
        return False
    return seen.state in ("running", "idle", "waits") if seen.mode == "per_envelope" else seen.state == "running"


def _not_proved(said: str, tries: int) -> Verdict:
    return Verdict("failed" if tries >= TRIES_MAX else "again", said)


def first_line(asked_by: str, actor: str, why: str) -> str:
    """Stands above the text of a handoff: what this is, and whose word."""
    who = "your last life" if asked_by == actor else asked_by
    return f"Handoff from {who}: your program was started anew" + (f" ({why})." if why else ".")
