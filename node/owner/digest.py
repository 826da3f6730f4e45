"""The words of a page: what waits for the owner, each with its true origin, what others wrote quoted and cut. Pure.

A page is read on a small screen by somebody who was not thinking of this: what is wanted of them stands first, then
what to type.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from netsky.envelope.file import write_time
from netsky.envelope.render import excerpt
from netsky.node.db.owner import Item
from netsky.node.owner.items import Wanted
from netsky.node.owner.limits import EXCERPT_LETTERS, EXCERPT_LINES, MINUTE_NS, PAGE_ITEMS_MAX

ID_LETTERS = 20
"""Of an id: 16 digits of the time and 4 of chance are one id among millions, and shorter to type."""


@dataclass(frozen=True, slots=True)
class Words:
    """What stands in one item."""

    id: str
    sender: str
    """With its node."""
    text: str
    otherwise: str | None = None


def subject(wanted: Wanted, words: Mapping[int, Words], now: int) -> str:
    """One line: how many of what, from whom if it is one, and by when."""
    calls, new = wanted.last_calls, wanted.new
    deadlines = [item.deadline for item in wanted.items if item.deadline is not None]
    until = f", answer within {span(min(deadlines) - now)}" if deadlines else ""
    if len(wanted.items) == 1:
        [item] = wanted.items
        return f"netsky: {_title(item, last_call=bool(calls))} from {_sender(words[item.seq])}{until}"
    parts = [_counted(len(calls), "last call", "last calls")] if calls else []
    for kind in ("escalation", "question", "report"):
        count = sum(item.kind == kind for item in new)
        parts += [_counted(count, kind, f"{kind}s")] if count else []
    return f"netsky: {', '.join(parts)} for you{until}"


def body(wanted: Wanted, words: Mapping[int, Words], now: int) -> str:
    shown, left = wanted.items[:PAGE_ITEMS_MAX], len(wanted.items) - PAGE_ITEMS_MAX
    calls = {item.seq for item in wanted.last_calls}
    parts = [_one(item, words[item.seq], now, last_call=item.seq in calls) for item in shown]
    if left > 0:
        parts.append(f"and {left} more")
    parts.append("All of it, on netsky0: netsky owner inbox")
    return "\n\n".join(parts) + "\n"


def ago(ns: int) -> str:
    return "just now" if ns < MINUTE_NS else f"{span(ns)} ago"


def span(ns: int) -> str:
    """A length of time in words of one or two units."""
    minutes = max(0, ns) // MINUTE_NS
    if minutes < 1:
        return "a minute"
    for size, name in ((1_440, "day"), (60, "hour")):
        if minutes >= size:
            whole, rest = divmod(minutes, size)
            below = "" if name == "day" or not rest else f" {rest} min"
            return f"{whole} {name}{'' if whole == 1 else 's'}{below}"
    return f"{minutes} min"


def _one(item: Item, words: Words, now: int, *, last_call: bool) -> str:
    lines = [f"{_title(item, last_call=last_call)} from {_sender(words)}, {ago(now - item.stored_at)}"]
    lines += [f"> {line}" for line in _lines(words.text)]
    if item.deadline is not None:
        lines.append(f"answer within {span(item.deadline - now)} (until {write_time(item.deadline)[:16]} UTC); else:")
        lines += [f"> {line}" for line in _lines(words.otherwise or "")]
    if item.kind == "question":
        lines.append(f"netsky owner reply {words.id[:ID_LETTERS]} TEXT")
    elif len(words.text) > EXCERPT_LETTERS:
        lines.append(f"netsky owner show {words.id[:ID_LETTERS]}")
    return "\n".join(lines)


def _title(item: Item, *, last_call: bool) -> str:
    return f"last call, {item.kind}" if last_call else item.kind


def _sender(words: Words) -> str:
    return excerpt(words.sender, 96)


def _counted(count: int, word: str, words: str) -> str:
    return f"{count} {word if count == 1 else words}"


def _lines(text: str) -> Sequence[str]:
    return excerpt(text, EXCERPT_LETTERS, lines=EXCERPT_LINES).split("\n")
