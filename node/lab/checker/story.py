"""A violation, and how it is told: the invariant, a sentence, and the events that it is about, no others."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from netsky.node.lab.checker.lines import Event

Class = Literal["safety", "liveness"]
"""What must never happen, whatever goes wrong; and what must happen in time once nothing goes wrong any more."""

STORY_LINES_MAX = 24
_DEATHS = frozenset(("crash", "power_cut", "start", "backup"))


@dataclass(frozen=True, slots=True)
class Violation:
    rule: str
    sentence: str
    ids: tuple[str, ...] = ()  # envelopes, as (origin id)
    numbers: tuple[tuple[str, str, int, int], ...] = ()  # link, lane, life, number
    kinds: frozenset[str] | None = None  # of the events told; None: all
    lines: tuple[int, ...] = ()  # besides
    class_: Class = "safety"  # of the rule that found it


@dataclass
class Story:
    violation: Violation
    told: list[tuple[int, Event]] = field(default_factory=list)

    def text(self) -> str:
        told = self.told
        lines = [f"{self.violation.rule}: {self.violation.sentence}"]
        if len(told) > STORY_LINES_MAX:
            half = STORY_LINES_MAX // 2
            lines += [_event_text(*one) for one in told[:half]]
            lines.append(f"  … {len(told) - 2 * half} more …")
            told = told[-half:]
        return "\n".join(lines + [_event_text(*one) for one in told])


def tell(violations: Sequence[Violation], again: Callable[[], Iterable[Event]], names: dict[str, str]) -> list[Story]:
    """Reads the history once more and picks out what belongs to each; the books kept no events."""
    stories = [Story(violation) for violation in violations]
    if not stories:
        return stories
    wanted: dict[object, list[Story]] = {}
    for story in stories:
        for key in (*story.violation.ids, *story.violation.numbers, *story.violation.lines):
            wanted.setdefault(key, []).append(story)
    deaths: list[tuple[int, Event]] = []
    for line, event in enumerate(again(), 1):
        if event["ev"] in _DEATHS and "link" not in event:
            deaths.append((line, event))
        for key in _keys(line, event, names):
            for story in wanted.get(key, ()):
                kinds = story.violation.kinds
                if (key == line or kinds is None or event["ev"] in kinds) and (line, event) not in story.told[-1:]:
                    story.told.append((line, event))
    for story in stories:
        _add_deaths(story, deaths)
    return stories


def _keys(line: int, event: Event, names: dict[str, str]) -> Iterable[object]:
    yield line
    if "id" in event:
        origin = event.get("origin", "")
        yield f"{names.get(origin, origin)} {event['id']}"
    if "link" in event and "n" in event:
        yield (event["link"], event.get("ln", ""), event.get("epoch", 0), event["n"])


def _add_deaths(story: Story, deaths: list[tuple[int, Event]]) -> None:
    """Nodes in the story that died in the middle of it."""
    if not story.told:
        return
    nodes = {event["node"] for _, event in story.told if "node" in event}
    first, last = story.told[0][0], story.told[-1][0]
    known = {line for line, _ in story.told}
    story.told += [
        (line, event)
        for line, event in deaths
        if first < line < last and event.get("node") in nodes and line not in known
    ]
    story.told.sort(key=lambda one: one[0])


def _event_text(line: int, event: Event) -> str:
    rest = {name: value for name, value in event.items() if name not in {"t", "node", "ev", "by", "boot"}}
    seconds = event["t"] / 1e9
    who = f"{event.get('node', '-')}/{event.get('boot', 0)} {event.get('by', '-')}"
    words = " ".join(f"{name}={_short(value)}" for name, value in rest.items())
    return f"  {line:>8} {seconds:.6f} {who:<20} {event['ev']:<14} {words}"


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 48 else text[:16] + "…"
