"""The kinds of envelope and the lane that each one travels in."""

from __future__ import annotations

from typing import Literal

Lane = Literal["reply", "work"]

KINDS: dict[str, Lane] = {
    "text": "work",
    "brief": "work",
    "ticket": "work",
    "question": "work",
    "escalation": "work",
    "cron": "work",
    "loop": "work",
    "reply": "reply",
    "report": "reply",
    "error": "reply",
    "cancel": "reply",
    "outcome": "reply",
    "control": "reply",
}
"""Anything not in it is refused. No reply ever waits for room that requests hold, hence two lanes."""

SENDABLE = frozenset(KINDS) - {"outcome", "control"}
"""What an actor may send: outcomes and control are written by daemons alone."""


def kind_or_text(kind: str | None) -> str:
    """An absent kind means text, as in published files."""
    return "text" if kind is None else kind


def lane_of(kind: str | None) -> Lane:
    return KINDS.get(kind_or_text(kind), "work")
