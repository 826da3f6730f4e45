"""Whether an actor moves. Pure: what was remembered of it and what is seen now give what is remembered and what it is.

*Moving* is what it did with envelopes: it claimed one for the first time, took one, or sent one. What is stored for it
moves nothing. *Owing* begins when something waits for it. Time owed is counted while the node runs and looks, by the
clock that nobody sets; no wall clock decides here, so a clock that jumps and a machine that slept raise no alarm.

Who does not move is not hung if
    it was seen to drain: its inbox is empty, and the last that was for it, it took itself
    nothing was ever for it
    a person reads it (no program of ours, and nothing follows its channel)
    it declared quiet, or the node is halted
    it waits for room at its reader (a program for each envelope): its reader is late, not it
    the last it did was to ask or to hand on, and no answer came yet: then whoever was asked is late, for a day at most.
    That excuses what it had in hand, and at a worker also what it has not claimed; everybody else reads on meanwhile.
    Who claims something else afterwards works again, and is watched again.
Who holds one envelope for long and moves others, moves. An inbox that became empty otherwise (what was for it went to
quarantine) is not drained: who never read its brief is not done with it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from netsky.node.watch.limits import ASKED_SECONDS, GRACE_SECONDS, SETTLED_SECONDS, SLACK_SECONDS

SECOND = 10**9

Drain = Literal["unknown", "nonempty", "drained"]

Standing = Literal[
    "idle",  # drained
    "new",  # nothing was ever for it
    "moves",
    "owes",  # something waits and has not moved yet, within its time
    "asks",  # it waits for an answer
    "quiet",
    "halted",
    "waits",  # for room at its reader
    "person",  # somebody reads it by hand
    "hung",
    "unread",  # what was for it went away without having been read
]

LATE = ("hung", "unread")
NOT_READ = frozenset({"quarantine"})
"""How an envelope can be over without its actor having had it."""


@dataclass(frozen=True, slots=True)
class Newest:
    """The last envelope that was for it, wherever that is now."""

    taken_at: int | None = None
    taken_by: str | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """One actor as it is found at one look."""

    name: str
    mode: str
    """resident, per_envelope, none; code for the node's own actors."""
    state: str = ""
    """Of its program, as `Actors.states` has it."""
    reason: str = ""
    pid: int | None = None
    limit_ns: int = 0
    """For one envelope, where a program is started for each."""
    waiting: int = 0
    """Of the oldest few that wait (`WATCHED_ROWS`)."""
    left: int = 0
    """Of those that waited at the last look, how many still do."""
    last: int = 0
    """The newest row of those looked at."""
    oldest_at: int | None = None
    claimed_at: int = 0
    """The newest first claim among those."""
    unclaimed: bool = False
    """The newest of all that waits is in nobody's hands."""
    newest: Newest | None = None
    acts: int = 0
    """Envelopes that it sent, and other signs that it gave, in this life of the node."""
    asked: str | None = None
    """The id of what it asked or handed on last, if that is the last it did and nobody has answered."""
    follows: bool = False
    """Something reads its channel as it fills."""
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class Watched:
    """What is remembered of an actor between looks."""

    drain: Drain = "unknown"
    owed: int = 0
    """ns, as counted by the looks."""
    asks: str | None = None
    asked: int = 0
    """What it asked, and for how many ns it has waited for the answer."""
    went_on: bool = False
    """It claimed something else since it asked that."""
    claimed_at: int = 0
    taken_at: int = 0
    moved_at: int | None = None
    """Wall clock, for people alone."""
    # Of this life of the node:
    known: bool = False
    waiting: int = 0
    last: int = 0
    acts: int = 0
    pid: int | None = None
    steady: int = 0
    """ns for which its program was seen up without a break."""
    standing: Standing = "new"
    patience: int = 0

    @property
    def late(self) -> bool:
        return self.standing in LATE

    @property
    def settled(self) -> bool:
        """Its program stays up, and what waited for it has moved since that began."""
        return self.steady >= SETTLED_SECONDS * SECOND and self.owed < self.steady


