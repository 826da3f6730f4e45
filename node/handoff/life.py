"""Whether a life of the node is as good as the one before. Pure: what ran then and what is seen now give one line for
each thing that has to be so again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Sight:
    """The node now."""

    serves: bool
    rounds: int | None
    """Of the ticker, in this life."""
    links: Mapping[str, str]
    """By name: "" for one that is up, else why it is not."""
    actors: Mapping[str, tuple[str, str]]
    """Those with a program: state, reason."""
    waiting: int
    returned: int
    links_waited: bool
    """Links have had their time: what is down now is down for a reason that is said."""


@dataclass(frozen=True, slots=True)
class Line:
    what: str
    proved: bool
    said: str


def compare(ran: Mapping[str, Any], sight: Sight) -> list[Line]:
    before = ran.get("actors")
    returned = f"{sight.waiting} wait in inboxes, {sight.returned} of them came back from a life that ended"
    return [
        Line("serves", sight.serves, "it answers, with database, bus and links" if sight.serves else "it starts"),
        Line("ticker", bool(sight.rounds), f"it made round {sight.rounds}" if sight.rounds else "it made no round yet"),
        *(_link(name, sight) for name in _names(ran.get("links"))),
        *_programs(before if isinstance(before, dict) else {}, sight.actors),
        Line("inputs", True, returned),
    ]


def _link(name: str, sight: Sight) -> Line:
    why = sight.links.get(name)
    if why is None:
        return Line(f"link {name}", True, "it is no member any more")
    return Line(f"link {name}", not why or sight.links_waited, why or "up again")


def _programs(before: Mapping[str, Any], now: Mapping[str, tuple[str, str]]) -> list[Line]:
    """Those that were there before, and those that are there now: what was added meanwhile has to run, too. What did
    not run before need not."""
    lines = []
    for name in sorted({*map(str, before), *now}):
        if name not in now:
            lines.append(Line(f"program {name}", True, "it has none any more"))
            continue
        was = before.get(name)
        stood = was.get("state") if isinstance(was, dict) else None
        state, reason = now[name]
        good = state in ("running", "idle", "stopped", "halted") or (state == stood and state != "starting")
        lines.append(Line(f"program {name}", good, state + (f": {reason}" if reason and state != "running" else "")))
    return lines


def _names(given: object) -> list[str]:
    """A marker is text from outside: what is no list of names is none."""
    if isinstance(given, dict | list):
        return sorted(str(one) for one in given)
    return []


def proved(lines: Sequence[Line]) -> bool:
    return all(line.proved for line in lines)


def missing(lines: Sequence[Line]) -> str:
    return "; ".join(f"{line.what}: {line.said}" for line in lines if not line.proved)
