"""What a node takes up, as somebody measured it: I17, I18, I19, and hostile files: I21.

A gauge holds a dict of figures; one with the reason `bounds` says what they may be, `base` and `drained` mark the
figures before the work and after it, `idle` those of a node that has nothing to do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from netsky.node.lab.checker.lines import Event
from netsky.node.lab.checker.story import Violation

SLOPE_BYTES_PER_RECONNECT = 1024
RECONNECTS_JUDGED = 1000
HANDLES = ("fds", "tasks", "threads", "children")


@dataclass
class Figures:
    bounds: dict[str, int] = field(default_factory=dict)
    bounds_line: int = 0
    base: dict[str, int] = field(default_factory=dict)
    base_line: int = 0
    idle: dict[str, int] | None = None
    # For the fit of rss over reconnects: count, sums, and the lines at its ends.
    fit: list[float] = field(default_factory=lambda: [0.0] * 5)
    first: tuple[int, int] = (0, 0)  # line, reconnects
    last: tuple[int, int] = (0, 0)


class Gauges:
    """Per node, what was measured so far."""

    def __init__(self) -> None:
        self.nodes: dict[str, Figures] = {}
        self.dropped: dict[tuple[str, str], int] = {}  # hostile files by (node, name) -> line
        self.kept: dict[tuple[str, str], int] = {}  # in quarantine

    def of(self, event: Event) -> Figures:
        return self.nodes.setdefault(event["node"], Figures())

    def enter(self, event: Event, line: int) -> None:
        kind, reason, value = event["ev"], event.get("reason"), event.get("value")
        name = (event["node"], event.get("key", ""))
        if kind == "submit_call" and reason == "hostile":
            self.dropped[name] = line
        elif kind == "quarantine":
            self.kept[name] = line
        elif kind == "gauge" and "link" not in event and isinstance(value, dict):
            figures = self.of(event)
            if reason == "bounds":
                figures.bounds.update(value)
                figures.bounds_line = line
            elif reason == "base":
                figures.base, figures.base_line = value, line
            elif reason == "idle" and figures.idle is None:
                figures.idle = {**value, "line": line}
            if "rss" in value and "reconnects" in value:
                _fit(figures, value["reconnects"], value["rss"], line)


def _fit(figures: Figures, x: float, y: float, line: int) -> None:
    if not figures.fit[0]:
        figures.first = (line, int(x))
    figures.last = (line, int(x))
    figures.fit = [old + new for old, new in zip(figures.fit, (1, x, y, x * x, x * y), strict=True)]


def i17_memory(gauges: Gauges, event: Event, line: int) -> Violation | None:
    figures, value = gauges.of(event), event["value"]
    if "rss" not in value or "rss_base" not in figures.bounds:
        return None
    allowed = figures.bounds["rss_base"] + value.get("links", 0) * figures.bounds.get("rss_per_link", 0)
    if value["rss"] <= allowed:
        return None
    sentence = f"{event['node']} holds {value['rss']} bytes of memory; {value.get('links', 0)} links allow {allowed}"
    return Violation("I17", sentence, (figures.bounds_line, line))


def i17_memory_at_end(gauges: Gauges) -> Iterator[Violation]:
    for node, figures in gauges.nodes.items():
        count, x, y, xx, xy = figures.fit
        if figures.last[1] - figures.first[1] < RECONNECTS_JUDGED:
            continue
        slope = (count * xy - x * y) / (count * xx - x * x)
        if slope > SLOPE_BYTES_PER_RECONNECT:
            sentence = f"the memory of {node} grows by {slope:.0f} bytes with each reconnect"
            yield Violation("I17", sentence, (figures.first[0], figures.last[0]))


def i18_disk(gauges: Gauges, event: Event, line: int) -> Violation | None:
    figures, value, node = gauges.of(event), event["value"], event["node"]
    for what in ("state", "wal"):
        cap = figures.bounds.get(f"{what}_cap")
        if cap is not None and value.get(what, 0) > cap:
            sentence = f"{node} has {value[what]} bytes of {what}; its cap is {cap}"
            return Violation("I18", sentence, (figures.bounds_line, line))
    if event.get("reason") == "idle" and figures.idle is not None and value["state"] > figures.idle["state"]:
        sentence = f"{node} has nothing to do and grew from {figures.idle['state']} to {value['state']} bytes of state"
        return Violation("I18", sentence, (figures.idle["line"], line))
    return None


def i19_handles(gauges: Gauges, event: Event, line: int) -> Violation | None:
    figures, value = gauges.of(event), event["value"]
    drained = event.get("reason") == "drained"
    for what in HANDLES:
        have, cap, base = value.get(what, 0), figures.bounds.get(what), figures.base.get(what)
        if cap is not None and have > cap:
            sentence = f"{event['node']} has {have} {what}; its cap is {cap}"
            return Violation("I19", sentence, (figures.bounds_line, line))
        if drained and base is not None and have > base:
            sentence = f"{event['node']} kept {have} {what} after the drain, of {base}"
            return Violation("I19", sentence, (figures.base_line, line))
    return None


def i21_quarantine(gauges: Gauges, event: Event, line: int) -> Violation | None:
    name = (event["node"], event.get("key", ""))
    if event["ev"] == "gauge":
        figures, have = gauges.of(event), event["value"].get("quarantine", 0)
        cap = figures.bounds.get("quarantine")
        if cap is not None and have > cap:
            sentence = f"{name[0]} keeps {have} files in quarantine; its cap is {cap}"
            return Violation("I21", sentence, (figures.bounds_line, line))
    elif name in gauges.kept and gauges.dropped.get(name, 0) < gauges.kept[name]:
        return Violation("I21", f"{name[1]!r} was looked at again after it was quarantined", (gauges.kept[name], line))
    elif not event.get("reason"):
        return Violation("I21", f"{name[1]!r} was quarantined without a reason", (line,))
    return None


def i21_quarantine_at_end(gauges: Gauges) -> Iterator[Violation]:
    for (node, name), line in gauges.dropped.items():
        if gauges.kept.get((node, name), 0) < line:
            yield Violation("I21", f"the hostile file {name!r} at {node} was never quarantined", (line,))