def judge(before: Watched, seen: Seen, *, passed: int, wall: int, hang_ns: int) -> Watched:
    """`passed`: ns since the last look, of which the node saw something."""
    moved = before.known and _moved(before, seen)
    same = seen.asked is not None and seen.asked == before.asks
    went_on = same and (before.went_on or (before.known and seen.claimed_at > before.claimed_at))
    asked = before.asked + passed if same else 0
    drain = _drain(before.drain, seen)
    patience = max(hang_ns, seen.limit_ns + SLACK_SECONDS * SECOND) if seen.limit_ns else hang_ns
    standing, owed = _at_rest(drain, seen)
    if standing is None:
        excuse = "moves" if moved else _excuse(seen, asks=seen.asked is not None and not went_on and _lasts(asked))
        standing, owed = excuse or "owes", before.owed
        if excuse is None:
            owed = _owed(before, seen, passed, wall)
            if owed >= patience:
                standing = "hung" if seen.waiting else "unread"
        elif moved:
            owed = 0
    return Watched(
        drain=drain,
        owed=owed,
        asks=seen.asked,
        asked=asked,
        went_on=went_on,
        claimed_at=max(before.claimed_at, seen.claimed_at),
        taken_at=max(before.taken_at, _taken_at(seen)),
        moved_at=wall if moved else before.moved_at,
        known=True,
        waiting=seen.waiting,
        last=seen.last,
        acts=seen.acts,
        pid=seen.pid,
        steady=_steady(before, seen, passed),
        standing=standing,
        patience=patience,
    )


def _lasts(asked: int) -> bool:
    return asked < ASKED_SECONDS * SECOND


def _at_rest(drain: Drain, seen: Seen) -> tuple[Standing | None, int]:
    """Where nothing is owed."""
    rest: Standing = "idle" if drain == "drained" else "new"
    if seen.mode == "none" and not seen.follows:
        return "person" if seen.waiting else rest, 0
    unread = drain == "unknown" and _went_unread(seen)
    return (None, 0) if seen.waiting or unread else (rest, 0)


def _owed(before: Watched, seen: Seen, passed: int, wall: int) -> int:
    if not before.known:
        return before.owed
    if not before.waiting and seen.oldest_at is not None:
        return min(passed, max(0, wall - seen.oldest_at))  # it came since the last look
    return before.owed + passed


def _excuse(seen: Seen, *, asks: bool) -> Standing | None:
    if seen.state == "halted":
        return "halted"
    if seen.quiet:
        return "quiet"
    if seen.mode == "per_envelope" and seen.state == "waits" and seen.reason:
        return "waits"
    reads_on = not seen.name.startswith("worker") and seen.unclaimed
    return "asks" if asks and not reads_on else None


def _moved(before: Watched, seen: Seen) -> bool:
    return (
        seen.claimed_at > before.claimed_at
        or seen.left < before.waiting
        or _taken_at(seen) > before.taken_at
        or seen.acts > before.acts
    )


def _taken_at(seen: Seen) -> int:
    newest = seen.newest
    return 0 if newest is None or newest.taken_by in NOT_READ else newest.taken_at or 0


def _went_unread(seen: Seen) -> bool:
    return seen.newest is not None and seen.newest.taken_by in NOT_READ


def _drain(before: Drain, seen: Seen) -> Drain:
    if seen.waiting:
        return "nonempty"
    if seen.newest is None:  # long since forgotten, or there was none
        return "unknown" if before == "nonempty" else before
    return "unknown" if _went_unread(seen) else "drained"


def _steady(before: Watched, seen: Seen, passed: int) -> int:
    """A program for each envelope changes its pid; a resident one that does began anew."""
    if seen.mode not in {"resident", "per_envelope"} or seen.state in {"degraded", "stopped", "starting", "halted"}:
        return 0
    if seen.mode == "resident" and (seen.pid is None or seen.pid != before.pid):
        return 0
    return before.steady + passed


def after_start(kept: Watched, hang_ns: int, *, alarmed: bool) -> Watched:
    """What was remembered by an earlier life of the node. What was owed is still owed, and yet nobody is late before
    the grace is over, unless the alarm stands already."""
    owed = max(0, kept.owed)
    if not alarmed:
        owed = min(owed, max(0, hang_ns - GRACE_SECONDS * SECOND))
    return replace(kept, owed=owed)
