"""Whether a node hangs, seen from outside. Pure: what the files of its home say and what was remembered give what is
done about it.

A node hangs when its last tick is three periods old by the clock that stands still while the machine sleeps, and it
does not say by its socket that it made another round since. It is ended then, three times within an hour at most: what
hangs more often needs a person.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from netsky.node.service.recipe import START_SECONDS_MAX

BEAT_SECONDS = 120
"""Between two looks: the ticker's period is half of that, and a person notices no minute."""

PERIODS = 3
"""Rounds that may be missing: a full disk or a slow part costs one."""

KILLS_MAX = 3
KILLS_SECONDS = 3_600
"""Ends of a node that hangs within an hour; one more would be a loop."""

CUT_OFF_SECONDS = 60
"""A restart whose second half has not come for so long was cut off: nobody who is at work on it takes longer between
its end and its start."""

SECOND = 10**9


@dataclass(frozen=True, slots=True)
class Sign:
    """What the ticker leaves each round."""

    at: int
    monotonic: int
    pid: int
    round: int
    seconds: int


@dataclass(frozen=True, slots=True)
class Book:
    """What a look remembers for the next one."""

    ended: tuple[int, ...] = ()
    """Wall clock, ns: when a node was ended for hanging."""
    holder: int | None = None
    since: int = 0
    """Monotonic, ns: since when this process is seen to hold the home."""
    paged: str = ""
    """What the owner was told last, so that one cause is told once."""


@dataclass(frozen=True, slots=True)
class Facts:
    wall: int
    monotonic: int
    holder: int | None
    """The process that has the home; None if nobody has."""
    sign: Sign | None
    rounds: int | None
    """As the node itself says by its socket, where the sign is old; None if it does not answer."""
    service: str | None
    """The state of its service, None if it has none or that cannot be seen."""
    service_said: str = ""
    wanted_at: int | None = None
    """A restart of the node is open since then."""
    is_unwanted: bool = False
    """A person wants no node here."""


Word = Literal["well", "early", "down", "end", "hangs_again", "gave_up", "finish"]


@dataclass(frozen=True, slots=True)
class Decision:
    word: Word
    said: str
    book: Book = field(default_factory=Book)


def is_old(facts: Facts, book: Book) -> str | None:
    """Why the node seems to hang, None if it does not. Its own answer is not looked at."""
    sign, now = facts.sign, facts.monotonic
    if sign is not None and _of_this_life(facts):
        age = now - sign.monotonic
        if age <= PERIODS * sign.seconds * SECOND:
            return None
        return f"its last tick is {age // SECOND} s old, and one is due every {sign.seconds} s"
    period = 60 if sign is None else sign.seconds  # of an earlier life, or from before the machine started
    since = book.since if book.holder == facts.holder and book.since <= now else now
    if now - since <= (START_SECONDS_MAX + PERIODS * period) * SECOND:
        return None
    return f"it has the home for {(now - since) // SECOND} s and made no round"


def _of_this_life(facts: Facts) -> bool:
    """Of the process that has the home, since the machine started."""
    sign = facts.sign
    return sign is not None and sign.pid == facts.holder and sign.monotonic <= facts.monotonic


def decide(facts: Facts, book: Book) -> Decision:
    if facts.holder is None:
        return _nobody(facts, replace(book, holder=None, since=0))
    if book.holder != facts.holder or book.since > facts.monotonic:
        book = replace(book, holder=facts.holder, since=facts.monotonic)
    why = is_old(facts, book)
    if why is None:
        if facts.sign is None or not _of_this_life(facts):
            return Decision("early", f"process {facts.holder} has begun and made no round yet", book)
        return Decision("well", f"round {facts.sign.round}, by process {facts.holder}", replace(book, paged=""))
    if facts.rounds is not None and (facts.sign is None or facts.rounds > facts.sign.round):
        return Decision("well", f"it makes rounds ({facts.rounds}) and cannot leave their sign", book)
    lately = tuple(at for at in book.ended if facts.wall - at < KILLS_SECONDS * SECOND)  # a clock set back keeps all
    if len(lately) >= KILLS_MAX:
        again = f"{why}; it was ended for that {len(lately)} times within the hour, and is left alone now"
        return Decision("hangs_again", again, replace(book, ended=lately))
    return Decision("end", why, replace(book, ended=(*lately, facts.wall)))


def _nobody(facts: Facts, book: Book) -> Decision:
    """No node runs. What a person stopped stays down, and what the service gave up is not tried behind its back."""
    if facts.is_unwanted:
        return Decision("down", "no node runs, and none should: netsky down", book)
    if facts.service == "failed":
        return Decision("gave_up", f"its service gave up: {facts.service_said or 'it failed'}", book)
    if facts.service in ("starting", "waits", "stopping", "running"):
        return Decision("early", f"its service is at work ({facts.service})", book)
    if facts.wanted_at is not None and facts.wall - facts.wanted_at >= CUT_OFF_SECONDS * SECOND:
        return Decision("finish", "a restart was cut off: the node was ended, and not started", book)
    return Decision("down", "no node runs, and none should", book)


def read_sign(data: bytes) -> Sign | None:
    found = _object(data)
    values = [found.get(name) for name in Sign.__slots__]
    if not all(isinstance(value, int) and not isinstance(value, bool) and value >= 0 for value in values):
        return None
    sign = Sign(*values)  # type: ignore[arg-type] # whole numbers, as was just looked at
    return sign if sign.seconds else None


def read_book(data: bytes) -> Book:
    """Text from outside: what cannot be understood was never noted."""
    found = _object(data)
    ended, holder, since = found.get("ended"), found.get("holder"), found.get("since")
    return Book(
        tuple(at for at in ended if isinstance(at, int))[-100:] if isinstance(ended, list) else (),
        holder if isinstance(holder, int) else None,
        since if isinstance(since, int) else 0,
        str(found.get("paged") or "")[:200],
    )


def write_book(book: Book) -> bytes:
    said = {"ended": list(book.ended), "holder": book.holder, "since": book.since, "paged": book.paged}
    return json.dumps(said, sort_keys=True).encode() + b"\n"


def _object(data: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
