"""A violation, and how it is told: the invariant, a sentence, and the events without which the break is not seen."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from netsky.node.lab.checker.lines import Event

Class = Literal["safety", "liveness"]
"""What must never happen, whatever goes wrong; and what must happen in time once nothing goes wrong any more."""

_TOLD = ("id", "origin", "link", "ln", "epoch", "n", "dest", "reason", "key", "fence", "hash", "value")

Number = tuple[str, str, int, int]
"""Link, lane, life and number."""


@dataclass(frozen=True, slots=True)
class Violation:
    rule: str
    sentence: str
    lines: tuple[int, ...] = ()
    """Of the history, in any order; 0 is none."""
    number: Number | None = None
    """And the first line that gave this number to a leaf."""
    class_: Class = "safety"
    """Of the rule that found it."""


@dataclass
class Story:
    violation: Violation
    told: list[tuple[int, Event]] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)  # key of a node -> its name
    since: int = 0  # when the history began

    def text(self) -> str:
        head = f"{self.violation.rule}: {self.violation.sentence}"
        return "\n".join([head, *(self._line(*one) for one in self.told)])

    def _line(self, line: int, event: Event) -> str:
        seconds = (event["t"] - self.since) / 1e9
        who = f"{event.get('node', '-')}/{event.get('boot', 0)} {event.get('by', '-')}"
        words = " ".join(f"{name}={self._short(event[name])}" for name in _TOLD if name in event)
        return f"  {line:>8} {seconds:>10.3f} {who:<18} {event['ev']:<12} {words}".rstrip()

    def _short(self, value: object) -> str:
        if isinstance(value, dict):
            return json.dumps({name: self._short(one) for name, one in value.items()})
        text = value if isinstance(value, str) else json.dumps(value)
        text = self.names.get(text, text)
        return ascii(text)[1:-1] if len(text) <= 48 else f"{text[:16]}…"


def tell(violations: Sequence[Violation], again: Callable[[], Iterable[Event]], names: dict[str, str]) -> list[Story]:
    """Reads the history once more and picks out what belongs to each; the books kept no events."""
    stories = [Story(violation, names=names) for violation in violations]
    if not stories:
        return stories
    by_line: dict[int, list[Story]] = {}
    by_number: dict[Number, list[Story]] = {}
    for story in stories:
        for line in sorted({*story.violation.lines} - {0}):
            by_line.setdefault(line, []).append(story)
        if story.violation.number is not None:
            by_number.setdefault(story.violation.number, []).append(story)
    since: int | None = None
    for line, event in enumerate(again(), 1):
        since = event["t"] if since is None else since
        for story in by_line.get(line, ()):
            story.told.append((line, event))
        if by_number and "hash" in event and "n" in event and "link" in event:
            found = by_number.pop((event["link"], event.get("ln", ""), event.get("epoch", 0), event["n"]), ())
            for story in found:
                if line not in story.violation.lines:
                    story.told.append((line, event))
    for story in stories:
        story.since = since or 0
    return stories
