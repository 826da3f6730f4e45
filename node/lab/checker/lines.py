"""Reads histories: one file in its own order, several by the time of their lines."""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

Event = dict[str, Any]

KINDS = (
    *("submit_call", "submit_ok", "submit_refused", "submit_unknown", "outcome", "dead_retry"),
    *("link_tx", "link_rx", "link_ack_tx", "link_ack_rx", "accept", "deliver", "dead_letter", "quarantine"),
    *("refuse", "claim", "archive", "attempt_start", "attempt_end", "result", "commit", "commit_refused"),
    *("prune", "epoch_bump", "trust_set", "crash", "power_cut", "start", "gauge"),
    *("backup", "proof", "fault", "heal", "notice"),
)
WITNESSED = frozenset(("submit_call", "submit_ok", "submit_refused", "submit_unknown", "claim", "archive"))
"""What only clients and actors can say; a node that says it of itself voids the history."""


class VoidHistory(Exception):
    """This is no history that anything can be concluded from."""


@dataclass
class Tally:
    """What was read, beside the events themselves."""

    lines: int = 0
    torn: int = 0  # lines that are no event: their writer was cut off
    by_kind: dict[str, int] = field(default_factory=dict)


def in_files(paths: Sequence[str], tally: Tally) -> Iterator[Event]:
    """The events of these files in the order in which they are judged."""
    files = [_one(path, tally) for path in paths]
    return files[0] if len(files) == 1 else heapq.merge(*files, key=_time)


def in_memory(lines: Iterable[bytes], tally: Tally) -> Iterator[Event]:
    """The events of one history in its own order; a piece may hold several lines."""
    return _events(b"\n".join(lines).decode(errors="replace").split("\n"), tally, "the history")


def _time(event: Event) -> int:
    time: int = event["t"]
    return time


def _one(path: str, tally: Tally) -> Iterator[Event]:
    with open(path, encoding="utf-8", errors="replace", newline="\n") as lines:
        yield from _events(lines, tally, path)


def _events(lines: Iterable[str], tally: Tally, where: str) -> Iterator[Event]:
    decode = json.JSONDecoder().raw_decode  # json.loads around it takes as long again
    for line in lines:
        try:
            event, end = decode(line)
        except ValueError:
            tally.torn += line.strip("\n") != ""
            continue
        if len(line) > end + 1 and line[end:].strip():
            tally.torn += 1
            continue
        if type(event) is not dict or type(event.get("t")) is not int:
            raise VoidHistory(f"{where}: a line without a time: {line[:200]!r}")
        yield event
