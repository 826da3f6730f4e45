"""Runs and tickets as they are shown: what a program gets as JSON, and the sentences in it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from netsky.node.db import work_runs, work_tickets
from netsky.node.db.work_runs import Checkpoint, RunRow
from netsky.node.db.work_tickets import Ready, TicketRow
from netsky.node.work import ticket as tickets

if TYPE_CHECKING:
    from netsky.node.daemon.node import Node
    from netsky.node.work.office import Office

_RUN = ("id", "name", "state", "asked_by", "made_at", "changed_at", "reason", "tickets", "open", "failed")
_LINE = ("id", "run", "state", "since", "owner", "node", "tries", "code", "reason", "till", "due", "fence")

NEXT: Mapping[str, str] = {
    "waiting": "it is offered to a node when there is room",
    "offered": "its node takes it, or its lease ends",
    "leased": "its node reports, or its lease ends",
    "reported": "it is verified",
    "verified": "it is committed",
    "parked": "it goes on by itself at its time",
    "blocked": "nothing, until somebody types netsky task retry or unblock",
    "committed": "nothing: it is done",
    "cancelled": "nothing, unless it is tried again",
    "dead": "nothing, unless what it comes after is tried again",
}


class Showing:
    def __init__(self, node: Node, office: Office) -> None:
        self._node = node
        self._office = office

    def run(self, run: RunRow) -> dict[str, Any]:
        head: Mapping[str, Any] = json.loads(run.head)
        return {name: getattr(run, name) for name in _RUN} | dict(head)

    def line(self, row: TicketRow, before: Sequence[tuple[str, str]] = ()) -> dict[str, Any]:
        spec = tickets.decode(row.spec)
        return {name: getattr(row, name) for name in _LINE} | {
            "title": spec.title,
            "role": spec.role,
            "runtime": spec.runtime,
            "alone": bool(row.alone),
            "waits": self._why(row, before),
        }

    def whole(self, row: TicketRow, read: Sequence[Any]) -> dict[str, Any]:
        """With what was read about it: its story, what is before, behind and below it, notes and grants."""
        story, before, behind, children, notes, grants = read
        spec = tickets.decode(row.spec)
        return {
            **self.line(row, before),
            "spec": tickets.shown(spec),
            "report": None if row.report is None else json.loads(row.report),
            "after": [{"id": one, "state": state} for one, state in before],
            "before": [{"id": one, "state": state} for one, state in behind],
            "children": [{"id": one.id, "state": one.state} for one in work_tickets.rows(children)],
            "story": [_step(one) for one in reversed(work_runs.checkpoint_rows(story))],
            "notes": [{"id": n, "at": at, "author": by, "text": text} for n, at, by, text in notes],
            "grants": [
                {"at": one.at, "until": one.until, "by": one.author, "envelope": one.envelope, **json.loads(one.scope)}
                for one in work_runs.grant_rows(grants)
            ],
            "next": NEXT[row.state],
        }

    def _why(self, row: TicketRow, before: Sequence[tuple[str, str]]) -> str:
        """What it waits for, as a sentence; "" if it does not wait."""
        if row.state != "waiting":
            return ""
        if row.missing:
            missing = [f"{id_} ({state})" for id_, state in before if state != "committed"]
            return (
                f"waiting: comes after {', '.join(missing)}" if missing else f"waiting: comes after {row.missing} more"
            )
        if row.due > self._node.now():
            return "waiting: for its next try"
        if self._node.halt.hands_out != "all":
            return f"waiting: {self._node.halt.why_kept()}"
        return self._office.giving.waits.get(Ready(row.place, row.alone), "waiting: its turn comes")


def _step(one: Checkpoint) -> dict[str, Any]:
    found = asdict(one) | {"try": one.tried}
    return {name: value for name, value in found.items() if name not in {"tried", "ticket", "run"}}
